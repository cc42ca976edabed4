"""Puts a backend's front together from its settings: core process, sessions, link port, console.

Composition only; trus.tap starts what is returned here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory

from trus.admin.console import AdminIdentity
from trus.admin.server import ConsoleFactory
from trus.backend.adminstream import AdminStream, TunnelTransport
from trus.backend.corelink import CoreProcess
from trus.backend.corewatch import WatchLimits
from trus.backend.front import Front
from trus.backend.linkserver import LinkFactory
from trus.backend.pinwaits import PinPatience
from trus.backend.service import BackendService, Keeper
from trus.clock import Clock, Entropy
from trus.errors import ConfigurationError
from trus.net.contexts import ServerChannel
from trus.net.listening import LoudStreamService
from trus.net.peers import channel_peer
from trus.settings.channels import read_channel
from trus.settings.model import BackendSettings, Settings, TlsSettings
from trus.settings.renewal import ChannelRenewal
from trus.values import ChannelRole


def _channel(tls: TlsSettings, role: ChannelRole) -> ServerChannel:
    files = read_channel(tls)
    return ServerChannel(files.credentials, {role}, anchors=files.anchors, crls=files.crls)


def _identify(transport: object) -> AdminIdentity:
    peer = channel_peer(transport)
    return AdminIdentity(peer.name, peer.serial, int(peer.not_after.timestamp()))


class _Admins:
    """trus.backend.linkserver.AdminProtocols: TLS of the admins' own authority, then the console."""

    def __init__(self, factory: TLSMemoryBIOFactory) -> None:
        self._factory = factory

    def open(self, peer: str, transport: TunnelTransport) -> AdminStream:
        protocol = self._factory.buildProtocol(IPv4Address("TCP", "0.0.0.0", 0))  # noqa: S104 - nobody binds it
        if protocol is None:
            raise ConfigurationError("the console takes no connection")
        return AdminStream(protocol, transport)


def _endpoint(reactor: object, host: str, port: int) -> IStreamServerEndpoint:
    kind = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
    return kind(reactor, port, interface=host)


def _mark(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file's content, None while there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def compose_backend(
    settings: Settings, config: Path, clock: Clock, entropy: Entropy, reactor: object
) -> BackendService:
    """Return the service of the backend role; nothing is opened yet. Raises ConfigurationError."""
    backend = settings.backend
    if backend is None:
        raise ConfigurationError("the configuration has no backend section")
    command = [sys.executable, "-m", "trus.cli.core", str(config)]
    token = backend.token
    core = CoreProcess(
        reactor,  # type: ignore[arg-type]
        command,
        dict(os.environ),
        clock=clock,
        limits=WatchLimits(token.deadline.seconds, token.abandon.seconds, backend.core.answer_deadline.seconds),
        pin_mark=lambda: _mark(token.pin_file),
    )
    front = Front(
        name=backend.name,
        currency=settings.network.currency,
        core=core,
        clock=clock,
        entropy=entropy,
        reactor=reactor,  # type: ignore[arg-type]
        max_batch=backend.core.max_batch,
    )
    core.on_back = front.refresh
    return _service(settings, backend, front, core, clock, reactor)


def _service(
    settings: Settings, backend: BackendSettings, front: Front, core: CoreProcess, clock: Clock, reactor: object
) -> BackendService:
    keepers: list[Keeper] = []
    console = admins = None
    if backend.admin is not None:
        console = ConsoleFactory(
            front.submit,
            _identify,
            reactor,  # type: ignore[arg-type]
            server=settings.network.name,
            idle_seconds=backend.admin.idle_timeout.seconds,
        )
        channel = _channel(backend.admin.tls, ChannelRole.ADMIN)
        keepers.append(ChannelRenewal("console", backend.admin.tls, [channel], reactor, clock))  # type: ignore[arg-type]
        admins = _Admins(channel.wrap(console, reactor))  # type: ignore[arg-type]
    link = backend.link
    links = LinkFactory(front, admins, reactor, max_links=link.max_links)  # type: ignore[arg-type]
    keepers.append(PinPatience(links.connections, reactor))  # type: ignore[arg-type]
    channel = _channel(link.tls, ChannelRole.GATEWAY)
    keepers.append(ChannelRenewal("link port", link.tls, [channel], reactor, clock))  # type: ignore[arg-type]
    port = LoudStreamService(
        _endpoint(reactor, link.host, link.port),
        channel.wrap(links, reactor),  # type: ignore[arg-type]
        f"link port {link.host}:{link.port}",
    )
    return BackendService(front, core, links, port, console, keepers, reactor)  # type: ignore[arg-type]
