"""Composes a gateway from its settings: ports, screens, links.

Decides nothing by itself. The device port speaks two-way TLS and admits POS and virtual
cards alone (TR-14); the admin port holds no key. A port that cannot be opened fails the
start; a backend that is not there yet does not.
"""

from __future__ import annotations

from collections.abc import Generator
from ipaddress import IPv6Address, ip_address
from typing import Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import (
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.task import deferLater
from twisted.logger import Logger

from trus.clock import Clock, Entropy
from trus.gateway.admins import AdminSurroundings, AdminTunnel
from trus.gateway.admission import Pace
from trus.gateway.devices import DeviceConnection, DeviceTerms, Surroundings
from trus.gateway.directory import CountedFactory, DirectoryResource, DirectorySite
from trus.gateway.fingerprint import FingerprintingTLS
from trus.gateway.frontdoor import ConnectionFactory, Doorkeeper, FrontDoor
from trus.gateway.links import LinkTerms
from trus.gateway.lookups import Directory
from trus.gateway.pool import Attempts, LinkPool
from trus.gateway.router import Router
from trus.gateway.screening import Screen, ScreenRules
from trus.gateway.tally import LineDigest, Tally
from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.listening import LoudStreamService
from trus.settings.channels import read_channel
from trus.settings.metrics import MetricsFile, MetricsService, channel_samples
from trus.settings.model import AdminPortSettings, DevicesSettings, GatewaySettings, LinkSettings
from trus.settings.model_directory import DirectoryPortSettings
from trus.settings.renewal import ChannelRenewal
from trus.values import ChannelRole

#: Who may enter by the device port.
DEVICE_ROLES: Final = (ChannelRole.POS, ChannelRole.CARD)
#: Devices get a second to read the last notice when the gateway stops, less when all have.
_FAREWELL_PAUSE_SECONDS: Final = 0.02
_FAREWELL_LOOKS: Final = 50
#: Connections that wait to be accepted: a shop street may come back at once after an outage.
_BACKLOG: Final = 1024


class Reactor(IReactorTCP, IReactorTime, IReactorPluggableNameResolver):
    """What a gateway needs of a reactor."""


class GatewayService(MultiService):
    """A gateway: opens its ports when started, and keeps its links."""

    _log = Logger()

    def __init__(self, settings: GatewaySettings, clock: Clock, entropy: Entropy, reactor: Reactor) -> None:
        MultiService.__init__(self)
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._reactor = reactor
        self._around: Surroundings | None = None
        self._device_port: LoudStreamService | None = None
        self._admin_port: LoudStreamService | None = None
        self._directory_port: LoudStreamService | None = None
        self._pace: Pace | None = None
        self._tally = Tally(reactor)
        self.pool = LinkPool()

    @property
    def device_address(self) -> str:
        """Where the device port is, `host:port`, once started."""
        return _address(self._settings.devices.host, self._device_port)

    @property
    def admin_address(self) -> str:
        """Where the admin port is, `host:port`, once started; empty when there is none."""
        admin = self._settings.admin
        return "" if admin is None else _address(admin.host, self._admin_port)

    @property
    def directory_address(self) -> str:
        """Where the directory port is, `host:port`, once started; empty when there is none."""
        directory = self._settings.directory
        return "" if directory is None else _address(directory.host, self._directory_port)

    def when_ready(self) -> Deferred[None]:
        """Fire when the ports are open and a backend can be reached."""
        return self.pool.when_reachable()

    def look_for_renewals(self) -> None:
        """Put renewed certificates and revocation lists to use now instead of within half a minute."""
        for service in self:
            if isinstance(service, ChannelRenewal):
                service.look()

    def startService(self) -> None:
        """Read the certificates and open the ports.

        Raises ConfigurationError for files that cannot be used, ListenFailed for ports.
        """
        self._compose_links(self._settings.link)
        router = Router(self.pool)
        self._compose_devices(self._settings.devices, router)
        if self._settings.metrics is not None:
            channels = {"device port": self._settings.devices.tls, "link to backends": self._settings.link.tls}
            file = MetricsFile(self._settings.metrics, self._clock, lambda: channel_samples(channels), self._no_metrics)
            self.addService(MetricsService(file, self._reactor))  # type: ignore[no-untyped-call]
        if self._settings.admin is not None:
            self._compose_admins(self._settings.admin, router)
        if self._settings.directory is not None:
            self._compose_directory(self._settings.directory)
        MultiService.startService(self)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[object], object, None]:
        """Close the ports, take leave of the devices, close the links."""
        present = self._around.present if self._around is not None else {}
        for connection in list(present):
            connection.going_down()
        for _ in range(_FAREWELL_LOOKS):
            if present:
                yield deferLater(self._reactor, _FAREWELL_PAUSE_SECONDS)
        for connection in list(present):
            connection.abort()
        yield MultiService.stopService(self)
        self._tally.close()
        if self._pace is not None:
            self._pace.stop()
        for service in list(self):
            yield self.removeService(service)  # type: ignore[no-untyped-call]

    # --------------------------------------------------------------------------------- inside

    def _no_metrics(self, level: str, text: str) -> None:
        self._log.error("{text}", text=text)

    def _compose_links(self, settings: LinkSettings) -> None:
        files = read_channel(settings.tls)
        channels = []
        self.pool = LinkPool()
        for backend in settings.backends:
            channel = ClientChannel(
                files.credentials,
                ChannelRole.BACKEND,
                backend.server_name,
                anchors=files.anchors,
                crls=files.crls,
            )
            channels.append(channel)
            self.pool.add(
                LinkTerms(
                    gateway=self._settings.name,
                    backend=backend.name,
                    keep_alive_seconds=settings.keep_alive.seconds,
                    silence_seconds=settings.silence.seconds,
                    buffer_bytes=settings.buffer.octets,
                ),
                HostnameEndpoint(self._reactor, backend.host, backend.port),
                channel,
                Attempts(settings.max_reconnect_delay.seconds, self._entropy),
                self._reactor,
            )
        self.addService(self.pool)  # type: ignore[no-untyped-call]
        self.addService(ChannelRenewal("link", settings.tls, channels, self._reactor, self._clock))  # type: ignore[no-untyped-call]

    def _compose_devices(self, settings: DevicesSettings, router: Router) -> None:
        screening = self._settings.screening
        files = read_channel(settings.tls)
        channel = ServerChannel(files.credentials, DEVICE_ROLES, anchors=files.anchors, crls=files.crls)
        around = Surroundings(
            clock=self._reactor,
            router=router,
            tally=self._tally,
            digest=LineDigest(self._entropy.draw(16)),
            terms=DeviceTerms.of(screening),
        )
        self._around = around
        pace = Pace(self._reactor, screening.busy_handshakes_per_second)
        keeper = Doorkeeper(Screen(ScreenRules.of_devices(screening)), self._tally, self._reactor, pace)
        factory = ConnectionFactory(lambda on_closed: DeviceConnection(around, on_closed), keeper)
        behind = channel.wrap(factory, self._reactor)
        behind.protocol = FingerprintingTLS
        door = FrontDoor("device port", keeper, behind)
        self._device_port = self._listen(settings.host, settings.port, door)
        pace.guard(self._device_port)
        self._pace = pace
        self.addService(ChannelRenewal("device port", settings.tls, [channel], self._reactor, self._clock))  # type: ignore[no-untyped-call]

    def _compose_admins(self, settings: AdminPortSettings, router: Router) -> None:
        around = AdminSurroundings.of(settings, self._reactor, router, self._tally)
        keeper = Doorkeeper(Screen(ScreenRules.of_admins(settings)), self._tally, self._reactor)
        factory = ConnectionFactory(lambda on_closed: AdminTunnel(around, on_closed), keeper)
        self._admin_port = self._listen(settings.host, settings.port, FrontDoor("admin port", keeper, factory))

    def _compose_directory(self, settings: DirectoryPortSettings) -> None:
        directory = Directory(
            lambda: [link for link in self.pool.links if link.accepts],
            self._reactor,
            max_open=settings.open_questions,
            deadline_seconds=settings.answer_deadline.seconds,
            cache_bytes=settings.cache.octets,
        )
        rules = ScreenRules.of_directory(settings)
        keeper = Doorkeeper(Screen(rules), self._tally, self._reactor)
        resource = DirectoryResource(directory, Screen(rules), self._tally, self._reactor)
        site = DirectorySite(resource, settings.idle_timeout.seconds, self._reactor)
        door = FrontDoor("directory port", keeper, CountedFactory(site, keeper.leave))
        self._directory_port = self._listen(settings.host, settings.port, door)

    def _listen(self, host: str, port: int, door: FrontDoor) -> LoudStreamService:
        ipv6 = isinstance(ip_address(host), IPv6Address)
        make = TCP6ServerEndpoint if ipv6 else TCP4ServerEndpoint
        endpoint: IStreamServerEndpoint = make(self._reactor, port, backlog=_BACKLOG, interface=host)
        service = LoudStreamService(endpoint, door, f"{door.name} {_join(host, port)}")
        self.addService(service)  # type: ignore[no-untyped-call]
        return service


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(host: str, service: LoudStreamService | None) -> str:
    return _join(host, service.port) if service is not None else ""
