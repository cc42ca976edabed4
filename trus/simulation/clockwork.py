"""The one queue of everything that happens in a simulated network, and each part's view of it.

Runs one event after the other and never waits: time is what the next event says. A part that has
died gets no event any more; what escapes from an event is reported, never swallowed.

A maintainer must not break: the order of events follows from the seed alone. Everything that can
differ between two runs goes into the trace, whose digest a test compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any, Final

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

#: Monotonic seconds at which every machine of a run has been up for a while.
BOOTED_SECONDS: Final = 1000.0

_TICK_SECONDS: Final = 1e-6

#: Receives the text of the trace, one line an entry.
Sink = Callable[[str], None]


class Crashed(BaseException):
    """A part dies here. Not an Exception, so that no handler of the network's own takes it for an error."""


class Part:
    """One incarnation of one process: gateway, front, core or terminal.

    `offset` is how far its wall clock is off, in seconds; a machine keeps it over restarts.
    """

    def __init__(self, work: Clockwork, name: str, incarnation: int = 1) -> None:
        self.work = work
        self.name = name
        self.incarnation = incarnation
        self.alive = True
        self.offset = 0.0
        self.reactor = PartReactor(self)
        self.clock = PartClock(self)
        #: Called once, in order, when the part dies.
        self.at_death: list[Callable[[], None]] = []
        self._fuse = 0
        self._kill: Callable[[], object] = lambda: None

    def __repr__(self) -> str:
        return f"<{self.name}#{self.incarnation}{'' if self.alive else ' dead'}>"

    def die(self) -> None:
        """Stop here: no event of this part runs any more."""
        if self.alive:
            self.alive = False
            closing, self.at_death = self.at_death, []
            for each in closing:
                each()

    def burn(self, events: int, kill: Callable[[], object]) -> None:
        """Call `kill` after so many events of this part more; 0 for never."""
        self._fuse, self._kill = events, kill

    def ran(self) -> None:
        """Take note that an event of this part has run."""
        if self._fuse:
            self._fuse -= 1
            if not self._fuse and self.alive:
                self._kill()

    def crash(self) -> Crashed:
        """Mark this part as dying and return what must be raised to get out of its code."""
        self.work.doomed.append(self)
        return Crashed(self.name)


@implementer(IDelayedCall)
class Call:
    """An event that is to come."""

    __slots__ = ("arguments", "at", "function", "keywords", "number", "part", "state", "work")

    def __init__(
        self,
        work: Clockwork,
        at: float,
        part: Part | None,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
    ) -> None:
        self.work = work
        self.at = at
        self.part = part
        self.function = function
        self.arguments = arguments
        self.keywords = keywords
        self.number = 0
        self.state = ""

    def getTime(self) -> float:  # noqa: N802 - Twisted's name
        """Return the second at which it runs."""
        return self.at

    def cancel(self) -> None:
        """Do not run it. Raises AlreadyCalled, AlreadyCancelled."""
        self._demand()
        self.state = "cancelled"

    def delay(self, secondsLater: float) -> None:  # noqa: N803 - Twisted's name
        """Run it later than planned."""
        self._demand()
        self.work.plan(self, self.at + secondsLater)

    def reset(self, secondsFromNow: float) -> None:  # noqa: N803 - Twisted's name
        """Run it so many seconds from now."""
        self._demand()
        self.work.plan(self, self.work.now + secondsFromNow)

    def active(self) -> bool:
        """Return whether it is still to come."""
        return not self.state

    def _demand(self) -> None:
        if self.state == "called":
            raise AlreadyCalled
        if self.state:
            raise AlreadyCancelled


@implementer(IReactorTime)
class PartReactor:
    """A part's reactor: its timers end with it."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def seconds(self) -> float:
        """Return monotonic seconds."""
        return self._part.work.now

    # Twisted's names and order of arguments.
    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> Call:  # noqa: A002
        """Run `callable` after `delay` seconds, unless the part has died by then."""
        return self._part.work.later(delay, self._part, callable, *args, **kwargs)

    def getDelayedCalls(self) -> list[Call]:
        """Return the part's events that are still to come."""
        return self._part.work.waiting(self._part)


