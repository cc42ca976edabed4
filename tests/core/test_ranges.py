"""A range of card numbers is swept by many terminals, forgotten in time, and never known by its digits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.core.ranges import MAX_RANGES, RangeLimits, Ranges

LIMITS = RangeLimits()
NUMBER = "9999000100000017"
NOW = 1_800_000_000


def ranges() -> Ranges:
    return Ranges(lambda digits: digits.encode()[::-1], LIMITS)


class RangeTests(SynchronousTestCase):
    def test_swept(self) -> None:
        """The thirtieth wrong value of a range is told once; other ranges are not concerned."""
        watched = ranges()
        told = [watched.wrong(NUMBER, NOW) for _ in range(40)]
        self.assertEqual(told, [0] * 29 + [30] + [0] * 10)
        self.assertTrue(watched.is_swept(NUMBER, NOW))
        self.assertTrue(watched.is_swept("9999000100009999", NOW), "the next card of the range")
        self.assertFalse(watched.is_swept("9999000200000017", NOW))

    def test_forgotten(self) -> None:
        """When half of it is forgotten the range is free again, and its next sweep is told again."""
        watched = ranges()
        for _ in range(30):
            watched.wrong(NUMBER, NOW)
        self.assertTrue(watched.is_swept(NUMBER, NOW + 14 * 600 + 599))
        self.assertFalse(watched.is_swept(NUMBER, NOW + 15 * 600))
        later = [watched.wrong(NUMBER, NOW + 15 * 600) for _ in range(15)]
        self.assertEqual(later, [0] * 14 + [30])

    def test_kept(self) -> None:
        """What was counted and what is swept is known after a restart, without a digit of any number."""
        watched = ranges()
        for _ in range(30):
            watched.wrong(NUMBER, NOW)
        kept = watched.kept(NUMBER)
        self.assertEqual(kept, (NUMBER[:-4].encode()[::-1], 30, NOW, True))
        again = Ranges(lambda digits: digits.encode()[::-1], LIMITS, [(b"other", 3, NOW - 9, False), kept])
        self.assertTrue(again.is_swept(NUMBER, NOW + 14 * 600))
        self.assertFalse(again.is_swept(NUMBER, NOW + 15 * 600))
        many = [(b"%d" % number, 1, NOW, False) for number in range(MAX_RANGES + 1)]
        self.assertEqual(len(Ranges(lambda digits: digits.encode(), LIMITS, many)._counted), MAX_RANGES)

    def test_bounded(self) -> None:
        """However many ranges are tried, memory is bounded, and the quietest is forgotten."""
        watched = ranges()
        for number in range(MAX_RANGES + 50):
            watched.wrong(f"{number:012d}0000", NOW)
        self.assertEqual(len(watched._counted), MAX_RANGES)

    def test_never_told_before(self) -> None:
        """No range is called swept before enough wrong values came within the time."""

        @given(st.lists(st.integers(600, 2000), max_size=80))
        def holds(pauses: list[int]) -> None:
            watched, now = ranges(), NOW
            for pause in pauses:
                now += pause
                self.assertEqual(watched.wrong(NUMBER, now), 0)

        holds()
