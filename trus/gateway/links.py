"""Carries many connections to one backend inside one link, and bounds what waits for it.

Opens no connection itself (trus.gateway.pool does) and never looks into a device's line. A
link counts as up when the backend's first line has arrived, not when TLS says so: a TLS 1.3
client believes in its handshake before the server has refused its certificate (RFC 8446, 4.4).

A maintainer must not break: the link is read even while the backend does not read, since two
ends that each wait for the other to read would wait for ever; what a backend is owed is
bounded by pausing the devices, what a device is owed is bounded by the device's connection.
Specification: docs/protocol.md, "The link".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from trus.errors import TrusError
from trus.gateway.lookups import LinkQuestions
from trus.gateway.riders import Hold, Rider
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.net.peers import channel_refusal
from trus.protocol.buffer import LineBuffer
from trus.protocol.errors import RemoteProtocolError
from trus.protocol.link import (
    MAX_CONNECTION,
    MAX_LINK_LINE_BYTES,
    Authenticated,
    Bye,
    Close,
    Closed,
    DeviceLine,
    EchoAnswer,
    EchoRequest,
    Found,
    FoundPart,
    Hello,
    LinkEvent,
    Lookup,
    Opened,
    Pause,
    Port,
    Resume,
    StreamBytes,
    format_device_line,
    format_link_line,
    parse_link_line,
    split_device_line,
    split_stream,
)
from trus.values import ChannelRole

#: The version of the envelope that this gateway speaks.
LINK_VERSION: Final = 1
#: A backend answers for many devices: more lines a turn than one peer gets elsewhere.
_LINES_PER_TURN: Final = 1024
_HANDSHAKE_SECONDS: Final = 10.0
#: From the end of the TLS handshake to the backend's first line.
_HELLO_SECONDS: Final = 10.0
#: Riders told of a lost link in one reactor turn: thousands at once would hold up all others.
_FAREWELLS_PER_TURN: Final = 200


class LinkLost(TrusError):
    """The link ended before it was up, or is gone; `reason` is a fixed word."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"link lost: {reason}")
        self.reason = reason


@attrs.frozen(kw_only=True)
class LinkTerms:
    """How one link behaves: names of both ends, seconds, bytes."""

    gateway: str
    backend: str
    keep_alive_seconds: float
    silence_seconds: float
    buffer_bytes: int


@attrs.frozen(kw_only=True)
class Arrival:
    """What the gateway tells a backend of a connection that came in.

    `peer` is address:port. For a device: `exporter` the RFC 9266 value of its TLS connection,
    `role` that of its channel certificate, `fingerprint` the JA4 of its ClientHello; for an admin all
    are empty.
    """

    port: Port
    peer: str
    exporter: bytes = b""
    fingerprint: str = ""
    role: str = ""


