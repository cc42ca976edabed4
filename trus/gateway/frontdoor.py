"""Applies a screen's decisions to a listening port, before a byte of a connection is read.

Decides nothing (trus.gateway.screening does): a refused connection is closed without a word,
and costs neither a handshake nor a log line of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, ILoggingContext, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from trus.gateway.admission import Pace
from trus.gateway.screening import Screen
from trus.gateway.tally import Tally

#: Makes the protocol of an admitted connection; the callable must be called when it is over.
MakeConnection = Callable[[Callable[[], None]], Protocol]


def _host(address: object) -> str | None:
    """Return the IP address of whoever connected; None for anything that is not TCP."""
    return address.host if isinstance(address, IPv4Address | IPv6Address) else None


class Doorkeeper:
    """Counts the connections of one port in and out."""

    def __init__(self, screen: Screen, tally: Tally, clock: IReactorTime, pace: Pace | None = None) -> None:
        """`pace`, when given, hears of every connection that is let in."""
        self._pace = pace
        self._screen = screen
        self._tally = tally
        self._clock = clock

    def lets_in(self, address: IAddress | None) -> bool:
        """Judge a connection that was just accepted, and count it in."""
        host = _host(address)
        if host is None:
            return False
        refusal = self._screen.admit(host, self._clock.seconds())
        if refusal is None:
            if self._pace is not None:
                self._pace.accepted()
            return True
        self._tally.note(refusal.value, host)
        return False

    def leave(self, address: IAddress | None) -> None:
        """Count a connection out."""
        host = _host(address)
        if host is not None:
            self._screen.leave(host, self._clock.seconds())


class ConnectionFactory(Factory):
    """Makes the innermost protocol of each admitted connection."""

    noisy = False

    def __init__(self, make: MakeConnection, keeper: Doorkeeper) -> None:
        self._make = make
        self._keeper = keeper

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Return the connection's protocol, which counts itself out."""
        return self._make(lambda: self._keeper.leave(addr))


@implementer(IProtocolFactory, ILoggingContext)
class FrontDoor:
    """Stands before the factory of a port: whoever is refused never reaches it.

    `name` names the port for people.
    """

    def __init__(self, name: str, keeper: Doorkeeper, behind: IProtocolFactory) -> None:
        self.name = name
        self._keeper = keeper
        self._behind = behind

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """Return what log lines about the port begin with."""
        return self.name

    def doStart(self) -> None:  # noqa: N802 - Twisted's name
        """Start what is behind."""
        self._behind.doStart()

    def doStop(self) -> None:  # noqa: N802 - Twisted's name
        """Stop what is behind."""
        self._behind.doStop()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """Return the connection's protocol, or None: Twisted then closes the connection."""
        return self._behind.buildProtocol(addr) if self._keeper.lets_in(addr) else None
