"""Keeps the PKI's activations and certificate states in the registry, in the words of trus.pki.

Decides nothing about certificates. Each change is one durable transaction; enrolments and
changes of state leave an event in the audit chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from trus.clock import Clock
from trus.issuing.desk import ORDER_KIND
from trus.ledger.registry import Registry, RegistryChange
from trus.ledger.registry_values import ActivationRow, CertificateRow
from trus.pki.ports import Activation, CertificateRecord, CertificateState
from trus.pki.renewal import SUPERSEDED
from trus.values import DeviceRole, ResponseCode

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
#: The kind of the events that devices' requests leave: apart from orders, so that a flood of them hides none.
ENROLMENT_KIND: Final = "enrolment"
#: Rules under which requests of devices are on record: issued, refused.
ENROL: Final = "ENROL"
ENROL_REFUSED: Final = "ENROL-REFUSED"
#: Rules under which renewals are: issued, shown for the first time, refused.
RENEW: Final = "RENEW"
RENEWED: Final = "RENEW-CONFIRMED"
RENEW_REFUSED: Final = "RENEW-REFUSED"
_PENDING: Final = CertificateState.PENDING.value
_REVOKED: Final = CertificateState.REVOKED.value
#: The actor of what the PKI does by itself.
PKI: Final = "pki"


class RegistryIdentities:
    """Implements trus.pki.ports.ActivationStore and CertificateRegister."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    # ----------------------------------------------------------------------- activations

    def activation(self, role: DeviceRole, name: str) -> Activation | None:
        """Return the activation opened for this holder, None when there is none."""
        with self._registry.reading() as view:
            row = view.identities.activation(role, name)
        return None if row is None else _activation(row)

    def open_activation(self, activation: Activation) -> None:
        """Store an activation, replacing an earlier one of the same holder."""
        with self._registry.changing(self._clock.now()) as change:
            change.identities.open_activation(_activation_row(activation), change.at)

    def count_failure(self, role: DeviceRole, name: str, failures: int) -> None:
        """Set the number of wrong codes given for this holder."""
        with self._registry.changing(self._clock.now()) as change:
            change.identities.count_failure(role, name, failures)

    def complete(self, activation: Activation, record: CertificateRecord, birth: str = "device") -> None:
        """Store the redeemed activation and the new certificate's row in one transaction."""
        with self._registry.changing(self._clock.now()) as change:
            change.identities.redeem(_activation_row(activation))
            _register(change, record)
            opened = {"opened-by": activation.opened_by} if activation.opened_by else {}
            figures = {**_figures(record), "birth": birth, **opened}
            change.post(kind=ENROLMENT_KIND, actor=PKI, rule=ENROL, figures=figures)

    def refused(self, role: DeviceRole, name: str, step: str, reason: str, address: str) -> None:
        """Leave an event in the audit: a step of the examination refused a request, for a reason."""
        figures = {"role": role.value, "name": name, "step": step, "reason": reason, "address": address}
        code = ResponseCode.SECURITY_VIOLATION
        with self._registry.changing(self._clock.now()) as change:
            change.refuse(kind=ENROLMENT_KIND, actor=PKI, code=code, rule=ENROL_REFUSED, figures=figures)

    # ----------------------------------------------------------------- before an issuance

    def of_key(self, digest: bytes) -> Sequence[CertificateRecord]:
        """Return the rows of certificates for a key (SHA-256 of SubjectPublicKeyInfo), whatever their state."""
        with self._registry.reading() as view:
            return [record(row) for row in view.issuance.of_key(digest)]

    def live_certificates(self, role: DeviceRole, name: str, now: datetime) -> int:
        """Return how many certificates of a holder are good and have not ended."""
        with self._registry.reading() as view:
            return view.issuance.live(role, name, microseconds(now))

    def issued_since(self, since: datetime, shop: str = "") -> int:
        """Return how many certificates for devices begin after `since`: of one shop, or of all."""
        with self._registry.reading() as view:
            return view.issuance.issued_since(microseconds(since), shop)

    def shop_of(self, role: DeviceRole, name: str) -> str | None:
        """Return the shop that a terminal stands in now, None for other holders."""
        if role is not DeviceRole.POS:
            return None
        with self._registry.reading() as view:
            found = view.shops.terminal(name)
        return None if found is None else found.shop

    # ---------------------------------------------------------------------- certificates

    def certificates(self, serials: Sequence[str]) -> Mapping[str, CertificateRecord]:
        """Return the rows of these serials; a serial without a row is absent."""
        with self._registry.reading() as view:
            found = view.identities.certificates(serials)
        return {serial: record(row) for serial, row in found.items()}

    def register(self, record: CertificateRecord) -> None:
        """Store the row of a certificate that needed no activation (the backend's own)."""
        with self._registry.changing(self._clock.now()) as change:
            _register(change, record)
            change.post(kind=ORDER_KIND, actor=PKI, rule="REGISTER", figures=_figures(record))

    def set_state(self, serial: str, state: CertificateState, at: datetime, reason: str) -> None:
        """Change a certificate's state. Raises KeyError when the serial has no row."""
        with self._registry.changing(self._clock.now()) as change:
            if not change.identities.set_certificate_state(serial, state, microseconds(at), reason):
                raise KeyError(serial)
            figures = {"serial": serial, "state": state.value, "reason": reason}
            change.post(kind=ORDER_KIND, actor=PKI, rule="CERTIFICATE-STATE", figures=figures)

    def register_renewal(self, record: CertificateRecord, former: str) -> None:
        """Store a renewal, pending; what else of its holder was pending is revoked as superseded."""
        with self._registry.changing(self._clock.now()) as change:
            for serial in change.directory.others_of(record.role, record.name, record.serial, (_PENDING,)):
                change.identities.set_certificate_state(serial, _REVOKED, change.at, SUPERSEDED)
            _register(change, msgspec.structs.replace(record, state=CertificateState.PENDING))
            figures = {**_figures(record), "former": former}
            change.post(kind=ENROLMENT_KIND, actor=PKI, rule=RENEW, figures=figures)

    def confirm(self, serials: Sequence[str]) -> list[str]:
        """Make pending certificates good, and revoke their holders' other good ones as superseded."""
        with self._registry.reading() as view:
            found = view.identities.certificates(serials)
        pending = [row for row in found.values() if row.state == _PENDING]
        if not pending:
            return []
        superseded: list[str] = []
        with self._registry.changing(self._clock.now()) as change:
            for row in pending:
                change.identities.set_certificate_state(row.serial, CertificateState.GOOD, change.at, "")
                live = (CertificateState.GOOD.value, _PENDING)
                for serial in change.directory.others_of(row.role, row.name, row.serial, live):
                    change.identities.set_certificate_state(serial, _REVOKED, change.at, SUPERSEDED)
                    superseded.append(serial)
                figures = {"role": row.role, "name": row.name, "serial": row.serial}
                change.post(kind=ENROLMENT_KIND, actor=PKI, rule=RENEWED, figures=figures)
        return superseded

    def renewal_refused(self, role: DeviceRole, name: str, step: str, reason: str, address: str) -> None:
        """Leave an event in the audit: a renewal was refused."""
        figures = {"role": role.value, "name": name, "step": step, "reason": reason, "address": address}
        code = ResponseCode.SECURITY_VIOLATION
        with self._registry.changing(self._clock.now()) as change:
            change.refuse(kind=ENROLMENT_KIND, actor=PKI, code=code, rule=RENEW_REFUSED, figures=figures)

    def epoch(self) -> int:
        """Return the number of the newest change of a holder's standing, whoever made it."""
        with self._registry.reading() as view:
            return view.directory.epoch()

    def concern_everybody(self) -> None:
        """Let the standing of every holder be looked at again, in every process that has sessions."""
        with self._registry.changing(self._clock.now()) as change:
            change.concern_everybody()

    def changes_since(self, epoch: int) -> Sequence[tuple[DeviceRole, str]] | None:
        """Return the holders whose standing changed after `epoch`; None when it may be anybody's."""
        with self._registry.reading() as view:
            found = view.directory.changes_since(epoch)
        return None if found is None else [(DeviceRole(row.role), row.name) for row in found]

    def blocked(self, holders: Sequence[tuple[DeviceRole, str]]) -> frozenset[tuple[DeviceRole, str]]:
        """Return those of the holders (role, name) whose terminal or card is not active."""
        with self._registry.reading() as view:
            return frozenset(
                (role, name)
                for role in DeviceRole
                for name in view.identities.not_active(role, [name for each, name in holders if each is role])
            )


