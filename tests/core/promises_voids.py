"""What the pipeline promises about voids, on whatever ledger."""

from __future__ import annotations

import msgspec

from tests.core.promises import ADA
from tests.core.promises_refunds import RefundCase
from tests.core.tills import Till, rid_of
from tests.core.worlds import Purse
from trus.auth.model import State
from trus.core.messages import Refused
from trus.values import BusinessDate, Identity

replace = msgspec.structs.replace


class VoidPromises(RefundCase):
    """Promises about cancelling a purchase before its batch is closed."""

    def test_whole(self) -> None:
        """A purchase cancelled in its batch leaves purse, limits and shop as before; its repeat gets 68."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        void = self.till.void(request)
        answer = self.bank.outcome(void)
        self.assertEqual((answer.result, answer.code, answer.amount), ("approved", "00", 1250))
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        self.assertEqual(self.world.owed("BISTRO"), 0)
        self.assertEqual(self.bank.handle(void, replace(void, repeat=True)), [answer, answer])
        self.assertEqual(self.codes(request), ["68"])
        line = self.world.journal()[-1]
        self.assertEqual((line.kind, line.moved, line.rule), ("void", 1250, "voided"))

    def test_once(self) -> None:
        """What is cancelled cannot be cancelled, refunded or taken back again: it moves once."""
        request = self.till.purchase(self.ada)
        paid = self.bank.outcome(request)
        self.assertEqual(
            self.codes(
                self.till.void(request),
                self.till.void(request),
                self.till.refund(paid, 1),
                self.till.reverse(request),
            ),
            ["00", "25", "25", "00"],
        )
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)
        other = self.till.purchase(self.ada)
        self.assertEqual(self.codes(other, self.till.reverse(other), self.till.void(other)), ["00", "00", "25"])

    def test_closed_batch(self) -> None:
        """After its batch was closed a purchase cannot be cancelled, 12; also when both meet in one batch of work."""
        one, two = self.till.purchase(self.ada, 1000), self.till.purchase(self.ada, 1100)
        self.bank.handle(one, two)
        closing = self.till.close(2, 2100, void_count=1, void_amount=1000)
        self.assertEqual(self.codes(self.till.void(one), closing, self.till.void(two)), ["00", "00", "12"])
        self.assertEqual(self.world.journal()[-1].rule, "batch-closed")
        self.assertEqual(self.codes(self.till.void(two)), ["12"])
        three = self.till.purchase(self.ada, 300)
        self.assertEqual(self.codes(three, self.till.void(three)), ["00", "00"])

    def test_rest(self) -> None:
        """A purchase that was refunded in part is cancelled for the rest; refunded whole, there is no rest."""
        request = self.till.purchase(self.ada, 1000)
        self.bank.outcome(self.till.refund(self.bank.outcome(request), 300))
        self.assertEqual(self.bank.outcome(self.till.void(request)).amount, 700)
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        other = self.till.purchase(self.ada, 1000)
        self.bank.outcome(self.till.refund(self.bank.outcome(other), 1000))
        self.assertEqual(self.codes(self.till.void(other)), ["25"])

    def test_unknown(self) -> None:
        """What is no approved purchase of this terminal, or is named wrongly, gets 25 and changes nothing."""
        request, declined = self.till.purchase(self.ada), self.till.purchase(self.ada, 9_999)
        self.bank.handle(request, declined)
        never = Identity(self.till.terminal, self.till.date, 999)
        for wrong in (
            self.till.void(declined),
            self.till.void(request, original=never),
            self.till.void(request, original_rid=bytes(16)),
            self.till.void(request, amount=1249),
            self.till.void(request, currency="EUR"),
        ):
            self.assertEqual(self.codes(wrong), ["25"])
        self.assertEqual(self.bank.one(Till("T0000002", "LIQUOR").void(request)), Refused("63", "terminal"))
        self.assertEqual(self.bank.one(self.till.void(request, original_rid=b"")), Refused("30", "original"))
        self.assertEqual(self.world.purse(*ADA).balance, 8_750)

    def test_places_and_dates(self) -> None:
        """A blocked terminal cancels nothing, nor does a request of an old date."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        self.world.set_state("terminal", "T0000001", State.BLOCKED)
        self.assertEqual(self.codes(self.till.void(request)), ["58"])
        self.world.set_state("terminal", "T0000001", State.ACTIVE)
        old = Identity(self.till.terminal, BusinessDate("2026-11-18"), 77)
        self.assertEqual(self.codes(self.till.void(request, identity=old, rid=rid_of(old))), ["12"])
        self.assertEqual(self.codes(self.till.void(request)), ["00"])

    def test_not_reversible(self) -> None:
        """A void cannot be taken back: 12."""
        request = self.till.purchase(self.ada)
        void = self.till.void(request)
        self.bank.handle(request, void)
        wrong = replace(self.till.reverse(request, original_rid=void.rid), original=void.identity)
        self.assertEqual(self.codes(wrong), ["12"])

    def test_totals(self) -> None:
        """A batch's totals count its voids; a terminal that counted none is told that they differ."""
        one, two = self.till.purchase(self.ada, 1000), self.till.purchase(self.ada, 1100)
        self.bank.handle(one, two, self.till.void(one))
        wrong = replace(self.till.close(2, 2100), void_count=0)
        details = self.bank.outcome(wrong).details
        self.assertEqual((details["balanced"], details["void-count"], details["void-amount"]), ("no", "1", "10.00"))
        three = self.till.purchase(self.ada, 200)
        self.bank.handle(three, self.till.void(three))
        details = self.bank.outcome(self.till.close(3, 2300, void_count=2, void_amount=1200)).details
        self.assertEqual(details["balanced"], "yes")
