"""Says what may be said when: the transitions of a connection, a session and a dialogue.

Keeps no fields and no keys. Both ends use the same tables, since both see every line of a
session, one as sent and one as received; the diagrams of docs/protocol.md are made from
them. What is not listed is out of order.
Specification: docs/protocol.md, "States".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from trus.protocol.errors import ErrorCode, ProtocolError, RemoteProtocolError
from trus.protocol.messages import Peek, peek
from trus.protocol.spec import Kind, Phase, Side
from trus.protocol.table import DEVICE_TABLE, VerbTable, head_of

#: Dialogues open at once in one direction of a session.
MAX_DIALOGUES: Final = 64
#: Sessions of one connection: a phone has one to the backend and one to a POS.
MAX_SESSIONS: Final = 4
#: Lines of a connection whose device has authenticated no session yet: a handshake has two, with a
#: refused ticket three. Who stole the certificate of all terminals gets no more work out of one TLS
#: handshake than this.
MAX_OPENING_LINES: Final = 32


class SessionState(StrEnum):
    """How far a session has come, on both sides."""

    IDLE = "idle"
    ASKED = "asked"
    ANSWERED = "answered"
    PROVEN = "proven"
    SEALED = "sealed"
    REKEYING = "rekeying"
    REKEY_ANSWERED = "rekey-answered"
    ENDED = "ended"


class DialogueState(StrEnum):
    """How far a dialogue has come, on both sides."""

    NEW = "new"
    ASKED = "asked"
    PIN_WANTED = "pin-wanted"
    ORDERED = "ordered"
    LOOKED_UP = "looked-up"
    LISTING = "listing"
    ANSWERED = "answered"
    INITIATOR_CALLS = "initiator-calls"
    RESPONDER_CALLS = "responder-calls"
    SIGNING_ON = "signing-on"
    SIGNING_OFF = "signing-off"
    CLOSED = "closed"


class ConnectionState(StrEnum):
    """How far a device's connection to the gateway has come."""

    ACCEPTED = "accepted"
    SERVING = "serving"
    CLOSED = "closed"


class ConnectionEvent(StrEnum):
    """What happens to a connection."""

    OPENING_LINE = "opening line"
    SEALED_LINE = "sealed line"
    AUTHENTICATED = "session authenticated"
    BYE = "bye"
    FAULT = "fault"
    SILENCE = "silence"


_I: Final = Side.INITIATOR
_R: Final = Side.RESPONDER

SESSION: Final[Mapping[tuple[SessionState, Side, str], SessionState]] = {
    (SessionState.IDLE, _I, "COMMAND AUTHENTICATE"): SessionState.ASKED,
    (SessionState.ASKED, _R, "DATA AUTHENTICATE"): SessionState.ANSWERED,
    (SessionState.ANSWERED, _I, "DATA AUTHENTICATE"): SessionState.PROVEN,
    (SessionState.PROVEN, _R, "INFO AUTHENTICATED"): SessionState.SEALED,
    (SessionState.SEALED, _I, "COMMAND REKEY"): SessionState.REKEYING,
    (SessionState.REKEYING, _R, "DATA REKEY"): SessionState.REKEY_ANSWERED,
    (SessionState.REKEY_ANSWERED, _I, "INFO REKEYED"): SessionState.SEALED,
    **{
        (state, side, "INFO ERROR"): SessionState.ENDED
        for state in (SessionState.ASKED, SessionState.ANSWERED, SessionState.PROVEN)
        for side in (_I, _R)
    },
    **{
        (state, side, "INFO BYE"): SessionState.ENDED
        for state in SessionState
        if state not in (SessionState.IDLE, SessionState.ENDED)
        for side in (_I, _R)
    },
}

_PIN_ORDERS: Final = ("COMMAND PROCESS", "COMMAND PRE-AUTHORIZE", "COMMAND BALANCE")
_ORDERS: Final = (
    *("COMMAND REVERSE", "COMMAND REFUND", "COMMAND VOID"),
    *("COMMAND ADVISE", "COMMAND CHANGE-PIN", "COMMAND CAPTURE", "COMMAND RELEASE", "COMMAND CLOSE-BATCH"),
)
#: About certificates and receipts, and what answers them: no money moves, so nothing of it is ever taken back.
_QUESTIONS: Final = ("COMMAND RENEW", "COMMAND LOOKUP", "COMMAND CHANNEL", "COMMAND PROVE")
_FINDINGS: Final = ("DATA CERTIFICATE", "DATA CRL", "DATA CHANNEL", "DATA PROOF", "INFO RESULT")

