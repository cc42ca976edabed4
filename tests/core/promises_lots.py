"""What the pipeline promises about credit that ends, on whatever ledger."""

from __future__ import annotations

from tests.core.promises import ADA, PipelineCase
from trus.core.messages import Outcome

BOB = ("ACME", "BOB")
#: Three Fridays; the world begins on the first.
FIRST, SECOND, THIRD = "2026-11-20", "2026-11-27", "2026-12-04"


class LotPromises(PipelineCase):
    """Promises about credit that ends. Bob's purse holds 10.00 that never end."""

    def pay(self, amount: int) -> Outcome:
        """Let Bob pay, and return the answer."""
        answer = self.bank.outcome(self.till.purchase(self.bob, amount))
        self.assertEqual(answer.code, "00")
        return answer

    def days_pass(self, days: int, *, expire: bool = True) -> None:
        """Cut over so many times, and let the upkeep run."""
        for _ in range(days):
            self.till.date = self.world.advance_day()
        if expire:
            self.world.expire()

    def credit(self) -> tuple[str, int]:
        """Return Bob's lots and balance."""
        return self.world.lots(*BOB), self.world.purse(*BOB).balance

    def test_oldest_first(self) -> None:
        """TR-4: what ends first is spent first, and what never ends last."""
        self.world.add_credit(*BOB, 500, THIRD)
        self.world.add_credit(*BOB, 300, SECOND)
        self.world.add_credit(*BOB, 200, SECOND)
        self.assertEqual(self.credit(), (f"{SECOND}:500 {THIRD}:500", 2000))
        self.pay(400)
        self.assertEqual(self.credit(), (f"{SECOND}:100 {THIRD}:500", 1600))
        self.pay(700)
        self.assertEqual(self.credit(), ("", 900))

    def test_seen_within_a_batch(self) -> None:
        """Two purchases of one batch spend one lot after the other."""
        self.world.add_credit(*BOB, 500, SECOND)
        self.world.add_credit(*BOB, 500, THIRD)
        answers = self.bank.handle(self.till.purchase(self.bob, 400), self.till.purchase(self.bob, 300))
        self.assertEqual([answer.code for answer in answers], ["00", "00"])
        self.assertEqual(self.credit(), (f"{THIRD}:300", 1300))

    def test_last_day(self) -> None:
        """Credit can be spent on its last business date, and from the cut-over on not, whether posted away or not."""
        self.world.add_credit(*BOB, 500, SECOND)
        self.days_pass(7)
        self.pay(100)
        self.days_pass(1, expire=False)
        self.assertEqual(self.codes(self.till.purchase(self.bob, 1001)), ["51"])
        self.assertEqual(self.world.journal()[-1].rule, "funds")
        self.pay(600)
        self.assertEqual(self.credit(), (f"{SECOND}:400", 800))
        self.world.expire()
        self.assertEqual(self.credit(), ("", 400))

    def test_available(self) -> None:
        """A balance enquiry says what can be spent where something has ended."""
        self.world.add_credit(*BOB, 500, FIRST)
        self.days_pass(1, expire=False)
        answer = self.bank.outcome(self.till.balance(self.bob, self.bob.pin))
        self.assertEqual((answer.balance, answer.details), (1500, {"available": "10.00"}))

    def test_refund_newest_first(self) -> None:
        """A refund restores the lots that the purchase consumed, newest first; part after part, to the cent."""
        self.world.add_credit(*BOB, 300, SECOND)
        self.world.add_credit(*BOB, 300, THIRD)
        paid = self.pay(1000)
        self.assertEqual(self.credit(), ("", 600))
        for amount, lots in ((450, f"{THIRD}:50"), (450, f"{SECOND}:200 {THIRD}:300")):
            self.assertEqual(self.codes(self.till.refund(paid, amount)), ["00"])
            self.assertEqual(self.world.lots(*BOB), lots)
        self.assertEqual(self.codes(self.till.refund(paid, 101), self.till.refund(paid, 100)), ["13", "00"])
        self.assertEqual(self.credit(), (f"{SECOND}:300 {THIRD}:300", 1600))

    def test_grace(self) -> None:
        """What comes back to a lot that has ended can be spent for a week more, and ends then."""
        self.world.add_credit(*BOB, 300, FIRST)
        paid = self.pay(300)
        self.days_pass(3)
        self.assertEqual(self.codes(self.till.refund(paid, 300)), ["00"])
        self.assertEqual(self.credit(), ("2026-11-30:300", 1300))
        self.days_pass(7)
        self.pay(100)
        self.days_pass(1)
        self.assertEqual(self.credit(), ("", 1000))

    def test_void_and_reversal(self) -> None:
        """A void and a reversal restore the lots as well."""
        self.world.add_credit(*BOB, 300, SECOND)
        purchase = self.till.purchase(self.bob, 500)
        self.bank.outcome(purchase)
        self.assertEqual(self.codes(self.till.void(purchase)), ["00"])
        self.assertEqual(self.credit(), (f"{SECOND}:300", 1300))
        purchase = self.till.purchase(self.bob, 500)
        self.bank.outcome(purchase)
        self.assertEqual(self.codes(self.till.reverse(purchase)), ["00"])
        self.assertEqual(self.credit(), (f"{SECOND}:300", 1300))

    def test_refund_taken_back(self) -> None:
        """A refund that is taken back takes from the lots that it restored, as far as they are there."""
        self.world.add_credit(*BOB, 300, SECOND)
        self.world.add_credit(*BOB, 300, THIRD)
        refund = self.till.refund(self.pay(600), 400)
        self.assertEqual(self.codes(refund), ["00"])
        self.assertEqual(self.credit(), (f"{SECOND}:100 {THIRD}:300", 1400))
        self.assertEqual(self.codes(self.till.reverse(refund)), ["00"])
        self.assertEqual(self.credit(), ("", 1000))

    def test_undated_refund_taken_back(self) -> None:
        """What a refund gave of credit that never ends is taken from that again, not from credit that ends."""
        refund = self.till.refund(self.pay(500), 400)
        self.world.add_credit(*BOB, 300, SECOND)
        self.assertEqual(self.codes(refund, self.till.reverse(refund)), ["00", "00"])
        self.assertEqual(self.credit(), (f"{SECOND}:300", 800))

    def test_held_credit_stays(self) -> None:
        """What a pre-authorization has set aside does not end before it; what it leaves ends then."""
        self.world.add_credit(*BOB, 500, FIRST)
        held = self.bank.outcome(self.till.hold(self.bob, 300))
        self.days_pass(1)
        self.assertEqual(self.credit(), (f"{FIRST}:300", 1300))
        self.assertEqual(self.codes(self.till.purchase(self.bob, 1001)), ["51"])
        self.assertEqual(self.codes(self.till.capture(held, 200)), ["00"])
        self.world.expire()
        self.assertEqual(self.credit(), ("", 1000))

    def test_set_aside_when_it_had_ended(self) -> None:
        """Credit that had ended backs nothing that is set aside afterwards, whether the upkeep has run or not."""
        self.world.add_credit(*BOB, 500, FIRST)
        self.days_pass(1, expire=False)
        held = self.bank.outcome(self.till.hold(self.bob, 600))
        self.assertEqual(self.credit(), ("", 1000))
        batch = [self.till.purchase(self.bob, 401), self.till.capture(held, 600), self.till.purchase(self.bob, 400)]
        self.assertEqual(self.codes(*batch), ["51", "00", "00"])
        self.assertEqual(self.credit(), ("", 0))

    def test_set_aside_again(self) -> None:
        """Credit that had ended backs no pre-authorization that stands again, by a reversal or by a void."""
        for undo in (self.till.reverse, self.till.void):
            self.world.add_credit(*BOB, 500, str(self.till.date))
            held = self.bank.outcome(self.till.hold(self.bob, 400))
            self.days_pass(1, expire=False)
            self.bank.outcome(self.till.release(self.bank.outcome(self.till.hold(self.bob, 1))))
            completion = self.till.capture(held, 100)
            self.assertEqual(self.codes(completion, undo(completion)), ["00", "00"])
            self.assertEqual(self.world.held(*BOB), 400)
            self.assertEqual(self.codes(self.till.release(held)), ["00"])

    def test_advice(self) -> None:
        """An advice spends what ends first; what has ended pays for nothing, and the risk bears it."""
        self.world.add_credit(*BOB, 500, FIRST)
        self.days_pass(1, expire=False)
        self.assertEqual(self.codes(self.till.advise(self.bob, 1200)), ["00"])
        self.assertEqual((self.credit(), self.world.risk()), ((f"{FIRST}:500", 500), -200))

    def test_no_lots(self) -> None:
        """A purse without dated credit keeps nothing of lots, whatever is bought and given back."""
        self.assertEqual(self.codes(self.till.refund(self.pay(500), 200)), ["00"])
        self.assertEqual(self.credit(), ("", 700))
        self.assertEqual(self.world.lots(*ADA), "")
