"""A flood costs little, ends at a limit, and leaves the others alone (TR-12)."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEventAsClassicLogText, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway.deployment import OPENING_LINE, SEALED_LINE, GatewayCase, until
from trus.gateway.tally import LineDigest, Tally
from trus.protocol.link import Authenticated, Closed, DeviceLine, Opened
from trus.protocol.states import MAX_OPENING_LINES
from trus.settings import AdminPortSettings, Duration


class ConnectionFloodTests(GatewayCase):
    """More connections than allowed."""

    async def test_rate_of_one_source(self) -> None:
        """TR-12: after its burst a source is closed before a handshake, without a word."""
        gateway, backend = await self.start_both(screening_changes={"handshake_burst": 5, "handshakes_per_second": 1})
        callers = [await self.connect(gateway.device_address) for _ in range(12)]
        await until(lambda: sum(caller.lost is not None for caller in callers) == 7)
        self.assertEqual({caller.heard for caller in callers}, {b""})
        self.assertEqual(backend.events, [])

    async def test_number_of_one_source(self) -> None:
        """TR-12: a source holds no more than its share, and gets a place back when it hangs up."""
        gateway, backend = await self.start_both(screening_changes={"max_per_address": 3, "max_connections": 10})
        devices = [await self.call(gateway) for _ in range(3)]
        await until(lambda: len(backend.events) == 3)
        refused = await self.call(gateway)
        await refused.is_closed()
        devices[0].transport.loseConnection()  # type: ignore[union-attr]
        await backend.next(Closed)
        await self.call(gateway)
        await until(lambda: len(backend.events) == 4)
        self.assertEqual(len(backend.take(Opened)), 4)

    async def test_denied_source(self) -> None:
        """TR-12: a source outside the list is closed at once."""
        gateway, backend = await self.start_both(screening_changes={"deny": (ip_network("127.0.0.0/8"),)})
        refused = await self.call(gateway)
        await refused.is_closed()
        self.assertEqual((refused.heard, backend.events), (b"", []))

    async def test_admin_port(self) -> None:
        """TR-12: the admin port has its own list and number."""
        gateway, backend = await self.start_both(admin=AdminPortSettings(port=0, max_connections=2))
        for _ in range(2):
            await self.connect(gateway.admin_address)
        await until(lambda: len(backend.events) == 2)
        refused = await self.connect(gateway.admin_address)
        await refused.is_closed()
        self.assertEqual(len(backend.events), 2)

    async def test_log_stays_small(self) -> None:
        """A thousand refused connections make two lines in the log, not a thousand."""
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        gateway, _ = await self.start_both(screening_changes={"handshake_burst": 1, "handshakes_per_second": 1})
        for _ in range(50):
            caller = await self.connect(gateway.device_address)
        await caller.is_closed()
        await self.stop(gateway)
        lines = [formatEventAsClassicLogText(event) or "" for event in events]
        about = [line for line in lines if "too-fast" in line]
        self.assertEqual(len(about), 2)
        self.assertRegex(about[1], r"too-fast 4[0-9] times more, last from 127\.0\.0\.1")


class SlownessTests(GatewayCase):
    """Connections that only take up room."""

    async def test_handshake_deadline(self) -> None:
        """A caller that connects and says nothing is cut off at the handshake's deadline."""
        gateway, backend = await self.start_both(screening_changes={"handshake_deadline": Duration(0.2)})
        caller = await self.connect(gateway.device_address)
        await caller.is_closed()
        self.assertEqual(backend.events, [])

    async def test_no_session_in_time(self) -> None:
        """A device that does not authenticate in time is told so and closed, though it talks."""
        gateway, backend = await self.start_both(screening_changes={"opening_deadline": Duration(1)})
        device = await self.call(gateway)
        while device.lost is None:
            device.say(OPENING_LINE + b"\r\n")
            for _ in range(30):
                await self.pause()
        self.assertEqual(device.heard, b"INFO ERROR code=timeout\r\n")
        self.assertEqual((await backend.next(Closed)).reason, "timeout")

    async def test_handshakes_without_end(self) -> None:
        """TR-12: a device that begins handshake after handshake is cut off; the backend has had few of them."""
        gateway, backend = await self.start_both()
        device = await self.call(gateway)
        device.say((OPENING_LINE + b"\r\n") * (MAX_OPENING_LINES + 10))
        await device.is_closed()
        self.assertEqual(device.heard, b"INFO ERROR code=too-many\r\n")
        self.assertEqual((await backend.next(Closed)).reason, "too-many")
        self.assertEqual(len(backend.take(DeviceLine)), MAX_OPENING_LINES)

    async def test_idle_device(self) -> None:
        """A device that says nothing for the stated time hears INFO BYE and is closed."""
        gateway, backend = await self.start_both(screening_changes={"idle_timeout": Duration(1)})
        device, _, number = await self.authenticated(gateway, backend)
        await device.is_closed()
        self.assertEqual(device.heard, b"INFO BYE reason=idle\r\n")
        self.assertEqual(await backend.next(Closed), Closed(number, "idle"))

    async def test_admin_not_admitted_in_time(self) -> None:
        """An admin connection that does not get through its handshake is cut off."""
        gateway, backend = await self.start_both(admin=AdminPortSettings(port=0, opening_deadline=Duration(0.2)))
        lazy = await self.connect(gateway.admin_address)
        _, opened = await backend.opened()
        await lazy.is_closed()
        self.assertEqual(await backend.next(Closed), Closed(opened.connection, "not-admitted"))

    async def test_admitted_admin_stays(self) -> None:
        """An admin whom the backend has admitted is not cut off by that deadline."""
        gateway, backend = await self.start_both(admin=AdminPortSettings(port=0, opening_deadline=Duration(0.2)))
        admin = await self.connect(gateway.admin_address)
        link, opened = await backend.opened()
        link.say(Authenticated(opened.connection))
        for _ in range(100):
            await self.pause()
        self.assertIsNone(admin.lost)

    async def test_idle_admin(self) -> None:
        """An admin's connection without a byte in either direction is cut off."""
        gateway, backend = await self.start_both(admin=AdminPortSettings(port=0, idle_timeout=Duration(0.2)))
        admin = await self.connect(gateway.admin_address)
        _, opened = await backend.opened()
        await admin.is_closed()
        self.assertEqual(await backend.next(Closed), Closed(opened.connection, "idle"))


