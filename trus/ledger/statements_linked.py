"""Holds the SQL of what hangs on stored requests: entries, lots, refunds, pre-authorizations; and of watched ranges.

Runs nothing. Part of trus.ledger.statements, whose rules hold here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Executable, TextClause, and_, bindparam, func, literal_column, select, text

from trus.ledger.tables import ENDING_WHERE, account, entry, event, hold, lot_move, range_watch


def markers(size: int) -> list[Any]:
    """Return the places of `size` keys."""
    return [bindparam(None, unique=True) for _ in range(size)]


def ends(alias: str) -> TextClause:
    """Say that an event ends its original: spelled out, because the index covers these kinds alone."""
    return text(f"{alias}.{ENDING_WHERE}")


def request_entries(size: int) -> Executable:
    """Return what requests moved."""
    return (
        select(entry.c.event_id, entry.c.account, entry.c.amount, entry.c.currency)
        .where(entry.c.event_id.in_(markers(size)))
        .order_by(entry.c.event_id, entry.c.number)
    )


def request_lots(size: int) -> Executable:
    """Return what requests moved of credit that ends."""
    return (
        select(lot_move.c.event_id, lot_move.c.expires_on, lot_move.c.amount)
        .where(lot_move.c.event_id.in_(markers(size)))
        .order_by(lot_move.c.event_id, lot_move.c.expires_on)
    )


def locked_accounts(size: int) -> Executable:
    """Return which accounts have a locked balance."""
    return select(account.c.id).where(account.c.id.in_(markers(size)), account.c.balance.is_not(None))


def refunds(size: int) -> Executable:
    """Return the refunds of purchases, and what has taken them back."""
    refund, undone = event.alias("refund"), event.alias("undone")
    return (
        select(refund.c.original, refund.c.id, undone.c.id)
        .select_from(refund)
        .outerjoin(undone, and_(undone.c.original == refund.c.id, ends("undone")))
        .where(refund.c.original.in_(markers(size)), text("refund.kind = 'refund'"))
    )


def restored_holds(size: int) -> Executable:
    """Return the pre-authorizations that stand again: which, as which event, with how much aside in which purse."""
    return (
        select(hold.c.restores, hold.c.event_id, hold.c.account, hold.c.amount)
        .where(text("hold.restores IS NOT NULL"), hold.c.restores.in_(markers(size)))
        .order_by(hold.c.restores, hold.c.account)
    )


def watched_ranges(_: int) -> Executable:
    """Return what is kept of ranges of card numbers, the latest last."""
    columns = (range_watch.c.name, range_watch.c.count, range_watch.c.since, range_watch.c.swept)
    return select(*columns).where(range_watch.c.since >= literal_column("0")).order_by(range_watch.c.since)


def ended_again(size: int) -> Executable:
    """Return what has ended pre-authorizations that stood again, since what completed them was taken back."""
    completion, undone, ending = event.alias("completion"), event.alias("undone"), event.alias("ending")
    return (
        select(
            completion.c.original,
            *(ending.c[each] for each in ("id", "authorized", "kind", "slot", "sequence", "mark")),
        )
        .select_from(completion)
        .join(undone, and_(undone.c.original == completion.c.id, ends("undone")))
        .join(ending, and_(ending.c.original == undone.c.id, ends("ending")))
        .where(completion.c.original.in_(markers(size)), ends("completion"))
    )


def due_holds() -> Executable:
    """Return the pre-authorizations that have expired, the oldest first."""
    return (
        select(func.coalesce(hold.c.restores, hold.c.event_id))
        .where(hold.c.expires_at <= bindparam(None, unique=True))
        .order_by(hold.c.expires_at)
        .limit(bindparam(None, unique=True))
        .offset(literal_column("0"))
    )
