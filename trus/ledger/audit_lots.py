"""Proves that the credit that ends is what the journal's moves make of it, and within what purses hold.

Reads the moves and the purses alone; changes nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, or_, select

from trus.auth.lots import Lot, read_lots, total
from trus.ledger.findings import Check, Findings
from trus.ledger.tables import account, event, lot_move


def check_lots(connection: Connection, findings: Findings) -> None:
    """Check that the lots of every purse are the sums of their moves, and that no purse holds less."""
    sums: dict[int, list[Lot]] = {}
    moved = (
        select(lot_move.c.account, lot_move.c.expires_on, func.sum(lot_move.c.amount))
        .group_by(lot_move.c.account, lot_move.c.expires_on)
        .order_by(lot_move.c.account, lot_move.c.expires_on)
    )
    for number, expires_on, amount in connection.execute(moved):
        if amount:
            sums.setdefault(number, []).append(Lot(expires_on, amount))
    purses = select(account.c.id, account.c.balance, account.c.lots)
    purses = purses.where(or_(account.c.lots != "", account.c.id.in_(select(lot_move.c.account))))
    for number, balance, kept in connection.execute(purses.order_by(account.c.id)):
        by_moves = sums.get(number, [])
        try:
            lots = list(read_lots(kept))
        except ValueError:
            findings.add(Check.LOTS, f"account {number}", "its lots cannot be read")
            continue
        if lots != by_moves:
            findings.add(Check.LOTS, f"account {number}", f"its lots are {kept!r}, and their moves make {by_moves}")
        if total(lots) > (balance or 0) or any(lot.amount <= 0 for lot in lots):
            findings.add(Check.LOTS, f"account {number}", f"it holds {balance}, and its lots are {kept!r}")
    stray = (
        select(lot_move.c.event_id)
        .outerjoin(event, event.c.id == lot_move.c.event_id)
        .where(event.c.id.is_(None))
        .order_by(lot_move.c.event_id)
    )
    for number in connection.execute(stray).scalars():
        findings.add(Check.LOTS, f"event {number}", "it moves lots and does not exist")
    findings.examine(Check.LOTS, int(connection.execute(select(func.count()).select_from(lot_move)).scalar_one()))
