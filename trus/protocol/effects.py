"""What a handshake asks its owner to do next, and the ports of an owner that can answer at once.

Does nothing itself: signing and verifying may take a token in another process, so a
handshake returns these values and waits to be told the result.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trus.protocol.errors import ErrorCode
from trus.values import DeviceRole, PeerIdentity, Secret

if TYPE_CHECKING:
    from trus.protocol.session import SealedSession
    from trus.protocol.tickets import StoredTicket


class Mode(StrEnum):
    """What a handshake is for; the wire word is the value."""

    FULL = "full"  # device to backend, certificates on both sides
    RESUME = "resume"  # device to backend, by a ticket
    ENROL = "enrol"  # a device without a certificate asks for one
    DEVICE = "device"  # card to POS, certificates on both sides


class Terms(NamedTuple):
    """What the backend tells a device with INFO AUTHENTICATED.

    `business_date` is "YYYY-MM-DD"; `currency` the terminal's ISO 4217 code or empty;
    `pin_always` says that every purchase needs a PIN, so that it may come with PROCESS.
    The limits are the session's: dialogues open at once, seconds of silence before closing.
    `epoch` says how often the ledger was restored from a backup: when it has grown, what the
    terminal was told last may be unknown to the backend. `advice_key` is the backend's public key (X25519, 32 octets)
    for the stripes of advices, empty when it is not told.
    """

    business_date: str = ""
    currency: str = ""
    pin_always: bool = True
    max_dialogues: int = 64
    idle_seconds: int = 300
    epoch: int = 0
    advice_key: bytes = b""


class Send(NamedTuple):
    """Write this line (CR LF included) to the connection."""

    line: bytes


class NeedSignature(NamedTuple):
    """Sign `payload` by ECDSA P-256 with SHA-256; answer provide_signature(DER)."""

    payload: bytes


class NeedVerification(NamedTuple):
    """Check the peer's chain (DER, leaf first, no root) for `role`; answer provide_verification.

    The possession of the leaf's key is already proven. `staple` is the responder's DER OCSP
    response, None where none was sent.
    """

    chain: tuple[bytes, ...]
    staple: bytes | None
    role: DeviceRole
    mode: Mode


class NeedStanding(NamedTuple):
    """Check that the holder of a ticket is still in good standing; answer provide_standing."""

    peer: PeerIdentity


class NeedEnrolment(Secret, frozen=True):
    """Check an activation code and issue a certificate; answer provide_enrolment or refuse.

    `csr` is DER PKCS#10; the possession of its key is proven. It is empty when the backend shall make
    the pair: then the answer is provide_pair. `code` is secret.
    """

    role: DeviceRole
    name: str
    csr: bytes
    code: str


class Established(NamedTuple):
    """The session is authenticated on both sides; `ticket` is for the initiator alone."""

    session: SealedSession
    terms: Terms
    ticket: StoredTicket | None = None


class Enrolled(NamedTuple):
    """The certificate is issued; no session remains. The chain is DER, leaf first, no root."""

    chain: tuple[bytes, ...]
    terms: Terms


class Delivered(Secret, frozen=True):
    """The backend made the pair and hands it over, once; no session remains.

    `p12` is PKCS#12 with the pair, its certificate and the issuer's; `passphrase` opens it.
    """

    p12: bytes
    passphrase: str
    terms: Terms


class Refused(NamedTuple):
    """The handshake is over without a session.

    `code` is what was said or heard on the wire; `reason` a fixed word for the log, never
    for the peer.
    """

    code: ErrorCode
    reason: str


Effect = (
    Send
    | NeedSignature
    | NeedVerification
    | NeedStanding
    | NeedEnrolment
    | Established
    | Enrolled
    | Delivered
    | Refused
)


class Signer(Protocol):
    """Holds an individual certificate's key."""

    def sign(self, payload: bytes) -> bytes:
        """Return the DER ECDSA P-256 SHA-256 signature of `payload`."""
        ...


class PeerVerifier(Protocol):
    """Knows the individual authority's anchor and the time."""

    def verify(self, chain: tuple[bytes, ...], staple: bytes | None, role: DeviceRole) -> PeerIdentity:
        """Return the holder of a valid, unrevoked chain with that role's key usage.

        Raises trus.errors.IdentityRefused.
        """
        ...
