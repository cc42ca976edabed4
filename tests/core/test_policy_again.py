"""The policy that was in force, tried on its own past, changes nothing: `trus policy try` keeps the ledger's books."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.core.promises import PipelineCase
from tests.core.sql_world import SqlWorld
from trus.cli.policy_try import Wanted, try_policy
from trus.core.holding import HoldExpiry
from trus.ledger.past import reading_past


class PolicyAgain(PipelineCase, SynchronousTestCase):
    """A company that allows 14.00 a day; a purse of 10.00."""

    def make_world(self) -> SqlWorld:
        """Return an empty world in a ciphered file."""
        self.books = SqlWorld(Path(self.mktemp()).absolute())
        self.addCleanup(self.books.close)
        return self.books

    def setUp(self) -> None:
        super().setUp()
        self.world.add_company("TRY", daily_amount=1400, daily_count=3)
        self.world.add_employee("TRY", "T", balance=1000)
        self.t = self.bank.issue("TRY", "T", card="CARD000000T1")

    def assert_same(self, judged: int, since: str = "") -> None:
        """Let every request be decided again, and have none answered otherwise."""
        wanted = Wanted(company="TRY", valid_from="2020-01-01", since=since)
        with reading_past(self.books.ledger.engine) as past:
            [tried] = try_policy(past, wanted, self.books.clock.now())
        self.assertEqual([(each.request.code, each.code, each.rule) for each in tried.changes], [])
        self.assertEqual(tried.judged, judged)

    def test_advice_taken_back(self) -> None:
        """An advice whose shortfall the issuer bears leaves the limits as a whole when it is taken back."""
        advice = self.till.advise(self.t, 1500)
        self.assertEqual(self.codes(advice, self.till.reverse(advice), self.till.purchase(self.t, 1000)), ["00"] * 3)
        self.assert_same(1)

    def test_refunded(self) -> None:
        """Refunds of the date and of a later one, and a reversal of the rest, leave what they leave."""
        requests = [self.till.purchase(self.t, 500) for _ in range(3)]
        self.assertEqual(self.codes(*requests), ["00", "00", "61"])
        self.assertEqual(self.codes(self.till.refund(self.bank.outcome(requests[0]), 500)), ["00"])
        self.till.date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.refund(self.bank.outcome(requests[1]), 200)), ["00"])
        self.assertEqual(self.codes(self.till.reverse(requests[1])), ["00"])
        self.assertEqual(self.codes(*[self.till.purchase(self.t, 100) for _ in range(4)]), ["00"] * 3 + ["65"])
        self.assert_same(7)

    def test_set_aside_again(self) -> None:
        """A pre-authorization that stands again, by a reversal or a void of its completion, is aside in both books."""
        held = self.bank.outcome(self.till.hold(self.t, 600))
        for undo in (self.till.reverse, self.till.void):
            completion = self.till.capture(held, 500)
            self.assertEqual(self.codes(completion, undo(completion)), ["00", "00"])
            self.assertEqual(self.codes(self.till.purchase(self.t, 500)), ["51" if undo == self.till.reverse else "00"])
        self.assert_same(3)

    def test_expired_again(self) -> None:
        """What such a one leaves when it is over is free in both books."""
        held = self.bank.outcome(self.till.hold(self.t, 600))
        completion = self.till.capture(held, 600)
        self.assertEqual(self.codes(completion, self.till.reverse(completion)), ["00", "00"])
        self.books.clock.advance(days=10)
        HoldExpiry(self.books.ledger, self.books.clock, self.bank.note).step()
        self.assertEqual(self.codes(self.till.purchase(self.t, 1000)), ["00"])
        self.assert_same(2)

    def test_ended_credit(self) -> None:
        """Credit that had ended could not be spent, whether it was posted away by then or not."""
        self.world.add_credit("TRY", "T", 300, "2026-11-20")
        self.till.date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.purchase(self.t, 1200)), ["51"])
        self.world.expire()
        self.assertEqual(self.codes(self.till.purchase(self.t, 1001), self.till.purchase(self.t, 1000)), ["51", "00"])
        self.assert_same(3)
        self.till.date = self.world.advance_day()
        self.assert_same(0, self.till.date)

    def test_credit_of_before(self) -> None:
        """So it is where the credit came, and money was set aside, long before the days that are tried."""
        self.world.add_credit("TRY", "T", 300, "2027-01-01")
        self.assertEqual(self.codes(self.till.hold(self.t, 200)), ["00"])
        self.books.clock.advance(days=45)
        for _ in range(45):
            self.till.date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.purchase(self.t, 1001), self.till.purchase(self.t, 1000)), ["51", "00"])
        self.assert_same(2, self.till.date)
