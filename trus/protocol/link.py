"""Carries many connections between gateway and backend inside one link of lines.

Never alters a device line: `DATA LINE c=17 :` is followed by the line byte for byte. Opens
no sockets; both ends use the same functions, and the two hot ones are written by hand.
Specification: docs/protocol.md, "The link".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from trus.protocol import grammar
from trus.protocol.buffer import MAX_SEALED_LINE_BYTES
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.messages import Kind, format_console_line, parse_console_line

#: The link's own version, apart from the device protocol's.
LINK_VERSION: Final = 1
#: Longest link line, CR LF included: a sealed device line or a STREAM chunk, and its head.
MAX_LINK_LINE_BYTES: Final = 16_384
#: Most TLS bytes of an unopened stream in one DATA STREAM line.
MAX_STREAM_CHUNK_BYTES: Final = 8192
#: Most octets of a question to the directory: an OCSP request, or a key.
MAX_LOOKUP_BYTES: Final = 4096
#: Connections are numbered from 1 by the gateway, never twice on one link.
MAX_CONNECTION: Final = 999_999_999

_LINE_HEAD: Final = b"DATA LINE c="
_STREAM_HEAD: Final = b"DATA STREAM c="
_FOUND_HEAD: Final = b"DATA FOUND n="
_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,8}")


class Port(StrEnum):
    """Which front door a connection came through."""

    DEVICE = "device"
    ADMIN = "admin"


class Hello(NamedTuple):
    """INFO LINK: the first line of each side. `role` is gateway or backend.

    `max_line` is the longest line that the sender accepts, in octets with CR LF.
    """

    name: str
    role: str
    version: int = LINK_VERSION
    max_line: int = MAX_LINK_LINE_BYTES


class Opened(NamedTuple):
    """INFO OPENED: a device or admin connection exists from now on.

    `peer` is address:port. For a device: `exporter` is the RFC 9266 value of its TLS
    connection (32 octets), `subject` the channel certificate's role ("pos", "card"),
    `fingerprint` the fingerprint of its ClientHello. For an admin stream these are empty:
    its TLS is unopened.
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
    """DATA STREAM: octets of an unopened TLS stream."""

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
    """COMMAND PAUSE: send nothing more of that connection until COMMAND RESUME."""

    connection: int


class Resume(NamedTuple):
    """COMMAND RESUME: send again what comes from that connection."""

    connection: int


class Authenticated(NamedTuple):
    """INFO AUTHENTICATED, backend to gateway: raise that connection's line limit."""

    connection: int


class EchoRequest(NamedTuple):
    """COMMAND ECHO: answer INFO ECHO with the same number."""

    number: int


class EchoAnswer(NamedTuple):
    """INFO ECHO."""

    number: int


class Lookup(NamedTuple):
    """COMMAND LOOKUP, gateway to backend: somebody asks the directory, or the OCSP responder.

    `what` is certificate, list or ocsp; `by` says what the octets of `value` are.
    """

    number: int
    what: str
    by: str
    value: bytes


class FoundPart(NamedTuple):
    """DATA FOUND: the next octets of the answer of that number."""

    number: int
    data: bytes


class Found(NamedTuple):
    """INFO FOUND: the answer is whole. `result` is found, absent or busy.

    `sizes` are the lengths of the documents that the parts hold one after the other; the answer is
    worth keeping for `seconds`.
    """

    number: int
    result: str
    sizes: tuple[int, ...] = ()
    seconds: int = 0


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
    | Lookup
    | FoundPart
    | Found
    | Bye
)


def format_device_line(connection: int, line: bytes) -> bytes:
    """Return DATA LINE with CR LF around a device line without CR LF: the hot path.

    The line is not looked into: what came out of a LineBuffer, or from a sealed session less
    its CR LF, holds no line end.
    """
    return b"DATA LINE c=%d :%b\r\n" % (connection, line)


def split_device_line(line: bytes) -> tuple[int, bytes] | None:
    """Return connection and device line of DATA LINE (without CR LF), None for any other: the hot path.

    Raises RemoteProtocolError.
    """
    if not line.startswith(_LINE_HEAD):
        return None
    # Nine digits at most stand between the head and the mark: no need to look further.
    mark = line.find(b" :", 12, 23)
    number = line[12:mark]
    if mark > 12 and number.isdigit() and number[0] != 0x30 and len(line) - mark <= MAX_SEALED_LINE_BYTES:
        return int(number), line[mark + 2 :]
    raise RemoteProtocolError(ErrorCode.BAD_FIELD, "DATA LINE")


