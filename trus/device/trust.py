"""Decides for a device whether the other end of a sealed session may be believed.

Holds anchors and nothing of the issuer: no register, no key. The anchors are provisioned with
the device and never learned on line. Implements the protocol's PeerVerifier for a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from trus.values import DeviceRole, PeerIdentity


class DeviceTrust:
    """The individual authority's anchors, as a device holds them."""

    def __init__(self, anchors: Sequence[x509.Certificate]) -> None:
        raise NotImplementedError

    @classmethod
    def from_pem(cls, pem: bytes) -> DeviceTrust:
        """Read the anchors from a PEM file's content. Raises ConfigurationError."""
        raise NotImplementedError

    def verify(self, chain: Sequence[bytes], role: DeviceRole, staple: bytes | None, now: datetime) -> PeerIdentity:
        """Verify a chain (DER, leaf first, no root), its OCSP answer (DER) and its role at `now`.

        A backend must bring an OCSP answer. Raises IdentityRefused.
        """
        raise NotImplementedError
