"""Counts what a cardholder has spent in a week, in a month, and at each shop in a day.

Pure figures: kept in the purse's row, so that no limit is ever found by adding up the journal. One local
date says which periods the figures are of: the ISO week and the calendar month that it lies in. They are
kept only for companies whose policy limits them.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Final

import msgspec

_NOTHING: Final = (0, 0)


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """What was spent in the periods of `day`, a local date of the company: minor units and purchases.

    `shops` are the day's own, by the ledger's number of the shop.
    """

    day: str
    week_amount: int = 0
    week_count: int = 0
    month_amount: int = 0
    month_count: int = 0
    shops: dict[int, tuple[int, int]] = msgspec.field(default_factory=dict)

    def at(self, shop_id: int) -> tuple[int, int]:
        """Return amount and number of the day's purchases at a shop."""
        return self.shops.get(shop_id, _NOTHING)

    def plus(self, shop_id: int, amount: int) -> Spent:
        """Return the figures with a purchase of `day` more."""
        there = self.at(shop_id)
        return Spent(
            self.day,
            self.week_amount + amount,
            self.week_count + 1,
            self.month_amount + amount,
            self.month_count + 1,
            {**self.shops, shop_id: (there[0] + amount, there[1] + 1)},
        )

    def plus_of(self, day: str, shop_id: int | None, amount: int, count: int) -> Spent:
        """Return the figures with a purchase of a day, as far as that lies in their periods.

        Less with negative figures, never below zero.
        """
        week = self.week_amount, self.week_count
        if week_of(day) == week_of(self.day):
            week = _added(week, amount, count)
        month = self.month_amount, self.month_count
        if day[:7] == self.day[:7]:
            month = _added(month, amount, count)
        shops = self.shops
        if day == self.day and shop_id is not None:
            shops = {**shops, shop_id: _added(self.at(shop_id), amount, count)}
        return Spent(self.day, *week, *month, shops)


@lru_cache(maxsize=1024)
def week_of(day: str) -> str:
    """Return the ISO 8601 week of a date "YYYY-MM-DD": "2026-W47"."""
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02d}"


def rolled(spent: Spent | None, day: str, day_amount: int, day_count: int) -> Spent:
    """Return the figures as they stand on a day of which so much was spent.

    What was spent today under a policy that counted no weeks is taken in. A clock that goes back starts
    no period again.
    """
    if spent is None:
        return Spent(day, day_amount, day_count, day_amount, day_count)
    if spent.day >= day:
        return spent
    week = (spent.week_amount, spent.week_count) if week_of(spent.day) == week_of(day) else _NOTHING
    month = (spent.month_amount, spent.month_count) if spent.day[:7] == day[:7] else _NOTHING
    return Spent(day, *_added(week, day_amount, day_count), *_added(month, day_amount, day_count))


def _added(counted: tuple[int, int], amount: int, count: int) -> tuple[int, int]:
    return max(0, counted[0] + amount), max(0, counted[1] + count)


_decode: Final = msgspec.json.Decoder(Spent).decode
_encode: Final = msgspec.json.Encoder().encode


def spent_to_text(spent: Spent) -> str:
    """Return the figures as they are kept."""
    return _encode(spent).decode("ascii")


def spent_from_text(text: str) -> Spent:
    """Return the figures of a row. Raises msgspec.MsgspecError for what they cannot be."""
    return _decode(text)
