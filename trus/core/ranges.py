"""Watches ranges of card numbers across all terminals: a sweep that no single terminal shows.

Kept in this core's memory, by keyed hashes, never by digits: a restart forgets it, and what it asks for, the PIN, is
only ever more. While a range is swept, its cards pay nothing without PIN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trus.values import Frozen

#: Digits that are left out of a range: a thousand cards, with the check digit.
RANGE_DIGITS: Final = 4
#: Ranges remembered; the one that was quiet for longest is forgotten first.
MAX_RANGES: Final = 4096


class RangeLimits(Frozen, frozen=True):
    """`most_values` wrong verification values make a range swept; one is forgotten every `forget_seconds`."""

    forget_seconds: int = 600
    most_values: int = 30


class Ranges:
    """How many wrong verification values, or numbers of no card, were sent for each range."""

    def __init__(self, name: Callable[[str], bytes], limits: RangeLimits) -> None:
        """`name` returns the keyed hash of some digits."""
        self._name = name
        self._limits = limits
        self._counted: dict[bytes, tuple[int, int]] = {}
        self._swept: set[bytes] = set()

    def wrong(self, digits: str, now: int) -> int:
        """Count one for the range of a card number; return the count if that has made the range swept, else 0."""
        key = self._name(digits[:-RANGE_DIGITS])
        count, since = self._left(key, now)
        self._counted.pop(key, None)
        self._counted[key] = (count + 1, since or now)
        if len(self._counted) > MAX_RANGES:
            quiet = next(iter(self._counted))
            del self._counted[quiet]
            self._swept.discard(quiet)
        if count + 1 < self._limits.most_values or key in self._swept:
            return 0
        self._swept.add(key)
        return count + 1

    def is_swept(self, digits: str, now: int) -> bool:
        """Return whether the range of a card number is being swept; it is no more once half is forgotten."""
        if not self._swept:
            return False
        key = self._name(digits[:-RANGE_DIGITS])
        if key not in self._swept:
            return False
        if self._left(key, now)[0] * 2 > self._limits.most_values:
            return True
        self._swept.discard(key)
        return False

    def _left(self, key: bytes, now: int) -> tuple[int, int]:
        count, since = self._counted.get(key, (0, 0))
        forgotten = max(0, now - since) // self._limits.forget_seconds if count else 0
        if forgotten >= count:
            return 0, 0
        return count - forgotten, since + forgotten * self._limits.forget_seconds
