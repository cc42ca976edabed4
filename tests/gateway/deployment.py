"""A gateway on real sockets and real TLS, with a backend that speaks the link and devices that call.

The backend is a small peer that understands the envelope alone; its certificates come from
an authority made for the test.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress, IHandshakeListener, IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.net.authority import Authority
from trus.clock import SystemClock, SystemEntropy
from trus.gateway.service import GatewayService
from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.credentials import ChannelCredentials
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.net.peers import ChannelNotVerified, exporter
from trus.protocol.buffer import LineBuffer
from trus.protocol.link import (
    MAX_LINK_LINE_BYTES,
    Authenticated,
    Hello,
    LinkEvent,
    Opened,
    format_link_line,
    parse_link_line,
)
from trus.settings import (
    AdminPortSettings,
    BackendAddress,
    DevicesSettings,
    Duration,
    GatewaySettings,
    LinkSettings,
    ScreeningSettings,
    TlsSettings,
)
from trus.values import ChannelRole

GATEWAY_NAME = "gateway.trus.internal"
BACKEND_NAME = "backend.trus.internal"
PASSPHRASE = b"only for a test"
#: Message 1 of a handshake: the first line that a device says.
OPENING_LINE = (
    b"COMMAND AUTHENTICATE s=AAAAAAAAAAAAAAAA to=backend versions=1 suites=1 mode=full share=" + b"A" * 43
    + b" nonce=" + b"A" * 22
)  # fmt: skip
SEALED_LINE = b"COMMAND ECHO s=AAAAAAAAAAAAAAAA id=c1 seal=" + b"A" * 64

Event = TypeVar("Event")


def write_channel(
    folder: Path,
    stem: str,
    credentials: ChannelCredentials,
    anchors: list[x509.Certificate],
    crls: list[x509.CertificateRevocationList],
) -> TlsSettings:
    """Write what one end of TLS needs into files."""
    tls = TlsSettings(
        certificate=folder / f"{stem}.p12",
        passphrase_file=folder / f"{stem}.pass",
        anchors=folder / f"{stem}-anchors.pem",
        crl=folder / f"{stem}.crl.pem",
    )
    tls.certificate.write_bytes(
        pkcs12.serialize_key_and_certificates(
            stem.encode(), credentials.key, credentials.chain[0], None, BestAvailableEncryption(PASSPHRASE)
        )
    )
    tls.passphrase_file.write_bytes(PASSPHRASE + b"\n")
    tls.passphrase_file.chmod(0o600)
    tls.anchors.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in anchors))
    tls.crl.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in crls))
    return tls


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something is so; fail the test when it never is."""
    waited = 0.0
    while not condition():
        if waited > seconds:
            raise AssertionError("what was waited for did not happen")
        await deferLater(reactor, 0.005)
        waited += 0.005


class BackendPeer(LineProtocol):
    """The backend's end of one link."""

    def __init__(self, backend: TestBackend) -> None:
        limits = LineLimits(idle_seconds=600.0, write_seconds=600.0, lines_per_turn=1024)
        super().__init__(reactor, LineBuffer(MAX_LINK_LINE_BYTES), limits)  # type: ignore[arg-type]
        self.backend = backend
        self.hello: Hello | None = None

    def opened(self) -> None:
        if self.backend.introduces_itself:
            self.say(Hello("backend-1", "backend"))

    def lines_received(self, lines: list[bytes]) -> None:
        for line in lines:
            event = parse_link_line(line)
            if isinstance(event, Hello):
                self.hello = event
                self.backend.links.append(self)
            else:
                self.backend.events.append((self, event))
        self.backend.wake()

    def closed(self, ending: Ending, reason: Failure) -> None:
        if self in self.backend.links:
            self.backend.links.remove(self)
        self.backend.endings.append(ending)
        self.backend.wake()

    def say(self, event: LinkEvent) -> None:
        """Send a link line."""
        self.send_block(format_link_line(event))


