"""Credit from a company to its people, and orders that were refused, as events of the registry."""

from __future__ import annotations

from sqlalchemy import select

from tests.ledger.registering import RegistryCase
from trus.auth.ports import Posting
from trus.ledger.posting import BelowFloor
from trus.ledger.registry import RegistryView
from trus.ledger.registry_values import CompanyRow, NewEmployee
from trus.ledger.tables import event


class MoneyCase(RegistryCase):
    """A company with 10.00 USD and two people."""

    def setUp(self) -> None:
        super().setUp()
        self.made = self.change()
        people = self.made.people
        corp = people.add_company(company_id="CORP", name="Corp", currency="USD", time_zone="UTC", at=1)
        people.add_employees(corp, [NewEmployee("E1", "Ada", "L"), NewEmployee("E2", "Bob", "B")], 1)
        external = self.made.external("USD")
        postings = [Posting(external, -1_000, "USD"), Posting(corp.prepaid_account, 1_000, "USD")]
        self.made.post(kind="refill", actor="ada", rule="refill", figures={}, postings=postings)

    def corp(self, change: RegistryView) -> CompanyRow:
        found = change.people.company("CORP")
        assert found is not None
        return found

    def give(self, amount: int, corp: CompanyRow, expires_on: str = "") -> list[tuple[int, str]]:
        return self.made.give_out(
            corp,
            self.made.people.employees(corp),
            amount,
            kind="refill",
            actor="ada",
            rule="refill",
            figures={"reference": "R1"},
            expires_on=expires_on,
        )

    def test_each_gets_the_same(self) -> None:
        """One event a person, and the company pays their sum; the next order sees what this one left."""
        corp = self.corp(self.made)
        self.assertEqual(len({rrn for _, rrn in self.give(300, corp)}), 2)
        self.assertEqual(len(self.give(200, corp)), 2)
        self.done()
        with self.registry.reading() as view:
            self.assertEqual(self.corp(view).prepaid, 0)
            self.assertEqual([each.balance for each in view.people.employees(corp)], [500, 500])
        self.assertTrue(self.books.audit().sound)

    def test_more_than_there_is(self) -> None:
        """A company cannot give out more than it has: nobody gets anything, and what is missing is told."""
        corp = self.corp(self.made)
        failure = self.assertRaises(BelowFloor, self.give, 501, corp)
        assert isinstance(failure, BelowFloor)
        self.assertEqual(failure.missing, 2)
        self.give(500, corp)

    def test_credit_that_ends(self) -> None:
        """Credit with an end is kept as such beside what never ends."""
        corp = self.corp(self.made)
        self.give(100, corp)
        self.give(100, corp, "2026-12-31")
        self.done()
        with self.registry.reading() as view:
            kept = [(each.balance, each.lots) for each in view.people.employees(corp)]
        self.assertEqual(kept, [(200, "2026-12-31:100")] * 2)
        self.assertTrue(self.books.audit().sound)

    def test_refused(self) -> None:
        """An order that was refused is on record with its code and who gave it, and moved nothing."""
        self.made.refuse(kind="admin", actor="ada", code="57", rule="role", figures={"verb": "REFILL"})
        self.done()
        columns = (event.c.result, event.c.code, event.c.actor, event.c.rule, event.c.authorized)
        with self.books.ledger.reading() as connection:
            told = connection.execute(select(*columns).where(event.c.result == "declined")).one()
        self.assertEqual(tuple(told), ("declined", "57", "ada", "role", 0))
        self.assertTrue(self.books.audit().sound)

    def test_its_moment(self) -> None:
        """A change has one moment and one business date, that of the ledger."""
        self.assertEqual(self.made.business_date, self.registry.business_date())
        self.assertEqual(self.made.at, self.made._unit.at)
