"""What the pipeline promises about refunds, on whatever ledger."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.core.promises import ADA, PipelineCase
from tests.core.tills import Till
from tests.core.worlds import TODAY, Purse
from trus.auth.model import State
from trus.core.messages import Outcome, Refused
from trus.values import BusinessDate, Identity

replace = msgspec.structs.replace
BOB = ("ACME", "BOB")


class RefundCase(PipelineCase):
    """A shop that sold something."""

    def pay(self, amount: int = 1250, **changes: Any) -> Outcome:
        """Let Ada pay, and return the answer."""
        answer = self.bank.outcome(self.till.purchase(self.ada, amount, **changes))
        self.assertEqual(answer.code, "00")
        return answer


class RefundPromises(RefundCase):
    """Promises about giving money of a purchase back."""

    def test_whole(self) -> None:
        """TD-8: a purchase refunded whole leaves purse, limits and shop as before; the answer says what went back."""
        paid = self.pay()
        answer = self.bank.outcome(self.till.refund(paid, 1250))
        self.assertEqual((answer.result, answer.code, answer.amount, answer.currency), ("approved", "00", 1250, "USD"))
        self.assertNotEqual(answer.rrn, paid.rrn)
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        self.assertEqual(self.world.owed("BISTRO"), 0)
        line = self.world.journal()[-1]
        self.assertEqual((line.kind, line.asked, line.moved, line.rule), ("refund", 1250, 1250, "refunded"))

    def test_in_parts(self) -> None:
        """A purchase is refunded in parts until nothing is left: the exact remainder goes, a cent more never."""
        paid = self.pay(1000)
        self.assertEqual(self.codes(self.till.refund(paid, 333)), ["00"])
        self.assertEqual(self.world.purse(*ADA), Purse(9_333, "2026-11-20", 667, 1))
        self.assertEqual(self.codes(self.till.refund(paid, 668)), ["13"])
        self.assertEqual(self.codes(self.till.refund(paid, 667)), ["00"])
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        self.assertEqual(self.codes(self.till.refund(paid, 1)), ["13"])
        self.assertEqual(self.world.journal()[-1].rule, "refund-too-large")
        self.assertEqual(self.world.owed("BISTRO"), 0)

    def test_race(self) -> None:
        """Refunds of one purchase in one batch see each other: together they give back no more than was paid."""
        paid = self.pay(1000)
        batch = [self.till.refund(paid, amount) for amount in (600, 600, 300, 200, 100)]
        self.assertEqual(self.codes(*batch), ["00", "13", "00", "13", "00"])
        self.assertEqual(self.codes(*batch), ["00", "13", "00", "13", "00"])
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)
        self.assertEqual(self.codes(self.till.refund(paid, 1)), ["13"])

    def test_partial_approval(self) -> None:
        """Of a partial approval what was approved can be refunded, not what was asked."""
        paid = self.bank.outcome(self.till.purchase(self.bob, 1250, partial=True))
        self.assertEqual(self.codes(self.till.refund(paid, 1001), self.till.refund(paid, 1000)), ["13", "00"])
        self.assertEqual(self.world.purse(*BOB).balance, 1_000)

    def test_repeated(self) -> None:
        """A refund repeated gives back once and answers the same; another amount under its number gets 94."""
        refund = self.till.refund(self.pay(), 500)
        first, again = self.bank.handle(refund, refund)
        self.assertEqual(first, again)
        self.assertEqual(self.bank.outcome(replace(refund, repeat=True)), first)
        self.assertEqual(self.codes(replace(refund, amount=501)), ["94"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_250)

    def test_unknown(self) -> None:
        """A reference that no purchase of the shop bears gets 25: none, a decline's, a refund's, another shop's."""
        paid = self.pay(1000)
        declined = self.bank.outcome(self.till.purchase(self.ada, 9_999))
        refund = self.bank.outcome(self.till.refund(paid, 100))
        for reference in ("999999999999", "000000000000", "ABCDEFGHIJKL", declined.rrn, refund.rrn):
            self.assertEqual(self.codes(self.till.refund(paid, 1, reference=reference)), ["25"], reference)
        self.assertEqual(self.codes(Till("T0000002", "LIQUOR").refund(paid, 100)), ["25"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_100)
        self.assertEqual(self.world.owed("LIQUOR"), 0)

    def test_named_wrongly(self) -> None:
        """What the terminal says of the purchase beside its reference must be true: number, date, rid and card."""
        request = self.till.purchase(self.ada)
        paid = self.bank.outcome(request)
        truth: dict[str, Any] = {"original": request.identity, "original_rid": request.rid}
        other = Identity(self.till.terminal, TODAY, 77)
        wrongs: tuple[dict[str, Any], ...] = (
            {"original": other},
            {"original": replace(request.identity, business_date=BusinessDate("2026-11-19"))},
            {"original_rid": bytes(16)},
            {"track2": self.bob.track},
        )
        for wrong in wrongs:
            self.assertEqual(self.codes(self.till.refund(paid, 1, **{**truth, **wrong})), ["25"])
        self.assertEqual(self.codes(self.till.refund(paid, 1, **truth, track2=self.ada.track)), ["00"])

    def test_amounts(self) -> None:
        """Zero, less than nothing, more than twelve digits and another currency are refused and move nothing."""
        paid = self.pay()
        for amount in (0, -1, -1250, 10**12):
            self.assertEqual(self.codes(self.till.refund(paid, amount)), ["13"], amount)
        self.assertEqual(self.codes(self.till.refund(paid, 1250, currency="EUR")), ["12"])
        self.assertEqual(self.world.purse(*ADA).balance, 8_750)

    def test_places(self) -> None:
        """An unknown, blocked or foreign terminal and a blocked shop refund nothing; a forged name is refused."""
        paid = self.pay()
        self.assertEqual(self.codes(Till("T0000009", "").refund(paid, 1)), ["58"])
        for kind, name, code in (("terminal", "T0000001", "58"), ("shop", "BISTRO", "03")):
            self.world.set_state(kind, name, State.BLOCKED)
            self.assertEqual(self.codes(self.till.refund(paid, 1)), [code])
            self.world.set_state(kind, name, State.ACTIVE)
        forged = self.till.refund(paid, 1, peer=Till("T0000002", "LIQUOR").peer)
        self.assertEqual(self.bank.one(forged), Refused("63", "terminal"))
        self.assertEqual(self.bank.one(self.till.refund(paid, 1, rid=b"")), Refused("30", "identity"))
        self.assertEqual(self.world.purse(*ADA).balance, 8_750)

    def test_whatever_became(self) -> None:
        """Money goes back also when card, holder and company were blocked since."""
        paid = self.pay()
        for kind, name in (("card", "CARD000000A1"), ("employee", "ACME/ADA"), ("company", "ACME")):
            self.world.set_state(kind, name, State.BLOCKED)
        self.assertEqual(self.codes(self.till.refund(paid, 1250)), ["00"])
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_limits_of_the_same_date(self) -> None:
        """A refund gives the day's limits back on the business date of its purchase, and on no other."""
        paid = self.pay(2000)
        self.till.date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.refund(paid, 500)), ["00"])
        self.assertEqual(self.world.purse(*ADA), Purse(8_500, "2026-11-20", 2000, 1))
        self.assertEqual(self.codes(self.till.refund(paid, 1500, date=TODAY)), ["00"])
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 500, 1))

    def test_old_purchase(self) -> None:
        """A purchase of long ago can still be refunded; a new refund of an old business date cannot: 12."""
        paid = self.pay()
        for _ in range(60):
            self.till.date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.refund(paid, 1, date=BusinessDate("2027-01-05"))), ["12"])
        self.assertEqual(self.world.journal()[-1].rule, "business-date")
        self.assertEqual(self.codes(self.till.refund(paid, 1250)), ["00"])

    def test_taken_back(self) -> None:
        """Of a purchase that was taken back nothing can be refunded, also within the batch: 25."""
        request = self.till.purchase(self.ada)
        paid = self.bank.outcome(request)
        self.assertEqual(self.codes(self.till.reverse(request), self.till.refund(paid, 1250)), ["00", "25"])
        self.assertEqual(self.world.journal()[-1].rule, "purchase-taken-back")
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_no_token_needed(self) -> None:
        """A refund asks nothing of the token."""
        paid = self.pay()
        self.bank.keys.calls.clear()
        self.assertEqual(self.codes(self.till.refund(paid, 1)), ["00"])
        self.assertEqual(self.bank.keys.calls, [])