DIALOGUE: Final[Mapping[tuple[DialogueState, Side, str], DialogueState]] = {
    **{(DialogueState.NEW, _I, head): DialogueState.ASKED for head in _PIN_ORDERS},
    (DialogueState.ASKED, _R, "COMMAND PRESENT-PIN"): DialogueState.PIN_WANTED,
    (DialogueState.PIN_WANTED, _I, "DATA PIN-BLOCK"): DialogueState.ASKED,
    (DialogueState.ASKED, _R, "INFO RESULT"): DialogueState.ANSWERED,
    (DialogueState.PIN_WANTED, _R, "INFO RESULT"): DialogueState.ANSWERED,
    # The PIN may cross the answer of a backend that waited no longer: the answer stands.
    (DialogueState.ANSWERED, _I, "DATA PIN-BLOCK"): DialogueState.ANSWERED,
    **{(DialogueState.NEW, _I, head): DialogueState.ORDERED for head in _ORDERS},
    (DialogueState.ORDERED, _R, "INFO RESULT"): DialogueState.ANSWERED,
    (DialogueState.NEW, _I, "COMMAND RECONCILE"): DialogueState.LISTING,
    (DialogueState.LISTING, _I, "DATA ITEMS"): DialogueState.LISTING,
    (DialogueState.LISTING, _R, "DATA DIFFERENCES"): DialogueState.LISTING,
    (DialogueState.LISTING, _R, "INFO RESULT"): DialogueState.ANSWERED,
    # The backend may refuse a list before it has heard all of it.
    (DialogueState.ANSWERED, _I, "DATA ITEMS"): DialogueState.ANSWERED,
    **{(DialogueState.NEW, _I, head): DialogueState.LOOKED_UP for head in _QUESTIONS},
    **{(DialogueState.LOOKED_UP, _R, head): DialogueState.ANSWERED for head in _FINDINGS},
    (DialogueState.ANSWERED, _I, "INFO COMPLETE"): DialogueState.CLOSED,
    (DialogueState.NEW, _I, "COMMAND ECHO"): DialogueState.INITIATOR_CALLS,
    (DialogueState.INITIATOR_CALLS, _R, "INFO ECHO"): DialogueState.CLOSED,
    (DialogueState.NEW, _I, "COMMAND SIGN-ON"): DialogueState.SIGNING_ON,
    (DialogueState.SIGNING_ON, _R, "INFO SIGNED-ON"): DialogueState.CLOSED,
    (DialogueState.NEW, _I, "COMMAND SIGN-OFF"): DialogueState.SIGNING_OFF,
    (DialogueState.SIGNING_OFF, _R, "INFO SIGNED-OFF"): DialogueState.CLOSED,
    (DialogueState.NEW, _R, "COMMAND ECHO"): DialogueState.RESPONDER_CALLS,
    (DialogueState.RESPONDER_CALLS, _I, "INFO ECHO"): DialogueState.CLOSED,
    **{
        (state, side, "INFO ERROR"): DialogueState.CLOSED
        for state in DialogueState
        if state not in (DialogueState.NEW, DialogueState.CLOSED)
        for side in (_I, _R)
    },
}

CONNECTION: Final[Mapping[tuple[ConnectionState, ConnectionEvent], ConnectionState]] = {
    (ConnectionState.ACCEPTED, ConnectionEvent.OPENING_LINE): ConnectionState.ACCEPTED,
    (ConnectionState.ACCEPTED, ConnectionEvent.AUTHENTICATED): ConnectionState.SERVING,
    (ConnectionState.SERVING, ConnectionEvent.OPENING_LINE): ConnectionState.SERVING,
    (ConnectionState.SERVING, ConnectionEvent.SEALED_LINE): ConnectionState.SERVING,
    (ConnectionState.SERVING, ConnectionEvent.AUTHENTICATED): ConnectionState.SERVING,
    **{
        (state, event): ConnectionState.CLOSED
        for state in (ConnectionState.ACCEPTED, ConnectionState.SERVING)
        for event in (ConnectionEvent.BYE, ConnectionEvent.FAULT, ConnectionEvent.SILENCE)
    },
}


def _moves() -> dict[str, dict[str, dict[str, DialogueState]]]:
    moves: dict[str, dict[str, dict[str, DialogueState]]] = {side.value: {} for side in Side}
    for (state, side, head), after in DIALOGUE.items():
        moves[side.value].setdefault(head, {})[state.value] = after
    return moves


#: DIALOGUE once more, by side, head and state: to hash a member of an enumeration is a call in Python.
_MOVES: Final = _moves()
_NO_MOVE: Final[dict[str, DialogueState]] = {}


