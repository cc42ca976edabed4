"""Reads the journal for people: transactions, one transaction in full, settlement, balances.

Changes nothing and never reads a card number. The core answers these between batches of
payments, so that each query is bounded: a page of the journal looks at no more than
SCAN_EVENTS events, and a settlement at one ledger date.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, or_, select, text

from trus.auth.ports import REFUND_TAKEN_BACK
from trus.ledger.days import NUMBERS_A_DAY, candidates, first_event
from trus.ledger.registry_values import CompanyBalanceRow, SettlementRow, TransactionRow
from trus.ledger.tables import ENDING_WHERE, account, card, company, employee, entry, event, purse, shop
from trus.values import Frozen

#: Events that one page may look at, about a tenth of a second.
SCAN_EVENTS: Final = 50_000

_original = event.alias("original_event")
_reversal = event.alias("reversal_event")
_MOVED: Final = (
    select(func.coalesce(func.sum(entry.c.amount), 0))
    .where(entry.c.event_id == event.c.id, entry.c.amount > 0)
    .scalar_subquery()
)
_COLUMNS: Final = (
    event.c.id,
    event.c.at,
    event.c.kind,
    event.c.rrn,
    func.coalesce(event.c.terminal, ""),
    func.coalesce(shop.c.shop, ""),
    func.coalesce(card.c.card, ""),
    func.coalesce(company.c.company, ""),
    func.coalesce(employee.c.employee, ""),
    event.c.amount,
    _MOVED,
    event.c.currency,
    event.c.result,
    event.c.code,
    event.c.approval,
    event.c.rule,
    func.coalesce(event.c.figures, ""),
    func.coalesce(event.c.actor, ""),
    func.coalesce(event.c.business_date, ""),
    event.c.ledger_date,
    event.c.stan,
    func.coalesce(_original.c.rrn, ""),
    func.coalesce(_reversal.c.rrn, ""),
)
_FROM: Final = (
    event.outerjoin(shop, shop.c.id == event.c.shop_id)
    .outerjoin(card, card.c.id == event.c.card_id)
    .outerjoin(employee, employee.c.id == card.c.employee_id)
    .outerjoin(company, company.c.id == employee.c.company_id)
    .outerjoin(_original, _original.c.id == event.c.original)
    .outerjoin(_reversal, (_reversal.c.original == event.c.id) & text(f"reversal_event.{ENDING_WHERE}"))
)


class JournalFilter(Frozen, frozen=True):
    """Which events are wanted; what is empty or None does not matter.

    `company_row` and `employee_row` are rows of the registry, `account` the employee's purse: of
    a person are the events that moved the purse or used a card.
    """

    kinds: tuple[str, ...]
    company_row: int | None = None
    employee_row: int | None = None
    account: int | None = None
    card_row: int | None = None
    shop_row: int | None = None
    terminal: str = ""
    ledger_date: str = ""
    code: str = ""
    actor: str = ""


class ReportRegistry:
    """Reports on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def transactions(self, wanted: JournalFilter, before: int | None, limit: int) -> tuple[list[TransactionRow], int]:
        """Return events before the event id `before`, newest first, and the id down to which it looked.

        The second value is 0 when nothing older is left to look at.
        """
        newest = self._newest(wanted, before)
        if newest is None:
            return [], 0
        least = first_event(wanted.ledger_date) if wanted.ledger_date else 0
        oldest = self._scan_end(newest, least)
        query = (
            select(*_COLUMNS)
            .select_from(_FROM)
            .where(event.c.id <= newest, event.c.id >= oldest, event.c.kind.in_(wanted.kinds), *_conditions(wanted))
            .order_by(event.c.id.desc())
            .limit(limit + 1)
        )
        rows = self._rows(query)
        if len(rows) > limit:
            return rows[:limit], rows[limit - 1].event_id
        more = self._connection.execute(
            select(event.c.id).where(event.c.id < oldest, event.c.id > least).limit(1)
        ).first()
        return rows, oldest if more is not None else 0

    def transaction(self, rrn: str, today: str) -> TransactionRow | None:
        """Return the event of a retrieval reference number, the most recent when several had it."""
        ids = candidates(rrn, today)
        query = select(*_COLUMNS).select_from(_FROM).where(event.c.id.in_(ids)).order_by(event.c.id.desc())
        return next((row for row in self._rows(query) if row.rrn == rrn), None)

    def settlement(self, ledger_date: str, shop_row: int | None = None) -> list[SettlementRow]:
        """Return what each shop is owed for a ledger date, from the entries of its account, in order of shops."""
        first = first_event(ledger_date)
        sold = event.c.kind.in_(("purchase", "completion")) & (entry.c.amount != 0)
        # A refund that was taken back is one refund less, and one purchase never taken back.
        unsaid = (event.c.kind == "reversal") & (event.c.rule == REFUND_TAKEN_BACK)
        back = event.c.kind.in_(("reversal", "void")) & (entry.c.amount != 0) & ~unsaid
        refunded = (event.c.kind == "refund") & (entry.c.amount != 0)
        query = (
            select(
                shop.c.shop,
                shop.c.name,
                entry.c.currency,
                func.sum(case((sold, 1), else_=0)),
                func.sum(case((sold, entry.c.amount), else_=0)),
                func.sum(case((back, 1), else_=0)),
                func.sum(case((back, -entry.c.amount), else_=0)),
                func.sum(case((refunded, 1), (unsaid, -1), else_=0)),
                func.sum(case((refunded | unsaid, -entry.c.amount), else_=0)),
            )
            .select_from(
                event.join(entry, entry.c.event_id == event.c.id).join(shop, shop.c.account == entry.c.account)
            )
            .where(
                event.c.id > first,
                event.c.id < first + NUMBERS_A_DAY,
                event.c.kind.in_(("purchase", "completion", "reversal", "void", "refund")),
            )
            .group_by(shop.c.shop, shop.c.name, entry.c.currency)
            .order_by(shop.c.shop, entry.c.currency)
        )
        if shop_row is not None:
            query = query.where(shop.c.id == shop_row)
        return [SettlementRow(*tuple(row)) for row in self._connection.execute(query)]

    def company_balances(self, after: str, limit: int) -> list[CompanyBalanceRow]:
        """Return what companies and their employees hold, in the order of the companies' ids."""
        prepaid, other, holder = account.alias("prepaid"), account.alias("other"), employee.alias("holder")
        others = (
            select(func.coalesce(func.sum(other.c.balance), 0))
            .select_from(purse)
            .join(holder, holder.c.id == purse.c.employee_id)
            .join(other, other.c.id == purse.c.account)
            .where(holder.c.company_id == company.c.id)
            .scalar_subquery()
        )
        query = (
            select(
                company.c.company,
                company.c.currency,
                prepaid.c.balance,
                func.coalesce(func.sum(account.c.balance), 0) + others,
                func.count(employee.c.id),
            )
            .select_from(
                company.join(prepaid, prepaid.c.id == company.c.prepaid_account)
                .outerjoin(employee, employee.c.company_id == company.c.id)
                .outerjoin(account, account.c.id == employee.c.purse_account)
            )
            .where(company.c.company > after)
            .group_by(company.c.id, company.c.company, company.c.currency, prepaid.c.balance)
            .order_by(company.c.company)
            .limit(limit)
        )
        return [CompanyBalanceRow(*tuple(row)) for row in self._connection.execute(query)]

    # ------------------------------------------------------------------------------- inside

    def _newest(self, wanted: JournalFilter, before: int | None) -> int | None:
        query = select(func.max(event.c.id))
        if before is not None:
            query = query.where(event.c.id < before)
        if wanted.ledger_date:
            query = query.where(event.c.id < first_event(wanted.ledger_date) + NUMBERS_A_DAY)
        newest: int | None = self._connection.execute(query).scalar()
        return newest

    def _scan_end(self, newest: int, least: int) -> int:
        """Return the id of the oldest event that a page from `newest` on may look at."""
        ids = select(event.c.id).where(event.c.id <= newest, event.c.id > least).order_by(event.c.id.desc())
        page = ids.limit(SCAN_EVENTS).subquery()
        oldest: int | None = self._connection.execute(select(func.min(page.c.id))).scalar()
        return newest + 1 if oldest is None else oldest

    def _rows(self, query: Select[Any]) -> list[TransactionRow]:
        return [TransactionRow(*tuple(row)) for row in self._connection.execute(query)]