class PartClock:
    """trus.clock.Clock of a part: the run's time and the part's own error."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def now(self) -> datetime:
        """Return what this part takes for the present moment."""
        work = self._part.work
        return work.start + timedelta(seconds=work.now - BOOTED_SECONDS + work.slept + self._part.offset)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._part.work.now


class Clockwork:
    """The queue. `now` is in seconds, `step` counts the events that have run.

    `slept` is by how many seconds every wall clock has gone on while nothing ran (all machines
    suspended together).
    """

    def __init__(self, start: datetime, sink: Sink | None = None) -> None:
        """Begin at `start` (aware, UTC); `sink` gets the trace as text."""
        self.start = start.astimezone(UTC)
        self.now = BOOTED_SECONDS
        self.slept = 0.0
        self.step = 0
        self.doomed: list[Part] = []
        #: Called with the part and what escaped from an event of it.
        self.on_failure: Callable[[Part | None, Exception], None] = _raise
        self._heap: list[tuple[float, int, Call]] = []
        self._numbers = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._sink = sink

    def later(
        self, delay: float, part: Part | None, function: Callable[..., object], *arguments: object, **keywords: object
    ) -> Call:
        """Run `function` after `delay` seconds; for a `part`, only if it lives then."""
        call = Call(self, 0.0, part, function, arguments, keywords)
        # No real clock stands still: a wait that floating point rounds to nothing is a short one.
        self.plan(call, self.now + max(delay, _TICK_SECONDS) if delay > 0 else self.now)
        return call

    def plan(self, call: Call, at: float) -> None:
        """Put a call in its place of the queue."""
        self._numbers += 1
        call.at, call.number = at, self._numbers
        heappush(self._heap, (at, self._numbers, call))

    def waiting(self, part: Part) -> list[Call]:
        """Return the events of a part that are still to come."""
        return [call for _, number, call in self._heap if call.part is part and call.number == number and call.active()]

    def turn(self, until: float = float("inf")) -> bool:
        """Run the next event; False when none is left before `until` (seconds)."""
        heap = self._heap
        while heap:
            at, number, call = heap[0]
            if call.number != number or call.state or (call.part is not None and not call.part.alive):
                heappop(heap)
                continue
            if at > until:
                return False
            heappop(heap)
            self._run(at, call)
            return True
        return False

    def advance(self, seconds: float) -> None:
        """Run everything of the next seconds."""
        end = self.now + seconds
        while self.turn(end):
            pass
        self.now = max(self.now, end)

    def trace(self, *words: bytes) -> None:
        """Put bytes into the trace's digest."""
        for word in words:
            self._digest.update(word)

    def say(self, part: str, *words: object) -> None:
        """Put an entry into the trace, and hand it to whoever reads along."""
        text = " ".join(str(word) for word in words)
        self._digest.update(f"{part} {text}\n".encode())
        if self._sink is not None:
            self._sink(f"{self.step:>8} {self.now - BOOTED_SECONDS:>12.3f} {part:<12} {text}")

    @property
    def digest(self) -> str:
        """What the trace so far amounts to, in hexadecimal."""
        return self._digest.hexdigest()

    def bury(self) -> None:
        """Let the parts die that have crashed in their own code."""
        while self.doomed:
            self.doomed.pop().die()

    def _run(self, at: float, call: Call) -> None:
        self.now = max(self.now, at)
        self.step += 1
        call.state = "called"
        part = call.part
        self._digest.update(b"%d %s " % (round(at * 1e6), b"" if part is None else part.name.encode()))
        try:
            call.function(*call.arguments, **call.keywords)
        except Crashed:
            pass  # the part is among the doomed
        except Exception as failure:  # noqa: BLE001 - whatever escapes is a finding
            self.on_failure(part, failure)
        if self.doomed:
            self.bury()
        if part is not None:
            part.ran()


def _raise(part: Part | None, failure: Exception) -> None:
    raise failure