def parse_link_line(line: bytes) -> LinkEvent:
    """Return what a link line (without CR LF) says. Raises RemoteProtocolError."""
    device_line = split_device_line(line)
    if device_line is not None:
        return DeviceLine(*device_line)
    if line.startswith(_STREAM_HEAD):
        return StreamBytes(*_numbered_octets(line[len(_STREAM_HEAD) :], "DATA STREAM"))
    if line.startswith(_FOUND_HEAD):
        return FoundPart(*_numbered_octets(line[len(_FOUND_HEAD) :], "DATA FOUND"))
    message = parse_console_line(line)
    head = f"{message.kind} {message.verb}"
    reader = _READERS.get(head)
    if reader is None:
        raise RemoteProtocolError(ErrorCode.UNKNOWN_VERB)
    try:
        return reader(message.fields)
    except (KeyError, ValueError):
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, head) from None


def format_link_line(event: LinkEvent) -> bytes:
    """Return any link line with CR LF. Raises LocalProtocolError."""
    if isinstance(event, DeviceLine):
        if b"\r" in event.line or b"\n" in event.line or len(event.line) > MAX_SEALED_LINE_BYTES - 2:
            raise LocalProtocolError("a device line has no line end and at most 8,190 octets")
        return format_device_line(_checked(event.connection), event.line)
    if isinstance(event, StreamBytes | FoundPart):
        if not 0 < len(event.data) <= MAX_STREAM_CHUNK_BYTES:
            raise LocalProtocolError("a chunk has 1 to 8,192 octets")
        head = _STREAM_HEAD if isinstance(event, StreamBytes) else _FOUND_HEAD
        return head + b"%d b=%b\r\n" % (_checked(event[0]), grammar.encode_base64url(event.data))
    kind, verb, fields = _write(event)
    octets = format_console_line(kind, verb, fields)
    # What this side says must mean the same to the other.
    try:
        heard = parse_link_line(octets[:-2])
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"INFO or COMMAND {verb}: {error.detail or error.code}") from None
    if type(heard) is not type(event) or heard != event:
        raise LocalProtocolError(f"{verb} would be heard as something else")
    return octets


def split_stream(connection: int, data: bytes) -> list[bytes]:
    """Return the DATA STREAM lines, CR LF included, that carry `data` of any length."""
    return [
        format_link_line(StreamBytes(connection, data[start : start + MAX_STREAM_CHUNK_BYTES]))
        for start in range(0, len(data), MAX_STREAM_CHUNK_BYTES)
    ]


def _checked(number: int) -> int:
    if not 0 < number <= MAX_CONNECTION:
        raise LocalProtocolError("a connection's or a question's number has one to nine digits")
    return number


def _numbered_octets(rest: bytes, head: str) -> tuple[int, bytes]:
    """Return number and octets of a line that was written by hand for speed. Raises RemoteProtocolError."""
    number, found, text = rest.partition(b" b=")
    if found and _NUMBER.fullmatch(number):
        data = grammar.decode_base64url(text)
        if 0 < len(data) <= MAX_STREAM_CHUNK_BYTES:
            return int(number), data
    raise RemoteProtocolError(ErrorCode.BAD_FIELD, head)


# Unknown fields are refused: both ends of a link belong to one operator and one release.


def _only(fields: Mapping[str, str], *names: str) -> list[str]:
    if len(fields) != len(names):
        raise ValueError("fields")
    return [fields[name] for name in names]


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text.encode("ascii", "replace")) is None:
        raise ValueError("number")
    return int(text)


def _word(text: str) -> str:
    if re.fullmatch(r"[a-z][a-z0-9-]{0,30}", text) is None:
        raise ValueError("word")
    return text


def _read_hello(fields: Mapping[str, str]) -> Hello:
    name, role, version, max_line = _only(fields, "name", "role", "version", "max-line")
    if role not in ("gateway", "backend"):
        raise ValueError("role")
    return Hello(name, role, _number(version), _number(max_line))


def _read_opened(fields: Mapping[str, str]) -> Opened:
    opened = Opened(
        _number(fields["c"]),
        Port(fields["port"]),
        fields["peer"],
        grammar.decode_base64url(fields.get("exporter", "").encode("ascii", "replace")),
        fields.get("fingerprint", ""),
        fields.get("subject", ""),
    )
    if not fields.keys() <= {"c", "port", "peer", "exporter", "fingerprint", "subject"}:
        raise ValueError("fields")
    if len(opened.exporter) not in (0, 32):
        raise ValueError("exporter")
    return opened


