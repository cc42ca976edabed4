"""Watches ranges of card numbers across all terminals: a sweep that no single terminal shows.

Kept by keyed hashes, never by digits, in memory and in the ledger, from which it is read at the start. What it asks
for, the PIN, is only ever more: a batch that was not stored counts all the same. While a range is swept, its cards
pay nothing without PIN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def __init__(
        self, name: Callable[[str], bytes], limits: RangeLimits, kept: Sequence[tuple[bytes, int, int, bool]] = ()
    ) -> None:
        """`name` returns the keyed hash of some digits; `kept` is what was known before, the latest last."""
        self._name = name
        self._limits = limits
        latest = kept[-MAX_RANGES:]
        self._counted: dict[bytes, tuple[int, int]] = {each[0]: (each[1], each[2]) for each in latest}
        self._swept: set[bytes] = {each[0] for each in latest if each[3]}

    def kept(self, digits: str) -> tuple[bytes, int, int, bool]:
        """Return what is to be kept of the range of a card number: name, count, since, whether it is swept."""
        key = self._name(digits[:-RANGE_DIGITS])
        return (key, *self._counted[key], key in self._swept)

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
