"""Marks a ledger as restored: a new epoch, a new slot, new numbers, a date that was not open before, an event.

Copies and judges nothing. What was lost between the backup and the disaster had event numbers, links
and answers of its own; none of these is given out a second time. Sessions and tickets that know of changes
of standing that this state has never seen are looked at again, all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from trus.errors import StorageFailed
from trus.ledger.days import NUMBERS_A_DAY
from trus.ledger.posting import post
from trus.ledger.store import SqlLedger
from trus.ledger.tables import business_day, meta
from trus.values import BusinessDate

RESTORE_EPOCH: Final = "restore_epoch"
REVOCATION_EPOCH: Final = "revocation_epoch"
#: Event numbers of a day that belong to one epoch: nine restorations on one day, ten million events each.
NUMBERS_AN_EPOCH: Final = 10_000_000
#: By how much a restoration raises the number of the newest change of standing: nobody has seen so many.
CHANGES_AN_EPOCH: Final = 1_000_000
#: Who restored, in the audit chain.
ACTOR: Final = "restore"


def restore_epoch(connection: Connection) -> int:
    """Return how often this ledger was restored from a backup."""
    return int(connection.execute(select(meta.c.value).where(meta.c.name == RESTORE_EPOCH)).scalar() or 0)


def raise_epoch(ledger: SqlLedger, now: datetime, opened: BusinessDate, known: int = 0) -> int:
    """Begin a new epoch of a restored ledger; return its number.

    The epoch is beyond that of the ledger and `known`, the greatest one that anybody has heard of: the same backup may
    have been restored before, and what was lost of that has numbers of its own too.
    `opened` is the business date that is open from now on, not before the present one. The ledger must be
    closed and opened anew before anything else is stored: its slot is another one then. Raises
    StorageFailed, OutcomeUnknown; ValueError for a date before the open one.
    """
    if opened < ledger.business_date():
        raise ValueError(f"business date {opened} is before the open one")
    if opened > ledger.business_date():
        ledger.advance_day(now, opened)
    with ledger.order(now) as unit:
        put = unit.connection.execute
        before = restore_epoch(unit.connection)
        epoch = max(before, known) + 1
        passed = epoch - before
        if before:
            put(update(meta).where(meta.c.name == RESTORE_EPOCH).values(value=str(epoch)))
        else:
            put(insert(meta).values(name=RESTORE_EPOCH, value=str(epoch)))
        changes = int(put(select(meta.c.value).where(meta.c.name == REVOCATION_EPOCH)).scalar_one())
        newest = str(changes + passed * CHANGES_AN_EPOCH)
        put(update(meta).where(meta.c.name == REVOCATION_EPOCH).values(value=newest))
        _skip_numbers(unit.connection, unit.business_date, passed)
    return epoch


def record_restoration(ledger: SqlLedger, now: datetime, figures: Mapping[str, int | str]) -> None:
    """Record the restoration: the first event of its epoch. Raises StorageFailed, OutcomeUnknown."""
    with ledger.order(now) as unit:
        told = {**figures, "epoch": restore_epoch(unit.connection)}
        post(unit, kind="admin", postings=(), actor=ACTOR, rule="RESTORE", figures=told)


def _skip_numbers(connection: Connection, day: BusinessDate, epochs: int) -> None:
    """Let the next event of the open day have a number that none of so many epochs before this has given out."""
    this_day = business_day.c.date == day
    held = int(connection.execute(select(business_day.c.next_number).where(this_day)).scalar_one())
    first = (held // NUMBERS_AN_EPOCH + epochs) * NUMBERS_AN_EPOCH + 1
    if first >= NUMBERS_A_DAY:
        raise StorageFailed(f"the business date {day} has no event numbers left: open a later one")
    connection.execute(update(business_day).where(this_day).values(next_number=first))
