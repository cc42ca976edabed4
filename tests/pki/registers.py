"""The database's side of the PKI, in memory; and a small PKI to test with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trus.clock import SystemEntropy
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.memory import MemoryStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.ports import KeyPurpose
from trus.pki.authority import Authority
from trus.pki.ceremony import Root
from trus.pki.generations import request_generation, take_in
from trus.pki.identity import INDIVIDUAL, IdentityService, create_backend_identity
from trus.pki.policy import DEFAULT_POLICY, Policy
from trus.pki.ports import Activation, CertificateRecord, CertificateState
from trus.pki.revocation import KeptList, ListedEntry, ListKind
from trus.values import DeviceRole

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class SetClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def advance(self, by: timedelta) -> None:
        self.moment += by


class MemoryRegister:
    """Both ports of trus.pki.ports, in memory."""

    def __init__(self) -> None:
        self.activations: dict[tuple[DeviceRole, str], Activation] = {}
        self.records: dict[str, CertificateRecord] = {}
        self.blocked_holders: set[tuple[DeviceRole, str]] = set()
        self.refusals: list[tuple[str, ...]] = []
        self.shops: dict[str, str] = {}
        self.changes: list[tuple[DeviceRole, str]] = []
        self.lists: dict[tuple[str, ListKind], KeptList] = {}

    def activation(self, role: DeviceRole, name: str) -> Activation | None:
        return self.activations.get((role, name))

    def open_activation(self, activation: Activation) -> None:
        self.activations[activation.role, activation.name] = activation

    def count_failure(self, role: DeviceRole, name: str, failures: int) -> None:
        self.activations[role, name] = msgspec.structs.replace(self.activations[role, name], failures=failures)

    def refused(self, role: DeviceRole, name: str, step: str, reason: str, address: str) -> None:
        self.refusals.append((role.value, name, step, reason, address))

    def of_key(self, digest: bytes) -> Sequence[CertificateRecord]:
        return [each for each in self.records.values() if each.key_digest == digest]

    def live_certificates(self, role: DeviceRole, name: str, now: datetime) -> int:
        return sum(
            (each.role, each.name) == (role, name)
            and each.state is not CertificateState.REVOKED
            and each.not_after >= now
            for each in self.records.values()
        )

    def issued_since(self, since: datetime, shop: str = "") -> int:
        return sum(
            each.role is not DeviceRole.BACKEND and each.not_before > since and shop in ("", each.shop)
            for each in self.records.values()
        )

    def shop_of(self, role: DeviceRole, name: str) -> str | None:
        return self.shops.get(name)

    def complete(self, activation: Activation, record: CertificateRecord, birth: str = "device") -> None:
        self.open_activation(activation)
        self.register(record)

    def certificates(self, serials: Sequence[str]) -> Mapping[str, CertificateRecord]:
        return {serial: self.records[serial] for serial in serials if serial in self.records}

    def register(self, record: CertificateRecord) -> None:
        self.records[record.serial] = record

    def set_state(self, serial: str, state: CertificateState, at: datetime, reason: str) -> None:
        record = self.records[serial]
        self.records[serial] = msgspec.structs.replace(record, state=state, changed=at, reason=reason)
        self.changes.append((record.role, record.name))

    def register_renewal(self, record: CertificateRecord, former: str) -> None:
        self._supersede(record, (CertificateState.PENDING,))
        self.register(msgspec.structs.replace(record, state=CertificateState.PENDING))

    def confirm(self, serials: Sequence[str]) -> list[str]:
        superseded = []
        for record in self.certificates(serials).values():
            if record.state is CertificateState.PENDING:
                self.set_state(record.serial, CertificateState.GOOD, NOON, "")
                superseded += self._supersede(record, (CertificateState.GOOD, CertificateState.PENDING))
        return superseded

    def renewal_refused(self, role: DeviceRole, name: str, step: str, reason: str, address: str) -> None:
        self.refusals.append((role.value, name, step, reason, address))

    def _supersede(self, record: CertificateRecord, states: tuple[CertificateState, ...]) -> list[str]:
        others = [
            each.serial
            for each in self.records.values()
            if (each.role, each.name) == (record.role, record.name)
            and each.serial != record.serial
            and each.state in states
        ]
        for serial in others:
            self.set_state(serial, CertificateState.REVOKED, NOON, "superseded")
        return others

    def found_by(self, kind: str, digest: bytes, limit: int) -> Sequence[CertificateRecord]:
        found = [each for each in self.records.values() if (kind, digest) in each.keys]
        return sorted(found, key=lambda each: each.not_after, reverse=True)[:limit]

    def by_keys(self, kind: str, digests: Sequence[bytes]) -> Mapping[bytes, CertificateRecord]:
        found = {digest: self.found_by(kind, digest, 1) for digest in digests}
        return {digest: rows[0] for digest, rows in found.items() if rows}

    def listed(self, issuer: bytes, ends_after: datetime) -> Sequence[ListedEntry]:
        off = (CertificateState.HELD, CertificateState.REVOKED)
        return [
            ListedEntry(each.serial, each.changed or each.not_before, each.reason)
            for each in sorted(self.records.values(), key=lambda each: each.serial)
            if each.state in off and each.not_after > ends_after and ("issuer", issuer) in each.keys
        ]

    def released(self, issuer: bytes, since: datetime, ends_after: datetime) -> Sequence[str]:
        return [
            each.serial
            for each in self.records.values()
            if each.state is CertificateState.GOOD
            and each.changed is not None
            and each.changed >= since
            and each.not_after > ends_after
            and ("issuer", issuer) in each.keys
        ]

    def kept_list(self, authority: str, kind: ListKind) -> KeptList | None:
        return self.lists.get((authority, kind))

    def keep_lists(self, lists: Sequence[KeptList]) -> None:
        self.lists.update({(each.authority, each.kind): each for each in lists})

    def epoch(self) -> int:
        return len(self.changes)

    def changes_since(self, epoch: int) -> Sequence[tuple[DeviceRole, str]] | None:
        return list(dict.fromkeys(self.changes[epoch:])) if epoch <= len(self.changes) else None

    def blocked(self, holders: Sequence[tuple[DeviceRole, str]]) -> frozenset[tuple[DeviceRole, str]]:
        return frozenset(holder for holder in holders if holder in self.blocked_holders)


class SmallPki:
    """An individual authority with a backend's identity, on the store given or in memory."""

    def __init__(self, store: Pkcs11Store | MemoryStore | None = None, policy: Policy = DEFAULT_POLICY) -> None:
        self.policy = policy
        self.clock = SetClock()
        self.entropy = SystemEntropy()
        self.store = MemoryStore(self.entropy) if store is None else store
        self.register = MemoryRegister()
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        root_store = MemoryStore(self.entropy)
        self.root = Root.create(root_store, root_store, "trus", DEFAULT_POLICY, self.clock, self.entropy)
        self.roll_over()
        self.authority = Authority(self.store, self.store, INDIVIDUAL, self.clock, self.entropy)
        create_backend_identity(self.store, self.store, self.authority, self.register, "backend")
        self.service = self.restart()

    def roll_over(self) -> None:
        """Make the next issuing authority under the root."""
        _, request = request_generation(self.store, INDIVIDUAL, "trus individual CA")
        take_in(self.store, self.store, INDIVIDUAL, self.root.sign_issuing(request), self.root.certificate)

    def restart(self) -> IdentityService:
        """Return the service as a restarted backend would open it."""
        return IdentityService(
            name="backend",
            keys=self.store,
            objects=self.store,
            data_keys=DataKeys(self.store),
            activations=self.register,
            register=self.register,
            clock=self.clock,
            entropy=self.entropy,
            policy=self.policy,
        )


def request_for(key: ec.EllipticCurvePrivateKey, name: str = "whoever") -> bytes:
    """Return a device's PKCS#10 request (DER)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(name))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def common_name(text: str) -> x509.Name:
    """Return a name of one part."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a device's key."""
    return ec.generate_private_key(ec.SECP256R1())
