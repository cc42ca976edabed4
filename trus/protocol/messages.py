"""Turns a line from a peer into a message, and a message into a line.

Opens no seal and keeps no state: what a line may say in the clear and in which phase comes
from the table of verbs (trus.protocol.verbs); order is checked by trus.protocol.states.
Specification: docs/protocol.md, "Lines".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from trus.protocol import grammar
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.spec import Cover, Kind, Phase, Side
from trus.protocol.table import DEVICE_TABLE, VerbTable, cover_of
from trus.protocol.verbs import VERBS

__all__ = [
    "DEVICE_TABLE",
    "Kind",
    "Message",
    "Peek",
    "Phase",
    "Side",
    "format_console_line",
    "format_line",
    "parse_console_line",
    "parse_line",
    "peek",
]

_PEEK: Final = re.compile(
    rb"(%b) (%b)(?: s=(%b))?(?: |\Z)" % (grammar.KIND, grammar.VERB, grammar.LABEL),
)
_KINDS: Final[dict[bytes, Kind]] = {kind.value.encode("ascii"): kind for kind in Kind}
_CONSOLE: Final = re.compile(
    rb"(%b) (%b)((?: %b=%b)*)" % (grammar.KIND, grammar.VERB, grammar.NAME, grammar.VALUE),
)
_CONSOLE_FIELD: Final = re.compile(rb" (%b)=(%b)" % (grammar.NAME, grammar.VALUE))
_CONSOLE_NAME: Final = re.compile(grammar.NAME.decode("ascii"))
_VERB: Final = re.compile(grammar.VERB.decode("ascii"))
#: Fields that may stand in the clear in every log; any other field is shown by name alone.
_SHOWN: Final[dict[str, frozenset[str]]] = {
    head: frozenset(field.name for spec in VERBS if spec.head == head for field in spec.clear)
    - frozenset(field.name for spec in VERBS if spec.head == head for field in spec.sealed)
    - {"ticket", "binder"}
    for head in {spec.head: None for spec in VERBS}
}


class Message(msgspec.Struct, frozen=True):
    """A line that follows the grammar and the table.

    `fields` maps names to decoded values, without `s`, `id` and `seal`; after
    SealedSession.open the sealed fields are merged in. `seal` holds the ciphertext and tag
    of a line that has not been opened. The repr shows the values of clear fields only.
    """

    kind: Kind
    verb: str
    fields: Mapping[str, str]
    session: str | None = None
    dialogue: str | None = None
    seal: bytes | None = None

    def __repr__(self) -> str:
        """Return the line's head and clear values; the names alone of everything else."""
        shown = _SHOWN.get(f"{self.kind} {self.verb}", frozenset())
        parts = [f"{self.kind} {self.verb}", f"s={self.session}", f"id={self.dialogue}"]
        parts += [f"{name}={value!r}" if name in shown else f"{name}=…" for name, value in self.fields.items()]
        if self.seal is not None:
            parts.append(f"seal=({len(self.seal)} octets)")
        return f"<Message {' '.join(parts)}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show no more to a rich console than the repr does."""
        return [("", repr(self))]


class Peek(NamedTuple):
    """The head of a line, all that a router needs to know."""

    kind: Kind
    verb: str
    session: str | None


def peek(line: bytes) -> Peek:
    """Return kind, verb and session label of a device line without checking the rest.

    Raises RemoteProtocolError (malformed) when the line does not begin like one.
    """
    match = _PEEK.match(line)
    if match is None:
        raise RemoteProtocolError(ErrorCode.MALFORMED)
    kind, verb, session = match.groups()
    return Peek(_KINDS[kind], verb.decode("ascii"), None if session is None else session.decode("ascii"))


def parse_line(line: bytes, *, phase: Phase, sender: Side, table: VerbTable = DEVICE_TABLE) -> Message:
    """Return the message that `line` (without CR LF) says, its seal unopened.

    `phase` is the phase of the line's own session, `sender` who is on the other end. Raises
    RemoteProtocolError (malformed, unknown-verb, bad-field, out-of-order, unsealed).
    """
    found = table.find(phase, sender, line)
    clear, mark, text = line.rpartition(grammar.SEAL_MARK)
    if cover_of(found, phase) is Cover.CLEAR:
        clear, seal = line, None
    elif not mark:
        raise RemoteProtocolError(ErrorCode.UNSEALED)
    else:
        seal = grammar.decode_base64url(text)
    fields, _ = found.parse_clear(clear)
    session = fields.pop("s", None)
    dialogue = fields.pop("id", None)
    return Message(found.kind, found.verb, fields, session, dialogue, seal)


def format_line(
    kind: Kind,
    verb: str,
    fields: Mapping[str, str],
    *,
    phase: Phase,
    sender: Side,
    session: str | None = None,
    dialogue: str | None = None,
    seal: bytes | None = None,
    table: VerbTable = DEVICE_TABLE,
) -> bytes:
    """Return the line with its CR LF.

    Raises LocalProtocolError for what the table forbids. Sealed lines of an authenticated
    session are made by SealedSession.seal.
    """
    found = table.named(phase, sender, kind, verb)
    values = dict(fields)
    if session is not None:
        values["s"] = session
    if dialogue is not None:
        values["id"] = dialogue
    if (cover_of(found, phase) is Cover.SEALED) is (seal is None):
        raise LocalProtocolError(f"{found.head} is sealed exactly when the table says so")
    clear = found.format_clear(values)
    if seal is None:
        return clear + b"\r\n"
    return clear + grammar.SEAL_MARK + grammar.encode_base64url(seal) + b"\r\n"


def parse_console_line(line: bytes) -> Message:
    """Return a line of the console's protocol: free verbs and field names, no seal.

    Raises RemoteProtocolError (malformed, or bad-field for a name that stands twice).
    """
    match = _CONSOLE.fullmatch(line)
    if match is None:
        raise RemoteProtocolError(ErrorCode.MALFORMED)
    kind, verb, rest = match.groups()
    fields: dict[str, str] = {}
    for name, value in _CONSOLE_FIELD.findall(rest):
        key = name.decode("ascii")
        if key in fields:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "repeated")
        fields[key] = grammar.decode_value(value)
    return Message(_KINDS[kind], verb.decode("ascii"), fields)


def format_console_line(kind: Kind, verb: str, fields: Mapping[str, str]) -> bytes:
    """Return a console line with its CR LF. Raises LocalProtocolError."""
    if _VERB.fullmatch(verb) is None:
        raise LocalProtocolError("not a verb")
    parts = [f"{kind} {verb}".encode()]
    for name, text in fields.items():
        if _CONSOLE_NAME.fullmatch(name) is None:
            raise LocalProtocolError("not a field name")
        parts.append(name.encode("ascii") + b"=" + grammar.encode_value(text))
    return b" ".join(parts) + b"\r\n"