class TestBackend(Factory):
    """Listens for links and keeps every event that comes over them."""

    __test__ = False
    noisy = False

    def __init__(self, credentials: ChannelCredentials, authority: Authority) -> None:
        self.channel = ServerChannel(
            credentials, [ChannelRole.GATEWAY], anchors=[authority.certificate], crls=[authority.revocation_list()]
        )
        self.introduces_itself = True
        self.port = 0
        self.links: list[BackendPeer] = []
        self.events: list[tuple[BackendPeer, LinkEvent]] = []
        self.endings: list[Ending] = []
        self.connections: list[BackendPeer] = []
        self._waiting: list[Deferred[None]] = []
        self._port: IListeningPort | None = None

    def buildProtocol(self, addr: IAddress | None) -> BackendPeer:
        self.connections.append(BackendPeer(self))
        return self.connections[-1]

    async def open(self, port: int = 0) -> int:
        """Listen, and return the port."""
        endpoint = TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")
        self._port = await endpoint.listen(self.channel.wrap(self, reactor))  # type: ignore[arg-type]
        self.port = int(self._port.getHost().port)  # type: ignore[attr-defined]
        return self.port

    async def close(self) -> None:
        """Close the port and cut every link."""
        if self._port is not None:
            await self._port.stopListening()  # type: ignore[misc]
            self._port = None
        for each in self.connections:
            if each.transport is not None and each.transport.connected:  # type: ignore[attr-defined]
                each.abort()

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def next(self, kind: type[Event]) -> Event:
        """Return the next event of a kind, and forget it."""
        while True:
            for position, (_, event) in enumerate(self.events):
                if isinstance(event, kind):
                    del self.events[position]
                    return event
            change: Deferred[None] = Deferred()
            self._waiting.append(change)
            await change

    def take(self, kind: type[Event]) -> list[Event]:
        """Return the events of a kind that are there, and forget them."""
        found = [event for _, event in self.events if isinstance(event, kind)]
        self.events = [(link, event) for link, event in self.events if not isinstance(event, kind)]
        return found

    async def opened(self) -> tuple[BackendPeer, Opened]:
        """Return the next connection and the link that carries it."""
        event = await self.next(Opened)
        return self.links[-1], event


@implementer(IHandshakeListener)
class DeviceClient(Protocol):
    """A device's end: keeps what it hears."""

    def __init__(self) -> None:
        self.address = ""
        self.heard = b""
        self.lost: Failure | None = None
        self.exported = b""
        self.reads = True
        self._waiting: list[Deferred[None]] = []

    def connectionMade(self) -> None:
        host = self.transport.getHost()  # type: ignore[union-attr]
        self.address = f"{host.host}:{host.port}"  # type: ignore[attr-defined]

    def handshakeCompleted(self) -> None:
        try:
            self.exported = exporter(self.transport)
        except ChannelNotVerified:
            self.exported = b""  # a client that checks nobody
        if not self.reads and self.transport is not None:
            self.transport.pauseProducing()  # type: ignore[attr-defined]
        self._wake()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        self._wake()

    def say(self, data: bytes) -> None:
        """Send bytes."""
        assert self.transport is not None
        self.transport.write(data)

    async def hears(self, text: bytes) -> None:
        """Wait until `text` was heard; fail when the connection is gone before."""
        while text not in self.heard:
            if self.lost is not None:
                raise AssertionError(f"closed after {self.heard!r}")
            await self._change()

    async def is_closed(self) -> None:
        """Wait until the connection is over."""
        while self.lost is None:
            await self._change()

    async def _change(self) -> None:
        change: Deferred[None] = Deferred()
        self._waiting.append(change)
        await change

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)


@functools.cache
def _credentials() -> tuple[Authority, dict[str, ChannelCredentials]]:
    authority = Authority()
    return authority, {
        "gateway": authority.issue(ChannelRole.GATEWAY, hosts=[GATEWAY_NAME]),
        "link": authority.issue(ChannelRole.GATEWAY),
        "backend": authority.issue(ChannelRole.BACKEND, hosts=[BACKEND_NAME]),
        "pos": authority.issue(ChannelRole.POS),
        "card": authority.issue(ChannelRole.CARD),
        "website": authority.issue(ChannelRole.WEBSITE),
        "admin": authority.issue(ChannelRole.ADMIN),
    }


