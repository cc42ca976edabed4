"""What front and core say to each other about certificates: the directory, OCSP, a device's renewal.

Holds shapes only, like trus.core.messages, whose unions name these. What the directory gives out is public;
a channel bundle is not, and shows nothing of itself.
"""

from __future__ import annotations

from trus.values import Frozen, PeerIdentity, Secret


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


class AskChannel(Frozen, frozen=True, tag="ask-channel"):
    """A device asks inside its session for the channel bundle of its kind.

    `have` is the SHA-256 of the channel certificate that it holds.
    """

    peer: PeerIdentity
    have: bytes


class ChannelGiven(Secret, frozen=True, tag="channel-given"):
    """The channel bundle of a device's kind: PKCS#12, and the passphrase drawn for this answer."""

    p12: bytes
    passphrase: str
