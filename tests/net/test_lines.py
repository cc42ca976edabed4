"""How fast a peer is listened to, and when it is given up."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.net.authority import Authority
from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.protocol.buffer import LineBuffer
from trus.protocol.errors import RemoteProtocolError
from trus.values import ChannelRole

LIMITS = LineLimits(handshake_seconds=10, idle_seconds=60, write_seconds=20, closing_seconds=5, lines_per_turn=4)


class Listener(LineProtocol):
    """Keeps every turn's lines and the ending."""

    def __init__(self, clock: Any, limits: LineLimits = LIMITS) -> None:
        super().__init__(clock, LineBuffer(64), limits)
        self.turns: list[list[bytes]] = []
        self.openings = 0
        self.endings: list[Ending] = []
        self.refusals: list[RemoteProtocolError] = []
        self.gone: Deferred[None] = Deferred()

    def opened(self) -> None:
        self.openings += 1

    def lines_received(self, lines: list[bytes]) -> None:
        self.turns.append(lines)

    def line_refused(self, error: RemoteProtocolError) -> None:
        self.refusals.append(error)
        super().line_refused(error)

    def closed(self, ending: Ending, reason: Failure) -> None:
        self.endings.append(ending)
        self.gone.callback(None)


class Hanging(StringTransport):
    """A transport that says how it was ended, and ends only when told."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class LinesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lines = Listener(self.clock)
        self.transport = Hanging()
        self.lines.makeConnection(self.transport)

    def lose(self) -> None:
        self.lines.connectionLost(Failure(connectionDone.value))


class DeliveryTests(LinesCase):
    def test_lines_of_one_read(self) -> None:
        """All lines of one read come together, in order, half a line with its other half."""
        self.lines.dataReceived(b"one\r\ntwo\r\nth")
        self.lines.dataReceived(b"ree\r\n")
        self.assertEqual(self.lines.turns, [[b"one", b"two"], [b"three"]])

    def test_turn_is_limited(self) -> None:
        """A flood of lines is cut into turns, and nothing is read meanwhile; none is lost."""
        self.lines.dataReceived(b"".join(b"%d\r\n" % number for number in range(10)))
        self.assertEqual([len(turn) for turn in self.lines.turns], [4])
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(0)
        self.assertEqual([len(turn) for turn in self.lines.turns], [4, 4, 2])
        self.assertEqual([line for turn in self.lines.turns for line in turn], [b"%d" % number for number in range(10)])
        self.assertEqual(self.transport.producerState, "producing")

    def test_exactly_one_turn(self) -> None:
        """A read that fills one turn exactly pauses nothing."""
        self.lines.dataReceived(b"x\r\n" * 4)
        self.assertEqual(self.lines.turns, [[b"x"] * 4])
        self.assertEqual(self.transport.producerState, "producing")

    def test_busy_consumer(self) -> None:
        """While whoever takes the lines is busy, nothing is delivered or read; afterwards everything is."""
        self.lines.hold()
        self.lines.dataReceived(b"one\r\ntwo\r\n")
        self.assertEqual(self.lines.turns, [])
        self.assertEqual(self.transport.producerState, "paused")
        self.lines.release()
        self.assertEqual(self.lines.turns, [])
        self.clock.advance(0)
        self.assertEqual(self.lines.turns, [[b"one", b"two"]])
        self.assertEqual(self.transport.producerState, "producing")

    def test_release_inside_delivery(self) -> None:
        """A consumer may hold and release while it takes lines; order is kept."""
        received: list[list[bytes]] = []

        def take(lines: list[bytes]) -> None:
            received.append(lines)
            self.lines.hold()
            self.lines.release()

        self.patch(self.lines, "lines_received", take)
        self.lines.dataReceived(b"".join(b"%d\r\n" % number for number in range(6)))
        self.clock.pump([0] * 4)
        self.assertEqual(received, [[b"0", b"1", b"2", b"3"], [b"4", b"5"]])
        self.assertEqual(self.transport.producerState, "producing")

    def test_lines_before_a_broken_one(self) -> None:
        """Lines before one that is too long are delivered; then the connection is closed, the rest unread."""
        self.lines.dataReceived(b"good\r\n" + b"x" * 100 + b"\r\nmore\r\n")
        self.assertEqual(self.lines.turns, [[b"good"]])
        self.assertEqual(len(self.lines.refusals), 1)
        self.assertTrue(self.transport.disconnecting)
        self.lines.dataReceived(b"even more\r\n")
        self.lose()
        self.assertEqual(self.lines.turns, [[b"good"]])
        self.assertEqual(self.lines.endings, [Ending.PROTOCOL])

    def test_fault_in_a_later_turn(self) -> None:
        """A fault of ours in a later turn ends the connection instead of leaving it deaf."""

        def take(lines: list[bytes]) -> None:
            if b"4" in lines:
                raise ZeroDivisionError

        self.patch(self.lines, "lines_received", take)
        self.lines.dataReceived(b"".join(b"%d\r\n" % number for number in range(6)))
        self.assertRaises(ZeroDivisionError, self.clock.advance, 0)
        self.assertTrue(self.transport.aborted)
        self.lose()
        self.assertEqual(self.lines.endings, [Ending.FAULT])

    def test_sending(self) -> None:
        """Lines go out with CR LF, several in one write; after the ending nothing does."""
        self.lines.send(b"one")
        self.lines.send_lines([b"two", b"three"])
        self.lines.send_lines([])
        self.lines.hang_up()
        self.lines.send(b"late")
        self.lines.send_lines([b"later"])
        self.assertEqual(self.transport.value(), b"one\r\ntwo\r\nthree\r\n")


class AbandonedTests(SynchronousTestCase):
    def test_before_the_connection(self) -> None:
        """Talking to a connection that does not exist yet does nothing."""
        lines = Listener(Clock())
        lines.send(b"x")
        lines.send_lines([b"x"])
        lines.hang_up()
        lines.hold()
        lines.release()
        self.assertFalse(lines.is_open)

    def test_aborted_at_once(self) -> None:
        """A connection aborted before its bytes were looked at delivers nothing, now or later."""
        clock, transport = Clock(), Hanging()
        lines = Listener(clock)
        lines.makeConnection(transport)
        lines.dataReceived(b"x\r\n" * 6)
        lines.abort()
        clock.pump([0, 60, 60])
        lines.connectionLost(Failure(connectionDone.value))
        self.assertEqual(lines.turns, [[b"x"] * 4])
        self.assertEqual(lines.endings, [Ending.LOCAL])
        self.assertEqual(clock.getDelayedCalls(), [])


class PatienceTests(LinesCase):
    def test_silence(self) -> None:
        """A peer that says nothing for the idle time is hung up on."""
        self.clock.advance(59)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnecting)
        self.lose()
        self.assertEqual(self.lines.endings, [Ending.IDLE_TIMEOUT])

    def test_lines_keep_it_alive(self) -> None:
        """Complete lines keep a connection alive."""
        for _ in range(5):
            self.clock.advance(40)
            self.lines.dataReceived(b"here\r\n")
        self.assertFalse(self.transport.disconnecting)

    def test_half_a_line_is_silence(self) -> None:
        """A peer that drips bytes without ever completing a line is hung up on all the same."""
        for _ in range(12):
            self.clock.advance(5)
            self.lines.dataReceived(b"x")
        self.assertTrue(self.transport.disconnecting)

    def test_our_own_silence(self) -> None:
        """A peer is not blamed for silence while we do not read."""
        self.lines.hold()
        self.clock.advance(300)
        self.lines.release()
        self.clock.advance(59)
        self.assertFalse(self.transport.disconnecting)
        self.clock.pump([61, 61])
        self.assertTrue(self.transport.disconnecting)

    def test_other_patience(self) -> None:
        """The idle time can be changed while the connection lives."""
        self.clock.advance(30)
        self.lines.allow_silence(5)
        self.clock.advance(4)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnecting)

    def test_peer_does_not_read(self) -> None:
        """A peer that does not read its answers is not read either, and cut off after the deadline."""
        self.lines.pauseProducing()
        self.assertTrue(self.lines.peer_is_slow)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(19)
        self.assertFalse(self.transport.aborted)
        self.clock.advance(1)
        self.assertTrue(self.transport.aborted)
        self.lose()
        self.assertEqual(self.lines.endings, [Ending.NOT_READING])

    def test_peer_reads_again(self) -> None:
        """A peer that reads again in time is heard again, what it said meanwhile included."""
        self.lines.pauseProducing()
        self.lines.dataReceived(b"meanwhile\r\n")
        self.clock.advance(19)
        self.lines.resumeProducing()
        self.clock.advance(19)
        self.assertEqual(self.lines.turns, [[b"meanwhile"]])
        self.assertFalse(self.transport.aborted)
        self.assertFalse(self.lines.peer_is_slow)
        self.assertEqual(self.transport.producerState, "producing")

    def test_two_reasons_to_wait(self) -> None:
        """With two reasons not to read, both must go before reading goes on."""
        self.lines.hold()
        self.lines.pauseProducing()
        self.lines.release()
        self.assertEqual(self.transport.producerState, "paused")
        self.lines.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")

    def test_peer_does_not_hang_up(self) -> None:
        """A peer that does not follow when we hang up is cut off."""
        self.lines.hold()
        self.lines.hang_up()
        self.assertEqual(self.transport.producerState, "producing")
        self.clock.advance(5)
        self.assertTrue(self.transport.aborted)
        self.lines.hang_up()
        self.lose()
        self.assertEqual(self.lines.endings, [Ending.LOCAL])

    def test_nothing_ticks_afterwards(self) -> None:
        """A lost connection leaves no clock running, whatever was under way."""
        self.lines.pauseProducing()
        self.lines.dataReceived(b"x\r\n" * 6)
        self.lines.resumeProducing()
        self.lines.pauseProducing()
        self.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lines.endings, [Ending.PEER])
        self.assertFalse(self.lines.is_open)


AUTHORITY = Authority()
GATEWAY = AUTHORITY.issue(ChannelRole.GATEWAY, hosts=["gateway.test"])
POS = AUTHORITY.issue(ChannelRole.POS)


class Glutton(TwistedProtocol):
    """Sends without end and never reads."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.pauseProducing()  # type: ignore[attr-defined]


