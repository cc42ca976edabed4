"""Connections of the simulated network: streams of bytes in order, which can be slow, stuck, cut or dead.

Knows neither lines nor TLS, but keeps TLS's promises: an end knows its peer's role and name, both
know a value that binds to this connection (trus.net.peers.ProvenChannel), and nobody in between can
read or change a byte. Loss, reordering and duplication of packets are not seen above TCP: what a
network can do to a stream is delay it, stop it, cut it anywhere, and let one end not know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener, IProtocol, IPushProducer, ISSLTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from trus.net.peers import ChannelPeer, ProvenChannel, Refusal
from trus.simulation.clockwork import Part

#: Bytes under way past which a sender is asked to pause (Twisted's own bound for TCP).
WINDOW_BYTES: Final = 64 << 10

#: Changes the bytes of one direction on their way: what a dishonest middle does.
Meddling = Callable[[bytes], bytes]


class Conditions:
    """How one connection's path is now; the network changes it while the connection lives."""

    def __init__(self, delay: Callable[[], float], pieces: Callable[[int], int]) -> None:
        """`delay()` draws a piece's seconds on its way, `pieces(n)` after how many of n bytes it is torn."""
        self.delay = delay
        self.pieces = pieces
        #: Which direction is blocked now, from the connecting end (0) or the accepting one (1).
        self.blocked = [False, False]
        #: What waits for the path to be free again.
        self.stuck: list[Callable[[], object]] = []

    def free(self) -> None:
        """Let go what has been stuck."""
        self.blocked = [False, False]
        stuck, self.stuck = self.stuck, []
        for each in stuck:
            each()


