"""An admin's TLS in memory: real OpenSSL at both ends, the backend's own tunnel between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.net.authority import Authority
from trus.admin.console import AdminIdentity
from trus.admin.server import ConsoleFactory, Submit
from trus.backend.adminstream import TunnelTransport
from trus.core.messages import AdminAnswer, AdminCommand, Answer, Request
from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.credentials import ChannelCredentials
from trus.net.peers import channel_peer
from trus.values import ChannelRole

ADMINS = Authority()
OTHERS = Authority()
ALICE = ADMINS.issue(ChannelRole.ADMIN, name="alice")
BACKEND = ADMINS.issue(ChannelRole.BACKEND, name="backend", hosts=["backend.test"])


def identify(transport: object) -> AdminIdentity:
    """Name the admin by the verified certificate, as the composition root does."""
    peer = channel_peer(transport)
    return AdminIdentity(peer.name, peer.serial)


class EchoCore:
    """A core that repeats what it was asked; it can be told to keep silent."""

    def __init__(self) -> None:
        self.batches: list[list[Request]] = []
        self.silent: list[Deferred[list[Answer]]] | None = None

    def submit(self, batch: list[Request]) -> Deferred[list[Answer]]:
        self.batches.append(batch)
        if self.silent is not None:
            waiting: Deferred[list[Answer]] = Deferred()
            self.silent.append(waiting)
            return waiting
        return succeed([self.answer(request) for request in batch])

    def answer(self, request: Request) -> Answer:
        assert isinstance(request, AdminCommand)
        return AdminAnswer("00", f"{request.command} by {request.admin}", [dict(request.arguments)])


class Typist(Protocol):
    """The client's end above TLS: keeps the bytes that came."""

    def __init__(self) -> None:
        self.received = b""
        self.over = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.over = True

    def lines(self) -> list[str]:
        return self.received.decode().split("\r\n")[:-1]


class Side:
    """One end: a TLS protocol over the tunnel's transport."""

    def __init__(self, protocol: IProtocol, carry: Callable[[bytes], None]) -> None:
        self.protocol = protocol
        self.held = False
        self.closed: str | None = None
        self.transport = TunnelTransport("192.0.2.7:4711", carry, self._close, self._flow)

    def _close(self, reason: str) -> None:
        self.closed = reason

    def _flow(self, wanted: bool) -> None:
        self.held = not wanted


class Tunnel:
    """Both ends and what is under way between them. Nothing moves but in `pump`."""

    def __init__(
        self,
        submit: Submit,
        client: Protocol,
        *,
        credentials: ChannelCredentials = ALICE,
        clock: Clock | None = None,
        idle_seconds: float = 900.0,
    ) -> None:
        self.clock = Clock() if clock is None else clock
        self.consoles = ConsoleFactory(submit, identify, self.clock, server="lunch", idle_seconds=idle_seconds)
        server_channel = ServerChannel(BACKEND, [ChannelRole.ADMIN], anchors=[ADMINS.certificate])
        client_channel = ClientChannel(credentials, ChannelRole.BACKEND, "backend.test", anchors=[ADMINS.certificate])
        self.to_server: deque[bytes] = deque()
        self.to_client: deque[bytes] = deque()
        self.server = Side(_built(server_channel.wrap(self.consoles, self.clock)), self.to_client.append)
        self.client = Side(
            _built(client_channel.wrap(Factory.forProtocol(lambda: client), self.clock)), self.to_server.append
        )
        self.reads = True
        self._over: set[int] = set()
        self.server.protocol.makeConnection(self.server.transport)
        self.client.protocol.makeConnection(self.client.transport)

    def pump(self) -> None:
        """Carry bytes both ways until nothing moves; a client that does not read gets none."""
        moved = True
        while moved:
            moved = False
            # TLS gathers small writes until the next turn of the reactor.
            self.clock.advance(0)
            while self.to_server and not self.server.held and self.server.closed is None:
                self.server.protocol.dataReceived(self.to_server.popleft())
                moved = True
            while self.to_client and self.reads and self.client.closed is None:
                self.client.protocol.dataReceived(self.to_client.popleft())
                moved = True
            moved = self._ends() or moved

    def _ends(self) -> bool:
        """Tell both ends when one has closed and everything was carried."""
        ended = False
        for one, queue, other in (
            (self.server, self.to_client, self.client),
            (self.client, self.to_server, self.server),
        ):
            if one.closed is None or (queue and other.closed is None and self.reads):
                continue
            for side in (one, other):
                if id(side) not in self._over:
                    self._over.add(id(side))
                    side.closed = side.closed or "peer"
                    side.transport.disconnecting = True
                    side.protocol.connectionLost(Failure(connectionDone.value))
                    ended = True
        return ended


def _built(factory: IProtocolFactory) -> IProtocol:
    protocol = factory.buildProtocol(None)
    assert protocol is not None
    return protocol
