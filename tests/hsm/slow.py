"""A key store that takes as long as it is told to, on a clock that moves by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from trus.hsm.memory import MemoryStore


class SetClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class SlowStore:
    """Every call of a store, each `delay` seconds later."""

    def __init__(self, store: MemoryStore, clock: SetClock) -> None:
        self._store = store
        self._clock = clock
        self.delay = 0.0
        self.calls = 0
        self.recovered = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        def late(*arguments: Any) -> Any:
            self.calls += 1
            self._clock.advance(self.delay)
            return call(*arguments)

        return late

    def recover(self, pin: str = "") -> None:
        self.recovered += 1
