"""A connection between a device and the backend's front, on which somebody listens.

Keeps TLS's promises as trus.simulation.wires does, without a network's delays: lines arrive in the
next turn of the fake reactor, or wait while they are held back, or never arrive when it is cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, ISSLTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from trus.net.peers import ChannelPeer, ProvenChannel
from trus.values import ChannelRole

_GATEWAY: Final = ChannelPeer(ChannelRole.GATEWAY, "gateway", "01", datetime(2030, 1, 1, tzinfo=UTC))

#: Hears a line, CR LF included, and which end said it: initiator or responder.
Ear = Callable[[str, bytes], None]


def binding_of(number: int) -> bytes:
    """Return the exporter value (RFC 9266) of a connection."""
    return hashlib.sha256(b"exporter of connection %d" % number).digest()


@implementer(ISSLTransport)
class Pipe(ProvenChannel):
    """The device's end; the front's end is two functions."""

    disconnecting = False

    def __init__(self, reactor: IReactorTime, number: int, hear: Ear) -> None:
        """`number` names the connection; every line is heard by `hear` when it is said."""
        self.number = number
        #: Takes a line, without CR LF, at the backend.
        self.to_backend: Callable[[bytes], None] = lambda line: None
        #: Called when the connection is over, at the backend.
        self.backend_closed: Callable[[], None] = lambda: None
        self.protocol: IProtocol | None = None
        self.holding = False
        self.held: list[bytes] = []
        #: Whether what the backend says is lost on the way.
        self.deaf = False
        self._reactor = reactor
        self._hear = hear
        self._rest = b""
        self._over = False

    def attach(self, protocol: IProtocol) -> None:
        """Give the device's end its protocol; the handshake of TLS is complete a moment later."""
        self.protocol = protocol
        protocol.makeConnection(self)
        self._reactor.callLater(0, self._complete)

    def _complete(self) -> None:
        self.peer = _GATEWAY
        protocol: Any = self.protocol
        protocol.handshakeCompleted()

    def write(self, data: bytes) -> None:
        """Send lines to the backend."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            self._hear("initiator", line + b"\r\n")
            if self.holding:
                self.held.append(line)
            else:
                self._reactor.callLater(0, self._arrive, line)

    def let_go(self) -> None:
        """Let arrive what was held back, however late."""
        held, self.held, self.holding = self.held, [], False
        for line in held:
            self.to_backend(line)

    def answer(self, line: bytes) -> None:
        """Carry a line of the backend, CR LF included, to the device."""
        self._hear("responder", line)
        if not self._over:
            self._reactor.callLater(0, self._deliver, line)

    def cut(self, *, backend_knows: bool = True) -> None:
        """End the connection for the device; a backend that does not know goes on listening."""
        if self._over:
            return
        self._over = True
        if backend_knows:
            self.backend_closed()
        if self.protocol is not None:
            self.protocol.connectionLost(Failure(ConnectionLost()))

    def _arrive(self, line: bytes) -> None:
        if not self._over:
            self.to_backend(line)

    def _deliver(self, line: bytes) -> None:
        if not self._over and not self.deaf and self.protocol is not None:
            self.protocol.dataReceived(line)

    # ---------------------------------------------------------------- a transport of Twisted

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send several pieces."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close when everything has arrived."""
        self._reactor.callLater(0, self._close)

    abortConnection = loseConnection

    def _close(self) -> None:
        if not self._over:
            self._over = True
            self.backend_closed()
            if self.protocol is not None:
                self.protocol.connectionLost(Failure(ConnectionDone()))

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Pause nobody."""

    def unregisterProducer(self) -> None:
        """Pause nobody."""

    def pauseProducing(self) -> None:
        """Go on: lines are few here."""

    def resumeProducing(self) -> None:
        """Go on."""

    def loseWriteConnection(self) -> None:  # noqa: N802 - Twisted's names
        """Do as loseConnection does."""
        self.loseConnection()

    def getTcpKeepAlive(self) -> bool:  # noqa: N802
        """Return False."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
        """Do nothing."""

    def getTcpNoDelay(self) -> bool:  # noqa: N802
        """Return True."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802 - Twisted's name
        """Do nothing."""

    def getPeer(self) -> IPv4Address:
        """Return the gateway's address."""
        return IPv4Address("TCP", "192.0.2.1", 7001)

    def getHost(self) -> IPv4Address:
        """Return the device's address."""
        return IPv4Address("TCP", "192.0.2.7", 40_000 + self.number)

    def getPeerCertificate(self) -> None:
        """Return none: this network proves its peers without certificates."""
        return

    def export_keying_material(self, label: bytes, olen: int, context: bytes) -> bytes:
        """Return what both ends agree on."""
        return binding_of(self.number)


class Endpoint:
    """twisted.internet.interfaces.IStreamClientEndpoint that connects at once."""

    def __init__(self, connect: Callable[[], Pipe]) -> None:
        """`connect()` makes a pipe whose far end is at the front."""
        self._connect = connect

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fires with the protocol."""
        pipe = self._connect()
        protocol = factory.buildProtocol(pipe.getPeer())
        assert protocol is not None
        pipe.attach(protocol)
        return succeed(protocol)