@implementer(ISSLTransport)
class Wire(ProvenChannel):
    """One end of a connection."""

    disconnecting = False

    def __init__(self, part: Part, side: int, address: IPv4Address, conditions: Conditions, number: int) -> None:
        """`side` is 0 for the end that connected, 1 for the one that accepted; `number` names the connection."""
        self.part = part
        self.number = number
        self.other: Wire = self
        self.protocol: IProtocol | None = None
        self.address = address
        self._side = side
        self._conditions = conditions
        self._out = bytearray()
        self._flushing = False
        self._arrives = 0.0
        self._under_way = 0
        self._inbox: list[bytes] = []
        self._reading = True
        self._producer: IPushProducer | None = None
        self._producer_paused = False
        self._closed = False  # nothing is sent or received any more here
        self._ended = False  # the peer has sent its last byte
        #: The peer's machine is gone: nothing arrives there, and nobody says so.
        self.void = False
        self.meddling: Meddling | None = None

    def attach(self, protocol: IProtocol) -> None:
        """Give the connection its protocol."""
        self.protocol = protocol
        protocol.makeConnection(self)

    def complete(self, peer: ChannelPeer) -> None:
        """End the handshake: this end has verified its peer."""
        if self._closed or not self.part.alive:
            return
        self.peer = peer
        if self.protocol is not None and IHandshakeListener.providedBy(self.protocol):
            self.protocol.handshakeCompleted()

    def refuse(self, refusal: Refusal) -> None:
        """End the handshake: this end has refused its peer."""
        self.refusal = refusal
        self.abortConnection()

    @property
    def closed(self) -> bool:
        """Whether this end is over."""
        return self._closed

    # ------------------------------------------------------------------------------- sending

    def write(self, data: bytes) -> None:
        """Send bytes, some time."""
        if self._closed or self.disconnecting or not data or not self.part.alive:
            return
        self._out += data
        self._plan_flush()
        self._weigh()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send several pieces."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Send what was written, then say good bye."""
        if not self._closed and not self.disconnecting:
            self.disconnecting = True
            self._plan_flush()

    def abortConnection(self) -> None:
        """Cut off now; the peer is told by a reset."""
        if self._closed:
            return
        self.disconnecting = True
        self._out.clear()
        self._send(lambda: self.other.lose(ConnectionLost()))
        self.part.work.later(0, self.part, self._close, ConnectionAborted())

    def loseWriteConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Do as loseConnection does: TLS has no half-closed connections."""
        self.loseConnection()

    def _plan_flush(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.part.work.later(0, None, self._flush)

    def _flush(self) -> None:
        """Put on the way what this turn has written."""
        self._flushing = False
        if self._closed:
            return
        data = bytes(self._out)
        self._out.clear()
        if data and self.meddling is not None:
            data = self.meddling(data)
        while data:
            cut = self._conditions.pieces(len(data))
            piece, data = data[:cut], data[cut:]
            self._under_way += len(piece)
            self._send(lambda piece=piece: self.other.arrive(piece))  # type: ignore[misc]
        if self.disconnecting:
            self._send(self.other.end)

    def inject(self, data: bytes) -> None:
        """Send bytes that the owner of this end never wrote: the middle is dishonest."""
        if not self._closed:
            self._send(lambda: self.other.arrive(data))

    def _send(self, arrival: Callable[[], object]) -> None:
        if self.void:
            return
        work = self.part.work
        self._arrives = max(self._arrives, work.now + self._conditions.delay())
        work.later(self._arrives - work.now, None, self._pass, arrival)

    def _pass(self, arrival: Callable[[], object]) -> None:
        """Arrive, unless the path is blocked or what comes before is still stuck."""
        conditions = self._conditions
        if conditions.blocked[self._side]:
            conditions.stuck.append(lambda: self._send(arrival))
        else:
            arrival()

    # ----------------------------------------------------------------------------- receiving

    def arrive(self, data: bytes) -> None:
        """Take bytes off the wire."""
        if self.void:
            return
        if self._closed or not self.part.alive:
            # Nobody is here any more: the sender hears it, unless its own machine is gone too.
            self._send(lambda: self.other.lose(ConnectionLost()))
            return
        self._inbox.append(data)
        if self._reading:
            self._take()

    def end(self) -> None:
        """The peer has sent everything and said good bye."""
        self._ended = True
        if self._reading:
            self._take()

    def lose(self, reason: Exception) -> None:
        """Hear that the connection is over."""
        if not self.void:
            self._close(reason)

    def _close(self, reason: Exception) -> None:
        if self._closed:
            return
        self._closed = True
        self._inbox.clear()
        self._out.clear()
        if self.protocol is not None and self.part.alive:
            self.part.work.trace(b"lost %d %d " % (self.number, self._side))
            self.protocol.connectionLost(Failure(reason))

    def _take(self) -> None:
        """Hand over what has arrived, as one read does."""
        if self._inbox:
            data = b"".join(self._inbox)
            self._inbox.clear()
            self.other.consumed(len(data))
            self.part.work.trace(b"read %d %d " % (self.number, self._side), data)
            self._deliver(data)
        if self._ended and self._reading and not self._closed:
            # TLS answers the peer's good bye with its own.
            self._send(lambda: self.other.lose(ConnectionDone()))
            self._close(ConnectionDone())

    def _deliver(self, data: bytes) -> None:
        if self.protocol is None:
            return
        try:
            self.protocol.dataReceived(data)
        except Exception as failure:  # noqa: BLE001 - as Twisted does: the connection ends, the rest goes on
            self.part.work.on_failure(self.part, failure)
            self.abortConnection()

    def consumed(self, count: int) -> None:
        """The peer has read so many bytes more."""
        self._under_way -= count
        self._weigh()

    # -------------------------------------------------------------------------- back-pressure

    def _weigh(self) -> None:
        full = self._under_way + len(self._out) > WINDOW_BYTES
        if self._producer is None or self._closed or full == self._producer_paused:
            return
        self._producer_paused = full
        if full:
            self._producer.pauseProducing()
        else:
            self.part.work.later(0, self.part, self._resume_producer)

    def _resume_producer(self) -> None:
        if self._producer is not None and not self._closed and not self._producer_paused:
            self._producer.resumeProducing()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Pause this producer while too much is under way."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Pause nobody any more."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Deliver nothing until `resumeProducing`."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Deliver what has arrived, and what comes."""
        if not self._reading:
            self._reading = True
            if self._inbox or self._ended:
                self.part.work.later(0, self.part, self._take_if_reading)

    def _take_if_reading(self) -> None:
        if self._reading and not self._closed:
            self._take()

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    # ------------------------------------------------------------------------------ who is who

    def getPeer(self) -> IPv4Address:
        """Return the other end's address."""
        return self.other.address

    def getHost(self) -> IPv4Address:
        """Return this end's address."""
        return self.address

    def getPeerCertificate(self) -> None:
        """Return none: this network proves its peers without certificates."""
        return

    def getTcpNoDelay(self) -> bool:  # noqa: N802
        """Return True."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """Do nothing: a turn's writes leave together anyway."""

    def getTcpKeepAlive(self) -> bool:  # noqa: N802
        """Return False."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
        """Do nothing."""

    def export_keying_material(self, label: bytes, olen: int, context: bytes) -> bytes:
        """Return what both ends of this connection, and no others, agree on."""
        name = b"%b\0%d\0%b" % (label, self.number, context)
        return hashlib.shake_256(b"trus simulated exporter\0" + name).digest(olen)
