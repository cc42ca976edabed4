"""Proves a ledger: money sums to zero, balances follow, the chain is unbroken, heads verify.

Reads one snapshot and writes nothing, so that it may run beside the backend. Names the row that
does not hold. It does not trust the database's own constraints: whoever can write the file
can drop them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, and_, func, or_, select
from sqlalchemy.sql import Select

from trus.errors import StorageFailed
from trus.ledger.audit_chain import walk_chains
from trus.ledger.audit_heads import check_export, check_heads
from trus.ledger.audit_links import check_holds, check_refunds, check_returns, check_reversals
from trus.ledger.audit_lots import check_lots
from trus.ledger.dialect import DATABASE_ERRORS, Direct, cause
from trus.ledger.findings import AuditReport, Check, Findings
from trus.ledger.heads import HeadVerifier
from trus.ledger.tables import account, business_day, card, entry, event, shop
from trus.ledger.writer import ledger_id


def verify(
    engine: Engine,
    *,
    verifier: HeadVerifier | None = None,
    heads: Path | None = None,
) -> AuditReport:
    """Walk the whole ledger and report what does not hold.

    Signatures of heads are checked when there is a `verifier`, their exported copies when `heads`
    names the directory. Raises StorageFailed when the database cannot be read at all.
    """
    return _in_one_snapshot(engine, lambda connection, direct: _verify(connection, direct, verifier, heads))


def verify_chain(engine: Engine, *, verifier: HeadVerifier | None = None) -> AuditReport:
    """Walk the hash chain and its signed heads alone, which proves that no event was dropped or altered.

    Raises StorageFailed when the database cannot be read at all.
    """
    return _in_one_snapshot(engine, lambda connection, direct: _report(connection, verifier, None, Findings()))


def _in_one_snapshot(engine: Engine, look: Callable[[Connection, Direct], AuditReport]) -> AuditReport:
    try:
        with engine.connect() as connection:
            direct = Direct(connection)
            direct.begin_reading()
            try:
                return look(connection, direct)
            finally:
                direct.rollback()
    except DATABASE_ERRORS as failure:
        raise StorageFailed(f"the ledger cannot be read: {cause(failure)}") from None


def _verify(connection: Connection, direct: Direct, verifier: HeadVerifier | None, heads: Path | None) -> AuditReport:
    findings = Findings()
    pages, broken = direct.structure()
    findings.examine(Check.FILE, pages)
    for line in broken:
        findings.add(Check.FILE, "database", line)
    _check_entries(connection, findings)
    _check_accounts(connection, findings)
    check_reversals(connection, findings)
    check_refunds(connection, findings)
    check_returns(connection, findings)
    check_holds(connection, findings)
    check_lots(connection, findings)
    _check_references(connection, findings)
    _check_days(connection, findings)
    return _report(connection, verifier, heads, findings)


def _report(
    connection: Connection, verifier: HeadVerifier | None, heads: Path | None, findings: Findings
) -> AuditReport:
    events, entries = walk_chains(connection, findings)
    signed = check_heads(connection, verifier, findings)
    if heads is not None:
        check_export(heads, signed, findings)
    return AuditReport(
        ledger=ledger_id(connection),
        events=events,
        entries=entries,
        heads=len(signed),
        examined=findings.examined,
        counts=findings.counts,
        findings=tuple(findings.listed),
    )


def _check_entries(connection: Connection, findings: Findings) -> None:
    """Check that the entries of every event sum to zero for each currency, and lie on real accounts."""
    total = func.sum(entry.c.amount)
    uneven = (
        select(entry.c.event_id, entry.c.currency, total)
        .group_by(entry.c.event_id, entry.c.currency)
        .having(total != 0)
        .order_by(entry.c.event_id)
    )
    for event_id, currency, amount in connection.execute(uneven):
        findings.add(Check.BALANCED, f"event {event_id}", f"its {currency} entries sum to {amount}, not to zero")
    count = _count(connection, select(func.count()).select_from(entry))
    findings.examine(Check.BALANCED, count)
    findings.examine(Check.ACCOUNTS, count)
    stray = (
        select(entry.c.event_id, entry.c.number, event.c.id, account.c.id, account.c.currency, entry.c.currency)
        .select_from(entry)
        .outerjoin(event, event.c.id == entry.c.event_id)
        .outerjoin(account, account.c.id == entry.c.account)
        .where(or_(event.c.id.is_(None), account.c.id.is_(None), account.c.currency != entry.c.currency))
        .order_by(entry.c.event_id, entry.c.number)
    )
    for event_id, number, has_event, has_account, held, used in connection.execute(stray):
        named = f"entry {number} of event {event_id}"
        if has_event is None:
            findings.add(Check.ACCOUNTS, named, "there is no such event")
        elif has_account is None:
            findings.add(Check.ACCOUNTS, named, "there is no such account")
        else:
            findings.add(Check.ACCOUNTS, named, f"it moves {used} on an account of {held}")


def _check_accounts(connection: Connection, findings: Findings) -> None:
    """Check that every locked balance is the sum of its entries, and not below its floor."""
    sums = select(entry.c.account, func.sum(entry.c.amount).label("total")).group_by(entry.c.account).subquery()
    total = func.coalesce(sums.c.total, 0)
    locked = select(account.c.id, account.c.kind, account.c.balance, account.c.floor, total).outerjoin_from(
        account, sums, sums.c.account == account.c.id
    )
    wrong = locked.where(account.c.balance.is_not(None), account.c.balance != total).order_by(account.c.id)
    for number, kind, balance, _, moved in connection.execute(wrong):
        findings.add(Check.BALANCES, f"account {number}", f"this {kind} holds {balance} and its entries sum to {moved}")
    unlocked = account.c.kind.in_(("company", "purse")) & account.c.balance.is_(None)
    below = locked.where(or_(account.c.balance < account.c.floor, total < account.c.floor, unlocked))
    for number, kind, balance, floor, moved in connection.execute(below.order_by(account.c.id)):
        what = f"this {kind} holds {balance} (entries: {moved}) with floor {floor}"
        findings.add(Check.FLOORS, f"account {number}", what)
    count = _count(connection, select(func.count()).select_from(account).where(account.c.balance.is_not(None)))
    findings.examine(Check.BALANCES, count)
    findings.examine(Check.FLOORS, count)


def _check_references(connection: Connection, findings: Findings) -> None:
    """Check that cards and shops that events name exist."""
    for what, table, column in (("card", card, event.c.card_id), ("shop", shop, event.c.shop_id)):
        lost = (
            select(event.c.id, column)
            .outerjoin_from(event, table, table.c.id == column)
            .where(and_(column.is_not(None), table.c.id.is_(None)))
            .order_by(event.c.id)
        )
        for event_id, number in connection.execute(lost):
            findings.add(Check.REFERENCES, f"event {event_id}", f"there is no {what} {number}")
    findings.examine(Check.REFERENCES, _count(connection, select(func.count()).select_from(event)))


def _check_days(connection: Connection, findings: Findings) -> None:
    """Check that one business date is open, the last, and that each follows the one before it."""
    previous = ""
    days = connection.execute(
        select(business_day.c.date, business_day.c.previous, business_day.c.state).order_by(business_day.c.date)
    ).all()
    for date, before, state in days:
        if before != previous:
            findings.add(
                Check.DAYS, f"business date {date}", f"it follows {before or 'none'}, not {previous or 'none'}"
            )
        if (state == "open") != (date == days[-1][0]):
            findings.add(Check.DAYS, f"business date {date}", f"it is {state}")
        previous = date
    if not days:
        findings.add(Check.DAYS, "business dates", "there is none")
    findings.examine(Check.DAYS, len(days))


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query).scalar_one())
