"""Reads what a company's cards did, from the journal, for whoever decides it again (trus.auth.whatif).

Reads one snapshot, writes nothing, and may run beside the backend. Shows cards by the issuer's references; what
was erased by law is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, func, select

from trus.auth.policy import Policy
from trus.auth.ports import EventKind
from trus.auth.whatif import Holder, PastRequest
from trus.errors import StorageFailed
from trus.ledger.days import NUMBERS_A_DAY, day_of, days_before, first_event, moment, reference_of
from trus.ledger.dialect import DATABASE_ERRORS, Direct, cause
from trus.ledger.facts import decode_policy
from trus.ledger.tables import business_day, card, company, employee, entry, event, policy, purse, shop
from trus.ledger.tables_lots import lot_move
from trus.values import CardRef

#: Account, last date, amount.
_LotMove = tuple[int, str, int]
#: Ledger dates before the first that is asked for on which a pre-authorization may have been made that is open.
_OLDEST_HOLD_DAYS: Final = 60
_ENDING: Final = ("reversal", "void", "completion", "release", "expiry")


class PastCompany(NamedTuple):
    """A company, its policies, newest first, and its cards, by the ledger's numbers."""

    row: int
    company: str
    currency: str
    time_zone: str
    policies: tuple[Policy, ...]
    holders: dict[int, Holder]


class Opening(NamedTuple):
    """What the purses' accounts held, and what of it was set aside, before the first event that is read."""

    balances: dict[int, int]
    held: dict[int, int]


class PastReader:
    """Reads over a connection whose transaction is one snapshot; made by `reading_past`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def last_date(self) -> str:
        """Return the newest business date, "" where there is none."""
        return str(self._connection.execute(select(func.max(business_day.c.date))).scalar() or "")

    def companies(self, only: str = "") -> list[PastCompany]:
        """Return the companies in the order of their ids, or the one of that id."""
        query = select(company.c.id, company.c.company, company.c.currency, company.c.time_zone).order_by(
            company.c.company
        )
        if only:
            query = query.where(company.c.company == only)
        return [
            PastCompany(row[0], row[1], row[2], row[3], self._policies(row[0]), self._holders(row[0]))
            for row in self._connection.execute(query).all()
        ]

    def opening(self, of: PastCompany, since: str) -> Opening:
        """Return what the company's purses held before the ledger date `since`."""
        sums = (
            select(entry.c.account, func.sum(entry.c.amount))
            .where(entry.c.account.in_(_purses(of.row)), entry.c.event_id <= first_event(since))
            .group_by(entry.c.account)
        )
        balances = {row[0]: int(row[1]) for row in self._connection.execute(sums)}
        ending = event.alias("ending")
        ended = (ending.c.original == event.c.id) & ending.c.kind.in_(_ENDING) & (ending.c.id <= first_event(since))
        oldest = first_event(days_before(since, _OLDEST_HOLD_DAYS))
        holds = (
            select(event.c.id, event.c.card_id, event.c.authorized)
            .outerjoin_from(event, ending, ended)
            .where(
                event.c.id > oldest,
                event.c.id <= first_event(since),
                event.c.kind == EventKind.HOLD.value,
                event.c.authorized > 0,
                ending.c.id.is_(None),
            )
        )
        held: dict[int, int] = {}
        for number, card_id, authorized in self._connection.execute(holds):
            holder = of.holders.get(card_id)
            if holder is not None:
                entries = self._moved(number - 1, number, of.row).get(number, ((holder.main, 0),))
                parts = [(account, -amount) for account, amount in entries if amount < 0]
                for aside, part in parts or [(entries[0][0], authorized)]:
                    held[aside] = held.get(aside, 0) + part
        return Opening(balances, held)

    def requests(self, of: PastCompany, since: str, until: str) -> Iterator[PastRequest]:
        """Return the events of these ledger dates (inclusive) that concern the company's purses, in order."""
        first, last = first_event(since), first_event(until) + NUMBERS_A_DAY
        moved = self._moved(first, last, of.row)
        cards = select(card.c.id).join(employee, employee.c.id == card.c.employee_id)
        query = (
            select(
                *(event.c[name] for name in ("id", "at", "kind", "card_id", "shop_id")),
                shop.c.shop,
                shop.c.mcc,
                *(event.c[name] for name in ("terminal", "business_date", "amount", "authorized", "currency")),
                *(event.c[name] for name in ("result", "code", "rule", "original")),
                shop.c.place,
                event.c.figures,
            )
            .outerjoin_from(event, shop, shop.c.id == event.c.shop_id)
            .where(event.c.id > first, event.c.id < last)
            .order_by(event.c.id)
        )
        theirs = query.where(event.c.card_id.in_(cards.where(employee.c.company_id == of.row)))
        rows = {row[0]: row for row in self._connection.execute(theirs)}
        lots, moves = self._lots(of.row, first, last)
        for number in sorted({*rows, *moved}):
            row = rows.get(number)
            holder = None if row is None else of.holders.get(row[3])
            kept = {} if holder is None else lots.get(holder.main, {})
            over = sum(amount for expires_on, amount in kept.items() if expires_on < day_of(number))
            yield _request(number, row, moved.get(number, ()), over)
            for held_in, expires_on, amount in moves.get(number, ()):
                dated = lots.setdefault(held_in, {})
                dated[expires_on] = dated.get(expires_on, 0) + amount

    def _lots(self, row: int, first: int, last: int) -> tuple[dict[int, dict[str, int]], dict[int, list[_LotMove]]]:
        """Return the credit that ends of each purse up to an event, and what the events after it move of it."""
        lots: dict[int, dict[str, int]] = {}
        moves: dict[int, list[_LotMove]] = {}
        query = (
            select(lot_move.c.event_id, lot_move.c.account, lot_move.c.expires_on, lot_move.c.amount)
            .where(lot_move.c.event_id <= last, lot_move.c.account.in_(_purses(row)))
            .order_by(lot_move.c.event_id)
        )
        for number, held_in, expires_on, amount in self._connection.execute(query):
            if number > first:
                moves.setdefault(number, []).append((held_in, expires_on, amount))
            else:
                dated = lots.setdefault(held_in, {})
                dated[expires_on] = dated.get(expires_on, 0) + amount
        return lots, moves

    def _policies(self, row: int) -> tuple[Policy, ...]:
        columns = (policy.c.id, policy.c.company_id, policy.c.valid_from, policy.c.document)
        query = select(*columns).where(policy.c.company_id == row).order_by(policy.c.valid_from.desc())
        return tuple(decode_policy(*each) for each in self._connection.execute(query))

    def _holders(self, row: int) -> dict[int, Holder]:
        others: dict[int, list[tuple[str, int]]] = {}
        named = (
            select(purse.c.employee_id, purse.c.name, purse.c.account)
            .join(employee, employee.c.id == purse.c.employee_id)
            .where(employee.c.company_id == row)
            .order_by(purse.c.name)
        )
        for number, name, held_in in self._connection.execute(named):
            others.setdefault(number, []).append((name, held_in))
        query = (
            select(card.c.id, card.c.card, employee.c.employee, employee.c.purse_account, employee.c.id)
            .join_from(card, employee, employee.c.id == card.c.employee_id)
            .where(employee.c.company_id == row)
        )
        return {
            each[0]: Holder(CardRef(each[1]), each[2], each[3], tuple(others.get(each[4], ())))
            for each in self._connection.execute(query)
        }

    def _moved(self, first: int, last: int, row: int) -> dict[int, tuple[tuple[int, int], ...]]:
        query = (
            select(entry.c.event_id, entry.c.account, entry.c.amount)
            .where(entry.c.event_id > first, entry.c.event_id <= last, entry.c.account.in_(_purses(row)))
            .order_by(entry.c.event_id, entry.c.number)
        )
        found: dict[int, tuple[tuple[int, int], ...]] = {}
        for number, held_in, amount in self._connection.execute(query):
            found[number] = (*found.get(number, ()), (held_in, amount))
        return found


