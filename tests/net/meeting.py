"""Lets two ends of a channel meet over a real socket, and keeps what each of them learnt."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, cast

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress, IHandshakeListener, IListeningPort
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from trus.net.peers import ChannelPeer, Refusal, channel_peer, channel_refusal, exporter


class Wrapping(Protocol):
    """Either end's channel."""

    def wrap(self, factory: Any, clock: Any) -> TLSMemoryBIOFactory:
        """Return a TLS factory."""
        ...


@implementer(IHandshakeListener)
class End(TwistedProtocol):
    """Notes what happens to one end; the server's says hello when it has opened."""

    def __init__(self, greeting: bytes) -> None:
        self.greeting = greeting
        self.peer: ChannelPeer | None = None
        self.exported = b""
        self.received = b""
        self.refusal: Refusal | None = None
        self.heard: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def handshakeCompleted(self) -> None:
        self.peer = channel_peer(self.transport)
        self.exported = exporter(self.transport)
        if self.transport is not None:
            self.transport.write(self.greeting)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if not self.heard.called:
            self.heard.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.refusal = channel_refusal(self.transport, reason.value)
        if not self.heard.called:
            self.heard.callback(None)
        self.gone.callback(None)


class Ends(Factory):
    """Builds ends of one kind and keeps them."""

    noisy = False

    def __init__(self, greeting: bytes) -> None:
        self.greeting = greeting
        self.built: list[End] = []

    def buildProtocol(self, addr: IAddress | None) -> End:
        self.built.append(End(self.greeting))
        return self.built[-1]


@attrs.frozen
class Meeting:
    """Both ends after the connection is over."""

    server: End
    client: End


@inlineCallbacks
def meet(server: Wrapping, client: Wrapping) -> Generator[Deferred[Any], Any, Meeting]:
    """Connect the two over loopback; each greets the other when it may; then all is closed."""
    servers, clients = Ends(b"hello from the server"), Ends(b"hello from the client")
    port: IListeningPort = yield TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
        server.wrap(servers, reactor)
    )
    try:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)  # type: ignore[attr-defined]
        yield endpoint.connect(client.wrap(clients, reactor))
        there = clients.built[0]
        while not servers.built:
            pause: Deferred[None] = Deferred()
            reactor.callLater(0, pause.callback, None)
            yield pause
        here = servers.built[0]
        yield there.heard
        yield here.heard
        for end in (there, here):
            if not end.gone.called and end.transport is not None:
                end.transport.loseConnection()
        yield there.gone
        yield here.gone
        return Meeting(here, there)
    finally:
        yield cast(Deferred[Any], port.stopListening())
