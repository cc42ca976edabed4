"""A link comes up only with the right backend, is missed when it is gone, and comes back."""

from __future__ import annotations

from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway.deployment import GatewayCase, until
from trus.gateway.links import Arrival, BackendLink, LinkLost, LinkTerms
from trus.gateway.pool import Attempts
from trus.protocol.link import (
    MAX_CONNECTION,
    Authenticated,
    Bye,
    Closed,
    DeviceLine,
    EchoAnswer,
    EchoRequest,
    Hello,
    LinkEvent,
    Opened,
    Port,
    format_link_line,
)
from trus.settings import Duration


class BackendsComeAndGoTests(GatewayCase):
    """Devices notice a lost backend at once, and find it again when it is back."""

    async def test_lost_backend_is_told(self) -> None:
        """When a backend is lost its devices hear INFO NOTICE and are closed, so that they retry."""
        gateway, backend = await self.start_both()
        device, link, _ = await self.authenticated(gateway, backend)
        await until(lambda: device.exported)
        link.abort()
        await device.is_closed()
        self.assertEqual(device.heard, b"INFO NOTICE code=backend-lost\r\n")

    async def test_lost_backend_comes_back(self) -> None:
        """A gateway finds its backend again without help, and devices reach it."""
        gateway, backend = await self.start_both()
        port = backend.port
        await backend.close()
        await until(lambda: not gateway.pool.links)
        lonely = await self.call(gateway)
        await lonely.is_closed()
        self.assertEqual(lonely.heard, b"INFO NOTICE code=unreachable\r\n")
        again, _ = await self.start_backend(port)
        await until(lambda: gateway.pool.links)
        await self.call(gateway)
        self.assertEqual((await again.next(Opened)).port, Port.DEVICE)

    async def test_admin_of_lost_backend(self) -> None:
        """An admin's stream ends with its backend, and none begins without one."""
        gateway, backend = await self.start_both()
        admin = await self.connect(gateway.admin_address)
        await backend.opened()
        await backend.close()
        await admin.is_closed()
        await until(lambda: not gateway.pool.links)
        lonely = await self.connect(gateway.admin_address)
        await lonely.is_closed()
        self.assertEqual(lonely.heard, b"")

    async def test_many_devices_of_a_lost_backend(self) -> None:
        """However many devices a lost backend had, each is told."""
        gateway, backend = await self.start_both()
        devices = [await self.call(gateway) for _ in range(40)]
        for _ in devices:
            link, _ = await backend.opened()
        link.abort()
        for device in devices:
            await device.is_closed()
            self.assertEqual(device.heard, b"INFO NOTICE code=backend-lost\r\n")

    async def test_two_backends_share(self) -> None:
        """New connections go to the backend that has fewer; when one is lost the other takes all."""
        one, first_port = await self.start_backend()
        two, second_port = await self.start_backend()
        gateway = await self.start_gateway(self.gateway_settings([first_port, second_port]))
        await until(lambda: len(gateway.pool.links) == 2)
        for _ in range(4):
            await self.call(gateway)
            await until(lambda: True)
        await until(lambda: len(one.events) + len(two.events) == 4)
        self.assertEqual((len(one.take(Opened)), len(two.take(Opened))), (2, 2))
        await one.close()
        await until(lambda: len(gateway.pool.links) == 1)
        await self.call(gateway)
        await two.next(Opened)

    async def test_backend_that_leaves_gets_no_new_connections(self) -> None:
        """After INFO BYE a link carries what it has, nothing new, and closes when that is over."""
        gateway, backend = await self.start_both()
        device, link, number = await self.authenticated(gateway, backend)
        link.say(Bye("shutdown"))
        await until(lambda: not gateway.pool.links[0].accepts)
        refused = await self.call(gateway)
        await refused.is_closed()
        self.assertEqual(refused.heard, b"INFO NOTICE code=unreachable\r\n")
        link.say(DeviceLine(number, b"INFO RESULT code=00"))
        await device.hears(b"INFO RESULT code=00\r\n")
        device.transport.loseConnection()  # type: ignore[union-attr]
        await until(lambda: link not in backend.links)
        await until(lambda: backend.links)

    async def test_gateway_that_stops(self) -> None:
        """A gateway that stops says so to its devices, and closes its links in order."""
        gateway, backend = await self.start_both()
        device, _, _ = await self.authenticated(gateway, backend)
        await until(lambda: device.exported)
        await self.stop(gateway)
        await device.is_closed()
        self.assertEqual(device.heard, b"INFO NOTICE code=going-down\r\n")
        await until(lambda: not backend.links)
        self.assertEqual(backend.take(Bye), [Bye("shutdown")])

    async def test_silent_backend(self) -> None:
        """A backend that gives no sign of life for the stated time is given up."""
        gateway, backend = await self.start_both(link_changes={"keep_alive": Duration(1), "silence": Duration(2)})
        link = backend.links[0]
        await backend.next(EchoRequest)
        await until(lambda: backend.endings)
        self.assertNotIn(link, backend.links)
        self.assertEqual(gateway.running, 1)

    async def test_backend_that_does_not_introduce_itself(self) -> None:
        """A link is not up before the backend's first line, whatever TLS says."""
        backend, port = await self.start_backend()
        backend.introduces_itself = False
        gateway = await self.start_gateway(self.gateway_settings([port]), ready=False)
        await until(lambda: backend.links)
        self.assertEqual(gateway.pool.links, [])
        self.assertFalse(gateway.when_ready().called)
        refused = await self.call(gateway)
        await refused.is_closed()
        self.assertEqual(refused.heard, b"INFO NOTICE code=unreachable\r\n")
        backend.links[0].say(Hello("backend-1", "backend"))
        await until(lambda: gateway.pool.links)