@contextmanager
def reading_past(engine: Engine) -> Iterator[PastReader]:
    """Show one snapshot of the past. Raises StorageFailed."""
    try:
        with engine.connect() as connection:
            direct = Direct(connection)
            direct.begin_reading()
            try:
                yield PastReader(connection)
            finally:
                direct.rollback()
    except DATABASE_ERRORS as failure:
        raise StorageFailed(f"the ledger cannot be read: {cause(failure)}") from None


def _purses(row: int) -> Any:
    """Select the accounts of a company's purses."""
    main = select(employee.c.purse_account).where(employee.c.company_id == row)
    others = select(purse.c.account).join(employee, employee.c.id == purse.c.employee_id)
    return main.union_all(others.where(employee.c.company_id == row))


def _restored(figures: str | None) -> int:
    """Return what an event set aside again, by its figures."""
    if not figures or '"restored"' not in figures:
        return 0
    return int(msgspec.json.decode(figures)["restored"])


def _request(number: int, row: Any, moved: tuple[tuple[int, int], ...], ended: int) -> PastRequest:
    if row is None:
        # A refill, or what was erased: it moved something, and nothing else of it is needed.
        return PastRequest(number, reference_of(number), moment(0), moved=moved)
    return PastRequest(
        event_id=number,
        rrn=reference_of(number),
        at=moment(row[1]),
        kind=row[2],
        card=row[3],
        shop_id=row[4] or 0,
        shop=row[5] or "",
        mcc=row[6] or "",
        terminal=row[7] or "",
        business_date=row[8] or "",
        amount=row[9],
        authorized=row[10],
        currency=row[11],
        result=row[12],
        code=row[13],
        rule=row[14],
        original=row[15],
        place=row[16] or "",
        restored=_restored(row[17]),
        ended=ended,
        moved=moved,
    )
