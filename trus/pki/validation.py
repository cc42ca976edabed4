"""Says whether a peer may be believed now: its chain, its role, its state in the register, its holder.

Issues nothing and changes nothing. Chains are judged by trus.certificates, which devices use as
well; the register is the backend's own knowledge and is asked every time, so that a revocation
takes effect with the next handshake.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509

from trus.certificates.chains import ChainVerifier
from trus.certificates.staples import REVOKED
from trus.errors import IdentityRefused
from trus.pki.ports import CertificateRecord, CertificateRegister, CertificateState
from trus.values import DeviceRole, PeerIdentity

#: The reasons that this module adds to those of trus.certificates.
UNKNOWN: Final = "unknown-certificate"
HELD: Final = "held"
BLOCKED: Final = "blocked-holder"


class PeerValidation:
    """The individual authority's anchors and the register of what it issued."""

    def __init__(self, anchors: Sequence[x509.Certificate], register: CertificateRegister) -> None:
        self._verifier = ChainVerifier(anchors)
        self._register = register

    def verify_peer(self, chain: Sequence[bytes], role: DeviceRole, now: datetime) -> PeerIdentity:
        """Judge a chain (DER, leaf first, no root) for `role` at `now`. Raises IdentityRefused."""
        peer = self._verifier.verify(chain, role, now).peer
        self.demand_standing(peer, now)
        return peer

    def demand_standing(self, peer: PeerIdentity, now: datetime) -> None:
        """Raise IdentityRefused unless the peer's certificate is registered, good, unexpired, its holder free."""
        record = self._register.certificates([peer.serial]).get(peer.serial)
        if record is None or (record.role, record.name, record.shop, record.model) != (
            peer.role,
            peer.name,
            peer.shop,
            peer.model,
        ):
            raise IdentityRefused(UNKNOWN)
        demand_good(record, now)
        if self._register.blocked([(peer.role, peer.name)]):
            raise IdentityRefused(BLOCKED)


def demand_good(record: CertificateRecord, now: datetime) -> None:
    """Raise IdentityRefused unless the register calls the certificate good and it has not ended."""
    if record.state is CertificateState.REVOKED:
        raise IdentityRefused(REVOKED)
    if record.state is CertificateState.HELD:
        raise IdentityRefused(HELD)
    if now > record.not_after:
        raise IdentityRefused("expired-certificate")
