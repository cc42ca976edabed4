"""A gateway's link carries devices and admins side by side, in order and within bounds."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.parts import BINDING, Around, ScriptedCore, certificate
from trus.backend.adminstream import MAX_WAITING_BYTES, AdminStream, TunnelTransport
from trus.backend.linkserver import LinkFactory, LinkServer
from trus.protocol.link import (
    MAX_STREAM_CHUNK_BYTES,
    Close,
    Closed,
    DeviceLine,
    EchoAnswer,
    EchoRequest,
    Hello,
    LinkEvent,
    Opened,
    Pause,
    Port,
    Resume,
    StreamBytes,
    format_link_line,
    parse_link_line,
)
from trus.values import BusinessDate


class Upper(Protocol):
    """Answers every byte in upper case, to stand for TLS and console."""

    def __init__(self) -> None:
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper())

    def connectionLost(self, reason: object = None) -> None:
        self.lost = True


class Admins:
    def __init__(self) -> None:
        self.protocols: list[Upper] = []
        self.transports: list[TunnelTransport] = []

    def open(self, peer: str, transport: TunnelTransport) -> AdminStream:
        self.protocols.append(Upper())
        self.transports.append(transport)
        return AdminStream(self.protocols[-1], transport)


class LinkServerTests(SynchronousTestCase):
    def setUp(self) -> None:
        key, chain = certificate("backend")
        self.clock = Clock()
        self.admins = Admins()
        self.factory = LinkFactory(Around(ScriptedCore(key), [chain]), self.admins, self.clock)  # type: ignore[arg-type]
        self.link = self.connect()

    def connect(self) -> LinkServer:
        link = self.factory.buildProtocol(None)
        self.transport = StringTransport()
        self.transport.abortConnection = self._abort  # type: ignore[method-assign]
        self.aborted = False
        link.makeConnection(self.transport)
        return link

    def _abort(self) -> None:
        self.aborted = True

    def say(self, *events: LinkEvent) -> None:
        self.link.dataReceived(b"".join(format_link_line(event) for event in events))

    def hear(self) -> list[LinkEvent]:
        self.clock.advance(0)
        lines = self.transport.value().split(b"\r\n")[:-1]
        self.transport.clear()
        return [parse_link_line(line) for line in lines]

    def greet(self) -> None:
        self.hear()
        self.say(Hello("gateway-1", "gateway"))

    def device(self, number: int = 17) -> Opened:
        return Opened(number, Port.DEVICE, "192.0.2.1:4711", BINDING, "fp", "pos")

    def test_the_backend_speaks_first(self) -> None:
        """The gateway counts a link as up only when it has heard this line."""
        (hello,) = self.hear()
        self.assertEqual(hello, Hello("backend-1", "backend"))

    def test_a_device_line_is_answered_on_its_own_connection(self) -> None:
        """What device 17 says is answered to device 17, byte for byte in an envelope."""
        self.greet()
        self.say(self.device(17), self.device(18), DeviceLine(17, b"COMMAND NONSENSE"))
        self.assertEqual(self.hear(), [DeviceLine(17, b"INFO ERROR code=unknown-session")])
        self.assertEqual(self.link.devices, 2)

    def test_lines_of_unknown_connections_are_dropped(self) -> None:
        """A line that crosses with a closing is nobody's and does no harm."""
        self.greet()
        self.say(self.device(17), Closed(17, "gone"), DeviceLine(17, b"COMMAND NONSENSE"), DeviceLine(99, b"X"))
        self.assertEqual((self.hear(), self.link.devices), ([], 0))

    def test_an_echo_is_answered(self) -> None:
        """The gateway's sign of life is answered with its number."""
        self.greet()
        self.say(EchoRequest(5))
        self.assertEqual(self.hear(), [EchoAnswer(5)])

    def test_a_number_is_used_once(self) -> None:
        """A gateway that opens a number twice is out of step: the link is cut."""
        self.greet()
        self.say(self.device(17), self.device(17))
        self.assertTrue(self.aborted)

    def test_nothing_is_opened_before_the_greeting(self) -> None:
        """A peer that opens connections before saying who it is is cut off."""
        self.say(self.device(17))
        self.assertTrue(self.aborted)

    def test_a_line_that_is_no_envelope_cuts_the_link(self) -> None:
        """Noise on a link means another version or a fault: nothing is guessed."""
        self.greet()
        self.link.dataReceived(b"GET / HTTP/1.1\r\n")
        self.assertTrue(self.aborted)

    def test_everything_of_a_turn_leaves_in_one_write(self) -> None:
        """Many answers cost one TLS record, not one each."""
        self.greet()
        writes: list[bytes] = []
        write: Callable[[bytes], None] = writes.append
        self.transport.write = write  # type: ignore[method-assign]
        self.say(self.device(17), *[DeviceLine(17, b"COMMAND NONSENSE")] * 50)
        self.assertEqual(writes, [])
        self.clock.advance(0)
        self.assertEqual(len(writes), 1)
        self.assertEqual(writes[0].count(b"\r\n"), 50)

    def test_an_admins_bytes_go_through_unopened(self) -> None:
        """Bytes of an admin's stream reach TLS as they came, and its answers come back in bounded pieces."""
        self.greet()
        data = b"x" * (2 * MAX_STREAM_CHUNK_BYTES)
        self.say(Opened(5, Port.ADMIN, "192.0.2.9:99"))
        self.say(StreamBytes(5, data[:MAX_STREAM_CHUNK_BYTES]))
        self.assertEqual(self.hear(), [StreamBytes(5, b"X" * MAX_STREAM_CHUNK_BYTES)])
        self.admins.transports[0].write(data)
        self.assertEqual([len(event.data) for event in self.hear()], [MAX_STREAM_CHUNK_BYTES] * 2)  # type: ignore[union-attr]

    def test_a_slow_admin_holds_up_nobody(self) -> None:
        """While the gateway asks for a pause the admin's bytes wait here, and then follow in order."""
        self.greet()
        self.say(Opened(5, Port.ADMIN, "192.0.2.9:99"), Pause(5), StreamBytes(5, b"abc"), StreamBytes(5, b"def"))
        self.assertEqual(self.hear(), [])
        self.say(Resume(5))
        self.assertEqual(self.hear(), [StreamBytes(5, b"ABCDEF")])

    def test_an_admin_who_never_reads_is_given_up(self) -> None:
        """What waits for one admin is bounded; beyond that the stream is closed."""
        self.greet()
        self.say(Opened(5, Port.ADMIN, "192.0.2.9:99"), Pause(5))
        self.admins.transports[0].write(bytes(MAX_WAITING_BYTES + 1))
        self.assertEqual(self.hear(), [Close(5, "aborted")])

    def test_a_console_that_is_full_pauses_its_stream_alone(self) -> None:
        """When the console cannot take more, the gateway is asked to hold that stream."""
        self.greet()
        self.say(Opened(5, Port.ADMIN, "192.0.2.9:99"))
        self.admins.transports[0].pauseProducing()
        self.admins.transports[0].resumeProducing()
        self.assertEqual(self.hear(), [Pause(5), Resume(5)])

    def test_what_is_under_way_waits_for_a_full_console(self) -> None:
        """What the gateway had sent before it heard the pause waits here, and follows in order when there is room."""
        self.greet()
        self.say(Opened(5, Port.ADMIN, "192.0.2.9:99"))
        transport = self.admins.transports[0]
        transport.pauseProducing()
        self.say(StreamBytes(5, b"one "), StreamBytes(5, b"two "), StreamBytes(5, b"three"))
        self.assertEqual(self.hear(), [Pause(5)])
        transport.resumeProducing()
        self.assertEqual(
            self.hear(), [StreamBytes(5, b"ONE "), StreamBytes(5, b"TWO "), StreamBytes(5, b"THREE"), Resume(5)]
        )

    def test_a_flood_ends_its_own_stream_alone(self) -> None:
        """An admin whose gateway does not pause ends by the stated bound; the link and its devices stay."""
        self.greet()
        self.say(self.device(17), Opened(5, Port.ADMIN, "192.0.2.9:99"))
        self.admins.transports[0].pauseProducing()
        for _ in range(MAX_WAITING_BYTES // MAX_STREAM_CHUNK_BYTES + 1):
            self.say(StreamBytes(5, bytes(MAX_STREAM_CHUNK_BYTES)))
        self.assertEqual(self.hear(), [Pause(5), Close(5, "aborted")])
        self.assertEqual((self.link.devices, self.aborted), (1, False))

    def test_a_fault_ends_one_connection_alone(self) -> None:
        """Should a device or an admin meet a fault of this program, only that connection ends; the log says where."""
        self.greet()
        self.say(self.device(17), self.device(18), Opened(5, Port.ADMIN, "192.0.2.9:99"))

        def broken(line: bytes) -> None:
            raise RuntimeError("CANARY")

        self.link._devices[17].line_received = broken  # type: ignore[method-assign]
        self.admins.transports[0].deliver_to(broken)
        with capturedLogs() as said:
            self.say(DeviceLine(17, b"x"), StreamBytes(5, b"x"), DeviceLine(18, b"COMMAND NONSENSE"))
        self.assertEqual(
            self.hear(),
            [Close(17, "fault"), Close(5, "fault"), DeviceLine(18, b"INFO ERROR code=unknown-session")],
        )
        self.assertEqual((self.link.devices, self.aborted), (1, False))
        told = [formatEvent(event) for event in said]
        self.assertEqual((len(told), "CANARY" in "".join(map(str, told))), (2, False))

    def test_a_console_that_hangs_up_closes_the_connection(self) -> None:
        """QUIT ends the connection at the gateway, once."""
        self.greet()
        self.say(Opened(5, Port.ADMIN, "192.0.2.9:99"))
        self.admins.transports[0].loseConnection()
        self.admins.transports[0].loseConnection()
        self.assertEqual(self.hear(), [Close(5, "done")])
        self.say(Closed(5, "done"))
        self.assertTrue(self.admins.protocols[0].lost)

    def test_a_backend_without_console_closes_admins(self) -> None:
        """Where no console is configured, an admin connection is closed at once."""
        self.factory = LinkFactory(self.factory._around, None, self.clock)
        self.link = self.connect()
        self.greet()
        self.say(Opened(5, Port.ADMIN, "192.0.2.9:99"))
        self.assertEqual(self.hear(), [Close(5, "no-admin-port")])

    def test_one_link_too_many_is_refused(self) -> None:
        """Beyond the highest number of links a gateway is refused without a word; a link that ends makes room."""
        self.factory = LinkFactory(self.factory._around, None, self.clock, max_links=1)
        first = self.connect()
        self.assertEqual(len(self.hear()), 1)
        self.connect()
        self.assertEqual((self.hear(), self.aborted), ([], True))
        self.factory.links[-1].connectionLost()
        first.connectionLost()
        self.connect()
        self.assertEqual((len(self.hear()), self.aborted), (1, False))

    def test_a_lost_link_takes_its_sessions_along(self) -> None:
        """When the gateway is gone, its devices' keys are forgotten and its admins' consoles end."""
        self.greet()
        self.say(self.device(17), Opened(5, Port.ADMIN, "192.0.2.9:99"))
        self.link.connectionLost()
        self.assertEqual((self.link.devices, self.factory.links), (0, []))
        self.assertTrue(self.admins.protocols[0].lost)

    def test_a_new_day_is_told_to_every_link(self) -> None:
        """Announcing a date reaches the sessions of all gateways; without sessions nothing is said."""
        self.greet()
        self.say(self.device(17))
        self.factory.announce_day(BusinessDate("2026-11-21"))
        self.assertEqual(self.hear(), [])

    def test_an_admins_address_is_what_the_gateway_saw(self) -> None:
        """The console logs the admin's own address, not the gateway's."""
        self.greet()
        self.say(Opened(5, Port.ADMIN, "192.0.2.9:99"))
        peer: IAddress = self.admins.transports[0].getPeer()
        self.assertEqual((peer.host, peer.port), ("192.0.2.9", 99))  # type: ignore[attr-defined]
