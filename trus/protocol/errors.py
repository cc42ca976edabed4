"""Names what can go wrong on the wire, and whose fault it is.

Carries no byte that a peer sent: a remote error is one of a fixed catalogue of codes, each
with a fixed sentence, so that hostile bytes reach neither a log nor another peer.
Specification: docs/protocol.md, "Error codes".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from trus.errors import TrusError


class ErrorCode(StrEnum):
    """The codes of INFO ERROR; the wire word is the value."""

    MALFORMED = "malformed"
    TOO_LONG = "too-long"
    LINE_END = "line-end"
    UNKNOWN_VERB = "unknown-verb"
    BAD_FIELD = "bad-field"
    OUT_OF_ORDER = "out-of-order"
    UNSEALED = "unsealed"
    UNKNOWN_SESSION = "unknown-session"
    TOO_MANY = "too-many"
    VERSION = "version"
    SUITE = "suite"
    REFUSED = "refused"
    TICKET = "ticket"
    ENROLMENT = "enrolment"
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    TIMEOUT = "timeout"
    SYSTEM = "system"


#: One fixed sentence for each code; nothing else is ever said about a peer's mistake.
MEANINGS: Final[dict[ErrorCode, str]] = {
    ErrorCode.MALFORMED: "The line does not follow the grammar.",
    ErrorCode.TOO_LONG: "The line is longer than the limit of its phase.",
    ErrorCode.LINE_END: "The line ends in something other than CR LF.",
    ErrorCode.UNKNOWN_VERB: "The sender may not say this verb, or no such verb exists.",
    ErrorCode.BAD_FIELD: "A field is missing, unknown, repeated, out of place or of the wrong form.",
    ErrorCode.OUT_OF_ORDER: "The line is not allowed in this state of its session or dialogue.",
    ErrorCode.UNSEALED: "A sealed session accepts sealed lines only.",
    ErrorCode.UNKNOWN_SESSION: "No session of this connection has that label.",
    ErrorCode.TOO_MANY: "More sessions, dialogues or handshakes than the limits allow.",
    ErrorCode.VERSION: "No common version of the protocol.",
    ErrorCode.SUITE: "No common suite of algorithms.",
    ErrorCode.REFUSED: "Authentication failed.",
    ErrorCode.TICKET: "The ticket cannot be used: make a full handshake.",
    ErrorCode.ENROLMENT: "The activation code cannot be used.",
    ErrorCode.UNREACHABLE: "The addressed party is not reachable now.",
    ErrorCode.BUSY: "Too much work: try again later.",
    ErrorCode.TIMEOUT: "The peer waited too long.",
    ErrorCode.SYSTEM: "An internal failure; the operator knows.",
}


class ProtocolError(TrusError):
    """Root of the protocol's errors."""


class LocalProtocolError(ProtocolError):
    """This program tried to do what the protocol forbids; the message is for its author."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol.

    `code` is what INFO ERROR may tell the peer; `detail` is a fixed word or a name from our
    own tables for the log, never a byte from the wire. `dialogue` is the id for the answer
    when a genuine sealed line named a dialogue.
    """

    def __init__(self, code: ErrorCode, detail: str = "", dialogue: str | None = None) -> None:
        super().__init__(f"{code.value}: {detail}" if detail else MEANINGS[code])
        self.code = code
        self.detail = detail
        self.dialogue = dialogue


class SessionEnded(ProtocolError):
    """The sealed session is over and nothing may be said on it: close it silently.

    Raised for a wrong tag, a wrong sequence number, an unsealed line after authentication,
    and for any use of a session that has ended. `reason` is a fixed word for the log.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
