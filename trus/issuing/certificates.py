"""Searches the directory of individual certificates, suspends, releases and revokes them.

Issues nothing. A change of state is one transaction with its event; it takes effect with the next
handshake, ends live sessions within seconds, and stands on the next revocation list.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from trus.admin.commands_certificates import EXPIRED, EXPIRING, EXPIRING_DAYS, REVOCATION_REASONS
from trus.admin.model import RefusalCode
from trus.core.messages import AdminAnswer
from trus.errors import KeyNotFound
from trus.issuing.desk import Desk, Handler, Order, audit, counted, done, page, refuse
from trus.ledger.registry import RegistryChange
from trus.ledger.registry_directory import Wanted
from trus.ledger.registry_values import CertificateRow
from trus.pki.ports import CertificateState

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)
#: The reason on revocation lists of whoever is suspended (RFC 5280 section 5.3.1).
HOLD: Final = "certificateHold"
#: What may still be used, or used again.
_LIVE: Final = (CertificateState.GOOD.value, CertificateState.PENDING.value)
#: Certificates of one device changed by one order: enough for decades of renewals.
_MOST: Final = 500


def search(desk: Desk, order: Order) -> AdminAnswer:
    """CERTIFICATES."""
    now = desk.clock.now()
    with desk.registry.reading() as view:
        rows = view.directory.search(_wanted(order, now), order.text("after"), order.limit + 1)
    return page(order, [_shown(row, now) for row in rows], "serial", "certificates")


def show(desk: Desk, order: Order) -> AdminAnswer:
    """CERTIFICATE."""
    serial = order.text("serial")
    with desk.registry.reading() as view:
        row = view.identities.certificates([serial]).get(serial)
    if row is None:
        raise _unknown()
    try:
        der = desk.activations.certificate(row.handle)
    except KeyNotFound:
        raise refuse(RefusalCode.SYSTEM, "The register knows it, but the key store does not hold it.") from None
    shown = {**_shown(row, desk.clock.now()), "der": base64.b64encode(der).decode("ascii")}
    return done(f"Certificate {serial} of {row.role} {row.name} is {row.state}.", [shown])


def hold(desk: Desk, order: Order) -> AdminAnswer:
    """CERTIFICATE-HOLD: what is good becomes suspended."""
    return _change(desk, order, _LIVE, CertificateState.HELD, HOLD, "suspended")


def release(desk: Desk, order: Order) -> AdminAnswer:
    """CERTIFICATE-RELEASE: what is suspended becomes good."""
    return _change(desk, order, (CertificateState.HELD.value,), CertificateState.GOOD, "", "good again")


def revoke(desk: Desk, order: Order) -> AdminAnswer:
    """CERTIFICATE-REVOKE: what is not revoked yet is, for ever."""
    reason = REVOCATION_REASONS[order.text("reason") or "unspecified"]
    states = (*_LIVE, CertificateState.HELD.value)
    return _change(desk, order, states, CertificateState.REVOKED, reason, "revoked")


def _change(
    desk: Desk, order: Order, states: tuple[str, ...], to: CertificateState, reason: str, word: str
) -> AdminAnswer:
    with desk.registry.changing(desk.clock.now()) as change:
        found = _named(change, order)
        changed = [row for row in found if row.state in states]
        if not changed:
            raise refuse(RefusalCode.STATE, f"It is {found[0].state}: that cannot become {to.value}.")
        for row in changed:
            change.identities.set_certificate_state(row.serial, to.value, change.at, reason)
        serials = " ".join(row.serial for row in changed)
        figures = {"role": changed[0].role, "name": changed[0].name, "reason": reason, "certificates": serials}
        audit(change, order, figures)
    number = counted(len(changed), "certificate")
    rows = [{"serial": row.serial, "role": row.role, "device": row.name, "state": to.value} for row in changed]
    return done(f"{number} of {changed[0].name}: {word}.", rows)


def _named(change: RegistryChange, order: Order) -> list[CertificateRow]:
    """Return the certificates that an order names, by serial number or by device. Raises CommandRefused."""
    serial, device = order.text("serial"), order.text("device")
    if bool(serial) == bool(device):
        raise refuse(RefusalCode.ARGUMENTS, "Either serial or device is needed, not both.")
    found = change.directory.search(Wanted(serial=serial, name=device), "", _MOST)
    if not found:
        raise _unknown()
    return found


def _unknown() -> Exception:
    return refuse(RefusalCode.NOT_FOUND, "There is no such certificate.")


def _wanted(order: Order, now: datetime) -> Wanted:
    state = order.text("state")
    days = order.text("days")
    if days and state != EXPIRING:
        raise refuse(RefusalCode.ARGUMENTS, f"days goes with state={EXPIRING}.")
    states: tuple[str, ...] = () if state in ("", EXPIRING, EXPIRED) else (state,)
    issued = order.text("issued")
    at = _microseconds(now)
    ends_after = ends_before = None
    if state == EXPIRING:
        states, ends_after = _LIVE, at
        ends_before = _microseconds(now + timedelta(days=int(days or EXPIRING_DAYS)))
    elif state == EXPIRED:
        ends_before = at
    return Wanted(
        serial=order.text("serial"),
        role=order.text("role"),
        name=order.text("device"),
        shop=order.text("shop"),
        states=states,
        issued_from=_microseconds(_midnight(issued)) if issued else None,
        issued_to=_microseconds(_midnight(issued) + _DAY) if issued else None,
        ends_after=ends_after,
        ends_before=ends_before,
        valid_at=_microseconds(_midnight(order.text("valid"))) if order.text("valid") else None,
    )


def _midnight(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _text(at: int) -> str:
    return (_EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(row: CertificateRow, now: datetime) -> dict[str, str]:
    state = EXPIRED if row.state in _LIVE and row.not_after <= _microseconds(now) else row.state
    return {
        "serial": row.serial,
        "role": row.role,
        "device": row.name,
        "shop": row.shop,
        "model": row.model,
        "state": state,
        "reason": row.reason,
        "changed": "" if row.changed_at is None else _text(row.changed_at),
        "not-before": _text(row.not_before),
        "not-after": _text(row.not_after),
    }


HANDLERS: Final[Mapping[str, Handler]] = {
    "CERTIFICATES": search,
    "CERTIFICATE": show,
    "CERTIFICATE-HOLD": hold,
    "CERTIFICATE-RELEASE": release,
    "CERTIFICATE-REVOKE": revoke,
}
