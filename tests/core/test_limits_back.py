"""What limits get back when the company's policy changed in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.core.promises import PipelineCase
from tests.core.sql_world import SqlWorld
from trus.auth.policy import Policy

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


class LimitsBack(PipelineCase, SynchronousTestCase):
    """A company that limits weeks on and off."""

    def make_world(self) -> SqlWorld:
        """Return an empty world in a ciphered file."""
        self.books = SqlWorld(Path(self.mktemp()).absolute())
        self.addCleanup(self.books.close)
        return self.books

    def days_pass(self, days: int) -> None:
        """Let so many days pass, cut-overs included."""
        self.books.clock.advance(days=days)
        for _ in range(days):
            self.till.date = self.books.advance_day()

    def from_day(self, day: str, **limits: Any) -> None:
        """Give the company another policy."""
        with self.books.registry.changing(self.books.clock.now()) as change:
            company = change.people.company("WEEK")
            assert company is not None
            change.people.set_policy(Policy(0, company.row, day, week_days=EVERY_DAY, **limits), change.at)

    def test_a_day_that_counted_no_week(self) -> None:
        """A week gets nothing back of a purchase that it never counted: on that day no policy looked at weeks."""
        self.books.add_company("WEEK", weekly_amount=2000, week_days=EVERY_DAY)
        self.books.add_employee("WEEK", "EVE", balance=10_000)
        eve = self.bank.issue("WEEK", "EVE", card="CARD000000E1")
        self.days_pass(3)
        self.assertEqual(self.codes(self.till.purchase(eve, 1500)), ["00"])
        self.from_day("2026-11-24")
        self.from_day("2026-11-25", weekly_amount=2000)
        self.days_pass(1)
        paid = self.bank.outcome(self.till.purchase(eve, 1500))
        self.assertEqual(self.codes(self.till.refund(paid, 1500)), ["00"])
        self.days_pass(1)
        self.assertEqual(self.codes(self.till.purchase(eve, 501), self.till.purchase(eve, 500)), ["61", "00"])
