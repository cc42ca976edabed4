"""Lets new devices in at a pace that the devices inside can bear.

Refuses nobody (trus.gateway.screening does): whoever comes while the gateway is behind with its
work waits outside, in the listening socket's queue, and is let in a little later. A TLS handshake
costs as much as a hundred lines; without this, a street of shops that comes back after an outage
would keep those who are already paying from their answers.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: How often the pace is looked at, in seconds.
TICK_SECONDS: Final = 0.05
#: A look that comes this much late, in seconds, says that work is queueing.
BEHIND_SECONDS: Final = 0.02
#: New connections between two looks while there is nothing else to do: more than a processor can take.
PLENTY: Final = 64


class Entrance(Protocol):
    """A listening port whose queue can be left alone for a while."""

    def rest(self) -> None:
        """Accept no connection until `wake`; they wait in the system's queue."""
        ...

    def wake(self, at_once: int) -> None:
        """Accept again, at most `at_once` before others have their turn."""
        ...


class Pace:
    """Decides how many connections one port accepts between two looks."""

    def __init__(self, reactor: IReactorTime, busy_per_second: float) -> None:
        """`busy_per_second` new connections are let in while the gateway is behind with its work."""
        self._reactor = reactor
        self._busy = max(1, round(busy_per_second * TICK_SECONDS))
        self._entrance: Entrance | None = None
        self._left = PLENTY
        self._look: IDelayedCall | None = None
        self._due = 0.0

    def guard(self, entrance: Entrance) -> None:
        """Set the pace of this port from now on."""
        self._entrance = entrance

    def accepted(self) -> None:
        """Count a connection that was accepted."""
        self._left -= 1
        if self._look is None:
            self._due = self._reactor.seconds() + TICK_SECONDS
            self._look = self._reactor.callLater(TICK_SECONDS, self._tick)
        if self._left <= 0 and self._entrance is not None:
            self._entrance.rest()

    def stop(self) -> None:
        """Look no more."""
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = self._entrance = None

    def _tick(self) -> None:
        self._look = None
        behind = self._reactor.seconds() - self._due > BEHIND_SECONDS
        self._left = self._busy if behind else PLENTY
        if self._entrance is not None:
            self._entrance.wake(self._left)
