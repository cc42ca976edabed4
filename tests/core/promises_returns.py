"""What the pipeline promises about money that goes to and fro over one purchase, on whatever ledger."""

from __future__ import annotations

from tests.core.promises import PipelineCase
from tests.core.promises_refunds import BOB
from tests.core.tills import Till
from trus.auth.model import State
from trus.auth.policy import PurseRule
from trus.core.messages import Purchase

EVE = ("PURSES", "EVE")


class ReturnPromises(PipelineCase):
    """Promises about refunds that are taken back, and what goes back then. Bob's purse holds 10.00."""

    def stand(self) -> tuple[int, int, int]:
        """Return what Bob has, what the issuer bore and what the shop is owed."""
        return self.world.purse(*BOB).balance, self.world.risk(), self.world.owed("BISTRO")

    def lunch_twice(self) -> Purchase:
        """Have a lunch refunded, spend the money on a second one, and take the refund back: the first one."""
        first = self.till.purchase(self.bob, 1000)
        refund = self.till.refund(self.bank.outcome(first), 1000)
        self.assertEqual(self.codes(refund, self.till.purchase(self.bob, 1000)), ["00", "00"])
        self.assertEqual(self.codes(self.till.reverse(refund)), ["00"])
        self.assertEqual(self.stand(), (0, -1000, 2000))
        return first

    def test_shortfall_is_made_good(self) -> None:
        """TR-2: what the issuer bore of a refund that was spent goes back to it, when the purchase is taken back."""
        self.assertEqual(self.codes(self.till.reverse(self.lunch_twice())), ["00"])
        self.assertEqual(self.stand(), (0, 0, 1000))

    def test_shortfall_by_void(self) -> None:
        """So it does when the purchase is cancelled."""
        self.assertEqual(self.codes(self.till.void(self.lunch_twice())), ["00"])
        self.assertEqual(self.stand(), (0, 0, 1000))

    def test_no_pump(self) -> None:
        """Refund, spend, take the refund back: the second round gains nothing, and the part that is not spent stays."""
        paid = self.bank.outcome(self.till.purchase(self.bob, 1000))
        for _ in range(3):
            refund = self.till.refund(paid, 1000)
            self.codes(refund, self.till.purchase(self.bob, 700), self.till.reverse(refund))
            self.assertEqual(self.stand(), (0, -700, 1700))
        self.assertEqual(self.codes(self.till.refund(paid, 800)), ["00"])
        self.assertEqual(self.stand(), (100, 0, 900))

    def test_risk_once(self) -> None:
        """The issuer's risk is made good once, whatever refund is taken back in between."""
        request = self.till.advise(self.bob, 1_500)
        sold = self.bank.outcome(request)
        early = self.till.refund(sold, 500)
        self.assertEqual(self.codes(early, self.till.refund(sold, 1000)), ["00", "00"])
        self.assertEqual(self.codes(self.till.reverse(early), self.till.refund(sold, 500)), ["00", "00"])
        self.assertEqual(self.stand(), (1000, 0, 0))

    def test_risk_once_by_void(self) -> None:
        """So it is when the purchase is cancelled then."""
        request = self.till.advise(self.bob, 1_500)
        sold = self.bank.outcome(request)
        early = self.till.refund(sold, 500)
        batch = (early, self.till.refund(sold, 1000), self.till.reverse(early), self.till.void(request))
        self.assertEqual(self.codes(*batch), ["00"] * 4)
        self.assertEqual(self.stand(), (1000, 0, 0))

    def test_risk_alone(self) -> None:
        """The refund of a purchase that the issuer bore alone can be taken back, and made again."""
        self.world.set_state("card", "CARD000000B1", State.STOLEN)
        request = self.till.advise(self.bob, 1_000)
        sold = self.bank.outcome(request)
        refund = self.till.refund(sold, 400)
        self.assertEqual(self.codes(refund), ["00"])
        self.assertEqual(self.stand(), (1000, -600, 600))
        self.assertEqual(self.codes(self.till.reverse(refund)), ["00"])
        self.assertEqual(self.stand(), (1000, -1000, 1000))
        self.assertEqual(self.codes(self.till.refund(sold, 400), self.till.reverse(request)), ["00", "00"])
        self.assertEqual(self.stand(), (1000, 0, 0))

    def test_empty_purse(self) -> None:
        """So can the refund of a purchase that found an empty purse."""
        self.codes(self.till.purchase(self.bob, 1000))
        sold = self.bank.outcome(self.till.advise(self.bob, 500))
        refund = self.till.refund(sold, 500)
        self.assertEqual(self.codes(refund, self.till.reverse(refund)), ["00", "00"])
        self.assertEqual(self.stand(), (0, -500, 1500))

    def test_split(self) -> None:
        """A refund goes to the purses that are still owed it: SNACK paid 3.00, MAIN 7.00."""
        purses = (PurseRule("SNACK", ("5814",)), PurseRule("MAIN"))
        self.world.add_company("PURSES", purses=purses, split_purses=True)
        self.world.add_employee(*EVE, balance=1000)
        self.world.add_terminal("SNACKS", "T0000003", "5814")
        snacks, eve = Till("T0000003", "SNACKS"), self.bank.issue(*EVE, card="CARD000000E1")
        self.world.add_purse(*EVE, "SNACK", 300)
        paid = self.bank.outcome(snacks.purchase(eve, 1000))
        early = snacks.refund(paid, 700)
        batch = (early, snacks.refund(paid, 300), snacks.reverse(early), snacks.refund(paid, 700))
        self.assertEqual(self.codes(*batch), ["00"] * 4)
        self.assertEqual(self.world.purses(*EVE), {"MAIN": 1000, "SNACK": 300})

    def test_lots(self) -> None:
        """TR-4: credit that ends comes back as it went, also when a refund in between is taken back."""
        self.world.add_credit(*BOB, 500, "2026-11-27")
        self.world.add_credit(*BOB, 500, "2026-12-04")
        paid = self.bank.outcome(self.till.purchase(self.bob, 1000))
        early = self.till.refund(paid, 500)
        batch = (early, self.till.refund(paid, 500), self.till.reverse(early), self.till.refund(paid, 500))
        self.assertEqual(self.codes(*batch), ["00"] * 4)
        self.assertEqual(self.world.lots(*BOB), "2026-11-27:500 2026-12-04:500")

    def test_lots_of_another_purchase(self) -> None:
        """When a refund was spent and other credit is taken for it, that credit is owed by the purchase then."""
        paid = self.bank.outcome(self.till.purchase(self.bob, 1000))
        refund = self.till.refund(paid, 1000)
        self.assertEqual(self.codes(refund, self.till.purchase(self.bob, 1000)), ["00", "00"])
        self.world.add_credit(*BOB, 600, "2026-11-27")
        self.assertEqual(self.codes(self.till.reverse(refund)), ["00"])
        self.assertEqual((self.world.lots(*BOB), self.stand()), ("", (0, -400, 2000)))
        self.assertEqual(self.codes(self.till.refund(paid, 1000)), ["00"])
        self.assertEqual((self.world.lots(*BOB), self.stand()), ("2026-11-27:600", (600, 0, 1000)))

    def test_lots_that_ended(self) -> None:
        """TR-4: credit that came back after its end is not owed a second time."""
        self.world.add_credit(*BOB, 500, "2026-11-20")
        paid = self.bank.outcome(self.till.purchase(self.bob, 1500))
        self.till.date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.refund(paid, 1200)), ["00"])
        self.assertEqual(self.world.lots(*BOB), "2026-11-28:200")
        self.till.date = self.world.advance_day()
        refund = self.till.refund(paid, 300)
        self.assertEqual(self.codes(refund), ["00"])
        self.assertEqual(self.world.lots(*BOB), "2026-11-28:200 2026-11-29:300")
        self.assertEqual(self.codes(self.till.reverse(refund), self.till.refund(paid, 300)), ["00", "00"])
        self.assertEqual((self.world.lots(*BOB), self.stand()), ("2026-11-28:200 2026-11-29:300", (1500, 0, 0)))
