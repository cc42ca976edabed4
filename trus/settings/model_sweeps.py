"""Names the settings of sweeps: when a terminal, or a range of card numbers, that is tried out is stopped.

Reads no file. Part of trus.settings.model, which is long enough without it.
"""
# ruff: noqa: RUF009 - setting() and section() are attrs.field()

from __future__ import annotations

from collections.abc import Iterator

import attrs

from trus.settings import kinds
from trus.settings.problems import Misfit
from trus.settings.sections import Section, setting
from trus.settings.values import Duration

_FORGET = "One wrong verification value, and one card's wrong PIN, of a terminal is forgotten every so often."
_FREE_VALUES = "Wrong verification values, or numbers of no card, of one terminal that slow nothing down."
_MOST_VALUES = "With so many of them the terminal is blocked, until an admin unblocks it."
_FREE_CARDS = "Cards with wrong PINs at one terminal that slow nothing down."
_MOST_CARDS = "With so many of them the terminal is blocked, until an admin unblocks it."
_LONGEST = "The longest time without a check for a terminal that is slowed down; each offence doubles it up to here."
_RANGE_VALUES = "Wrong verification values in a range of card numbers, anywhere, after which its cards need PINs."
_RANGE_FORGET = "One of these is forgotten every so often."


@attrs.frozen(kw_only=True)
class SweepSettings(Section):
    """What is tried out is slowed down, then stopped: verification values, card numbers, PINs."""

    forget: Duration = setting(kinds.duration("1s", "1d"), _FORGET, Duration(600))
    free_values: int = setting(kinds.whole(0, 10_000), _FREE_VALUES, 10)
    most_values: int = setting(kinds.whole(1, 10_000), _MOST_VALUES, 20)
    free_cards: int = setting(kinds.whole(0, 60), _FREE_CARDS, 10)
    most_cards: int = setting(kinds.whole(1, 60), _MOST_CARDS, 30)
    longest_wait: Duration = setting(kinds.duration("1s", "1h"), _LONGEST, Duration(300))
    range_values: int = setting(kinds.whole(1, 1_000_000), _RANGE_VALUES, 30)
    range_forget: Duration = setting(kinds.duration("1s", "1d"), _RANGE_FORGET, Duration(600))

    def misfits(self) -> Iterator[Misfit]:
        """Yield limits that would never slow down before they block."""
        for free, most in (("free_values", "most_values"), ("free_cards", "most_cards")):
            if getattr(self, free) >= getattr(self, most):
                yield Misfit(str(getattr(self, free)), f"less than {most} ({getattr(self, most)})", (free,))
