"""Keeps a link to every backend of the configuration, and connects again when one is lost.

Carries nothing itself (trus.gateway.links does). Attempts are spaced further and further, up
to a limit, each by a random part of the wait, so that many gateways do not return at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol

from trus.clock import Entropy
from trus.gateway.links import BackendLink, LinkLost, LinkTerms
from trus.net.contexts import ClientChannel

#: Wait after the first failure; doubled by each further one.
_FIRST_DELAY_SECONDS: Final = 0.25


@attrs.frozen
class Attempts:
    """How long to wait after failures."""

    max_seconds: float
    entropy: Entropy

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row, at least one.

        A random part, at most half, is taken off the full wait.
        """
        full = min(self.max_seconds, _FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 30))
        return full * (0.5 + self.entropy.draw(1)[0] / 510)


class _LinkFactory(Factory):
    """Hands one link to the connection that an endpoint makes."""

    noisy = False

    def __init__(self, link: BackendLink) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> BackendLink:
        """Return the link."""
        return self._link


class BackendReach(Service):
    """Keeps one link to one backend while it runs."""

    _log = Logger()

    def __init__(
        self,
        terms: LinkTerms,
        endpoint: IStreamClientEndpoint,
        channel: ClientChannel,
        attempts: Attempts,
        clock: IReactorTime,
        on_up: Callable[[], None],
    ) -> None:
        self._terms = terms
        self._endpoint = endpoint
        self._channel = channel
        self._attempts = attempts
        self._clock = clock
        self._on_up = on_up
        self._keeping: Deferred[None] = succeed(None)
        self.link: BackendLink | None = None

    def startService(self) -> None:
        """Begin to connect; a backend that is not there yet does not hinder the start."""
        Service.startService(self)
        self._keeping = Deferred.fromCoroutine(self._keep())

    def stopService(self) -> Deferred[None]:
        """Take leave and try no more; fires when the link is closed."""
        Service.stopService(self)
        self._keeping.addErrback(lambda failure: failure.trap(CancelledError) and None)
        link = self.link
        self._keeping.cancel()
        if link is None:
            return self._keeping
        closed = link.when_gone().addCallback(lambda _: None)
        link.farewell()
        return closed

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                await self._hold_link()
                failures = 0
            except (ConnectError, DNSLookupError, LinkLost) as problem:
                if failures == 0:
                    self._log.warn(
                        "{backend} cannot be reached: {reason}",
                        backend=self._terms.backend,
                        reason=problem.reason if isinstance(problem, LinkLost) else _why(problem),
                    )
                failures += 1
            await deferLater(self._clock, self._attempts.delay(max(1, failures)))

    async def _hold_link(self) -> None:
        """Make a link and wait until it is over. Raises when it does not come up."""
        link = BackendLink(self._terms, self._clock)
        factory = self._channel.wrap(_LinkFactory(link), self._clock)
        factory.protocol = TLSMemoryBIOProtocol  # the link gathers what it writes by itself
        await self._endpoint.connect(factory)
        try:
            await link.up
            self.link = link
            self._log.info("link to {backend} is up", backend=self._terms.backend)
            self._on_up()
            reason = await link.when_gone()
            self._log.warn("link to {backend} is lost: {reason}", backend=self._terms.backend, reason=reason)
        except CancelledError:
            if self.link is None:
                link.abort()
            raise
        finally:
            self.link = None


class LinkPool(MultiService):
    """The links of a gateway; `when_reachable` fires once the first of them is up."""

    def __init__(self) -> None:
        MultiService.__init__(self)
        self._waiting: list[Deferred[None]] = []

    def add(
        self,
        terms: LinkTerms,
        endpoint: IStreamClientEndpoint,
        channel: ClientChannel,
        attempts: Attempts,
        clock: IReactorTime,
    ) -> None:
        """Keep a link to one more backend."""
        self.addService(BackendReach(terms, endpoint, channel, attempts, clock, self._came_up))  # type: ignore[no-untyped-call]

    @property
    def links(self) -> Sequence[BackendLink]:
        """The links that are up."""
        return [each.link for each in self if isinstance(each, BackendReach) and each.link is not None]

    def when_reachable(self) -> Deferred[None]:
        """Fire as soon as a backend can be reached: at once when one is."""
        if self.links:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _came_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)


def _why(problem: Exception) -> str:
    """Return such as "connection refused" for what the network said, else the kind of problem."""
    number = getattr(problem, "osError", None)
    if isinstance(number, int):
        return os.strerror(number).lower()
    return type(problem).__name__
