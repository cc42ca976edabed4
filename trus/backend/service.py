"""Runs a backend's front as one Twisted service: core, link port, console.

Composes nothing: the parts come in made. Starts the core before the port opens, so that no
gateway is welcomed by a backend that cannot decide; stops in the opposite order, so that
what a terminal was promised is committed.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from trus.backend.front import Front
from trus.backend.linkserver import LinkFactory
from trus.net.listening import LoudStreamService


class RunningCore(Protocol):
    """A core that is started and stopped with its front."""

    def start(self) -> None:
        """Open token and database. Raises TrusError."""
        ...

    def stop(self) -> Deferred[None]:
        """Finish what is under way; fires when token and database are closed."""
        ...


class Closable(Protocol):
    """What holds admin connections."""

    def shut_down(self) -> None:
        """End every open session politely."""
        ...


class Keeper(Protocol):
    """What runs beside the ports."""

    def startService(self) -> None:
        """Begin."""
        ...

    def stopService(self) -> object:
        """End."""
        ...


class BackendService(Service):
    """The backend's front."""

    name = "backend"
    _log = Logger()

    def __init__(
        self,
        front: Front,
        core: RunningCore,
        links: LinkFactory,
        port: LoudStreamService,
        console: Closable | None,
        keepers: Sequence[Keeper],
        reactor: IReactorTime,
    ) -> None:
        """`keepers` look after the channels' certificates while the service runs."""
        self._front = front
        self._core = core
        self._links = links
        self._port = port
        self._console = console
        self._keepers = keepers
        self._reactor = reactor
        self._ready: Deferred[None] = Deferred()

    @property
    def link_port(self) -> int:
        """The number of the open link port."""
        return self._port.port

    def when_ready(self) -> Deferred[None]:
        """Fires once, when the port is open and handshakes can be answered."""
        return self._ready

    def startService(self) -> None:
        """Start the core, then open the link port. Raises TrusError when either cannot be."""
        self._core.start()
        self._port.startService()
        self._front.start(self._links.announce_day, self._became_ready, self._links.connections)
        for keeper in self._keepers:
            keeper.startService()
        Service.startService(self)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[None], object, None]:
        """Close port, links and console, then let the core finish; fires when all is closed."""
        Service.stopService(self)
        self._front.stop()
        for keeper in self._keepers:
            keeper.stopService()
        yield self._port.stopService()
        if self._console is not None:
            self._console.shut_down()
        for link in list(self._links.links):
            link.farewell()
        yield deferLater(self._reactor, 0)
        yield self._core.stop()

    def _became_ready(self) -> None:
        if not self._ready.called:
            self._ready.callback(None)
