"""Moves money that no terminal asked for: refills, corrections, payouts; and opens accounts.

Refuses a movement that would push a locked balance below its floor (BelowFloor): the caller
tells the person who ordered it. Everything happens inside a unit of work that the caller
commits, together with whatever else belongs to the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import select

from trus.auth.lots import NO_LOTS, Lots, read_lots, spend, write_lots
from trus.auth.lots import after as after_moves
from trus.auth.ports import Event, Posting, PurseUpdate
from trus.errors import LedgerError
from trus.ledger.accounts import FLOORED, AccountKind, add_account, network_account
from trus.ledger.tables import account
from trus.ledger.unit import SqlUnit
from trus.values import ResponseCode, Result

#: No terminal named this event, so there is nothing to tell two of them apart by.
_NO_RID: Final = bytes(16)
_NO_DIGEST: Final = bytes(32)
#: Keys in one IN list.
_KEYS_AT_ONCE: Final = 500


class BelowFloor(LedgerError):
    """A movement would push `account` (at `balance` minor units) below its floor by `missing`."""

    def __init__(self, account: int, balance: int, missing: int) -> None:
        super().__init__(f"account {account} holds {balance}, {missing} too little for this movement")
        self.account = account
        self.balance = balance
        self.missing = missing


def open_account(unit: SqlUnit, kind: AccountKind, owner: str, currency: str) -> int:
    """Open an account in a unit of work (trus.ledger.accounts.add_account)."""
    return add_account(unit.connection, kind, owner, currency)


def system_account(unit: SqlUnit, kind: AccountKind, currency: str) -> int:
    """Return the network's own account of this kind (external, gains, risk), opened when missing."""
    return network_account(unit.connection, kind, currency)


def post(
    unit: SqlUnit,
    *,
    kind: str,
    postings: Sequence[Posting],
    actor: str,
    rule: str,
    figures: Mapping[str, int | str] | None = None,
    shop_id: int | None = None,
    card_id: int | None = None,
    lots: Lots = NO_LOTS,
) -> tuple[int, str]:
    """Record an approved event that moves `postings` in one currency; return its id and reference.

    The locked balances among the accounts follow; a purse's day counters stay as they are. Of credit that
    ends `lots` move, or what ends first when money leaves a purse and nothing is said. `kind` is
    at most 16 characters, such as "refill"; `actor` the admin's name. The event's amount is
    what moved into accounts. An event without postings records an order that moved nothing. Raises
    BelowFloor, Unbalanced, StorageFailed.
    """
    currencies = sorted({each.currency for each in postings})
    if len(currencies) > 1:
        raise ValueError("one event moves one currency")
    moved = sum(each.amount for each in postings if each.amount > 0)
    purses, lots = _follow(unit, postings, lots)
    event_id, rrn = unit.next_event()
    unit.record(
        Event(
            event_id=event_id,
            kind=kind,
            identity=None,
            rid=_NO_RID,
            digest=_NO_DIGEST,
            card_id=card_id,
            shop_id=shop_id,
            amount=moved,
            authorized=moved,
            currency=currencies[0] if currencies else "",
            result=Result.APPROVED,
            code=ResponseCode.APPROVED,
            approval="",
            rrn=rrn,
            rule=rule,
            figures=dict(figures or {}),
            answer=b"",
            actor=actor,
            postings=tuple(postings),
            purses=purses,
            lots=lots,
        )
    )
    return event_id, rrn


def _follow(unit: SqlUnit, postings: Sequence[Posting], moves: Lots) -> tuple[tuple[PurseUpdate, ...], Lots]:
    """Return the locked rows after the movement, in order of account, and what their lots move. Raises BelowFloor."""
    moved: dict[int, int] = {}
    for posting in postings:
        moved[posting.account] = moved.get(posting.account, 0) + posting.amount
    wanted = sorted(moved)
    updates: list[PurseUpdate] = []
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        rows = unit.connection.execute(
            select(
                account.c.id,
                account.c.balance,
                account.c.floor,
                account.c.counter_day,
                account.c.day_amount,
                account.c.day_count,
                account.c.held,
                account.c.lots,
            )
            .where(account.c.id.in_(wanted[start : start + _KEYS_AT_ONCE]), account.c.floor.is_not(None))
            .order_by(account.c.id)
        )
        for number, stored, floor, day, amount, count, aside, dated in rows:
            before, kept, now = unit.held(number, stored), unit.lots(number, dated), None
            after = before + moved[number]
            # What is set aside for a shop stays where it is.
            if after < floor + aside and moved[number] < 0:
                raise BelowFloor(number, before, floor + aside - after)
            if kept:
                lots = read_lots(kept)
                moves = moves or spend(lots, max(0, -moved[number]), "")
                now = write_lots(after_moves(lots, moves)) if moves else None
            updates.append(PurseUpdate(number, after, day, amount, count, lots=now))
    return tuple(updates), moves


__all__ = ["FLOORED", "AccountKind", "BelowFloor", "open_account", "post", "system_account"]
