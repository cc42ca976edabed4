"""Says what the identity service needs of a database: states and handles, never certificates (TR-17).

Implemented in SQL beside the ledger, and in memory by the tests. Every method that changes
something is durable when it returns; `complete` is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from trus.values import DeviceRole, Frozen, Secret


class CertificateState(StrEnum):
    """What the register says of a certificate."""

    GOOD = "good"
    PENDING = "pending"  #: issued by a renewal and not used yet: as good as good
    HELD = "held"  #: suspended, may become good again
    REVOKED = "revoked"  #: for ever


class CertificateRecord(Frozen, frozen=True):
    """The database's row of an individual certificate.

    `serial` is lower-case hexadecimal. `handle` is the label under which the key store keeps
    the certificate. `key_digest` is SHA-256 of its SubjectPublicKeyInfo. Moments are aware, UTC.
    """

    serial: str
    role: DeviceRole
    name: str
    shop: str
    model: str
    handle: str
    key_digest: bytes
    not_before: datetime
    not_after: datetime
    state: CertificateState = CertificateState.GOOD
    changed: datetime | None = None
    reason: str = ""
    #: By what the directory finds it: (kind, SHA-1) each; given when it is registered, and not read back.
    keys: tuple[tuple[str, bytes], ...] = ()


class Activation(Secret, frozen=True):
    """An opened activation: its code's keyed hash, never the code.

    `shop` and `model` go into the certificate (empty for none). `failures` counts wrong codes.
    Once redeemed, `key_digest` (SHA-256 of the device's SubjectPublicKeyInfo) and `serial` name
    the certificate that the code brought; before that they are empty. `opened_by` is the admin who
    ordered it, empty for an order that no admin gave.
    """

    role: DeviceRole
    name: str
    shop: str
    model: str
    code_hash: bytes
    expires: datetime
    failures: int = 0
    key_digest: bytes = b""
    serial: str = ""
    opened_by: str = ""


class ActivationStore(Protocol):
    """Keeps one activation for each (role, name)."""

    def activation(self, role: DeviceRole, name: str) -> Activation | None:
        """Return the activation opened for this holder, None when there is none."""
        ...

    def open_activation(self, activation: Activation) -> None:
        """Store an activation, replacing an earlier one of the same holder."""
        ...

    def count_failure(self, role: DeviceRole, name: str, failures: int) -> None:
        """Set the number of wrong codes given for this holder."""
        ...

    def complete(self, activation: Activation, record: CertificateRecord, birth: str = "device") -> None:
        """Store the redeemed activation and the new certificate's row in one transaction.

        `birth` goes into the audit: where the pair was made (trus.pki.profiles.Birth).
        """
        ...

    def refused(self, role: DeviceRole, name: str, step: str, reason: str, address: str) -> None:
        """Leave an event in the audit: a step of the examination refused a request, for a reason."""
        ...


class CertificateRegister(Protocol):
    """Keeps the state of every individual certificate."""

    def certificates(self, serials: Sequence[str]) -> Mapping[str, CertificateRecord]:
        """Return the rows of these serials; a serial without a row is absent."""
        ...

    def register(self, record: CertificateRecord) -> None:
        """Store the row of a certificate that needed no activation (the backend's own)."""
        ...

    def set_state(self, serial: str, state: CertificateState, at: datetime, reason: str) -> None:
        """Change a certificate's state. Raises KeyError when the serial has no row."""
        ...

    def epoch(self) -> int:
        """Return the number of the newest change of a holder's standing, whoever made it."""
        ...

    def changes_since(self, epoch: int) -> Sequence[tuple[DeviceRole, str]] | None:
        """Return the holders (role, name) whose standing changed after `epoch`, each once.

        None when that is too long ago to tell, or after a newer state was lost.
        """
        ...

    def blocked(self, holders: Sequence[tuple[DeviceRole, str]]) -> frozenset[tuple[DeviceRole, str]]:
        """Return those of the holders (role, name) that are blocked apart from any certificate."""
        ...
