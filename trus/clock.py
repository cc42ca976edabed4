"""Gives the network its time and its entropy through two narrow ports.

The rest of trus reads no clock and draws no randomness by itself, so that a whole network
can run in one process on a fake clock from one seed. Only the composition roots (trus.tap,
trus.cli) choose the system implementations below.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for deadlines and durations."""
        ...


class Entropy(Protocol):
    """Draws unpredictable bytes."""

    def draw(self, count: int) -> bytes:
        """Return `count` bytes from a cryptographically secure source."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


class SystemEntropy:
    """The kernel's random number generator."""

    def draw(self, count: int) -> bytes:
        """Return `count` bytes of the kernel's generator."""
        return os.urandom(count)
