"""The audit of events that are about others: refunds, pre-authorizations, and dated credit."""

from __future__ import annotations

from tests.ledger.audited import AuditCase
from trus.ledger.findings import Check


class LinkCase(AuditCase):
    """What somebody with the file's key makes of events that name each other."""

    def refund_of(self, original: int, amount: int) -> None:
        """Let the second purchase be a refund instead."""
        self.tamper(
            f"UPDATE event SET kind = 'refund', original = {original}, authorized = {amount}"
            f" WHERE id = {self.second.event_id}"
        )

    def test_refund_of_nothing(self) -> None:
        """A refund of a purchase that does not exist is found."""
        self.refund_of(999, 300)
        self.assert_found(Check.REFUNDS, "event 999", "it was refunded and does not exist")

    def test_refund_of_more_than_was_paid(self) -> None:
        """TR-2: refunds that give back more than their purchase paid are found; up to that they are not."""
        first = self.first.event_id
        self.refund_of(first, 701)
        self.assert_found(Check.REFUNDS, f"event {first}", "701 of it was refunded, and it paid 700")
        self.refund_of(first, 700)
        self.assertEqual(self.found(Check.REFUNDS), [])

    def test_holds(self) -> None:
        """A pre-authorization that is open although something ended it, or gone although nothing did, is found."""
        first, second = self.first.event_id, self.second.event_id
        self.tamper(f"UPDATE event SET kind = 'hold' WHERE id IN ({first}, {second})")
        self.assertEqual(self.found(Check.HOLDS), [(f"event {second}", "nothing ended it, and it is not open")])
        purse = self.books.purses[0]
        self.tamper(f"INSERT INTO hold (event_id, account, amount, expires_at) VALUES ({first}, {purse}, 700, 0)")
        self.assert_found(Check.HOLDS, f"event {first}", "it is open, and something ended it")
        self.assert_found(Check.HOLDS, f"account {purse}", "it sets 0 aside, and its open holds are 700")

    def test_hold_that_stood_again(self) -> None:
        """A pre-authorization that stood again as a reversal is taken back by an event that moves nothing."""
        stands, second = self.reversal.event_id, self.second.event_id
        self.tamper(f"UPDATE event SET kind = 'reversal', original = {stands} WHERE id = {second}")
        problem = f"it moves something, and takes a pre-authorization back ({stands})"
        self.assert_found(Check.REVERSALS, f"event {second}", problem)
        self.tamper(f"DELETE FROM entry WHERE event_id = {second}")
        self.assertEqual(self.found(Check.REVERSALS), [])

    def test_more_credit_than_the_purse_has(self) -> None:
        """Dated credit above the purse's balance, or of nothing, is found although its moves agree with it."""
        purse, event = self.books.purses[0], self.first.event_id
        for amount in (1_000_000, -1):
            self.tamper(
                "DELETE FROM lot_move",
                f"INSERT INTO lot_move (event_id, expires_on, account, amount)"
                f" VALUES ({event}, '2026-12-31', {purse}, {amount})",
                f"UPDATE account SET lots = '2026-12-31:{amount}' WHERE id = {purse}",
            )
            [(row, problem)] = self.found(Check.LOTS)
            self.assertEqual(row, f"account {purse}")
            self.assertIn(f"its lots are '2026-12-31:{amount}'", problem)

    def test_shop_that_gives_back_too_much(self) -> None:
        """TR-2: a shop that gave back more than it received over a sale is found."""
        first, taken = self.first.event_id, self.reversal.event_id
        self.tamper(f"UPDATE entry SET amount = amount + sign(amount) WHERE event_id = {taken}")
        found = self.found(Check.REFUNDS)
        self.assertEqual([row for row, _ in found], [f"event {first}"] * 2)
        self.assertTrue(any("gave back more than it received over it: 1" in problem for _, problem in found), found)
        self.assertTrue(any("got back more than it gave over it: 1" in problem for _, problem in found), found)