class _Reader(SynchronousTestCase):
    """A link on a string transport and a fake clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        terms = LinkTerms(gateway="g", backend="b", keep_alive_seconds=15.0, silence_seconds=45.0, buffer_bytes=1 << 20)
        self.link = BackendLink(terms, self.clock)
        self.transport = _Aborting(self.link)
        self.link.makeConnection(self.transport)

    def hear(self, event: LinkEvent) -> None:
        self.link.dataReceived(format_link_line(event))

    def spoken(self) -> bytes:
        self.clock.advance(0)
        said = self.transport.value()
        self.transport.clear()
        return bytes(said)


class _Aborting(StringTransport):
    def __init__(self, link: BackendLink) -> None:
        super().__init__()
        self._link = link

    def abortConnection(self) -> None:
        self.disconnected = True
        self._link.connectionLost(Failure(ConnectionAborted()))

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802 - Twisted's name
        pass


class _Rider:
    """Notes what a link does with it."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def lines_arrived(self, lines: list[bytes]) -> None:
        self.notes.extend(lines)

    def bytes_arrived(self, data: bytes) -> None:
        self.notes.append(data)

    def admitted(self) -> None:
        self.notes.append("admitted")

    def stop_reading(self, why: object) -> None:
        self.notes.append(("stop", why))

    def read_again(self, why: object) -> None:
        self.notes.append(("again", why))

    def end(self, reason: str) -> None:
        self.notes.append(("end", reason))

    def link_lost(self) -> None:
        self.notes.append("lost")


class _Gathering(_Rider):
    """Notes which lines came together."""

    def lines_arrived(self, lines: list[bytes]) -> None:
        self.notes.append(list(lines))