class GatewayCase(TestCase):
    """Starts what a test asks for, and stops all of it afterwards."""

    timeout = 60
    authority: Authority
    settings: GatewaySettings
    credentials: dict[str, ChannelCredentials]

    def setUp(self) -> None:
        self.authority, self.credentials = _credentials()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def tls(self, stem: str, credentials: ChannelCredentials | None = None) -> TlsSettings:
        """Return TLS settings with the right files for a role of the gateway."""
        chosen = credentials or self.credentials[stem]
        return write_channel(
            self.folder, stem, chosen, [self.authority.certificate], [self.authority.revocation_list()]
        )

    def gateway_settings(self, backend_ports: list[int], **changes: Any) -> GatewaySettings:
        """Return settings of a gateway on free ports; `changes` replace whole sections."""
        backends = tuple(
            BackendAddress(name=f"backend-{number}", port=port) for number, port in enumerate(backend_ports, 1)
        )
        link = LinkSettings(
            backends=backends,
            tls=self.tls("link", changes.pop("link_tls", None)),
            max_reconnect_delay=Duration(0.2),
            **changes.pop("link_changes", {}),
        )
        settings = GatewaySettings(
            name="gateway-under-test",
            devices=DevicesSettings(port=0, tls=self.tls("gateway")),
            admin=AdminPortSettings(port=0),
            link=link,
            screening=ScreeningSettings(**changes.pop("screening_changes", {})),
        )
        self.settings = attrs.evolve(settings, **changes)
        return self.settings

    async def start_backend(self, port: int = 0) -> tuple[TestBackend, int]:
        """Start a backend, return it with its port."""
        backend = TestBackend(self.credentials["backend"], self.authority)
        number = await backend.open(port)
        self.addCleanup(lambda: Deferred.fromCoroutine(backend.close()))
        return backend, number

    async def start_gateway(self, settings: GatewaySettings, *, ready: bool = True) -> GatewayService:
        """Start a gateway, and wait until it reaches a backend."""
        gateway = GatewayService(settings, SystemClock(), SystemEntropy(), reactor)  # type: ignore[arg-type]
        gateway.startService()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop(gateway)))
        if ready:
            await gateway.when_ready()
        return gateway

    async def stop(self, gateway: GatewayService) -> None:
        """Stop a gateway, unless it is stopped already."""
        if gateway.running:
            await gateway.stopService()

    async def pause(self) -> None:
        """Let the reactor go on for a moment."""
        await deferLater(reactor, 0.003)

    async def start_both(self, **changes: Any) -> tuple[GatewayService, TestBackend]:
        """Start a backend and a gateway that is linked to it."""
        backend, port = await self.start_backend()
        gateway = await self.start_gateway(self.gateway_settings([port], **changes))
        await until(lambda: backend.links)
        return gateway, backend

    async def call(
        self, gateway: GatewayService, stem: str = "pos", credentials: ChannelCredentials | None = None
    ) -> DeviceClient:
        """Connect to the device port as a holder of a channel certificate."""
        channel = ClientChannel(
            credentials or self.credentials[stem],
            ChannelRole.GATEWAY,
            GATEWAY_NAME,
            anchors=[self.authority.certificate],
        )
        return await self.connect(gateway.device_address, lambda factory: channel.wrap(factory, reactor))  # type: ignore[arg-type]

    async def connect(self, address: str, wrap: Callable[[Factory], Any] = lambda factory: factory) -> DeviceClient:
        """Connect to a port over TCP, with what `wrap` puts around."""
        client = DeviceClient()
        factory = HandingFactory(client)
        host, _, port = address.rpartition(":")
        waiting: Awaitable[Any] = TCP4ClientEndpoint(reactor, host, int(port)).connect(wrap(factory))
        await waiting
        self.addCleanup(_hang_up, client)
        return client

    async def authenticated(
        self, gateway: GatewayService, backend: TestBackend
    ) -> tuple[DeviceClient, BackendPeer, int]:
        """Return a device whose session the backend has declared authenticated, its link and number."""
        device = await self.call(gateway)
        link, opened = await backend.opened()
        link.say(Authenticated(opened.connection))
        return device, link, opened.connection


class HandingFactory(Factory):
    """Hands one client to the connection that is made."""

    noisy = False

    def __init__(self, client: DeviceClient) -> None:
        self._client = client

    def buildProtocol(self, addr: IAddress | None) -> DeviceClient:
        return self._client


def _hang_up(client: DeviceClient) -> Deferred[None] | None:
    if client.lost is not None or client.transport is None:
        return None
    client.transport.abortConnection()  # type: ignore[attr-defined]
    return Deferred.fromCoroutine(client.is_closed())


__all__ = [
    "BACKEND_NAME",
    "GATEWAY_NAME",
    "OPENING_LINE",
    "SEALED_LINE",
    "BackendPeer",
    "DeviceClient",
    "GatewayCase",
    "HandingFactory",
    "TestBackend",
    "until",
    "write_channel",
]