def _read_close(fields: Mapping[str, str]) -> Close:
    connection, reason = _only(fields, "c", "reason")
    return Close(_number(connection), _word(reason))


def _read_closed(fields: Mapping[str, str]) -> Closed:
    connection, reason = _only(fields, "c", "reason")
    return Closed(_number(connection), _word(reason))


def _read_lookup(fields: Mapping[str, str]) -> Lookup:
    number, what, by, text = _only(fields, "n", "what", "by", "b")
    value = grammar.decode_base64url(text.encode("ascii", "replace"))
    if not 0 < len(value) <= MAX_LOOKUP_BYTES:
        raise ValueError("b")
    return Lookup(_number(number), _word(what), _word(by), value)


def _read_found(fields: Mapping[str, str]) -> Found:
    number, result, sizes, seconds = _only(fields, "n", "result", "sizes", "seconds")
    if result not in ("found", "absent", "busy") or not re.fullmatch(r"0|[1-9][0-9]{0,8}", seconds, re.ASCII):
        raise ValueError("result")
    parts = tuple(_number(size) for size in sizes.split(",")) if sizes else ()
    return Found(_number(number), result, parts, int(seconds))


_READERS: Final[dict[str, Callable[[Mapping[str, str]], LinkEvent]]] = {
    "INFO LINK": _read_hello,
    "INFO OPENED": _read_opened,
    "COMMAND CLOSE": _read_close,
    "INFO CLOSED": _read_closed,
    "COMMAND PAUSE": lambda fields: Pause(_number(*_only(fields, "c"))),
    "COMMAND RESUME": lambda fields: Resume(_number(*_only(fields, "c"))),
    "INFO AUTHENTICATED": lambda fields: Authenticated(_number(*_only(fields, "c"))),
    "COMMAND ECHO": lambda fields: EchoRequest(_number(*_only(fields, "n"))),
    "INFO ECHO": lambda fields: EchoAnswer(_number(*_only(fields, "n"))),
    "COMMAND LOOKUP": _read_lookup,
    "INFO FOUND": _read_found,
    "INFO BYE": lambda fields: Bye(_word(*_only(fields, "reason"))),
}


def _write(event: LinkEvent) -> tuple[Kind, str, dict[str, str]]:
    match event:
        case Hello():
            fields = {"name": event.name, "role": event.role, "version": str(event.version)}
            return Kind.INFO, "LINK", {**fields, "max-line": str(event.max_line)}
        case Opened():
            return Kind.INFO, "OPENED", _write_opened(event)
        case Close():
            return Kind.COMMAND, "CLOSE", {"c": str(event.connection), "reason": event.reason}
        case Closed():
            return Kind.INFO, "CLOSED", {"c": str(event.connection), "reason": event.reason}
        case Pause():
            return Kind.COMMAND, "PAUSE", {"c": str(event.connection)}
        case Resume():
            return Kind.COMMAND, "RESUME", {"c": str(event.connection)}
        case Authenticated():
            return Kind.INFO, "AUTHENTICATED", {"c": str(event.connection)}
        case EchoRequest():
            return Kind.COMMAND, "ECHO", {"n": str(event.number)}
        case EchoAnswer():
            return Kind.INFO, "ECHO", {"n": str(event.number)}
        case Lookup():
            value = grammar.encode_base64url(event.value).decode("ascii")
            return Kind.COMMAND, "LOOKUP", {"n": str(event.number), "what": event.what, "by": event.by, "b": value}
        case Found():
            fields = {"n": str(event.number), "result": event.result, "sizes": ",".join(map(str, event.sizes))}
            return Kind.INFO, "FOUND", {**fields, "seconds": str(event.seconds)}
        case Bye():
            return Kind.INFO, "BYE", {"reason": event.reason}
    raise LocalProtocolError("no such link line")


def _write_opened(event: Opened) -> dict[str, str]:
    fields = {"c": str(event.connection), "port": str(event.port), "peer": event.peer}
    if event.exporter:
        fields["exporter"] = grammar.encode_base64url(event.exporter).decode("ascii")
    if event.fingerprint:
        fields["fingerprint"] = event.fingerprint
    if event.subject:
        fields["subject"] = event.subject
    return fields