class Answering(Listener):
    """Answers every line with a long one."""

    def lines_received(self, lines: list[bytes]) -> None:
        self.turns.append(lines)
        self.send_lines([b"y" * 60_000 for _ in lines])


class Once(Factory):
    """Builds one prepared protocol."""

    noisy = False

    def __init__(self, protocol: TwistedProtocol) -> None:
        self.prepared = protocol

    def buildProtocol(self, addr: IAddress | None) -> TwistedProtocol:
        return self.prepared


class SocketTests(TestCase):
    @inlineCallbacks
    def connect(self, server: LineProtocol, client: TwistedProtocol, *, tls: bool) -> Generator[Any, Any, None]:
        """Connect the two over loopback, over a real channel or in the clear."""
        accepting: Any = Once(server)
        calling: Any = Once(client)
        if tls:
            accepting = ServerChannel(GATEWAY, {ChannelRole.POS}).wrap(accepting, reactor)
        port = yield TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(accepting)
        self.addCleanup(port.stopListening)
        if tls and not isinstance(client, Glutton):
            calling = ClientChannel(POS, ChannelRole.GATEWAY, "gateway.test").wrap(calling, reactor)
        yield TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port).connect(calling)

    @inlineCallbacks
    def test_lines_through_a_channel(self) -> Generator[Any, Any, None]:
        """Lines cross a TLS channel, and both sides open once the handshake is complete."""
        server, client = Listener(reactor), Listener(reactor)
        heard: Deferred[None] = Deferred()
        self.patch(server, "lines_received", lambda lines: heard.callback(lines))
        self.patch(client, "opened", lambda: client.send(b"hello"))
        yield self.connect(server, client, tls=True)
        lines = yield heard
        self.assertEqual(lines, [b"hello"])
        self.assertEqual(server.openings, 1)
        server.hang_up()
        yield server.gone
        yield client.gone
        self.assertEqual((server.endings, client.endings), ([Ending.LOCAL], [Ending.PEER]))

    @inlineCallbacks
    def test_no_handshake(self) -> Generator[Any, Any, None]:
        """A peer that connects and never shakes hands is cut off; nothing was opened."""
        server = Listener(reactor, LineLimits(handshake_seconds=0.1))
        yield self.connect(server, Glutton(), tls=True)
        yield server.gone
        self.assertEqual(server.endings, [Ending.HANDSHAKE_TIMEOUT])
        self.assertEqual(server.openings, 0)

    @inlineCallbacks
    def test_glutton(self) -> Generator[Any, Any, None]:
        """A peer that keeps asking and never reads an answer is cut off, its questions unread."""
        server = Answering(reactor, LineLimits(write_seconds=0.2, lines_per_turn=8))
        client = Glutton()
        yield self.connect(server, client, tls=False)
        assert client.transport is not None
        client.transport.write(b"more\r\n" * 10_000)
        yield server.gone
        client.transport.loseConnection()
        self.assertEqual(server.endings, [Ending.NOT_READING])
        self.assertLess(sum(len(turn) for turn in server.turns), 1_000)
