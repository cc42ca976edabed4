"""Money that no terminal asked for: what an order moves, what it leaves alone, and what it may not take."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import LOADED, NOON, TODAY, Books
from tests.ledger.registering import RegistryCase
from trus.auth.lots import NO_LOTS, Lot, Lots
from trus.auth.ports import Posting
from trus.ledger.posting import AccountKind, BelowFloor, open_account, post, system_account
from trus.ledger.registry_values import NewEmployee
from trus.ledger.tables import account, event
from trus.ledger.unit import SqlUnit


class PostingCase(SynchronousTestCase):
    """Orders of an admin."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.company, self.purse = self.books.companies[0], self.books.purses[0]

    def order(self, *moved: tuple[int, int]) -> int:
        """Move (account, amount) and return the event's number."""
        with self.books.ledger.order(NOON) as unit:
            return self.moved(unit, moved)

    def moved(self, unit: SqlUnit, moved: Sequence[tuple[int, int]]) -> int:
        postings = [Posting(number, amount, "USD") for number, amount in moved]
        return post(unit, kind="correction", postings=postings, actor="admin/root", rule="correction")[0]

    def held(self, number: int, amount: int) -> None:
        with self.books.ledger.order(NOON) as unit:
            unit.connection.execute(update(account).where(account.c.id == number).values(held=amount))

    def test_recorded(self) -> None:
        """An order is stored without a request's identity, under nobody's name, with what moved into accounts."""
        number = self.order((self.company, -300), (self.purse, 200), (self.books.purses[2], 100))
        empty = self.order()
        with self.books.ledger.reading() as connection:
            rows = connection.execute(
                select(event.c.rid, event.c.digest, event.c.amount, event.c.authorized, event.c.currency, event.c.stan)
                .where(event.c.id.in_((number, empty)))
                .order_by(event.c.id)
            ).all()
        self.assertEqual(
            [tuple(row) for row in rows],
            [(bytes(16), bytes(32), 300, 300, "USD", None), (bytes(16), bytes(32), 0, 0, "", None)],
        )
        self.assertTrue(self.books.audit().sound)

    def test_one_account_twice(self) -> None:
        """Several entries of one account add up, whatever their signs."""
        self.order((self.purse, 300), (self.company, -500), (self.purse, 300), (self.purse, -100))
        self.assertEqual(self.books.balance(self.purse), LOADED + 500)
        self.assertTrue(self.books.audit().sound)

    def test_counters_stay(self) -> None:
        """The day's counters of a purse count what was paid with, not what was loaded."""
        self.books.pay(0, 1_250)
        self.order((self.company, -300), (self.purse, 300))
        with self.books.ledger.reading() as connection:
            row = connection.execute(
                select(account.c.balance, account.c.counter_day, account.c.day_amount, account.c.day_count).where(
                    account.c.id == self.purse
                )
            ).one()
        self.assertEqual(tuple(row), (LOADED - 1_250 + 300, TODAY, 1_250, 1))

    def test_to_the_floor(self) -> None:
        """I3: a purse can be emptied to its floor and not by one cent more; the refusal says what is missing."""
        failure = self.assertRaises(BelowFloor, self.order, (self.purse, -LOADED - 1), (self.company, LOADED + 1))
        self.assertEqual((failure.account, failure.balance, failure.missing), (self.purse, LOADED, 1))
        self.assertIn(f"holds {LOADED}, 1 too little", str(failure))
        self.order((self.purse, -LOADED), (self.company, LOADED))
        self.assertEqual(self.books.balance(self.purse), 0)

    def test_set_aside(self) -> None:
        """What is set aside for a shop cannot be taken away; money may still come in."""
        self.held(self.purse, 400)
        failure = self.assertRaises(BelowFloor, self.order, (self.purse, 399 - LOADED), (self.company, LOADED - 399))
        self.assertEqual((failure.balance, failure.missing), (LOADED, 1))
        self.order((self.purse, 400 - LOADED), (self.company, LOADED - 400))
        self.assertEqual(self.books.balance(self.purse), 400)
        self.order((self.company, -1), (self.purse, 1))
        self.held(self.purse, 900)
        self.order((self.company, -1), (self.purse, 1))
        self.order((self.company, 0), (self.purse, 0))
        failure = self.assertRaises(BelowFloor, self.order, (self.purse, -1), (self.company, 1))
        self.assertEqual((failure.balance, failure.missing), (402, 499))

    def test_within_one_unit(self) -> None:
        """Orders of one unit of work see each other's money, also before anything is stored."""
        with self.books.ledger.order(NOON) as unit:
            self.moved(unit, [(self.purse, 100 - LOADED), (self.company, LOADED - 100)])
            self.assertRaises(BelowFloor, self.moved, unit, [(self.purse, -101), (self.company, 101)])
            self.moved(unit, [(self.purse, -100), (self.company, 100)])
        self.assertEqual(self.books.balance(self.purse), 0)
        self.assertTrue(self.books.audit().sound)

    def test_accounts_without_a_floor(self) -> None:
        """Shops and the outside world are followed by their entries alone."""
        with self.books.ledger.order(NOON) as unit:
            outside = system_account(unit, AccountKind.EXTERNAL, "USD")
        self.order((self.books.shops[0], -900_000), (outside, 900_000))
        self.assertTrue(self.books.audit().sound)

    def test_very_many(self) -> None:
        """An order may move more accounts than one statement names, to the last of them."""
        with self.books.ledger.order(NOON) as unit:
            purses = [open_account(unit, AccountKind.PURSE, f"N{number}", "USD") for number in range(1_001)]
        self.order((self.company, -1_001), *((number, 1) for number in purses))
        with self.books.ledger.reading() as connection:
            balances = connection.execute(select(account.c.balance).where(account.c.id.in_(purses))).scalars().all()
        self.assertEqual(list(balances), [1] * 1_001)
        self.assertTrue(self.books.audit().sound)

    def test_one_currency(self) -> None:
        """One order moves one currency."""
        with self.books.ledger.order(NOON) as unit:
            mixed = [Posting(self.purse, 0, "USD"), Posting(self.company, 0, "EUR")]
            self.assertRaises(ValueError, post, unit, kind="correction", postings=mixed, actor="a", rule="r")