class BackendLink(LineProtocol):
    """One link, from the gateway's side.

    `up` fires with this link when the backend has introduced itself, and fails with LinkLost
    when the link ends first.
    """

    _log = Logger()

    def __init__(self, terms: LinkTerms, clock: IReactorTime) -> None:
        limits = LineLimits(
            handshake_seconds=_HANDSHAKE_SECONDS,
            idle_seconds=terms.silence_seconds,
            lines_per_turn=_LINES_PER_TURN,
        )
        super().__init__(clock, LineBuffer(MAX_LINK_LINE_BYTES), limits)
        self._reactor = clock
        self._terms = terms
        self._riders: dict[int, Rider] = {}
        self._last_number = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._flush_call: IDelayedCall | None = None
        self._echo_call: IDelayedCall | None = None
        self._echo_number = 0
        self._stalled = False
        self._held_back: dict[int, Rider] = {}
        self._is_up = False
        self._leaving = False
        self.questions = LinkQuestions(lambda lookup: self._write(format_link_line(lookup)))
        self.up: Deferred[BackendLink] = Deferred()
        self._gone: list[Deferred[str]] = []
        self._lost_because: str | None = None

    # --------------------------------------------------------------------------- for the pool

    @property
    def backend(self) -> str:
        """The backend's name, as configured."""
        return self._terms.backend

    @property
    def accepts(self) -> bool:
        """Whether a new connection may ride on this link."""
        return self._is_up and not self._leaving and self.is_open and self._last_number < MAX_CONNECTION

    @property
    def riders(self) -> int:
        """Connections that ride on this link."""
        return len(self._riders)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait because the backend does not read."""
        return self._waiting_bytes

    def when_gone(self) -> Deferred[str]:
        """Fire with a fixed word when the link is over; at once when it is already."""
        if self._lost_because is not None:
            return succeed(self._lost_because)
        waiting: Deferred[str] = Deferred()
        self._gone.append(waiting)
        return waiting

    def farewell(self) -> None:
        """Say that nothing new will come over this link, and close it."""
        self._leaving = True
        if self.is_open:
            self._write(format_link_line(Bye("shutdown")))
            self._flush()
        self.hang_up()

    # ------------------------------------------------------------------------- for passengers

    def carry(self, rider: Rider, arrival: Arrival) -> int:
        """Take a connection on, and return its number on this link."""
        self._last_number += 1
        number = self._last_number
        self._riders[number] = rider
        self._write(
            format_link_line(
                Opened(number, arrival.port, arrival.peer, arrival.exporter, arrival.fingerprint, arrival.role)
            )
        )
        return number

    def forward_lines(self, number: int, lines: Sequence[bytes]) -> None:
        """Send a device's lines, given without CR LF, byte for byte."""
        for line in lines:
            self._write(format_device_line(number, line))
        if self._waiting_bytes > self._terms.buffer_bytes:
            self._hold_back(number)

    def forward_bytes(self, number: int, data: bytes) -> None:
        """Send bytes of an unopened TLS stream."""
        for line in split_stream(number, data):
            self._write(line)
        if self._waiting_bytes > self._terms.buffer_bytes:
            self._hold_back(number)

    def ask_pause(self, number: int) -> None:
        """Ask the backend to send no more to a connection that does not read."""
        self._write(format_link_line(Pause(number)))

    def ask_resume(self, number: int) -> None:
        """Tell the backend that the connection reads again."""
        self._write(format_link_line(Resume(number)))

    def drop(self, number: int, reason: str) -> None:
        """Tell the backend that a connection is over; `reason` is a fixed word."""
        if self._riders.pop(number, None) is not None:
            self._held_back.pop(number, None)
            self._write(format_link_line(Closed(number, reason)))
            self._end_when_empty()

    # --------------------------------------------------------------------------- LineProtocol

    def opened(self) -> None:
        """Introduce the gateway."""
        self._write(format_link_line(Hello(self._terms.gateway, ChannelRole.GATEWAY.value)))
        self._echo_call = self._reactor.callLater(self._terms.keep_alive_seconds, self._ask_for_life)
        self.allow_silence(_HELLO_SECONDS)

    def lines_received(self, lines: list[bytes]) -> None:
        """Hand the backend's lines to whom they are for, those of a device for this turn in one piece."""
        gathered: dict[int, list[bytes]] = {}
        for line in lines:
            try:
                device_line = split_device_line(line)
                if device_line is not None:
                    number, inner = device_line
                    known = gathered.get(number)
                    if known is None:
                        gathered[number] = [inner]
                    else:
                        known.append(inner)
                    continue
                event = parse_link_line(line)
            except RemoteProtocolError as error:
                self._hand_over(gathered)
                self.line_refused(error)
                return
            # What is said about a connection holds from here on: its lines before go first.
            self._hand_over(gathered)
            gathered = {}
            self._handle(event)
            if not self.is_open:
                return
        self._hand_over(gathered)

    def _hand_over(self, gathered: dict[int, list[bytes]]) -> None:
        for number, lines in gathered.items():
            rider = self._riders.get(number)
            if rider is not None and self.is_open:
                rider.lines_arrived(lines)

    def line_refused(self, error: RemoteProtocolError) -> None:
        """Break off: a backend that speaks otherwise is of another version, or none."""
        self._log.error("link to {backend} broken off: {code}", backend=self._terms.backend, code=error.code.value)
        self.abort(Ending.PROTOCOL)

    def idle_expired(self) -> None:
        """Give up a backend that shows no sign of life."""
        self.abort(Ending.IDLE_TIMEOUT)

    def closed(self, ending: Ending, reason: Failure) -> None:
        """Tell every rider, a few in each turn, and whoever keeps this link."""
        for call in (self._flush_call, self._echo_call):
            if call is not None and call.active():
                call.cancel()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._held_back.clear()
        was_up, self._is_up = self._is_up, False
        refusal = channel_refusal(self.transport, reason.value)
        word = refusal.value if refusal is not None else ending.value
        self.questions.lost()
        riders, self._riders = list(self._riders.values()), {}
        self._say_farewell(riders)
        if not was_up:
            self.up.errback(LinkLost(word))
        self._lost_because = word
        waiting, self._gone = self._gone, []
        for each in waiting:
            each.callback(word)

    def pauseProducing(self) -> None:
        """Keep what is written from now on: the backend does not read. It is still read from."""
        self._stalled = True

    def resumeProducing(self) -> None:
        """Send what waited, and let the riders read again."""
        self._stalled = False
        self._flush()

    # --------------------------------------------------------------------------------- inside

    def _handle(self, event: LinkEvent) -> None:
        if not self._is_up:
            self._meet(event)
            return
        match event:
            case StreamBytes():
                rider = self._riders.get(event.connection)
                if rider is not None:
                    rider.bytes_arrived(event.data)
            case Authenticated():
                rider = self._riders.get(event.connection)
                if rider is not None:
                    rider.admitted()
            case Close() | Closed():
                rider = self._riders.get(event.connection)
                if rider is not None:
                    rider.end(event.reason)
            case Pause():
                rider = self._riders.get(event.connection)
                if rider is not None:
                    rider.stop_reading(Hold.BACKEND_ASKED)
            case Resume():
                rider = self._riders.get(event.connection)
                if rider is not None:
                    rider.read_again(Hold.BACKEND_ASKED)
            case EchoRequest():
                self._write(format_link_line(EchoAnswer(event.number)))
            case FoundPart():
                self.questions.part(event)
            case Found():
                self.questions.done(event)
            case Bye():
                self._leaving = True
                self._log.info("{backend} takes no new connections", backend=self._terms.backend)
                self._end_when_empty()
            case Hello() | Opened() | EchoAnswer() | DeviceLine() | Lookup():
                pass  # an answer's arrival is all that it says; the others mean nothing here

    def _meet(self, event: LinkEvent) -> None:
        """Take the backend's first line, which must introduce a backend of this version."""
        if not isinstance(event, Hello) or event.role != ChannelRole.BACKEND or event.version != LINK_VERSION:
            self._log.error("{backend} did not introduce itself as a backend", backend=self._terms.backend)
            self.abort(Ending.PROTOCOL)
            return
        self._is_up = True
        self.allow_silence(self._terms.silence_seconds)
        self.up.callback(self)

    def _end_when_empty(self) -> None:
        """Close a link that takes nothing new and carries nothing: the next one starts afresh."""
        if not self._riders and (self._leaving or self._last_number >= MAX_CONNECTION):
            self._flush()
            self.hang_up()

    def _write(self, line: bytes) -> None:
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if self._flush_call is None:
            self._flush_call = self._reactor.callLater(0, self._flush_turn)

    def _flush_turn(self) -> None:
        self._flush_call = None
        self._flush()

    def _flush(self) -> None:
        """Write what gathered in one piece, unless the backend does not read."""
        if self._stalled:
            return
        if self._waiting:
            block = b"".join(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            self.send_block(block)
        if self._held_back and not self._stalled:
            held_back, self._held_back = self._held_back, {}
            for rider in held_back.values():
                rider.read_again(Hold.LINK_FULL)

    def _hold_back(self, number: int) -> None:
        rider = self._riders.get(number)
        if rider is not None and number not in self._held_back:
            self._held_back[number] = rider
            rider.stop_reading(Hold.LINK_FULL)

    def _ask_for_life(self) -> None:
        self._echo_number += 1
        self._write(format_link_line(EchoRequest(self._echo_number)))
        self._echo_call = self._reactor.callLater(self._terms.keep_alive_seconds, self._ask_for_life)

    def _say_farewell(self, riders: list[Rider]) -> None:
        now, later = riders[:_FAREWELLS_PER_TURN], riders[_FAREWELLS_PER_TURN:]
        for rider in now:
            rider.link_lost()
        if later:
            self._reactor.callLater(0, self._say_farewell, later)
