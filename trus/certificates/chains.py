"""Judges one certificate chain for one role at one moment.

Builds no path by itself: signatures, validity, basic constraints and path length are the work
of cryptography.x509.verification (RFC 5280 section 6). This module adds what only this
network knows: the extended key usage of the role and the URNs that name the holder. It knows
nothing of revocation: the backend asks its register, a device the stapled OCSP answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography import x509

from trus.values import DeviceRole, PeerIdentity


class Verified(NamedTuple):
    """A chain that holds: who the holder is, its certificate and that of its issuer."""

    peer: PeerIdentity
    leaf: x509.Certificate
    issuer: x509.Certificate


class ChainVerifier:
    """Verifies individual certificates against the anchors it was given, and no others."""

    def __init__(self, anchors: Sequence[x509.Certificate]) -> None:
        """`anchors` are the individual authority's roots, provisioned and never learned on line."""
        raise NotImplementedError

    def verify(self, chain: Sequence[bytes], role: DeviceRole, now: datetime) -> Verified:
        """Verify a chain (DER, leaf first, no root) for `role` at `now` (aware, UTC).

        Raises IdentityRefused with one of the reasons in REASONS.
        """
        raise NotImplementedError
