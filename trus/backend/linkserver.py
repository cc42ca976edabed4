"""Answers a gateway: keeps its connections apart, and the flow of each within bounds.

Reads the link's lines and nothing else: what is inside a device line is
trus.backend.sessions, what is inside an admin's stream is trus.backend.adminstream. A link
line that the envelope does not allow ends the link: gateway and backend are one operator's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from trus.backend.adminstream import AdminStream, TunnelTransport
from trus.backend.lookups import LookupAnswers
from trus.backend.sessions import DeviceConnection
from trus.backend.surroundings import Outlet, Surroundings
from trus.core.faults import describe
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.net.peers import peer_address
from trus.protocol.buffer import LineBuffer
from trus.protocol.errors import ErrorCode, RemoteProtocolError
from trus.protocol.link import (
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
)
from trus.values import BusinessDate

#: A gateway carries many devices: more lines a turn than one peer gets elsewhere. The gateway
#: asks for a sign of life every few seconds; a link that is silent for this long is dead.
LIMITS: Final = LineLimits(handshake_seconds=10.0, idle_seconds=120.0, write_seconds=20.0, lines_per_turn=1024)
#: Links at once, unless told.
MAX_LINKS: Final = 64


class AdminProtocols(Protocol):
    """Makes the TLS and console of an admin's stream."""

    def open(self, peer: str, transport: TunnelTransport) -> AdminStream:
        """Start TLS on `transport`, as its server."""
        ...


