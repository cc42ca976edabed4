"""Proves who the backend is and judges who its peers are, for the synchronous core.

Knows no wire and no SQL: keys come from the key store, states from the register. What it
refuses it refuses with IdentityRefused, whose reason goes to the audit and never to the peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from trus.clock import Clock, Entropy
from trus.hsm.ports import KeyStore, ObjectStore
from trus.pki.ports import ActivationStore, CertificateRegister
from trus.values import DeviceRole, Frozen, PeerIdentity


class Material(Frozen, frozen=True):
    """The backend's chain (DER, leaf first, no root), OCSP answer (DER), name and remaining validity."""

    chain: list[bytes]
    staple: bytes
    name: str
    valid_seconds: int


class Issued(Frozen, frozen=True):
    """A certificate chain (DER, leaf first, no root) and the identity that it proves."""

    peer: PeerIdentity
    chain: list[bytes]
    not_after: datetime


class IdentityService:
    """The backend's identity, the validation of its peers and their enrolment."""

    def __init__(
        self,
        *,
        keys: KeyStore,
        objects: ObjectStore,
        activations: ActivationStore,
        register: CertificateRegister,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Find authority and backend identity in the key store. Raises KeyNotFound."""
        raise NotImplementedError

    def material(self) -> Material:
        """Return chain and OCSP answer, made anew ahead of their end."""
        raise NotImplementedError

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Return DER ECDSA-SHA256 signatures by the backend identity's key, in order."""
        raise NotImplementedError

    def verify(self, chain: Sequence[bytes], role: DeviceRole) -> PeerIdentity:
        """Judge a chain (DER, leaf first, no root) for `role` now. Raises IdentityRefused."""
        raise NotImplementedError

    def standing(self, peer: PeerIdentity) -> None:
        """Raise IdentityRefused unless the holder's certificate is good and the holder not blocked."""
        raise NotImplementedError

    def open_activation(
        self, role: DeviceRole, name: str, *, shop: str = "", model: str = "", validity: timedelta | None = None
    ) -> str:
        """Open an activation and return its code, which is shown once and stored nowhere."""
        raise NotImplementedError

    def enrol(self, role: DeviceRole, name: str, code: str, csr: bytes) -> Issued:
        """Issue a certificate against an activation code and a PKCS#10 request. Raises IdentityRefused."""
        raise NotImplementedError

    def revoke(self, serial: str, reason: str) -> None:
        """Revoke a certificate for ever. Raises IdentityRefused("unknown-certificate")."""
        raise NotImplementedError