class CreditCase(RegistryCase):
    """Orders over a purse with credit that ends."""

    def setUp(self) -> None:
        super().setUp()
        change = self.change()
        people = change.people
        people.add_company(company_id="CORP", name="Corp", currency="USD", time_zone="UTC", at=1)
        corp = people.company("CORP")
        assert corp is not None
        people.add_employees(corp, [NewEmployee("E1", "Ada", "L")], 1)
        self.company, self.purse = corp.prepaid_account, people.employees(corp)[0].purse_account
        loaded = [Posting(change.external("USD"), -1_000, "USD"), Posting(self.company, 1_000, "USD")]
        change.post(kind="refill", actor="ada", rule="refill", figures={}, postings=loaded)
        for expires_on in ("2026-12-31", "2027-01-31"):
            change.give_out(
                corp,
                people.employees(corp),
                100,
                kind="refill",
                actor="ada",
                rule="refill",
                figures={},
                expires_on=expires_on,
            )
        self.done()

    def lots(self, amount: int, moves: Lots = NO_LOTS) -> str:
        """Move so much into the purse, and return its credit that ends afterwards."""
        postings = [Posting(self.purse, amount, "USD"), Posting(self.company, -amount, "USD")]
        with self.books.ledger.order(NOON) as unit:
            post(unit, kind="correction", postings=postings, actor="ada", rule="correction", lots=moves)
        with self.books.ledger.reading() as connection:
            return str(connection.execute(select(account.c.lots).where(account.c.id == self.purse)).scalar_one())

    def test_taken(self) -> None:
        """Money that is taken from a purse goes from what ends first, to the cent; what is given never ends."""
        self.assertEqual(self.lots(50), "2026-12-31:100 2027-01-31:100")
        self.assertEqual(self.lots(0), "2026-12-31:100 2027-01-31:100")
        self.assertEqual(self.lots(-1), "2026-12-31:99 2027-01-31:100")
        self.assertEqual(self.lots(-100), "2027-01-31:99")
        self.assertTrue(self.books.audit().sound)

    def test_told(self) -> None:
        """What an order says of credit that ends is what moves of it."""
        self.assertEqual(self.lots(-30, (Lot("2027-01-31", -30),)), "2026-12-31:100 2027-01-31:70")
        self.assertTrue(self.books.audit().sound)
