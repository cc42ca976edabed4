"""Turns a line from a peer into a message, and a message into a line.

Opens no seal and keeps no state: what a line may say in the clear and in which phase comes
from the table of verbs (trus.protocol.verbs); order is checked by trus.protocol.states.
Specification: docs/protocol.md, "Lines".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec


class Kind(StrEnum):
    """The three kinds of line (TR-19)."""

    INFO = "INFO"
    DATA = "DATA"
    COMMAND = "COMMAND"


class Phase(StrEnum):
    """Which lines of a session are acceptable."""

    OPENING = "opening"  # before authentication: handshake lines, INFO ERROR, INFO BYE
    SEALED = "sealed"  # after: sealed lines, and the gateway's INFO NOTICE


class Side(StrEnum):
    """Who said a line, seen from its session.

    The device is the initiator towards the backend; the card is towards a POS.
    """

    INITIATOR = "initiator"
    RESPONDER = "responder"
    GATEWAY = "gateway"


class Message(msgspec.Struct, frozen=True):
    """A line that follows the grammar and the table.

    `fields` maps names to decoded values, without `s`, `id` and `seal`; after
    SealedSession.open the sealed fields are merged in. `seal` holds the ciphertext and tag
    of a line that has not been opened.
    """

    kind: Kind
    verb: str
    fields: Mapping[str, str]
    session: str | None = None
    dialogue: str | None = None
    seal: bytes | None = None


class Peek(NamedTuple):
    """The head of a line, all that a router needs to know."""

    kind: Kind
    verb: str
    session: str | None


def peek(line: bytes) -> Peek:
    """Return kind, verb and session label of a device line without checking the rest.

    Raises RemoteProtocolError (malformed) when the line does not begin like one.
    """
    raise NotImplementedError


def parse_line(line: bytes, *, phase: Phase, sender: Side) -> Message:
    """Return the message that `line` (without CR LF) says, its seal unopened.

    `phase` is the phase of the line's own session, `sender` who is on the other end. Raises
    RemoteProtocolError (malformed, unknown-verb, bad-field, unsealed).
    """
    raise NotImplementedError


def format_line(
    kind: Kind,
    verb: str,
    fields: Mapping[str, str],
    *,
    sender: Side,
    session: str | None = None,
    dialogue: str | None = None,
    seal: bytes | None = None,
) -> bytes:
    """Return the line with its CR LF. Raises LocalProtocolError for what the table forbids."""
    raise NotImplementedError


def parse_console_line(line: bytes) -> Message:
    """Return a line of the console's protocol: free verbs and field names, no seal.

    Raises RemoteProtocolError (malformed, bad-field).
    """
    raise NotImplementedError


def format_console_line(kind: Kind, verb: str, fields: Mapping[str, str]) -> bytes:
    """Return a console line with its CR LF. Raises LocalProtocolError."""
    raise NotImplementedError
