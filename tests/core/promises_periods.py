"""What the pipeline promises about limits on more than a day, on whatever ledger."""

from __future__ import annotations

from tests.core.promises import PipelineCase
from tests.core.tills import Till
from trus.auth.policy import ShopLimit

EVE = ("WEEKLY", "EVE")


class PeriodPromises(PipelineCase):
    """A company that limits weeks, months, shops and days off."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_company(
            "WEEKLY",
            week_days=(1, 2, 3, 4, 5, 6, 7),
            weekly_amount=3000,
            weekly_count=4,
            monthly_amount=5000,
            shop_limits=(ShopLimit("*", 2000, None), ShopLimit("SNACKS", None, 1)),
            holidays=("2026-12-25",),
            floor_limit=700,
        )
        self.world.add_employee(*EVE, balance=100_000)
        self.world.add_terminal("SNACKS", "T0000003", "5814")
        self.eve = self.bank.issue(*EVE, card="CARD000000E1")
        self.snacks = Till("T0000003", "SNACKS")

    def rules(self) -> list[str]:
        """Return the rules of the journal."""
        return [line.rule for line in self.world.journal()]

    def test_week(self) -> None:
        """A week's amount holds across batches and days, and begins anew on Monday, until the month is used up."""
        self.assertEqual(
            self.codes(self.till.purchase(self.eve, 2000), self.snacks.purchase(self.eve, 500)), ["00"] * 2
        )
        self.world.clock.advance(days=1)
        self.assertEqual(self.codes(self.till.purchase(self.eve, 501), self.till.purchase(self.eve, 500)), ["61", "00"])
        self.world.clock.advance(days=2)
        self.assertEqual(
            self.codes(self.till.purchase(self.eve, 2000), self.snacks.purchase(self.eve, 1)), ["00", "61"]
        )
        self.assertEqual([self.rules()[2], self.rules()[-1]], ["weekly-amount", "monthly-amount"])
        self.world.clock.advance(days=8)
        self.assertEqual(self.codes(self.snacks.purchase(self.eve, 1)), ["00"], "it is December")

    def test_shop(self) -> None:
        """What one shop may sell to a card in a day is counted by shop, also within a batch."""
        batch = [
            self.till.purchase(self.eve, 1500),
            self.till.purchase(self.eve, 501),
            self.snacks.purchase(self.eve, 501),
            self.snacks.purchase(self.eve, 1),
        ]
        self.assertEqual(self.codes(*batch), ["00", "61", "00", "65"])
        self.assertEqual(self.rules(), ["approved", "shop-daily-amount", "approved", "shop-daily-count"])

    def test_count(self) -> None:
        """A week's number of purchases holds."""
        self.assertEqual(self.codes(*[self.till.purchase(self.eve, 10) for _ in range(5)]), ["00"] * 4 + ["65"])
        self.assertEqual(self.rules()[-1], "weekly-count")

    def test_holiday(self) -> None:
        """On Christmas nothing is paid for."""
        self.world.clock.advance(days=35)
        self.assertEqual(self.codes(self.till.purchase(self.eve, 10)), ["57"])
        self.assertEqual(self.rules(), ["holiday"])

    def test_refunded(self) -> None:
        """A refund of the same business date gives back the week, the month and the shop; a later one none of them."""
        paid = self.bank.outcome(self.till.purchase(self.eve, 2000))
        self.assertEqual(self.codes(self.till.purchase(self.eve, 1)), ["61"])
        self.assertEqual(self.codes(self.till.refund(paid, 2000)), ["00"])
        again = self.bank.outcome(self.till.purchase(self.eve, 2000))
        self.assertEqual(again.code, "00")
        date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.refund(again, 2000, date=date)), ["00"])
        self.assertEqual(self.codes(self.snacks.purchase(self.eve, 1001, date=date)), ["61"])
        self.assertEqual(self.rules()[-1], "weekly-amount")
        self.assertEqual(self.codes(self.snacks.purchase(self.eve, 1000, date=date)), ["00"])

    def test_refund_taken_back(self) -> None:
        """A refund that is taken back is spent again of every limit."""
        paid = self.bank.outcome(self.till.purchase(self.eve, 2000))
        refund = self.till.refund(paid, 2000)
        self.assertEqual(self.codes(refund, self.till.reverse(refund)), ["00", "00"])
        self.assertEqual(
            self.codes(self.snacks.purchase(self.eve, 1001), self.till.purchase(self.eve, 1)), ["61", "61"]
        )

    def test_taken_back(self) -> None:
        """A purchase that is taken back or cancelled counts in no period, also on the next day of the week."""
        one, two = self.till.purchase(self.eve, 1000), self.till.purchase(self.eve, 1000)
        self.assertEqual(self.codes(one, two), ["00", "00"])
        self.world.clock.advance(days=1)
        self.assertEqual(self.codes(self.till.reverse(one), self.till.void(two)), ["00", "00"])
        self.assertEqual(
            self.codes(self.till.purchase(self.eve, 2000), self.snacks.purchase(self.eve, 1000)), ["00"] * 2
        )

    def test_holds(self) -> None:
        """What is set aside counts as spent; what is not paid of it is given back."""
        held = self.bank.outcome(self.till.hold(self.eve, 2000))
        self.assertEqual(self.codes(self.snacks.purchase(self.eve, 1001)), ["61"])
        self.assertEqual(self.codes(self.till.capture(held, 500), self.snacks.purchase(self.eve, 2000)), ["00", "00"])
        self.assertEqual(self.codes(self.till.purchase(self.eve, 501)), ["61"])

    def test_off_line(self) -> None:
        """Advices count as spent, and are taken over up to the company's floor limit, which is the lower one."""
        self.assertEqual(self.codes(self.till.advise(self.eve, 701), self.till.advise(self.eve, 700)), ["61", "00"])
        self.assertEqual(
            self.codes(self.till.purchase(self.eve, 1301), self.till.purchase(self.eve, 1300)), ["61", "00"]
        )