def _register(change: RegistryChange, record: CertificateRecord) -> None:
    change.identities.register(_certificate_row(record))
    change.directory.add_keys(record.serial, record.keys)


def microseconds(when: datetime) -> int:
    """Return a moment (aware) as the registry stores it: microseconds since 1970-01-01 UTC."""
    return (when - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """Return a stored moment, aware, UTC."""
    return _EPOCH + timedelta(microseconds=at)


def _activation(row: ActivationRow) -> Activation:
    return Activation(
        DeviceRole(row.role),
        row.name,
        row.shop,
        row.model,
        row.code_hash,
        moment(row.expires_at),
        row.failures,
        row.key_digest,
        row.serial,
        row.opened_by,
    )


def _activation_row(value: Activation) -> ActivationRow:
    return ActivationRow(
        value.role,
        value.name,
        value.shop,
        value.model,
        value.code_hash,
        microseconds(value.expires),
        value.failures,
        value.key_digest,
        value.serial,
        value.opened_by,
    )


def record(row: CertificateRow) -> CertificateRecord:
    """Return a stored row in the words of the PKI."""
    return CertificateRecord(
        row.serial,
        DeviceRole(row.role),
        row.name,
        row.shop,
        row.model,
        row.handle,
        row.key_digest,
        moment(row.not_before),
        moment(row.not_after),
        CertificateState(row.state),
        None if row.changed_at is None else moment(row.changed_at),
        row.reason,
    )


def _certificate_row(value: CertificateRecord) -> CertificateRow:
    return CertificateRow(
        value.serial,
        value.role,
        value.name,
        value.shop,
        value.model,
        value.handle,
        value.key_digest,
        microseconds(value.not_before),
        microseconds(value.not_after),
        value.state,
        None if value.changed is None else microseconds(value.changed),
        value.reason,
    )


def _figures(record: CertificateRecord) -> dict[str, int | str]:
    return {"role": record.role.value, "name": record.name, "serial": record.serial}
