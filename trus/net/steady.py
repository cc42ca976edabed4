"""Has a reactor measure delays by a clock that nobody corrects.

Twisted's own measures them by the machine's wall clock: after a correction backwards everything that was due
waits for as long as the correction was, half-sent lines of a link among it, and after one forwards every peer
counts as silent. Changes no program's idea of what time of day it is (trus.clock.Clock.now is that).
"""

from __future__ import annotations

from typing import Any

from trus.clock import Clock
from trus.errors import TrusError


class AlreadyScheduled(TrusError):
    """The reactor has calls that were scheduled by the other clock; the message is for this program's author."""


def steady(reactor: Any, clock: Clock) -> None:
    """Measure every delay of `reactor` by `clock.monotonic` from now on.

    To be called by a composition root before anything is scheduled. Raises AlreadyScheduled.
    """
    if reactor.getDelayedCalls():
        raise AlreadyScheduled("a reactor's clock is chosen before its first delayed call")
    reactor.seconds = clock.monotonic
