"""Holds requests while their cardholders are asked for the PIN, and not for longer than the specification says.

Decides nothing and stores nothing: a request that waited in vain was never handed to the ledger,
takes no PIN try, and its stripe is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

#: Seconds between two looks at the requests that wait.
LOOK_SECONDS: Final = 5.0


Held = TypeVar("Held")


class Waits(Generic[Held]):
    """What waits in one session for more of its terminal, such as a PIN, by dialogue."""

    def __init__(self, seconds: float) -> None:
        """Nothing waits longer than `seconds`."""
        self._seconds = seconds
        self._waiting: dict[str, tuple[Held, float]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def hold(self, dialogue: str, waiting: Held, now: float) -> int:
        """Keep something until more of it comes, and return how much waits; `now` is the monotonic clock's."""
        self._waiting[dialogue] = (waiting, now + self._seconds)
        return len(self._waiting)

    def take(self, dialogue: str) -> Held | None:
        """Return what waited in a dialogue, None when nothing does, and hold it no longer."""
        held = self._waiting.pop(dialogue, None)
        return None if held is None else held[0]

    def overdue(self, now: float) -> list[str]:
        """Forget what has waited too long; return the dialogues."""
        late = [dialogue for dialogue, (_, until) in self._waiting.items() if until <= now]
        for dialogue in late:
            del self._waiting[dialogue]
        return late


class Impatient(Protocol):
    """A device's connection, as far as waiting for PINs goes."""

    def end_waits(self) -> None:
        """Answer every request that has waited too long for its PIN."""
        ...


class PinPatience:
    """Looks at all connections now and then, while the backend runs."""

    def __init__(self, connections: Callable[[], Iterable[Impatient]], reactor: IReactorTime) -> None:
        """`connections` returns those now open."""
        self._connections = connections
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Begin to look."""
        self._loop.start(LOOK_SECONDS, now=False)

    def stopService(self) -> None:
        """Look no more."""
        if self._loop.running:
            self._loop.stop()

    def _look(self) -> None:
        for connection in self._connections():
            connection.end_waits()
