"""What front and core say to each other about certificates: the directory, OCSP, a device's renewal.

Holds shapes only, like trus.core.messages, whose unions name these. Nothing here is secret: what
the directory gives out is public, and a request for a certificate bears no private key.
"""

from __future__ import annotations

from trus.values import Frozen, PeerIdentity


class Lookup(Frozen, frozen=True, tag="lookup"):
    """Somebody asks the directory, or the OCSP responder.

    `what` is certificate, list or ocsp. `by` says what `value` is: for certificates and lists a
    kind of key (trus.pki.directory.KeyKind) or "path"; for ocsp it is empty and `value` the DER request.
    """

    what: str
    by: str
    value: bytes


class LookedUp(Frozen, frozen=True, tag="looked-up"):
    """What was found: certificates, a list or an OCSP response (DER each), nothing when there is none.

    The answer is worth keeping for `seconds`; 0: for this one question alone.
    """

    bodies: list[bytes]
    seconds: int


class Renew(Frozen, frozen=True, tag="renew"):
    """A device asks inside its session for its next certificate: `csr` is a DER PKCS#10 request."""

    peer: PeerIdentity
    csr: bytes
    address: str = ""


class Renewed(Frozen, frozen=True, tag="renewed"):
    """The certificate issued to a device: its chain, DER, leaf first, without the root."""

    chain: list[bytes]