class OutOfOrder(ProtocolError):
    """A line is not allowed now; whose fault that is depends on who said it."""

    def __init__(self, code: ErrorCode, state: str) -> None:
        super().__init__(f"{code} in state {state}")
        self.code = code
        self.state = state


class SessionOrder:
    """Follows one session."""

    __slots__ = ("state",)

    def __init__(self, state: SessionState = SessionState.IDLE) -> None:
        """Begin in `state`."""
        self.state = state

    def said(self, side: Side, head: str) -> None:
        """Move on because `side` said `head`. Raises OutOfOrder and stays."""
        try:
            self.state = SESSION[self.state, side, head]
        except KeyError:
            raise OutOfOrder(ErrorCode.OUT_OF_ORDER, self.state) from None


class Dialogues:
    """Follows the dialogues of one session; memory is bounded by `limit` for each side.

    The numbers of each side rise, so that a number that is not open and not above the last
    one is known to be closed without remembering it.
    """

    __slots__ = ("_last", "_open", "limit")

    def __init__(self, limit: int = MAX_DIALOGUES) -> None:
        """Allow `limit` dialogues open at once that each side began."""
        self.limit = limit
        self._open: dict[str, DialogueState] = {}
        self._last = {"c": 0, "s": 0}

    def __len__(self) -> int:
        """Return how many dialogues are open."""
        return len(self._open)

    def state(self, dialogue: str) -> DialogueState | None:
        """Return the state of an open dialogue, None of any other."""
        return self._open.get(dialogue)

    def fresh(self, side: Side) -> str:
        """Return the next id that `side` may open."""
        prefix = "c" if side is _I else "s"
        return f"{prefix}{self._last[prefix] + 1}"

    def said(self, side: Side, head: str, dialogue: str) -> None:
        """Move on because `side` said `head` in `dialogue`. Raises OutOfOrder and stays.

        INFO ERROR about a dialogue that is closed already is in order and changes nothing:
        it may have crossed the line that closed it.
        """
        state = self._open.get(dialogue)
        if state is None:
            self._begin(side, head, dialogue)
            return
        after = _MOVES[side._value_].get(head, _NO_MOVE).get(state._value_)
        if after is None:
            raise OutOfOrder(ErrorCode.OUT_OF_ORDER, state)
        if after is DialogueState.CLOSED:
            del self._open[dialogue]
        else:
            self._open[dialogue] = after

    def _begin(self, side: Side, head: str, dialogue: str) -> None:
        if head == "INFO ERROR":
            return
        after = _MOVES[side._value_].get(head, _NO_MOVE).get("new")
        prefix = "c" if side is _I else "s"
        number = int(dialogue[1:])
        if after is None or dialogue[0] != prefix or number <= self._last[prefix]:
            raise OutOfOrder(ErrorCode.OUT_OF_ORDER, DialogueState.CLOSED)
        self._last[prefix] = number
        if len(self._open) >= self.limit and sum(name[0] == prefix for name in self._open) >= self.limit:
            raise OutOfOrder(ErrorCode.TOO_MANY, DialogueState.NEW)
        self._open[dialogue] = after


class DeviceConnection:
    """Follows a device's connection as the gateway sees it, which opens no seal."""

    def __init__(self, table: VerbTable = DEVICE_TABLE) -> None:
        """Begin as accepted: TLS is complete, no session is authenticated."""
        self.state = ConnectionState.ACCEPTED
        self._opening = frozenset(table.lines(Phase.OPENING, _I)) | frozenset(table.lines(Phase.OPENING, _R))
        sealed = frozenset(table.lines(Phase.SEALED, _I)) | frozenset(table.lines(Phase.SEALED, _R))
        self._sealed = sealed - self._opening

    def happened(self, event: ConnectionEvent) -> None:
        """Move on. Raises RemoteProtocolError (out-of-order) for what the state forbids."""
        after = CONNECTION.get((self.state, event))
        if after is None:
            raise RemoteProtocolError(ErrorCode.OUT_OF_ORDER, self.state)
        self.state = after

    def admit(self, line: bytes) -> Peek:
        """Return the head of a device's line that may pass; looks at its first words alone.

        Before authentication only lines of the opening phase pass. Raises
        RemoteProtocolError: malformed, unknown-verb, out-of-order, or bad-field for a line
        that names no session.
        """
        head = head_of(line)
        if head in self._sealed:
            event = ConnectionEvent.SEALED_LINE
        elif head in self._opening:
            event = ConnectionEvent.OPENING_LINE
        else:
            peek(line)
            raise RemoteProtocolError(ErrorCode.UNKNOWN_VERB)
        seen = peek(line)
        if seen.session is None and seen.kind is not Kind.INFO:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "s")
        self.happened(event)
        return seen
