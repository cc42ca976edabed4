"""Programs that give commands: pipelined, in order, and told when the console is gone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocolFactory, IReactorTCP, IReactorTime, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from tests.admin.tunnel import ADMINS, ALICE, BACKEND, OTHERS, EchoCore, Tunnel, identify
from trus.admin.client import ANSWER_SECONDS, GREETING_SECONDS, AdminClient, AdminReply, ConsoleGone, _ClientProtocol
from trus.admin.server import ConsoleFactory
from trus.core.messages import AdminAnswer
from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.credentials import ChannelCredentials
from trus.protocol.errors import LocalProtocolError
from trus.values import ChannelRole


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """Connects through a tunnel in memory."""

    def __init__(self, core: EchoCore) -> None:
        self.core = core
        self.clock = Clock()
        self.tunnel: Tunnel | None = None

    def connect(self, factory: IProtocolFactory) -> Deferred[Protocol]:
        protocol = cast("Protocol", factory.buildProtocol(None))
        self.tunnel = Tunnel(self.core.submit, protocol, clock=self.clock)
        return succeed(protocol)


class ClientTests(SynchronousTestCase):
    """The client over TLS in memory."""

    def setUp(self) -> None:
        self.core = EchoCore()
        self.endpoint = TunnelEndpoint(self.core)
        connecting = ensureDeferred(AdminClient.connect(self.endpoint, self.endpoint.clock))
        assert self.endpoint.tunnel is not None
        self.tunnel = self.endpoint.tunnel
        self.tunnel.pump()
        self.client = self.successResultOf(connecting)

    def reply(self, asked: Deferred[AdminReply]) -> AdminReply:
        self.tunnel.pump()
        return self.successResultOf(asked)

    def test_the_greeting_says_that_the_admin_was_let_in(self) -> None:
        """A client is connected when the server has greeted it by name, not when its own handshake is done."""
        self.assertEqual((self.client.greeting["admin"], self.client.greeting["server"]), ("alice", "lunch"))

    def test_rows_and_text(self) -> None:
        """A reply holds rows of named values, whether it was done, the code and the sentence."""
        asked = ensureDeferred(
            self.client.command("POLICY-SET", company="ACME", valid_from="2026-12-01", daily_count=3)
        )
        reply = self.reply(asked)
        self.assertEqual((reply.ok, reply.code, reply.text), (True, "00", "POLICY-SET by alice"))
        self.assertEqual(reply.rows, [{"company": "ACME", "valid-from": "2026-12-01", "daily-count": "3"}])

    def test_a_refusal_is_a_reply(self) -> None:
        """A refused command is a reply with its code, not an exception."""
        reply = self.reply(self.client.line("company-add"))
        self.assertEqual((reply.ok, reply.code, reply.rows), (False, "30", []))

    def test_names_of_every_script(self) -> None:
        """Names travel unharmed in every script, with quotes and backslashes."""
        name = 'Şükrü "Çiğ" O\\Neil 王小明 علي'
        asked = ensureDeferred(self.client.command("COMPANY-ADD", id="A", name=name))
        self.assertEqual(self.reply(asked).rows[0]["name"], name)

    def test_thousands_of_commands_at_once(self) -> None:
        """Thousands of pipelined commands are all answered, in their order, with bounded memory on both sides."""
        commands = [("SHOPS", {"after": f"S{number}"}) for number in range(3000)]
        asked = ensureDeferred(self.client.orders(commands))
        self.tunnel.pump()
        replies = self.successResultOf(asked)
        self.assertEqual([reply.rows[0]["after"] for reply in replies], [f"S{number}" for number in range(3000)])

    def test_a_reply_hides_its_rows(self) -> None:
        """An activation code in a reply is in no log: the repr shows no row."""
        reply = AdminReply([{"activation-code": "K7PQ"}], True, "00", "shown once")
        self.assertEqual((repr(reply), f"{reply}"), ("<AdminReply redacted>", "<AdminReply redacted>"))

    def test_closing(self) -> None:
        """Closing says good bye, and the connection ends on both sides."""
        closing = ensureDeferred(self.client.close())
        self.tunnel.pump()
        self.successResultOf(closing)
        self.failureResultOf(self.client.line("SHOPS"), ConsoleGone)
        self.assertEqual(self.tunnel.clock.getDelayedCalls(), [])

    def test_a_lost_connection_fails_what_waits(self) -> None:
        """Commands without a reply fail when the console goes: they may have been done or not."""
        self.core.silent = []
        waiting = self.client.line("SHOPS")
        self.tunnel.pump()
        self.tunnel.consoles.shut_down()
        self.tunnel.pump()
        failure = self.failureResultOf(waiting, ConsoleGone)
        self.assertIn("The console is closing.", str(failure.value))

    def test_a_silent_console(self) -> None:
        """A console that does not answer in time is given up."""
        self.core.silent = []
        waiting = self.client.line("SHOPS")
        self.tunnel.pump()
        self.tunnel.clock.advance(ANSWER_SECONDS)
        self.tunnel.pump()
        self.failureResultOf(waiting, ConsoleGone)
        for late in self.core.silent:
            late.callback([AdminAnswer("00", "late")])

    def test_a_server_that_never_greets(self) -> None:
        """A server that says nothing after the handshake is given up."""
        endpoint = TunnelEndpoint(EchoCore())
        connecting = ensureDeferred(AdminClient.connect(endpoint, endpoint.clock))
        endpoint.clock.advance(GREETING_SECONDS)
        assert endpoint.tunnel is not None
        endpoint.tunnel.pump()
        self.failureResultOf(connecting, ConsoleGone)

    def test_what_cannot_be_one_command(self) -> None:
        """Blank lines, several lines and characters that no line may carry are refused before they are sent."""
        for line in ("", "  ", "SHOPS\nQUIT", "SHOPS\r"):
            self.assertRaises(LocalProtocolError, self.client.line, line)
        self.assertRaises(LocalProtocolError, self.client.order, "COMPANY-ADD", {"name": "a\u202eb"})
        self.assertRaises(LocalProtocolError, self.client.order, "COMPANY ADD", {})


class StrangeServerTests(SynchronousTestCase):
    """A server that is no console."""

    def test_it_is_given_up(self) -> None:
        """Rows before a greeting, outcomes that nobody asked for and unreadable lines end the connection."""
        for said in (b"HTTP/1.1 400 Bad Request\r\n", b"INFO OK text=x\r\nDATA OTHER\r\n", b"COMMAND SHOPS\r\n"):
            protocol = _ClientProtocol(Clock())
            protocol.makeConnection(cast("ITransport", _Plain(protocol)))
            greeting = protocol.greeting
            protocol.dataReceived(said)
            self.failureResultOf(greeting, ConsoleGone)


class _Plain:
    """A transport that only closes."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is said to a server that is no console")

    def abortConnection(self) -> None:
        self._protocol.connectionLost()

    loseConnection = abortConnection