class RefundReversalPromises(RefundCase):
    """Promises about refunds and reversals that meet."""

    def test_refund_taken_back(self) -> None:
        """A refund taken back is as if it had never been: purse, shop, limits, and what is left of the purchase."""
        paid = self.pay()
        refund = self.till.refund(paid, 1250)
        self.bank.outcome(refund)
        answer = self.bank.outcome(self.till.reverse(refund))
        self.assertEqual((answer.result, answer.code, answer.amount), ("reversed", "00", 1250))
        self.assertEqual(self.world.purse(*ADA), Purse(8_750, "2026-11-20", 1250, 1))
        self.assertEqual(self.world.owed("BISTRO"), 1250)
        self.assertEqual(self.codes(refund), ["68"])
        self.assertEqual(self.bank.outcome(self.till.reverse(refund)), answer)
        self.assertEqual(self.codes(self.till.refund(paid, 1250)), ["00"])

    def test_one_batch(self) -> None:
        """A refund, its reversal and another refund may meet in one batch."""
        paid = self.pay()
        one, two = self.till.refund(paid, 1000), self.till.refund(paid, 1250)
        self.assertEqual(self.codes(one, self.till.reverse(one), two), ["00", "00", "00"])
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_lost_refund(self) -> None:
        """A refund that never came and was taken back leaves a tombstone: if it comes it gets 68."""
        refund = self.till.refund(self.pay(), 1250)
        self.assertEqual(self.codes(self.till.reverse(refund), refund), ["00", "68"])
        self.assertEqual(self.world.purse(*ADA).balance, 8_750)

    def test_declined_refund(self) -> None:
        """A declined refund can be taken back; nothing moves."""
        refund = self.till.refund(self.pay(), 9_999)
        self.bank.outcome(refund)
        answer = self.bank.outcome(self.till.reverse(refund))
        self.assertEqual((answer.result, answer.amount), ("reversed", 0))

    def test_remainder(self) -> None:
        """A purchase taken back after a partial refund gives back the rest of it, and answers the same for ever."""
        request = self.till.purchase(self.ada, 1000)
        refund = self.till.refund(self.bank.outcome(request), 400)
        self.bank.outcome(refund)
        answer = self.bank.outcome(self.till.reverse(request))
        self.assertEqual((answer.result, answer.amount), ("reversed", 600))
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        self.assertEqual(self.world.owed("BISTRO"), 0)
        late = self.bank.outcome(self.till.reverse(refund))
        self.assertEqual((late.result, late.amount), ("reversed", 0))
        self.assertEqual(self.bank.outcome(self.till.reverse(request)), answer)
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_nothing_left(self) -> None:
        """A purchase refunded whole and then taken back gives back nothing more."""
        request = self.till.purchase(self.ada, 1000)
        self.bank.outcome(self.till.refund(self.bank.outcome(request), 1000))
        answer = self.bank.outcome(self.till.reverse(request))
        self.assertEqual((answer.result, answer.amount), ("reversed", 0))
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))

    def test_shortfall(self) -> None:
        """Refunded money spent before the refund is taken back is the issuer's risk: no purse goes below zero."""
        paid = self.bank.outcome(self.till.purchase(self.bob, 800))
        refund = self.till.refund(paid, 800)
        self.bank.handle(refund, self.till.purchase(self.bob, 900))
        answer = self.bank.outcome(self.till.reverse(refund))
        self.assertEqual((answer.result, answer.amount), ("reversed", 800))
        self.assertEqual(self.world.purse(*BOB).balance, 0)
        self.assertEqual((self.world.risk(), self.world.owed("BISTRO")), (-700, 1_700))

    def test_batch_totals(self) -> None:
        """A batch's totals count the refunds that stand; a refund taken back counts as none."""
        paid = self.pay(1000)
        lost = self.till.refund(paid, 300)
        self.bank.handle(self.till.refund(paid, 200), lost, self.till.reverse(lost), self.till.refund(paid, 9_999))
        details = self.bank.outcome(
            self.till.close(1, 1000, refund_count=1, refund_amount=200),
        ).details
        self.assertEqual((details["balanced"], details["refund-count"], details["refund-amount"]), ("yes", "1", "2.00"))
        self.assertEqual(details["reversal-count"], "0")
        self.bank.outcome(self.till.refund(paid, 100))
        self.assertEqual(self.bank.outcome(self.till.close(0, 0)).details["balanced"], "no")

    def test_count_of_two_dates(self) -> None:
        """A purchase counts until all of it came back on its own date, whatever is refunded later or taken back."""
        paid = self.pay(1000)
        early = self.till.refund(paid, 600)
        self.assertEqual(self.codes(early), ["00"])
        first, self.till.date = self.till.date, self.world.advance_day()
        late = self.till.refund(paid, 400)
        self.assertEqual(self.codes(late, self.till.reverse(early)), ["00", "00"])
        self.assertEqual(self.world.purse(*ADA).day_count, 1)
        self.assertEqual(self.codes(self.till.refund(paid, 600, date=first)), ["00"])
        self.assertEqual(self.world.purse(*ADA).day_count, 1)
        again = self.till.refund(paid, 400, date=first)
        self.assertEqual(self.codes(self.till.reverse(late), again), ["00", "00"])
        self.assertEqual(self.world.purse(*ADA).day_count, 0)
        self.assertEqual(self.codes(self.till.reverse(again)), ["00"])
        self.assertEqual(self.world.purse(*ADA).day_count, 1)

    def test_taken_back_in_the_next_batch(self) -> None:
        """A refund of a closed batch counts there; taken back in the next batch it counts in neither as less."""
        paid = self.pay(1000)
        refund = self.till.refund(paid, 300)
        self.assertEqual(self.codes(refund), ["00"])
        self.assertEqual(self.codes(self.till.close(1, 1000, refund_count=1, refund_amount=300)), ["00"])
        self.assertEqual(self.codes(self.till.reverse(refund)), ["00"])
        for closing in (self.till.close(0, 0), self.till.reconcile()):
            details = self.bank.outcome(closing).details
            self.assertEqual((details["balanced"], details["refund-count"]), ("yes", "0"))
            self.assertEqual((details["refund-amount"], details["reversal-count"]), ("0.00", "0"))

    def test_taken_back_beside_a_closing(self) -> None:
        """Refunds that are taken back in the batch of work in which a closing is decided count as it finds them."""
        paid = self.pay(1000)
        first, second, third = self.till.refund(paid, 100), self.till.refund(paid, 200), self.till.refund(paid, 400)
        declined = self.till.refund(paid, 9_999)
        self.assertEqual(self.codes(first, second, declined), ["00", "00", "13"])
        found = self.bank.handle(
            *(self.till.reverse(first), self.till.reverse(declined), third, self.till.reverse(third)),
            self.till.close(1, 1000, refund_count=1, refund_amount=200),
            *(self.till.reverse(second), self.till.close(0, 0)),
        )
        self.assertEqual([each.code for each in found], ["00"] * 7)

    def test_taken_back_after_the_purchase(self) -> None:
        """A lost refund whose reversal moves nothing, since its purchase was cancelled, counts in no batch either."""
        request = self.till.purchase(self.bob, 1000)
        refund = self.till.refund(self.bank.outcome(request), 300)
        self.assertEqual(self.codes(refund, self.till.void(request), self.till.reverse(refund)), ["00"] * 3)
        self.assertEqual(self.codes(self.till.close(1, 1000, void_count=1, void_amount=700)), ["00"])