class LineFloodTests(GatewayCase):
    """An authenticated device that sends more than its allowance."""

    async def test_pace(self) -> None:
        """Lines beyond the allowance are read more slowly; none is lost, the connection stays."""
        gateway, backend = await self.start_both(screening_changes={"lines_per_second": 200, "line_burst": 20})
        device, link, number = await self.authenticated(gateway, backend)
        link.say(DeviceLine(number, b"INFO go=on"))
        await device.hears(b"INFO go=on")
        started = reactor.seconds()  # type: ignore[attr-defined]
        for _ in range(200):
            device.say(SEALED_LINE + b"\r\n")
        received = 0
        while received < 200:
            received += len(backend.take(DeviceLine))
            await self.pause()
        self.assertGreater(reactor.seconds() - started, 0.5)
        self.assertIsNone(device.lost)
        self.assertEqual(device.heard.count(b"INFO NOTICE code=slow-down\r\n"), 1)


class TallyTests(SynchronousTestCase):
    """What happens often is logged seldom."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tally = Tally(self.clock)
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self) -> list[str]:
        return [str(event.get("log_format")).format(**event) for event in self.events]

    def test_first_at_once_then_together(self) -> None:
        """The first event of a kind is logged at once, the others once in ten seconds."""
        for host in range(5):
            self.tally.note("too-fast", f"192.0.2.{host}")
        self.assertEqual(self.lines(), ["too-fast from 192.0.2.0"])
        self.clock.advance(10)
        self.assertEqual(self.lines()[1:], ["too-fast 4 times more, last from 192.0.2.4"])
        self.tally.note("too-fast", "192.0.2.9")
        self.assertEqual(self.lines()[2:], ["too-fast from 192.0.2.9"])
        self.assertEqual(self.tally.counts["too-fast"], 6)

    def test_close(self) -> None:
        """At the end what was held back is logged, and no clock runs on."""
        self.tally.note("a", "192.0.2.1")
        self.tally.note("a", "192.0.2.2")
        self.tally.close()
        self.assertEqual(len(self.lines()), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_digest(self) -> None:
        """A line's digest depends on the process's key, and is the same for the same line."""
        one, two = LineDigest(b"1" * 16), LineDigest(b"2" * 16)
        self.assertEqual(one.of(b"1234"), one.of(b"1234"))
        self.assertNotEqual(one.of(b"1234"), two.of(b"1234"))
        self.assertRegex(one.of(b"1234"), r"\A4 bytes, digest [0-9a-f]{16}\Z")
