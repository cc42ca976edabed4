"""Decides for a device whether the other end of a sealed session may be believed.

Holds anchors and nothing of the issuer: no register, no key. The anchors are provisioned with
the device and never learned on line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from trus.certificates.chains import ChainVerifier, load_anchors
from trus.certificates.staples import verify_staple
from trus.values import DeviceRole, PeerIdentity


class DeviceTrust:
    """The individual authority's anchors, as a device holds them."""

    def __init__(self, anchors: Sequence[x509.Certificate]) -> None:
        """Raises ConfigurationError without any anchor."""
        self._verifier = ChainVerifier(anchors)

    @classmethod
    def from_pem(cls, pem: bytes) -> DeviceTrust:
        """Read the anchors from a PEM file's content. Raises ConfigurationError."""
        return cls(load_anchors(pem))

    def verify(self, chain: Sequence[bytes], role: DeviceRole, staple: bytes | None, now: datetime) -> PeerIdentity:
        """Verify a chain (DER, leaf first, no root), its OCSP answer (DER) and its role at `now` (aware, UTC).

        A backend must bring an OCSP answer; another device brings none, and an answer that is
        brought must be good. Raises IdentityRefused.
        """
        verified = self._verifier.verify(chain, role, now)
        if role is DeviceRole.BACKEND or staple:
            verify_staple(staple, verified.leaf, verified.issuer, now)
        return verified.peer
