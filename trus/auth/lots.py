"""Credit that ends: which part of a purse can be spent until which business date, and in what order.

Reads and writes no storage. A purse's lots are its dated credit, one lot a date; what of its balance is in no
lot never ends. Two rules for whoever changes this: credit is spent in the order in which it ends, what never
ends last; and it comes back in the opposite order, so that part after part comes back as it went.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, NamedTuple

from trus.values import Frozen

#: Business dates on which credit that comes back after its end can still be spent: a week, so that
#: somebody who is given money back on a Friday has another lunch of it.
GRACE_DAYS: Final = 7


class Lot(NamedTuple):
    """`amount` minor units that can be spent up to and on the business date `expires_on` ("YYYY-MM-DD").

    As a move, `amount` is what goes into (+) or out of (-) the lot of that date.
    """

    expires_on: str
    amount: int


#: How credit that ended and was posted away is recorded: kind and rule.
CREDIT_EXPIRY: Final = "credit-expiry"
EXPIRED: Final = "credit-expired"


#: In the order of their dates, which differ; of a purse, all amounts are above zero.
Lots = tuple[Lot, ...]
NO_LOTS: Final[Lots] = ()


class Credit(Frozen, frozen=True):
    """What an event does to the lots of a purse: its `moves`, and all lots `after` it, as they are kept.

    `after` is None when it leaves them as they are.
    """

    after: str | None = None
    moves: Lots = NO_LOTS


UNCHANGED: Final = Credit()


def read_lots(text: str) -> Lots:
    """Return the lots that `write_lots` wrote. Raises ValueError for anything else."""
    found = []
    for each in text.split():
        expires_on, _, amount = each.partition(":")
        found.append(Lot(expires_on, int(amount)))
    return tuple(found)


def write_lots(lots: Lots) -> str:
    """Return lots as they are kept: "2026-12-31:1500 2027-01-31:200", "" for none.

    Such texts are in the order of the first dates, so that a database finds what has ended.
    """
    return " ".join(f"{lot.expires_on}:{lot.amount}" for lot in lots)


def total(lots: Iterable[Lot]) -> int:
    """Return the sum of the amounts."""
    return sum(lot.amount for lot in lots)


def ended(lots: Lots, day: str) -> int:
    """Return how much credit has ended before a business date."""
    return sum(lot.amount for lot in lots if lot.expires_on < day)


def merged(moves: Iterable[Lot]) -> Lots:
    """Return moves with one for each date, in order, without those of nothing."""
    sums: dict[str, int] = {}
    for expires_on, amount in moves:
        sums[expires_on] = sums.get(expires_on, 0) + amount
    return tuple(Lot(expires_on, amount) for expires_on, amount in sorted(sums.items()) if amount)


def after(lots: Lots, moves: Lots) -> Lots:
    """Return lots after moves. Raises ValueError when a lot would be below zero."""
    left = merged((*lots, *moves))
    if any(lot.amount < 0 for lot in left):
        raise ValueError("a lot would be below zero")
    return left


def spend(lots: Lots, amount: int, day: str) -> Lots:
    """Return the moves of `amount` that is spent on a business date, what ends first going first.

    What the lots do not hold is taken of the credit that never ends. With `day` "" what has ended is spent
    as well: a pre-authorization may have kept it.
    """
    moves = []
    for lot in lots:
        if lot.expires_on >= day and amount:
            part = min(lot.amount, amount)
            moves.append(Lot(lot.expires_on, -part))
            amount -= part
    return tuple(moves)


def come_back(moved: Iterable[Lot], owed: int, amount: int, day: str, grace_days: int = GRACE_DAYS) -> Lots:
    """Return the moves of `amount` of a purchase that comes back on a business date.

    `owed` is what the purse gave for the purchase and has not got back, `moved` what moved of its lots meanwhile:
    by the purchase, its refunds, and their reversals. What was spent last comes back first; what has ended can be
    spent for `grace_days` more.
    """
    net = merged(moved)
    # What came back after its end stands under a later date: it was of the lots that ended first.
    late = sum(lot.amount for lot in net if lot.amount > 0)
    layers: list[tuple[str, int]] = []
    for lot in net:
        if lot.amount < 0:
            gone = min(-lot.amount, late)
            late -= gone
            layers.append((lot.expires_on, -lot.amount - gone))
    moves = []
    for expires_on, held in (("", owed + total(net)), *reversed(layers)):
        part = max(0, min(held, amount))
        amount -= part
        if expires_on and part:
            moves.append(Lot(expires_on if expires_on >= day else days_after(day, grace_days), part))
    return merged(moves)


def take_again(lots: Lots, gained: Lots, undated: int, amount: int, day: str) -> Lots:
    """Return the moves of `amount` that a refund had given and that is taken again on a business date.

    `gained` is what the refund put into lots: as far as it is there still, it goes first, then credit that never
    ends, of which there is `undated`, then what ends first.
    """
    given = dict(gained)
    moves = []
    for lot in lots:
        part = min(lot.amount, given.get(lot.expires_on, 0), amount) if lot.expires_on >= day else 0
        moves.append(Lot(lot.expires_on, -part))
        amount -= part
    amount -= min(amount, undated)
    return merged((*moves, *spend(after(lots, merged(moves)), amount, day)))


def days_after(day: str, days: int) -> str:
    """Return the date so many days after another one."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
