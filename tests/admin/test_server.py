"""The console over two-way TLS, ended at the backend behind the gateway's tunnel."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.admin.tunnel import ADMINS, OTHERS, EchoCore, Tunnel, Typist
from trus.admin.console import AdminIdentity
from trus.admin.server import CLOSE_SECONDS, HANDSHAKE_SECONDS, IDLE_SECONDS, READ_SECONDS, ConsoleProtocol
from trus.backend.adminstream import TunnelTransport
from trus.core.messages import AdminAnswer, AdminCommand, Answer, Request
from trus.errors import IdentityRefused
from trus.net.credentials import ChannelCredentials
from trus.values import ChannelRole

GREETING = 'INFO CONSOLE server=lunch version=1 admin=alice text="Type HELP for the commands, QUIT to leave."'


class ServerTests(SynchronousTestCase):
    """One admin at the console."""

    def setUp(self) -> None:
        self.core = EchoCore()
        self.typist = Typist()
        self.tunnel = Tunnel(self.core.submit, self.typist)
        self.tunnel.pump()

    def type(self, data: bytes) -> list[str]:
        """Type bytes and return every line on the admin's screen since."""
        shown = len(self.typist.lines())
        transport = self.typist.transport
        assert transport is not None
        transport.write(data)
        self.tunnel.pump()
        return self.typist.lines()[shown:]

    def test_an_admin_is_known_by_the_certificate(self) -> None:
        """DC-6, TR-23: two-way TLS with an individual certificate; its name and serial number reach the core."""
        self.assertEqual(self.typist.lines(), [GREETING])
        self.assertEqual(self.type(b"shops\n"), ["DATA ROW", 'INFO OK text="SHOPS by alice"'])
        [[request]] = self.core.batches
        assert isinstance(request, AdminCommand)
        self.assertEqual((request.admin, request.command), ("alice", "SHOPS"))
        self.assertTrue(int(request.serial, 16) > 0)

    def test_quitting(self) -> None:
        """QUIT is answered with BYE and the connection closes."""
        self.assertEqual(self.type(b"quit\nSHOPS\n"), ['INFO BYE text="Good bye."'])
        self.assertTrue(self.typist.over)
        self.assertEqual(self.core.batches, [])
        self.assertEqual(self.tunnel.clock.getDelayedCalls(), [])

    def test_many_lines_in_few_batches(self) -> None:
        """Pipelined lines share batches, at most eight, and are answered in order."""
        said = self.type(b"".join(b"SHOPS limit=%d\n" % number for number in range(1, 31)))
        rows = [line for line in said if line.startswith("DATA")]
        self.assertEqual(rows, [f"DATA ROW limit={number}" for number in range(1, 31)])
        self.assertEqual([len(batch) for batch in self.core.batches], [8, 8, 8, 6])

    def test_a_core_that_answers_at_once(self) -> None:
        """Thousands of lines at once are answered by a core of this very process without exhausting the stack."""
        said = self.type(b"DAY\n" * 5000)
        self.assertEqual(len(said), 10_000)

    def test_silence_logs_an_admin_out(self) -> None:
        """An admin who says nothing for fifteen minutes is told so and logged out."""
        self.tunnel.clock.advance(IDLE_SECONDS - 1)
        self.type(b"SHOPS\n")
        self.tunnel.clock.advance(IDLE_SECONDS - 1)
        self.tunnel.pump()
        self.assertFalse(self.typist.over)
        self.tunnel.clock.advance(1)
        self.tunnel.pump()
        self.assertEqual(self.typist.lines()[-1], 'INFO BYE text="Nothing was said for too long."')
        self.assertTrue(self.typist.over)

    def test_a_long_command_is_not_silence(self) -> None:
        """While the core works, an admin is waited for, not logged out; the idle time starts at the answer."""
        self.core.silent = []
        self.assertEqual(self.type(b"SHOPS\n"), [])
        self.tunnel.clock.advance(IDLE_SECONDS * 2)
        [waiting] = self.core.silent
        waiting.callback([AdminAnswer("00", "at last")])
        self.tunnel.pump()
        self.assertEqual(self.typist.lines()[-1], 'INFO OK text="at last"')
        self.assertFalse(self.typist.over)

    def test_an_admin_who_does_not_read_is_cut_off(self) -> None:
        """Lines of an admin who does not read are not carried out, and after a minute the connection ends."""
        self.tunnel.reads = False
        transport = self.typist.transport
        assert transport is not None
        self.tunnel.server.transport.pause()
        transport.write(b"SHOPS\n" * 20_000)
        self.tunnel.pump()
        carried = sum(len(batch) for batch in self.core.batches)
        self.assertLess(carried, 20_000 / 2)
        self.assertTrue(self.tunnel.server.held)
        self.tunnel.clock.advance(READ_SECONDS)
        self.assertEqual(self.tunnel.server.closed, "aborted")

    def test_an_admin_who_reads_again_gets_everything(self) -> None:
        """When a slow admin reads again, every line is answered, in order."""
        transport = self.typist.transport
        assert transport is not None
        self.tunnel.server.transport.pause()
        transport.write(b"".join(b"SHOPS limit=%d\n" % (number % 500 + 1) for number in range(1000)))
        self.tunnel.pump()
        self.tunnel.clock.advance(READ_SECONDS - 1)
        self.tunnel.server.transport.resume()
        self.tunnel.pump()
        rows = [line for line in self.typist.lines() if line.startswith("DATA")]
        self.assertEqual(rows, [f"DATA ROW limit={number % 500 + 1}" for number in range(1000)])

    def test_the_backend_stops(self) -> None:
        """When the backend stops, admins are told so."""
        self.tunnel.consoles.shut_down()
        self.tunnel.pump()
        self.assertEqual(self.typist.lines()[-1], 'INFO BYE text="The console is closing."')
        self.assertTrue(self.typist.over)

    def test_an_answer_for_an_admin_who_left(self) -> None:
        """An admin who leaves while the core works disturbs nobody."""
        self.core.silent = []
        self.type(b"SHOPS\n")
        transport = self.typist.transport
        assert transport is not None
        transport.abortConnection()
        self.tunnel.pump()
        self.assertIsNotNone(self.tunnel.server.closed)
        [waiting] = self.core.silent
        waiting.callback([AdminAnswer("00", "unheard")])
        self.assertEqual(self.tunnel.clock.getDelayedCalls(), [])

    def test_a_peer_that_does_not_hang_up(self) -> None:
        """After BYE the connection ends even when the peer keeps it open."""
        self.tunnel.reads = False
        transport = self.typist.transport
        assert transport is not None
        transport.write(b"QUIT\n")
        self.tunnel.pump()
        self.tunnel.clock.advance(CLOSE_SECONDS)
        self.assertIsNotNone(self.tunnel.server.closed)


