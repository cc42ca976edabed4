"""What front and core say to each other: one frozen value a request, one an answer.

Holds shapes only. A batch is a sequence of requests; the answers come in the same order,
one each. Every value is encoded as MessagePack (msgspec) when it crosses the socket pair.
A request that bears secrets has a redacted repr; no value here is ever logged whole.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from trus.core.messages_directory import AskChannel, ChannelGiven, LookedUp, Lookup, Renew, Renewed
from trus.core.messages_money import (
    Advise,
    Balance,
    Capture,
    ChangePin,
    CloseBatch,
    MoneyRequest,
    Outcome,
    PinWanted,
    PreAuthorize,
    Purchase,
    Reconcile,
    Refund,
    Release,
    Reverse,
    Void,
)
from trus.core.messages_receipts import ProveReceipt, ReceiptProved
from trus.values import (
    BusinessDate,
    Frozen,
    PeerIdentity,
    Secret,
    TerminalId,
)

# ----------------------------------------------------------------------- identity requests


class SignHandshake(Frozen, frozen=True, tag="sign-handshake"):
    """The sealed session's responder needs the backend identity's signature over `payload`."""

    payload: bytes


class Signature(Frozen, frozen=True, tag="signature"):
    """A DER ECDSA-SHA256 signature."""

    value: bytes


class IdentityMaterial(Frozen, frozen=True, tag="identity-material"):
    """Asks for the backend's own chain and OCSP answer, which message 2 carries."""


class BackendIdentity(Frozen, frozen=True, tag="backend-identity"):
    """The backend's certificate chain, DER, leaf first, without the root; its OCSP answer."""

    chain: list[bytes]
    staple: bytes
    name: str
    valid_seconds: int


class VerifyPeer(Frozen, frozen=True, tag="verify-peer"):
    """Asks whether a chain (DER, leaf first, no root) is valid, unrevoked and of `role` now."""

    chain: list[bytes]
    role: str


class CheckStanding(Frozen, frozen=True, tag="check-standing"):
    """Asks whether the holder of a resumption ticket still stands (not revoked, not blocked)."""

    peer: PeerIdentity


class StandingsSince(Frozen, frozen=True, tag="standings-since"):
    """Asks whose standing has changed after change number `epoch` (see DayOpen.standings)."""

    epoch: int


class StandingsChanged(Frozen, frozen=True, tag="standings-changed"):
    """The holders (role, name) whose standing changed up to `epoch`; not `complete`: it may be any."""

    epoch: int
    complete: bool
    holders: list[tuple[str, str]]


class RecheckPeers(Frozen, frozen=True, tag="recheck-peers"):
    """Asks whether the holders of live sessions still stand: all of them, one look at the register."""

    peers: list[PeerIdentity]


class PeersRechecked(Frozen, frozen=True, tag="peers-rechecked"):
    """One word a peer, in order: empty when it stands, else why it does not."""

    reasons: list[str]


class PeerVerified(Frozen, frozen=True, tag="peer-verified"):
    """The chain is good, or the holder stands; `epoch` is how often the ledger was restored.

    `advice_key` is the public key (X25519, 32 octets) for stripes of advices, empty where there is none.
    """

    peer: PeerIdentity
    business_date: BusinessDate
    currency: str = ""
    pin_always: bool = True
    epoch: int = 0
    advice_key: bytes = b""


class Enrol(Secret, frozen=True, tag="enrol"):
    """A device asks for its individual certificate with a one-time activation code.

    Without a request (`csr` empty) the backend shall make the pair as well: the answer is PairMade.
    """

    role: str
    name: str
    code: str
    csr: bytes
    address: str = ""


class Enrolled(Frozen, frozen=True, tag="enrolled"):
    """The certificate chain issued, DER, leaf first, without the root."""

    peer: PeerIdentity
    chain: list[bytes]
    business_date: BusinessDate


class PairMade(Secret, frozen=True, tag="pair-made"):
    """The pair that was made for the device, with its certificates, as PKCS#12; handed over once."""

    peer: PeerIdentity
    p12: bytes
    passphrase: str
    business_date: BusinessDate


class Refused(Frozen, frozen=True, tag="refused"):
    """No: a response code for the peer and a fixed word for the audit and the log."""

    code: str
    reason: str


# -------------------------------------------------------------------------- administration


class AdminCommand(Secret, frozen=True, tag="admin-command"):
    """An admin orders `command` with checked arguments; `admin` is the certificate's name.

    `ends` is when that certificate ends, in seconds since 1970-01-01 UTC, 0 when it is not told.
    """

    admin: str
    serial: str
    command: str
    arguments: dict[str, str]
    ends: int = 0


class AdminAnswer(Frozen, frozen=True, tag="admin-answer"):
    """What the admin's console shows: rows of named values, then `text`.

    `code` is "00" when the command was carried out; else `text` says why not.
    """

    code: str
    text: str
    rows: list[dict[str, str]] = msgspec.field(default_factory=list)


class DayState(Frozen, frozen=True, tag="day-state"):
    """Asks which business date is open."""


class DayOpen(Frozen, frozen=True, tag="day-open"):
    """The open business date, announced to terminals when it changes.

    `standings` is the number of the newest change of a holder's standing, whichever process made it.
    """

    business_date: BusinessDate
    standings: int = 0


class Failed(Frozen, frozen=True, tag="failed"):
    """The core could not answer this request; `code` is 91 or 96, never final to a terminal."""

    code: str
    reason: str


class Health(Frozen, frozen=True, tag="health"):
    """Asks the core how its token and database are."""


class HealthReport(Frozen, frozen=True, tag="health-report"):
    """Each part's state in one word and one line, and the core's counters."""

    parts: dict[str, str]
    counters: dict[str, int]


Request = (
    MoneyRequest
    | SignHandshake
    | IdentityMaterial
    | VerifyPeer
    | CheckStanding
    | StandingsSince
    | RecheckPeers
    | Lookup
    | Renew
    | AskChannel
    | ProveReceipt
    | Enrol
    | AdminCommand
    | DayState
    | Health
)
Answer = (
    Outcome
    | PinWanted
    | Signature
    | BackendIdentity
    | PeerVerified
    | StandingsChanged
    | PeersRechecked
    | LookedUp
    | Renewed
    | ChannelGiven
    | ReceiptProved
    | Enrolled
    | PairMade
    | Refused
    | AdminAnswer
    | DayOpen
    | HealthReport
    | Failed
)


class BatchHandler(Protocol):
    """The synchronous core, whichever process it runs in."""

    def handle(self, batch: list[Request]) -> list[Answer]:
        """Answer every request of the batch, in order; what was approved is durable by then."""
        ...


__all__ = [
    "AdminAnswer",
    "AdminCommand",
    "Advise",
    "Answer",
    "BackendIdentity",
    "Balance",
    "BatchHandler",
    "Capture",
    "ChangePin",
    "CheckStanding",
    "CloseBatch",
    "DayOpen",
    "DayState",
    "Enrol",
    "Enrolled",
    "Failed",
    "Health",
    "HealthReport",
    "IdentityMaterial",
    "LookedUp",
    "Lookup",
    "MoneyRequest",
    "Outcome",
    "PairMade",
    "PeerVerified",
    "PeersRechecked",
    "PinWanted",
    "PreAuthorize",
    "Purchase",
    "RecheckPeers",
    "Reconcile",
    "Refund",
    "Refused",
    "Release",
    "Request",
    "Reverse",
    "SignHandshake",
    "Signature",
    "StandingsChanged",
    "StandingsSince",
    "TerminalId",
    "VerifyPeer",
    "Void",
]
