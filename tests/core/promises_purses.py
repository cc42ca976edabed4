"""What the pipeline promises about cardholders with several purses, on whatever ledger."""

from __future__ import annotations

from tests.core.promises import PipelineCase
from tests.core.tills import Till
from trus.auth.policy import PurseRule
from trus.core.holding import HoldExpiry

EVE = ("PURSES", "EVE")
_RULES = (PurseRule("SNACK", ("5814",)), PurseRule("MAIN"))


class PursePromises(PipelineCase):
    """Eve, who has 10.00 for meals and 3.00 for snacks, and whose purses may share a purchase."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_company("PURSES", daily_amount=2000, purses=_RULES, split_purses=True)
        self.world.add_employee(*EVE, balance=1000)
        self.world.add_terminal("SNACKS", "T0000003", "5814")
        self.snacks = Till("T0000003", "SNACKS")
        self.eve = self.bank.issue(*EVE, card="CARD000000E1")
        self.world.add_purse(*EVE, "SNACK", 300)

    def hold(self, main: int, snack: int) -> None:
        """The purses hold so much."""
        self.assertEqual(self.world.purses(*EVE), {"MAIN": main, "SNACK": snack})

    def test_by_kind_of_shop(self) -> None:
        """A restaurant is paid from the one purse, a snack from the other, and the answer says from which."""
        lunch = self.bank.outcome(self.till.purchase(self.eve, 400))
        snack = self.bank.outcome(self.snacks.purchase(self.eve, 250))
        self.assertEqual((lunch.details, snack.details), ({"purses": "MAIN:4.00"}, {"purses": "SNACK:2.50"}))
        self.hold(600, 50)
        self.assertEqual((self.world.owed("BISTRO"), self.world.owed("SNACKS")), (400, 250))
        self.assertEqual(self.world.purse(*EVE).day_amount, 650, "limits are of all purses together")

    def test_shared(self) -> None:
        """Purses share a purchase in the policy's order; purchases of one batch see each other."""
        batch = [self.snacks.purchase(self.eve, amount) for amount in (500, 801, 800)]
        self.assertEqual(self.codes(*batch), ["00", "51", "00"])
        self.assertEqual(self.bank.outcome(batch[0]).details, {"purses": "SNACK:3.00,MAIN:2.00"})
        self.hold(0, 0)

    def test_limits(self) -> None:
        """The day's limit is one for all purses."""
        self.world.add_purse(*EVE, "EXTRA", 9000)
        self.assertEqual(
            self.codes(self.snacks.purchase(self.eve, 1300), self.snacks.purchase(self.eve, 1)), ["00", "51"]
        )
        self.assertEqual(self.world.purses(*EVE)["EXTRA"], 9000)

    def test_refunded(self) -> None:
        """A refund goes back to where the money came from, what was spent last first, to the exact remainder."""
        paid = self.bank.outcome(self.snacks.purchase(self.eve, 500))
        self.hold(800, 0)
        self.assertEqual(self.codes(self.snacks.refund(paid, 150)), ["00"])
        self.hold(950, 0)
        self.assertEqual(self.codes(self.snacks.refund(paid, 200), self.snacks.refund(paid, 151)), ["00", "13"])
        self.hold(1000, 150)
        self.assertEqual(self.codes(self.snacks.refund(paid, 150)), ["00"])
        self.hold(1000, 300)
        self.assertEqual(self.world.purse(*EVE).day_amount, 0)

    def test_taken_back(self) -> None:
        """A reversal and a void give every purse what it had paid."""
        one, two = self.snacks.purchase(self.eve, 500), self.snacks.purchase(self.eve, 600)
        self.assertEqual(self.codes(one, two, self.snacks.reverse(one)), ["00", "00", "00"])
        self.hold(400, 300)
        self.assertEqual(self.codes(self.snacks.void(two)), ["00"])
        self.hold(1000, 300)
        self.assertEqual(self.world.owed("SNACKS"), 0)

    def test_rest_taken_back(self) -> None:
        """A reversal after a refund gives back the rest, to the purse that is still owed it."""
        request = self.snacks.purchase(self.eve, 500)
        paid = self.bank.outcome(request)
        self.assertEqual(self.codes(self.snacks.refund(paid, 250), self.snacks.reverse(request)), ["00", "00"])
        self.hold(1000, 300)

    def test_refund_taken_back(self) -> None:
        """A refund that is taken back is paid again by the purses that had got it; the rest is the issuer's risk."""
        paid = self.bank.outcome(self.snacks.purchase(self.eve, 500))
        refund = self.snacks.refund(paid, 450)
        self.assertEqual(self.codes(refund), ["00"])
        self.hold(1000, 250)
        self.assertEqual(self.codes(self.till.purchase(self.eve, 900)), ["00"])
        self.assertEqual(self.codes(self.snacks.reverse(refund)), ["00"])
        self.hold(0, 0)
        self.assertEqual(self.world.risk(), -100)

    def test_refund_taken_back_out_of_order(self) -> None:
        """When the first of two refunds is taken back, the next ones go to the purse that is owed them, to the cent."""
        paid = self.bank.outcome(self.snacks.purchase(self.eve, 500))
        first, second = self.snacks.refund(paid, 200), self.snacks.refund(paid, 150)
        self.assertEqual(self.codes(first, second, self.snacks.reverse(first)), ["00", "00", "00"])
        self.hold(800, 150)
        self.assertEqual(self.codes(self.snacks.refund(paid, 100)), ["00"])
        self.hold(900, 150)
        self.assertEqual(self.codes(self.snacks.refund(paid, 251), self.snacks.refund(paid, 250)), ["13", "00"])
        self.hold(1000, 300)

    def test_out_of_order_in_one_batch(self) -> None:
        """So it is when all of them meet in one batch, and when the purchase itself is taken back then."""
        request = self.snacks.purchase(self.eve, 500)
        paid = self.bank.outcome(request)
        first, second = self.snacks.refund(paid, 200), self.snacks.refund(paid, 150)
        third = self.snacks.refund(paid, 250)
        self.assertEqual(self.codes(first, second, self.snacks.reverse(first), third), ["00"] * 4)
        self.hold(1000, 200)
        self.assertEqual(self.bank.outcome(self.snacks.reverse(request)).amount, 100)
        self.hold(1000, 300)

    def test_policy_without_purses(self) -> None:
        """TR-2: what several purses paid goes back to them after a policy that names none has replaced theirs."""
        shared, snack = self.snacks.purchase(self.eve, 500), self.snacks.purchase(self.eve, 100)
        self.world.add_purse(*EVE, "EXTRA", 9000)
        self.assertEqual(self.codes(shared), ["00"])
        paid = self.bank.outcome(shared)
        self.world.set_policy("PURSES")
        self.assertEqual(self.codes(self.snacks.refund(paid, 300), self.snacks.reverse(shared)), ["00", "00"])
        self.assertEqual(self.world.purses(*EVE), {"MAIN": 1000, "SNACK": 300, "EXTRA": 9000})
        self.assertEqual(self.codes(snack, self.snacks.reverse(snack)), ["00", "00"])
        self.assertEqual(self.world.purses(*EVE), {"MAIN": 1000, "SNACK": 300, "EXTRA": 9000})
        self.assertEqual(self.bank.outcome(self.till.balance(self.eve, "1234")).details, {})

    def test_policy_without_purses_in_one_batch(self) -> None:
        """So does a purchase of the lesser purse alone, beside a new one of the same card."""
        snack = self.snacks.purchase(self.eve, 200)
        self.assertEqual(self.codes(snack), ["00"])
        self.world.set_policy("PURSES")
        self.assertEqual(self.codes(self.snacks.purchase(self.eve, 300), self.snacks.reverse(snack)), ["00", "00"])
        self.hold(700, 300)

    def test_policy_without_purses_expires(self) -> None:
        """A pre-authorization of such a purse expires, and keeps no other from it."""
        expiry = HoldExpiry(self.world.ledger, self.world.clock, self.bank.note)
        self.assertEqual(self.codes(self.snacks.hold(self.eve, 200), self.till.hold(self.bob, 600)), ["00", "00"])
        self.world.set_policy("PURSES")
        self.world.clock.advance(days=7)
        self.assertEqual((expiry.step(), expiry.step(), self.bank.notes), (2, 0, []))
        self.assertEqual(self.world.held("ACME", "BOB"), 0)
        self.world.set_policy("PURSES", purses=_RULES)
        self.assertEqual(self.codes(self.snacks.purchase(self.eve, 300)), ["00"])
        self.hold(1000, 0)

    def test_set_aside_in_several(self) -> None:
        """A pre-authorization is shared as a purchase is, and completed, in part, in the policy's order."""
        held = self.bank.outcome(self.snacks.hold(self.eve, 500))
        self.assertEqual((held.details, self.world.held(*EVE)), ({"purses": "SNACK:3.00,MAIN:2.00"}, 200))
        self.hold(1000, 300)
        self.assertEqual(
            self.codes(self.snacks.purchase(self.eve, 801), self.snacks.purchase(self.eve, 1)), ["51", "00"]
        )
        paid = self.bank.outcome(self.snacks.capture(held, 400))
        self.assertEqual((paid.code, self.world.held(*EVE)), ("00", 0))
        self.hold(899, 0)
        self.assertEqual(self.codes(self.snacks.refund(paid, 150)), ["00"])
        self.hold(999, 50)
        self.assertEqual(self.world.purse(*EVE).day_amount, 251)

    def test_freed_in_several(self) -> None:
        """Released, taken back or expired, what was set aside in several purses is free again in each."""
        one = self.snacks.hold(self.eve, 500)
        held = self.bank.outcome(one)
        self.assertEqual(self.codes(self.snacks.release(held), self.snacks.hold(self.eve, 1300)), ["00", "00"])
        self.world.clock.advance(days=7)
        self.assertEqual(HoldExpiry(self.world.ledger, self.world.clock, self.bank.note).step(), 1)
        two = self.snacks.hold(self.eve, 1300)
        self.assertEqual(self.codes(two, self.snacks.purchase(self.eve, 1)), ["00", "51"])
        self.assertEqual(self.codes(self.snacks.reverse(two), self.snacks.purchase(self.eve, 1300)), ["00", "00"])
        self.hold(0, 0)

    def test_stands_again_in_several(self) -> None:
        """A completion that is taken back or cancelled sets money aside in each purse again, as far as it is there."""
        held = self.bank.outcome(self.snacks.hold(self.eve, 500))
        capture = self.snacks.capture(held, 100)
        self.assertEqual(self.codes(capture, self.till.purchase(self.eve, 900)), ["00", "00"])
        self.hold(100, 200)
        self.assertEqual(self.codes(self.snacks.reverse(capture)), ["00"])
        self.hold(100, 300)
        self.assertEqual((self.world.held(*EVE), self.codes(self.snacks.purchase(self.eve, 1))), (100, ["51"]))
        self.assertEqual(self.codes(self.snacks.capture(held, 401), self.snacks.capture(held, 400)), ["13", "00"])
        self.hold(0, 0)

    def test_cancelled_in_several(self) -> None:
        """So it is with a void, also of a completion that one of the purses paid alone, in one batch or two."""
        held = self.bank.outcome(self.snacks.hold(self.eve, 500))
        capture = self.snacks.capture(held, 350)
        again = self.snacks.capture(held, 500)
        self.assertEqual(self.codes(capture, self.snacks.void(capture)), ["00", "00"])
        self.hold(1000, 300)
        self.assertEqual((self.world.held(*EVE), self.codes(self.snacks.purchase(self.eve, 801))), (200, ["51"]))
        self.assertEqual(self.codes(again), ["00"])
        self.hold(800, 0)

    def test_set_aside(self) -> None:
        """A pre-authorization that one purse holds is set aside there, and is completed from it."""
        self.assertEqual(self.codes(self.snacks.hold(self.eve, 1301)), ["51"])
        held = self.bank.outcome(self.snacks.hold(self.eve, 200))
        self.assertEqual(held.details, {"purses": "SNACK:2.00"})
        self.assertEqual(self.world.held(*EVE), 0)
        self.assertEqual(
            self.bank.outcome(self.snacks.purchase(self.eve, 150)).details["purses"], "SNACK:1.00,MAIN:0.50"
        )
        paid = self.bank.outcome(self.snacks.capture(held, 120))
        self.assertEqual(paid.code, "00")
        self.hold(950, 80)
        self.assertEqual(self.codes(self.snacks.refund(paid, 120)), ["00"])
        self.hold(950, 200)
        meal = self.bank.outcome(self.till.hold(self.eve, 500))
        self.assertEqual((meal.details, self.world.held(*EVE)), ({"purses": "MAIN:5.00"}, 500))
        self.assertEqual(self.codes(self.till.capture(meal, 500)), ["00"])
        self.hold(450, 200)

    def test_freed(self) -> None:
        """Released, taken back or expired, what was set aside in a purse is free again."""
        one, two = self.snacks.hold(self.eve, 100), self.snacks.hold(self.eve, 100)
        held = self.bank.outcome(one)
        self.assertEqual(self.codes(two, self.snacks.hold(self.eve, 100)), ["00", "00"])
        self.assertEqual(self.codes(self.snacks.release(held), self.snacks.reverse(two)), ["00", "00"])
        self.assertEqual(
            self.bank.outcome(self.snacks.purchase(self.eve, 250)).details["purses"], "SNACK:2.00,MAIN:0.50"
        )
        self.world.clock.advance(days=7)
        self.assertEqual(HoldExpiry(self.world.ledger, self.world.clock, self.bank.note).step(), 1)
        self.assertEqual(self.bank.outcome(self.snacks.purchase(self.eve, 100)).details["purses"], "SNACK:1.00")

    def test_off_line(self) -> None:
        """An advice is paid from the purses as a purchase is, and what they do not hold is the issuer's risk."""
        self.assertEqual(
            self.codes(self.snacks.advise(self.eve, 400), self.snacks.advise(self.eve, 1000)), ["00", "00"]
        )
        self.hold(0, 0)
        self.assertEqual(self.world.risk(), -100)
        self.assertEqual(self.world.owed("SNACKS"), 1400)

    def test_enquiry(self) -> None:
        """A balance enquiry tells what each purse holds."""
        answer = self.bank.outcome(self.till.balance(self.eve, "1234"))
        self.assertEqual((answer.balance, answer.details), (1000, {"purses": "MAIN:10.00,SNACK:3.00"}))

    def test_others(self) -> None:
        """A cardholder of a company without purses is told nothing of any."""
        answer = self.bank.outcome(self.till.purchase(self.ada, 100))
        self.assertEqual(answer.details, {})

    def test_credit_that_ends(self) -> None:
        """Credit that ends is spent and given back by the main purse's share of a purchase alone."""
        self.world.add_credit(*EVE, 200, "2026-11-30")
        paid = self.bank.outcome(self.snacks.purchase(self.eve, 450))
        self.assertEqual(paid.details, {"purses": "SNACK:3.00,MAIN:1.50"})
        self.assertEqual(self.world.lots(*EVE), "2026-11-30:50")
        self.assertEqual(self.codes(self.snacks.refund(paid, 100)), ["00"])
        self.assertEqual(self.world.lots(*EVE), "2026-11-30:150")
        self.assertEqual(self.codes(self.snacks.refund(paid, 200)), ["00"])
        self.assertEqual(self.world.lots(*EVE), "2026-11-30:200")
        self.hold(1200, 150)
        refund = self.snacks.refund(paid, 150)
        self.assertEqual(self.codes(refund, self.snacks.reverse(refund)), ["00", "00"])
        self.hold(1200, 150)
        self.assertEqual(self.world.lots(*EVE), "2026-11-30:200")
