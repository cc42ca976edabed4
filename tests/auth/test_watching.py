"""What is held against a terminal grows with what it tries, is forgotten in time, and never without cause."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.auth.watching import (
    UNWATCHED,
    Watch,
    WatchLimits,
    is_swept,
    lately,
    right_pin,
    seconds_left,
    watch_from_text,
    watch_to_text,
    wrong_pin,
    wrong_value,
)

LIMITS = WatchLimits()
NOW = 1_800_000_000


def tried(count: int, now: int = NOW, watch: Watch = UNWATCHED) -> Watch:
    for _ in range(count):
        watch = wrong_value(watch, now, LIMITS)
    return watch


class Values(SynchronousTestCase):
    def test_waits_double(self) -> None:
        """Each wrong verification value beyond the free ones doubles the wait, up to the longest."""
        waits = [seconds_left(tried(LIMITS.free_values + more), NOW) for more in range(-1, 11)]
        self.assertEqual(waits, [0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])

    def test_forgotten(self) -> None:
        """One is forgotten every ten minutes, to the second, and after all of them nothing is kept."""
        watch = tried(3)
        self.assertEqual(
            [lately(watch, NOW + each, LIMITS).values for each in (599, 600, 1199, 1200, 1800)], [3, 2, 2, 1, 0]
        )
        self.assertEqual(watch_to_text(lately(watch, NOW + 1800, LIMITS)), "")

    def test_clock_back(self) -> None:
        """A clock that goes back forgets nothing and shortens no wait."""
        watch = tried(LIMITS.free_values + 3)
        self.assertEqual(lately(watch, NOW - 100_000, LIMITS), watch)
        self.assertEqual(seconds_left(watch, NOW - 10), 18)

    def test_swept(self) -> None:
        """Enough of them block the terminal, also when they come slowly."""
        self.assertFalse(is_swept(tried(19), LIMITS))
        self.assertTrue(is_swept(tried(20), LIMITS))


class Pins(SynchronousTestCase):
    def test_each_card_once(self) -> None:
        """Wrong PINs of one card count once: its own tries end it."""
        watch = UNWATCHED
        for card in (1, 1, 1, 2, 1):
            watch = wrong_pin(watch, card, NOW, LIMITS)
        self.assertEqual((watch.pins, watch.cards), (2, (1, 2)))

    def test_right_ones_forgive(self) -> None:
        """A right PIN forgives one wrong one; a card that was counted, or has forgiven, forgives none."""
        watch = wrong_pin(wrong_pin(UNWATCHED, 1, NOW, LIMITS), 2, NOW, LIMITS)
        self.assertEqual(right_pin(watch, 1, NOW, LIMITS).pins, 2)
        once = right_pin(watch, 3, NOW, LIMITS)
        self.assertEqual((once.pins, right_pin(once, 3, NOW, LIMITS).pins), (1, 1))
        self.assertEqual(right_pin(once, 4, NOW, LIMITS), UNWATCHED)

    def test_nothing_to_forgive(self) -> None:
        """A right PIN leaves wrong verification values where they are."""
        self.assertEqual(right_pin(tried(7), 1, NOW, LIMITS), tried(7))


_steps = st.lists(
    st.tuples(st.sampled_from(("value", "pin", "right")), st.integers(1, 40), st.integers(0, 900)), max_size=80
)


class Properties(SynchronousTestCase):
    def test_bounds(self) -> None:
        """Whatever a terminal does, figures stay in bounds, are kept whole, and a wait never exceeds the longest."""

        @settings(max_examples=300)
        @given(_steps)
        def holds(steps: list[tuple[str, int, int]]) -> None:
            watch, now = UNWATCHED, NOW
            for what, card, later in steps:
                now += later
                if what == "value":
                    watch = wrong_value(watch, now, LIMITS)
                else:
                    watch = (wrong_pin if what == "pin" else right_pin)(watch, card, now, LIMITS)
                self.assertTrue(0 <= seconds_left(watch, now) <= LIMITS.longest_wait)
                self.assertTrue(watch.values >= 0 and watch.pins >= 0 and len(watch.cards) <= 64)
                self.assertEqual(watch_from_text(watch_to_text(watch)), watch)
                self.assertLess(len(watch_to_text(watch)), 1500)

        holds()

    def test_a_patient_thief(self) -> None:
        """Whoever tries as fast as it is checked is blocked after a few dozen tries, at whatever pace he asks."""

        @settings(max_examples=60)
        @given(st.integers(0, 599))
        def holds(pause: int) -> None:
            watch, now, checked = UNWATCHED, NOW, 0
            while not is_swept(watch, LIMITS):
                now += max(pause, seconds_left(watch, now))
                watch = wrong_value(watch, now, LIMITS)
                checked += 1
                if pause > 540:
                    if checked > 400:
                        break
                else:
                    self.assertLess(checked, 220)

        holds()