class RefusalTests(SynchronousTestCase):
    """Who never gets a console."""

    def refused(self, credentials: ChannelCredentials) -> None:
        core, typist = EchoCore(), Typist()
        tunnel = Tunnel(core.submit, typist, credentials=credentials)
        tunnel.pump()
        if typist.transport is not None and not typist.over:
            typist.transport.write(b"SHOPS\n")
            tunnel.pump()
        self.assertEqual((typist.received, core.batches), (b"", []))
        self.assertIsNotNone(tunnel.server.closed)

    def test_other_certificates(self) -> None:
        """TR-23: foreign admins, and certificates of devices or of the gateway, get no console and no word."""
        self.refused(OTHERS.issue(ChannelRole.ADMIN, name="alice"))
        for role in (ChannelRole.POS, ChannelRole.GATEWAY, ChannelRole.WEBSITE):
            self.refused(ADMINS.issue(role, name="alice"))

    def test_a_handshake_that_never_ends(self) -> None:
        """A peer that does not finish its handshake is cut off after half a minute."""
        core, typist = EchoCore(), Typist()
        clock = Clock()
        tunnel = Tunnel(core.submit, typist, clock=clock)
        clock.advance(HANDSHAKE_SECONDS)
        self.assertEqual(tunnel.server.closed, "aborted")

    def test_a_peer_whom_nobody_can_name(self) -> None:
        """A verified certificate that names nobody gets no console, and neither does talk before the handshake."""

        def nobody(transport: object) -> AdminIdentity:
            raise IdentityRefused("no-name")

        for early in (False, True):
            closed: list[str] = []
            console = ConsoleProtocol(EchoCore().submit, nobody, Clock())
            transport = TunnelTransport("192.0.2.7:1", closed.append, closed.append, lambda _: None)  # type: ignore[arg-type]
            console.makeConnection(transport)
            if early:
                console.dataReceived(b"SHOPS\n")
            else:
                console.handshakeCompleted()
            self.assertEqual(closed, ["aborted"])
            console.connectionLost()

    def test_the_backend_stops_during_a_handshake(self) -> None:
        """When the backend stops, a peer that is still in its handshake is cut off."""
        core, typist = EchoCore(), Typist()
        tunnel = Tunnel(core.submit, typist)
        tunnel.consoles.shut_down()
        self.assertEqual(tunnel.server.closed, "aborted")

    def test_a_core_that_breaks_its_promise(self) -> None:
        """A core port that fails ends the session and is on the operator's log."""

        def submit(batch: list[Request]) -> Deferred[list[Answer]]:
            return fail(RuntimeError("broken"))

        typist = Typist()
        tunnel = Tunnel(submit, typist)
        tunnel.pump()
        assert typist.transport is not None
        typist.transport.write(b"SHOPS\n")
        tunnel.pump()
        self.assertEqual(tunnel.server.closed, "aborted")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