class LinkTests(_Reader):
    """The gateway's end of one link, step by step."""

    def test_introduces_itself(self) -> None:
        """The first line says who the gateway is."""
        self.assertEqual(self.spoken(), b"INFO LINK name=g role=gateway version=1 max-line=16384\r\n")

    def test_up_with_first_line(self) -> None:
        """The link is up once the backend has introduced itself."""
        self.assertNoResult(self.link.up)
        self.hear(Hello("b", "backend"))
        self.assertIs(self.successResultOf(self.link.up), self.link)
        self.assertTrue(self.link.accepts)

    def test_wrong_first_line(self) -> None:
        """A peer that is no backend, speaks another version or begins otherwise is broken off."""
        for event in (Hello("b", "gateway"), Hello("b", "backend", 2), EchoAnswer(1)):
            self.setUp()
            self.hear(event)
            self.assertTrue(self.transport.disconnected)
            self.failureResultOf(self.link.up, LinkLost)
            self.flushLoggedErrors()

    def test_malformed_link_line(self) -> None:
        """A backend that speaks anything else is broken off, and its riders are told."""
        for line in (b"garbage\r\n", b"DATA LINE c=0 :x\r\n", b"INFO LINK\r\n", b"X" * 16_384):
            self.setUp()
            self.hear(Hello("b", "backend"))
            rider = _Rider()
            self.link.carry(rider, Arrival(port=Port.DEVICE, peer="192.0.2.1:1"))
            self.link.dataReceived(line)
            self.assertTrue(self.transport.disconnected, line[:20])
            self.assertEqual(rider.notes, ["lost"])

    def test_no_introduction(self) -> None:
        """A backend that stays silent after the handshake is given up after ten seconds."""
        self.clock.pump([1.0] * 11)
        self.assertTrue(self.transport.disconnected)
        self.failureResultOf(self.link.up, LinkLost)

    def test_one_write_a_turn(self) -> None:
        """However many lines are forwarded in a reactor turn, the link writes once."""
        self.hear(Hello("b", "backend"))
        rider = _Rider()
        number = self.link.carry(rider, Arrival(port=Port.DEVICE, peer="192.0.2.1:1"))
        self.spoken()
        writes: list[bytes] = []
        self.transport.write = writes.append  # type: ignore[method-assign, assignment]
        for index in range(100):
            self.link.forward_lines(number, [b"COMMAND X n=%d" % index])
        self.assertEqual(writes, [])
        self.clock.advance(0)
        self.assertEqual(len(writes), 1)
        self.assertEqual(writes[0].count(b"\r\n"), 100)

    def test_holds_riders_back(self) -> None:
        """A rider that adds to a full link is no longer read until the link has drained."""
        self.hear(Hello("b", "backend"))
        rider = _Rider()
        number = self.link.carry(rider, Arrival(port=Port.DEVICE, peer="192.0.2.1:1"))
        self.spoken()
        self.link.pauseProducing()
        line = b"A" * 8_000
        while not rider.notes:
            self.link.forward_lines(number, [line])
        self.assertLess(self.link.waiting_bytes, (1 << 20) + 9_000)
        self.assertEqual(self.spoken(), b"")
        self.link.resumeProducing()
        self.assertEqual([name for name, _ in rider.notes], ["stop", "again"])  # type: ignore[misc, has-type]
        self.assertEqual(self.link.waiting_bytes, 0)

    def test_lines_of_a_turn_go_together(self) -> None:
        """What the backend says to one device in a turn goes on in one piece, and in its place among the rest."""
        self.hear(Hello("b", "backend"))
        riders = [_Gathering(), _Gathering()]
        first, second = (self.link.carry(rider, Arrival(port=Port.DEVICE, peer="192.0.2.1:1")) for rider in riders)
        said: list[LinkEvent] = [
            DeviceLine(first, b"a"),
            DeviceLine(second, b"b"),
            DeviceLine(first, b"c"),
            Authenticated(first),
            DeviceLine(first, b"d"),
            DeviceLine(second, b"e"),
        ]
        self.link.dataReceived(b"".join(format_link_line(event) for event in said))
        self.assertEqual(riders[0].notes, [[b"a", b"c"], "admitted", [b"d"]])
        self.assertEqual(riders[1].notes, [[b"b"], [b"e"]])
        self.link.dataReceived(format_link_line(DeviceLine(first, b"f")) + b"garbage\r\n")
        self.assertEqual(riders[0].notes[3:], [[b"f"], "lost"])

    def test_numbers_are_never_used_again(self) -> None:
        """Each connection of a link has a number of its own; a link out of numbers takes no more."""
        self.hear(Hello("b", "backend"))
        arrival = Arrival(port=Port.DEVICE, peer="192.0.2.1:1")
        first = self.link.carry(_Rider(), arrival)
        self.link.drop(first, "peer")
        self.assertGreater(self.link.carry(_Rider(), arrival), first)
        self.link._last_number = MAX_CONNECTION - 1
        last = self.link.carry(_Rider(), arrival)
        self.assertEqual(last, MAX_CONNECTION)
        self.assertFalse(self.link.accepts)

    def test_unknown_connections(self) -> None:
        """Lines for connections that are over are dropped: they were under way."""
        self.hear(Hello("b", "backend"))
        self.hear(DeviceLine(7, b"INFO RESULT"))
        self.hear(Closed(7, "done"))
        self.assertTrue(self.link.accepts)

    def test_answers_echo(self) -> None:
        """The backend's COMMAND ECHO is answered with its number."""
        self.hear(Hello("b", "backend"))
        self.spoken()
        self.hear(EchoRequest(42))
        self.assertEqual(self.spoken(), b"INFO ECHO n=42\r\n")

    def test_farewells_in_slices(self) -> None:
        """A lost link tells a few hundred riders a turn, so that others are not held up."""
        self.hear(Hello("b", "backend"))
        riders = [_Rider() for _ in range(450)]
        for rider in riders:
            self.link.carry(rider, Arrival(port=Port.DEVICE, peer="192.0.2.1:1"))
        self.link.abort()
        self.assertEqual(sum(rider.notes == ["lost"] for rider in riders), 200)
        self.clock.advance(0)
        self.assertEqual(sum(rider.notes == ["lost"] for rider in riders), 450)


class AttemptsTests(SynchronousTestCase):
    """Attempts to reach a backend are spaced further and further."""

    def test_delays(self) -> None:
        """Waits double up to the limit, each shortened by a random part of at most half."""

        class Fixed:
            def __init__(self, byte: int) -> None:
                self.byte = byte

            def draw(self, count: int) -> bytes:
                return bytes([self.byte]) * count

        longest = Attempts(10.0, Fixed(255))
        self.assertEqual([longest.delay(n) for n in (1, 2, 3, 4, 7, 100_000)], [0.25, 0.5, 1.0, 2.0, 10.0, 10.0])
        shortest = Attempts(10.0, Fixed(0))
        self.assertEqual([shortest.delay(n) for n in (1, 3, 9)], [0.125, 0.5, 5.0])
