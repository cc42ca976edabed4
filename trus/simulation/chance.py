"""Draws everything that a simulated run leaves to chance, from one seed.

Asks neither the machine nor Python's own generator: the same seed gives the same draws on every
machine and version. Each part of a run draws from a stream of its own name, so that a draw more in
one place does not change what happens in all others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")
_MASK: Final = (1 << 64) - 1
_BLOCK_BYTES: Final = 4096


class Chance:
    """One stream of draws (splitmix64: Steele, Lea and Flood 2014)."""

    def __init__(self, seed: int, name: str = "") -> None:
        """Begin the stream called `name` of a seed."""
        self.seed = seed
        self.name = name
        digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
        self._state = int.from_bytes(digest, "big")

    def fork(self, name: str) -> Chance:
        """Return the stream of another name of the same seed."""
        return Chance(self.seed, f"{self.name}/{name}")

    def bits(self) -> int:
        """Return 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, end: int) -> int:
        """Return a whole number from 0 up to, not including, `end`."""
        return (self.bits() * end) >> 64

    def between(self, first: int, last: int) -> int:
        """Return a whole number from `first` to `last`, both included."""
        return first + self.below(last - first + 1)

    def share(self) -> float:
        """Return a number from 0 up to, not including, 1."""
        return (self.bits() >> 11) * 2.0**-53

    def happens(self, probability: float) -> bool:
        """Return whether something of this probability (0 to 1) happens."""
        return self.share() < probability

    def seconds(self, least: float, most: float) -> float:
        """Return seconds between two bounds, in whole milliseconds so that events may coincide."""
        return self.between(round(least * 1000), round(most * 1000)) / 1000

    def choose(self, several: Sequence[_T]) -> _T:
        """Return one of several, which must not be empty."""
        return several[self.below(len(several))]

    def weighted(self, several: Sequence[tuple[int, _T]]) -> _T:
        """Return one of several (weight, value) pairs."""
        drawn = self.below(sum(weight for weight, _ in several))
        for weight, value in several:
            drawn -= weight
            if drawn < 0:
                return value
        raise ValueError("nothing to choose from")

    def shuffled(self, several: Sequence[_T]) -> list[_T]:
        """Return the values in another order."""
        left = list(several)
        return [left.pop(self.below(len(left))) for _ in range(len(several))]

    def octets(self, count: int) -> bytes:
        """Return `count` bytes, for what a peer sends that has no sense."""
        return b"".join(self.bits().to_bytes(8, "big") for _ in range(count // 8 + 1))[:count]


class SeededEntropy:
    """trus.clock.Entropy from a seed: SHAKE-256 over the seed, the name and a counter."""

    def __init__(self, seed: int, name: str) -> None:
        """Draw for the part called `name`; every incarnation of a part needs a name of its own."""
        self._prefix = f"trus entropy\0{seed}\0{name}\0".encode()
        self._count = 0
        self._block = b""
        self._used = 0

    def draw(self, count: int) -> bytes:
        """Return `count` bytes."""
        end = self._used + count
        if end > len(self._block):
            self._refill(count)
            end = count
        drawn = self._block[self._used : end]
        self._used = end
        return drawn

    def _refill(self, count: int) -> None:
        self._count += 1
        whole = hashlib.shake_256(self._prefix + self._count.to_bytes(8, "big"))
        self._block = whole.digest(max(_BLOCK_BYTES, count))
        self._used = 0