class LinkServer(LineProtocol):
    """One gateway's link."""

    _log = Logger()

    def __init__(
        self,
        around: Surroundings,
        admins: AdminProtocols | None,
        reactor: IReactorTime,
        on_gone: Callable[[LinkServer], None],
        has_room: Callable[[], bool],
    ) -> None:
        super().__init__(reactor, LineBuffer(MAX_LINK_LINE_BYTES), LIMITS)
        self._around = around
        self._admins = admins
        self._reactor = reactor
        self._on_gone = on_gone
        self._has_room = has_room
        self._devices: dict[int, DeviceConnection] = {}
        self._streams: dict[int, AdminStream] = {}
        self._lookups = LookupAnswers(around.ask, self._write, lambda: not self.peer_is_slow, reactor)
        self._outgoing: list[bytes] = []
        self._flushing = False
        self._gateway = ""

    @property
    def devices(self) -> int:
        """Device connections now open behind this gateway."""
        return len(self._devices)

    def opened(self) -> None:
        """Introduce the backend: the gateway counts the link as up from this line on."""
        if not self._has_room():
            self._log.error("a link beyond the highest number was refused: {peer}", peer=peer_address(self.transport))
            self.abort()
            return
        self._write(format_link_line(Hello(self._around.name, "backend")))

    def lines_received(self, lines: list[bytes]) -> None:
        """Take the lines of this turn."""
        for line in lines:
            try:
                device_line = split_device_line(line)
                if device_line is None:
                    self._handle(parse_link_line(line))
                else:
                    self._device_line(*device_line)
            except RemoteProtocolError as error:
                self.line_refused(error)
                return

    def line_refused(self, error: RemoteProtocolError) -> None:
        """Break off: a gateway that speaks otherwise is of another version, or no gateway."""
        self._log.error("link broken off: {code}", code=error.code.value)
        self.abort(Ending.PROTOCOL)

    def closed(self, ending: Ending, reason: Failure) -> None:
        """Forget the sessions of all devices behind this gateway: they come back by another link."""
        for device in self._devices.values():
            device.closed()
        for stream in self._streams.values():
            stream.closed()
        self._lookups.closed()
        self._devices.clear()
        self._streams.clear()
        if self._gateway:
            self._log.info("link from {gateway} ended: {ending}", gateway=self._gateway, ending=ending.value)
        self._on_gone(self)

    def connections(self) -> list[DeviceConnection]:
        """Return the device connections now open behind this gateway."""
        return list(self._devices.values())

    def announce_day(self, date: BusinessDate) -> None:
        """Tell every device behind this gateway that another business date is open."""
        for device in self._devices.values():
            device.announce_day(date)

    def farewell(self) -> None:
        """Say that no new connection should come over this link, and hang up."""
        self._write(format_link_line(Bye("shutdown")))
        self.flush()
        self.hang_up()

    # ------------------------------------------------------------------- reading the link

    def _handle(self, event: LinkEvent) -> None:
        match event:
            case Opened():
                self._begin(event)
            case StreamBytes():
                stream = self._streams.get(event.connection)
                if stream is not None:
                    try:
                        stream.received(event.data)
                    except Exception as failure:  # noqa: BLE001 - nor is one admin's
                        self._give_up(event.connection, failure)
            case Closed() | Close():
                self._forget(event.connection)
            case Pause() | Resume():
                self._flow(event)
            case EchoRequest():
                self._write(format_link_line(EchoAnswer(event.number)))
            case Lookup():
                self._lookups.asked(event)
            case Hello():
                self._gateway = event.name
                self._log.info("link from {gateway}, {peer}", gateway=event.name, peer=peer_address(self.transport))
            case EchoAnswer() | Authenticated() | Bye() | Found() | FoundPart() | DeviceLine():
                pass  # nothing to do on this side, or done already

    def _device_line(self, number: int, line: bytes) -> None:
        device = self._devices.get(number)
        if device is not None:
            try:
                device.line_received(line)
            except Exception as failure:  # noqa: BLE001 - one device's fault is not the next one's
                self._give_up(number, failure)

    def _begin(self, event: Opened) -> None:
        number = event.connection
        if not self._gateway or number in self._devices or number in self._streams:
            raise RemoteProtocolError(ErrorCode.OUT_OF_ORDER, "opened")
        if event.port is Port.DEVICE:
            outlet = Outlet(
                line=lambda line: self._write(format_device_line(number, line[:-2])),
                authenticated=lambda: self._write(format_link_line(Authenticated(number))),
                close=lambda reason: self._close(number, reason),
            )
            self._devices[number] = DeviceConnection(event, self._around, outlet)
        elif self._admins is None:
            self._close(number, "no admin port")
        else:
            transport = TunnelTransport(
                event.peer,
                lambda data: self._write(format_link_line(StreamBytes(number, data))),
                lambda reason: self._close(number, reason),
                lambda go: self._write(format_link_line(Resume(number) if go else Pause(number))),
            )
            self._streams[number] = self._admins.open(event.peer, transport)

    def _flow(self, event: Pause | Resume) -> None:
        stream = self._streams.get(event.connection)
        if stream is None:
            return  # a device's answers are few and small: the gateway bounds them itself
        if isinstance(event, Pause):
            stream.pause()
        else:
            stream.resume()

    def _give_up(self, number: int, failure: Exception) -> None:
        """End one connection whose line was too much for this program; the others go on."""
        self._log.critical("unexpected failure in a connection: {places}", places=describe(failure))
        self._forget(number)
        self._close(number, "fault")

    def _forget(self, number: int) -> None:
        device = self._devices.pop(number, None)
        if device is not None:
            device.closed()
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.closed()

    def _close(self, number: int, reason: str) -> None:
        self._write(format_link_line(Close(number, reason.replace(" ", "-"))))

    # ------------------------------------------------------------------- writing the link

    def _write(self, line: bytes) -> None:
        self._outgoing.append(line)
        if not self._flushing:
            self._flushing = True
            self._reactor.callLater(0, self.flush)

    def flush(self) -> None:
        """Write what gathered in one piece: one TLS record's cost for many lines."""
        self._flushing = False
        outgoing, self._outgoing = self._outgoing, []
        if outgoing:
            self.send_block(b"".join(outgoing))


class LinkFactory(Factory):
    """Makes a LinkServer for each gateway."""

    noisy = False

    def __init__(
        self,
        around: Surroundings,
        admins: AdminProtocols | None,
        reactor: IReactorTime,
        max_links: int = MAX_LINKS,
    ) -> None:
        """Serve at most `max_links` gateways whose certificate was accepted."""
        self._around = around
        self._admins = admins
        self._reactor = reactor
        self._max_links = max_links
        self.links: list[LinkServer] = []

    def buildProtocol(self, addr: IAddress | None) -> LinkServer:
        """Return a new link's protocol."""
        link = LinkServer(self._around, self._admins, self._reactor, self.links.remove, self._has_room)
        self.links.append(link)
        return link

    def _has_room(self) -> bool:
        """Say whether the link that has just opened is not one too many."""
        return sum(link.is_open for link in self.links) <= self._max_links

    def announce_day(self, date: BusinessDate) -> None:
        """Tell every device of every gateway."""
        for link in self.links:
            link.announce_day(date)

    def connections(self) -> list[DeviceConnection]:
        """Return the device connections now open behind all gateways."""
        return [device for link in self.links for device in link.connections()]
