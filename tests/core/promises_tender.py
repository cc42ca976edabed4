"""What the pipeline promises about small purchases without PIN and about split tender, on whatever ledger."""

from __future__ import annotations

from tests.core.promises import PipelineCase
from tests.core.worlds import Purse
from trus.core.messages import PinWanted


class TenderPromises(PipelineCase):
    """Promises about how a purchase is paid."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_company("QUICK", pin_above=1000, daily_amount=4000)
        self.world.add_employee("QUICK", "KIM", balance=3_000)
        self.kim = self.bank.issue("QUICK", "KIM", card="CARD000000K1")

    def test_without_pin(self) -> None:
        """TR-2: up to the policy's amount a card pays without PIN; for a cent more the PIN is asked."""
        self.assertEqual(self.codes(self.till.purchase(self.kim, 1000, pin=None)), ["00"])
        self.assertIsInstance(self.bank.one(self.till.purchase(self.kim, 1001, pin=None)), PinWanted)
        self.assertIsInstance(self.bank.one(self.till.purchase(self.ada, 1, pin=None)), PinWanted)
        self.assertEqual(self.codes(self.till.purchase(self.kim, 1001)), ["00"])
        self.assertEqual(self.world.purse("QUICK", "KIM"), Purse(999, "2026-11-20", 2001, 2))

    def test_wrong_where_none_was_needed(self) -> None:
        """A PIN that came though none was needed is checked all the same: a wrong one takes a try."""
        self.assertEqual(self.codes(self.till.purchase(self.kim, 500, pin="0000")), ["55"])
        self.assertEqual(self.world.tries("CARD000000K1"), 2)

    def test_locked_without_pin(self) -> None:
        """A card whose PIN is locked pays nothing, not even what needs no PIN."""
        for _ in range(3):
            self.codes(self.till.purchase(self.kim, 2000, pin="0000"))
        self.assertEqual(self.codes(self.till.purchase(self.kim, 1, pin=None)), ["75"])

    def test_split_tender(self) -> None:
        """A shop that welcomes a part gets what purse and limits leave, and the rest is paid by other means."""
        self.assertEqual(self.codes(self.till.purchase(self.kim, 3_500)), ["51"])
        answer = self.bank.outcome(self.till.purchase(self.kim, 3_500, partial=True))
        self.assertEqual((answer.result, answer.code, answer.amount), ("partial", "10", 3_000))
        self.assertEqual(self.codes(self.till.purchase(self.kim, 1, partial=True)), ["51"])
        limited = self.bank.outcome(self.till.purchase(self.ada, 9_999, partial=True))
        self.assertEqual((limited.code, limited.amount), ("10", 2_500))
        self.assertEqual(self.world.owed("BISTRO"), 5_500)

    def test_part_comes_back(self) -> None:
        """The part that was approved is all that can be cancelled or refunded."""
        request = self.till.purchase(self.bob, 1_250, partial=True)
        self.bank.outcome(request)
        self.assertEqual(self.bank.outcome(self.till.void(request)).amount, 1_000)
        self.assertEqual(self.world.purse("ACME", "BOB").balance, 1_000)
