"""Carries many connections between gateway and backend inside one link of lines.

Never alters a device line: `DATA LINE c=17 :` is followed by the line byte for byte.
Opens no sockets; both ends use the same functions.
Specification: docs/protocol.md, "The link".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

#: Longest link line, CR LF included: a sealed device line or a STREAM chunk, and its head.
MAX_LINK_LINE_BYTES: Final = 16_384
#: Most TLS bytes of an unopened stream in one DATA STREAM line.
MAX_STREAM_CHUNK_BYTES: Final = 8192


class Port(StrEnum):
    """Which front door a connection came through."""

    DEVICE = "device"
    ADMIN = "admin"


class Hello(NamedTuple):
    """INFO LINK: the first line of each side. `name` is the sender's, versions are listed."""

    name: str
    role: str
    version: int = 1
    max_line: int = MAX_LINK_LINE_BYTES


class Opened(NamedTuple):
    """INFO OPENED: a device or admin connection exists from now on.

    `peer` is address:port. For a device: `exporter` the RFC 9266 value of its TLS
    connection (32 bytes), `subject` the channel certificate's role ("pos", "card"),
    `fingerprint` the JA4-like fingerprint. For an admin stream these are empty: the TLS is
    unopened.
    """

    connection: int
    port: Port
    peer: str
    exporter: bytes = b""
    fingerprint: str = ""
    subject: str = ""


class DeviceLine(NamedTuple):
    """DATA LINE: one line of a device or for it, without CR LF, byte for byte."""

    connection: int
    line: bytes


class StreamBytes(NamedTuple):
    """DATA STREAM: bytes of an unopened TLS stream."""

    connection: int
    data: bytes


class Close(NamedTuple):
    """COMMAND CLOSE: end that connection; INFO CLOSED will answer."""

    connection: int
    reason: str


class Closed(NamedTuple):
    """INFO CLOSED: that connection is over; its number is never used again on this link."""

    connection: int
    reason: str


class Pause(NamedTuple):
    """COMMAND PAUSE: send no more of that connection until COMMAND RESUME."""

    connection: int


class Resume(NamedTuple):
    """COMMAND RESUME: send again what comes from that connection."""

    connection: int


class Authenticated(NamedTuple):
    """INFO AUTHENTICATED (backend to gateway): raise that connection's line limit."""

    connection: int


class EchoRequest(NamedTuple):
    """COMMAND ECHO: answer INFO ECHO with the same number."""

    number: int


class EchoAnswer(NamedTuple):
    """INFO ECHO."""

    number: int


class Bye(NamedTuple):
    """INFO BYE: no new connection will come over this link; it closes once they are over."""

    reason: str


LinkEvent = (
    Hello
    | Opened
    | DeviceLine
    | StreamBytes
    | Close
    | Closed
    | Pause
    | Resume
    | Authenticated
    | EchoRequest
    | EchoAnswer
    | Bye
)


def parse_link_line(line: bytes) -> LinkEvent:
    """Return what a link line (without CR LF) says. Raises RemoteProtocolError."""
    raise NotImplementedError


def format_device_line(connection: int, line: bytes) -> bytes:
    """Return DATA LINE with CR LF around a device line without CR LF: the hot path."""
    raise NotImplementedError


def format_link_line(event: LinkEvent) -> bytes:
    """Return any link line with CR LF. Raises LocalProtocolError."""
    raise NotImplementedError