class SocketTests(TestCase):
    """The console over sockets of the loopback interface."""

    def setUp(self) -> None:
        clock = cast("IReactorTime", global_reactor)
        self.core = EchoCore()
        self.consoles = ConsoleFactory(self.core.submit, identify, clock, server="lunch")
        channel = ServerChannel(BACKEND, [ChannelRole.ADMIN], anchors=[ADMINS.certificate])
        port = cast("IReactorTCP", global_reactor).listenTCP(
            0, channel.wrap(self.consoles, clock), interface="127.0.0.1"
        )
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port

    def endpoint(self, credentials: ChannelCredentials = ALICE) -> IStreamClientEndpoint:
        channel = ClientChannel(credentials, ChannelRole.BACKEND, "backend.test", anchors=[ADMINS.certificate])
        return wrapClientTLS(channel, TCP4ClientEndpoint(global_reactor, "127.0.0.1", self.port))

    def s_client(self, openssl: str) -> list[str]:
        """Return the command of a person with an admin's certificate in PEM files."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "admin.pem").write_bytes(
            ALICE.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + ALICE.chain[0].public_bytes(Encoding.PEM)
        )
        (folder / "ca.pem").write_bytes(ADMINS.certificate.public_bytes(Encoding.PEM))
        return [
            openssl, "s_client", "-quiet", "-verify_quiet", "-verify_return_error",
            "-connect", f"127.0.0.1:{self.port}",
            "-cert", str(folder / "admin.pem"), "-key", str(folder / "admin.pem"), "-CAfile", str(folder / "ca.pem"),
        ]  # fmt: skip

    async def test_the_client_over_sockets(self) -> None:
        """DC-6: a program gives commands over two-way TLS, hundreds at once."""
        client = await AdminClient.connect(self.endpoint(), cast("IReactorTime", global_reactor))
        replies = await client.orders([("SHOPS", {"limit": str(number)}) for number in range(1, 301)])
        self.assertEqual([reply.rows[0]["limit"] for reply in replies], [str(number) for number in range(1, 301)])
        await client.close()

    async def test_a_foreign_admin_over_sockets(self) -> None:
        """TR-23: the client of a foreign admin is refused, although its own half of the handshake succeeds."""
        connecting = AdminClient.connect(
            self.endpoint(OTHERS.issue(ChannelRole.ADMIN, name="alice")), cast("IReactorTime", global_reactor)
        )
        await self.assertFailure(ensureDeferred(connecting), ConsoleGone)
        self.assertEqual(self.core.batches, [])

    async def test_openssl_is_enough(self) -> None:
        """DC-6: a person reaches the console with `openssl s_client -quiet` and types plain lines."""
        openssl = shutil.which("openssl")
        if openssl is None:
            raise AssertionError("this test needs the openssl program, as the installation guide says")
        command = self.s_client(openssl)

        def run() -> str:
            typed = b'help shops\nshop-add s1 "Chez Paul" 5812\nquit\n'
            return subprocess.run(command, input=typed, capture_output=True, timeout=20, check=False).stdout.decode()

        said = await deferToThread(run)
        while self.consoles.connections:
            await deferLater(cast("IReactorTime", global_reactor), 0.01)
        self.assertRegex(said, r"\AINFO CONSOLE server=lunch version=1 admin=alice ")
        self.assertIn('DATA ROW id=S1 name="Chez Paul" mcc=5812\r\nINFO OK text="SHOP-ADD by alice"\r\n', said)
        self.assertTrue(re.search(r'INFO BYE text="Good bye."\r\n\Z', said), said)