def _conditions(wanted: JournalFilter) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.account is not None:
        own = select(purse.c.account).where(purse.c.employee_id == wanted.employee_row)
        moved = exists().where(
            entry.c.event_id == event.c.id, or_(entry.c.account == wanted.account, entry.c.account.in_(own))
        )
        conditions.append(or_(moved, employee.c.id == wanted.employee_row))
    elif wanted.company_row is not None:
        theirs = select(employee.c.purse_account).where(employee.c.company_id == wanted.company_row)
        prepaid = select(company.c.prepaid_account).where(company.c.id == wanted.company_row)
        others = (
            select(purse.c.account)
            .join(employee, employee.c.id == purse.c.employee_id)
            .where(employee.c.company_id == wanted.company_row)
            .correlate(None)
        )
        accounts = (theirs, prepaid, others)
        moved = exists().where(entry.c.event_id == event.c.id, or_(*(entry.c.account.in_(each) for each in accounts)))
        conditions.append(or_(moved, company.c.id == wanted.company_row))
    if wanted.card_row is not None:
        conditions.append(event.c.card_id == wanted.card_row)
    if wanted.shop_row is not None:
        conditions.append(event.c.shop_id == wanted.shop_row)
    if wanted.terminal:
        conditions.append(event.c.terminal == wanted.terminal)
    if wanted.actor:
        conditions.append(event.c.actor == wanted.actor)
    if wanted.code:
        conditions.append(event.c.code == wanted.code)
    return conditions
