"""A world on the real ledger: SQLCipher in a file of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import func, select

from tests.core.tills import CountedEntropy
from tests.core.worlds import TODAY, Line, Purse, SetClock
from tests.ledger.fresh import put_database
from trus.auth.model import State
from trus.auth.policy import Policy
from trus.auth.ports import Posting
from trus.cards.numbers import CardNumber
from trus.ledger.audit import verify
from trus.ledger.compose import open_ledger
from trus.ledger.expiring import PURSES_A_STEP, LotExpiry
from trus.ledger.registry import Registry, RegistryView
from trus.ledger.registry_values import NewCard, NewEmployee
from trus.ledger.store import SqlLedger
from trus.ledger.tables import account, entry, event, shop
from trus.values import BusinessDate

DATABASE_KEY = bytes(range(32))
LOOKUP_KEY = bytes(range(1, 33))
FIELD_KEYS = {1: bytes(range(2, 34))}
_TERMINALS_OWN = (
    "purchase",
    "balance",
    "reversal",
    "tombstone",
    "close-batch",
    "refund",
    "void",
    "hold",
    "completion",
    "release",
    "pin-change",
    "alarm",
)


class SqlWorld:
    """A network in a folder."""

    def __init__(self, folder: Path) -> None:
        self.clock = SetClock()
        self.path = folder / "trus.db"
        folder.mkdir(parents=True)
        put_database(self.path, db_key=DATABASE_KEY, business_date=TODAY, clock=SetClock, entropy=CountedEntropy)
        self.ledger: SqlLedger = open_ledger(
            self.path,
            db_key=DATABASE_KEY,
            lookup_key=LOOKUP_KEY,
            field_keys=FIELD_KEYS,
            clock=self.clock,
            entropy=CountedEntropy(),
        )
        # No power is cut here (tests.ledger.test_crash does that): nobody has to wait for the disk.
        self.ledger._writer.direct.rows("PRAGMA synchronous = OFF", ())
        self.registry = Registry(self.ledger)
        self.notes: list[str] = []

    def close(self) -> None:
        """Close the ledger, after an audit: whatever a promise did, the books must hold."""
        report = verify(self.ledger.engine)
        self.ledger.close()
        if not report.sound:
            raise AssertionError(f"the audit finds {report.findings}")

    def add_company(self, company: str, **policy: Any) -> None:
        with self.registry.changing(self.clock.now()) as change:
            row = change.people.add_company(
                company_id=company, name=company, currency="USD", time_zone="UTC", at=change.at
            )
            change.people.set_policy(Policy(0, row.row, "2020-01-01", **policy), change.at)

    def set_policy(self, company: str, **policy: Any) -> None:
        with self.registry.changing(self.clock.now()) as change:
            row = _found(change.people.company(company)).row
            change.people.set_policy(Policy(0, row, "2020-01-01", **policy), change.at)

    def add_employee(self, company: str, employee: str, balance: int) -> None:
        with self.registry.changing(self.clock.now()) as change:
            employer = _found(change.people.company(company))
            change.people.add_employees(employer, [NewEmployee(employee, employee, "Doe")], change.at)
            purse = _found(change.people.employee(employer, employee)).purse_account
            change.post(
                kind="refill",
                actor="test",
                rule="test",
                figures={},
                postings=(Posting(change.external("USD"), -balance, "USD"), Posting(purse, balance, "USD")),
            )

    def add_card(
        self, company: str, employee: str, card: str, number: CardNumber, expiry: str, reference: bytes
    ) -> None:
        with self.registry.changing(self.clock.now()) as change:
            holder = _found(change.people.employee(_found(change.people.company(company)), employee))
            key = self.ledger.card_key(number.digits)
            change.cards.add_cards([NewCard(card, number.digits, key, expiry, reference, 3, holder.row)], change.at)

    def add_terminal(self, shop: str, terminal: str, mcc: str) -> None:
        with self.registry.changing(self.clock.now()) as change:
            owner = change.shops.add_shop(shop_id=shop, name=shop, mcc=mcc, currency="USD", at=change.at)
            change.shops.add_terminal(terminal_id=terminal, owner=owner, model="", at=change.at)

    def set_state(self, kind: str, name: str, state: State) -> None:
        with self.registry.changing(self.clock.now()) as change:
            if kind == "card":
                change.cards.set_card_state(_found(change.cards.card(name)).row, state.value)
            elif kind == "terminal":
                change.shops.set_terminal_state(_found(change.shops.terminal(name)).row, state.value)
            elif kind == "shop":
                change.shops.set_shop_state(_found(change.shops.shop(name)).row, state.value)
            elif kind == "company":
                change.people.set_company_state(_found(change.people.company(name)).row, state.value)
            else:
                change.people.set_employee_state(self._employee(change, *name.split("/")).row, state.value)

    def purse(self, company: str, employee: str) -> Purse:
        with self.registry.reading() as view:
            row = self._employee(view, company, employee)
        with self.ledger.reading() as reader:
            entries = reader.execute(select(func.sum(entry.c.amount)).where(entry.c.account == row.purse_account))
            if entries.scalar() != row.balance:
                raise AssertionError("the purse is not the sum of its entries")
        return Purse(row.balance, row.counter_day, row.day_amount, row.day_count)

    def add_credit(self, company: str, employee: str, amount: int, expires_on: str = "") -> None:
        with self.registry.changing(self.clock.now()) as change:
            employer = _found(change.people.company(company))
            outside, prepaid = change.external("USD"), employer.prepaid_account
            postings = (Posting(outside, -amount, "USD"), Posting(prepaid, amount, "USD"))
            change.post(kind="funding", actor="test", rule="test", figures={}, postings=postings)
            holder, employer = (
                _found(change.people.employee(employer, employee)),
                _found(change.people.company(company)),
            )
            change.give_out(
                employer, [holder], amount, kind="refill", actor="test", rule="test", figures={}, expires_on=expires_on
            )

    def lots(self, company: str, employee: str) -> str:
        with self.registry.reading() as view:
            return str(self._employee(view, company, employee).lots)

    def expire(self) -> None:
        expiry = LotExpiry(self.ledger, self.clock, lambda level, text: self.notes.append(text))
        while expiry.step() == PURSES_A_STEP:
            pass
        if self.notes:
            raise AssertionError(self.notes)

    def add_purse(self, company: str, employee: str, name: str, balance: int) -> None:
        with self.registry.changing(self.clock.now()) as change:
            [opened] = change.purses.open([self._employee(change, company, employee)], name)
            change.post(
                kind="refill",
                actor="test",
                rule="test",
                figures={},
                postings=(
                    Posting(change.external("USD"), -balance, "USD"),
                    Posting(opened.purse_account, balance, "USD"),
                ),
            )

    def purses(self, company: str, employee: str) -> dict[str, int]:
        with self.registry.reading() as view:
            row = self._employee(view, company, employee)
            return {"MAIN": row.balance, **dict(view.purses.of([row.row]).get(row.row, ()))}

    def held(self, company: str, employee: str) -> int:
        with self.registry.reading() as view:
            number = self._employee(view, company, employee).purse_account
        with self.ledger.reading() as reader:
            return int(reader.execute(select(account.c.held).where(account.c.id == number)).scalar_one())

    def place(self, shop: str, place: str) -> None:
        with self.registry.changing(self.clock.now()) as change:
            change.shops.set_shop_place(_found(change.shops.shop(shop)).row, place)

    def terminal_state(self, terminal: str) -> State:
        with self.registry.reading() as view:
            return State(_found(view.shops.terminal(terminal)).state)

    def tries(self, card: str) -> int:
        with self.registry.reading() as view:
            return _found(view.cards.card(card)).tries_left

    def owed(self, shop_id: str) -> int:
        query = (
            select(func.coalesce(func.sum(entry.c.amount), 0))
            .select_from(
                entry.join(account, account.c.id == entry.c.account).join(shop, shop.c.account == account.c.id)
            )
            .where(shop.c.shop == shop_id)
        )
        with self.ledger.reading() as reader:
            return int(reader.execute(query).scalar_one())

    def risk(self) -> int:
        query = (
            select(func.coalesce(func.sum(entry.c.amount), 0))
            .select_from(entry.join(account, account.c.id == entry.c.account))
            .where(account.c.kind == "risk")
        )
        with self.ledger.reading() as reader:
            return int(reader.execute(query).scalar_one())

    def journal(self) -> list[Line]:
        columns = (
            event.c.kind,
            event.c.terminal,
            event.c.business_date,
            event.c.stan,
            event.c.amount,
            event.c.authorized,
            event.c.result,
            event.c.code,
            event.c.rule,
            event.c.figures,
        )
        with self.ledger.reading() as reader:
            rows = reader.execute(select(*columns).where(event.c.kind.in_(_TERMINALS_OWN)).order_by(event.c.id))
            return [Line(*row[:-1], msgspec.json.decode(row[-1])) for row in rows]

    def journal_bytes(self) -> bytes:
        with self.ledger.reading() as reader:
            return msgspec.msgpack.encode([list(row) for row in reader.execute(select(event))])

    def advance_day(self) -> BusinessDate:
        return self.registry.advance_day(self.clock.now())

    @staticmethod
    def _employee(view: RegistryView, company: str, employee: str) -> Any:
        return _found(view.people.employee(_found(view.people.company(company)), employee))


def _found(row: Any) -> Any:
    if row is None:
        raise AssertionError("what the test needs is not there")
    return row
