"""What the pipeline promises about pre-authorizations, on whatever ledger."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.core.promises import ADA
from tests.core.promises_refunds import BOB, RefundCase
from tests.core.tills import Till
from tests.core.worlds import Purse
from trus.core.holding import HOLDS_A_STEP, HoldExpiry
from trus.core.messages import Outcome, PinWanted
from trus.values import BusinessDate

replace = msgspec.structs.replace


class HoldCase(RefundCase):
    """A shop that has money set aside."""

    def setUp(self) -> None:
        super().setUp()
        self.expiry = HoldExpiry(self.world.ledger, self.world.clock, self.bank.note)

    def set_aside(self, amount: int = 1250) -> Outcome:
        """Have money of Ada's set aside, and return the answer."""
        answer = self.bank.outcome(self.till.hold(self.ada, amount))
        self.assertEqual((answer.code, answer.amount), ("00", amount))
        return answer


class HoldPromises(HoldCase):
    """Promises about setting money aside, and about what ends that."""

    def test_sets_aside(self) -> None:
        """A pre-authorization moves nothing: the purse holds what it held, and can spend less."""
        answer = self.bank.outcome(self.till.hold(self.bob, 600))
        self.assertEqual((answer.result, answer.code, answer.amount), ("approved", "00", 600))
        self.assertRegex(answer.approval, r"\A[0-9A-Z]{6}\Z")
        self.assertEqual(self.world.purse(*BOB), Purse(1000, "2026-11-20", 600, 1))
        self.assertEqual((self.world.held(*BOB), self.world.owed("BISTRO")), (600, 0))
        self.assertEqual(self.codes(self.till.purchase(self.bob, 401), self.till.purchase(self.bob, 400)), ["51", "00"])
        self.assertEqual(self.codes(self.till.hold(self.bob, 1)), ["51"])
        enquiry = self.bank.outcome(self.till.balance(self.bob, "1234"))
        self.assertEqual((enquiry.balance, enquiry.details), (600, {"available": "0.00"}))

    def test_rules(self) -> None:
        """A pre-authorization needs PIN, card and limits as a purchase does; part of it may be approved."""
        self.assertIsInstance(self.bank.one(self.till.hold(self.ada, pin=None)), PinWanted)
        self.assertEqual(self.codes(self.till.hold(self.ada, pin="0000")), ["55"])
        self.assertEqual(self.codes(self.till.hold(self.ada, 2501)), ["61"])
        self.assertEqual(self.codes(Till("T0000002", "LIQUOR").hold(self.ada)), ["57"])
        part = self.bank.outcome(self.till.hold(self.bob, 1250, partial=True))
        self.assertEqual((part.code, part.amount, self.world.held(*BOB)), ("10", 1000, 1000))

    def test_completed(self) -> None:
        """A completion pays what was set aside, whole or less, and frees the rest, also of the day's limits."""
        one, two = self.set_aside(1000), self.set_aside(1500)
        answer = self.bank.outcome(self.till.capture(one, 1000))
        self.assertEqual((answer.result, answer.code, answer.amount), ("approved", "00", 1000))
        self.assertEqual(self.codes(self.till.capture(two, 600)), ["00"])
        self.assertEqual(self.world.purse(*ADA), Purse(8_400, "2026-11-20", 1600, 2))
        self.assertEqual((self.world.held(*ADA), self.world.owed("BISTRO")), (0, 1_600))
        line = self.world.journal()[-1]
        self.assertEqual((line.kind, line.asked, line.moved, line.rule), ("completion", 600, 600, "completed"))

    def test_never_more(self) -> None:
        """A completion never pays more than was set aside: a cent more is 13, and the hold stands."""
        held = self.set_aside(1000)
        for amount in (1001, 0, -5):
            self.assertEqual(self.codes(self.till.capture(held, amount)), ["13"])
        self.assertEqual(self.codes(self.till.capture(held, 1000, currency="EUR")), ["12"])
        part = self.bank.outcome(self.till.hold(self.bob, 1250, partial=True))
        self.assertEqual(self.codes(self.till.capture(part, 1001), self.till.capture(part, 1000)), ["13", "00"])
        self.assertEqual((self.world.held(*ADA), self.world.purse(*BOB).balance), (1000, 0))

    def test_once(self) -> None:
        """A pre-authorization ends once: of completions and releases in one batch the first counts, the rest get 25."""
        held = self.set_aside(1000)
        batch = [self.till.capture(held, 400), self.till.capture(held, 400), self.till.release(held)]
        self.assertEqual(self.codes(*batch), ["00", "25", "25"])
        self.assertEqual(self.codes(*batch), ["00", "25", "25"])
        self.assertEqual(self.codes(self.till.capture(held, 1)), ["25"])
        self.assertEqual(self.world.journal()[-1].rule, "hold-ended")
        self.assertEqual(self.world.purse(*ADA).balance, 9_600)

    def test_one_batch(self) -> None:
        """A purchase that comes with a pre-authorization in one batch sees what is left."""
        self.assertEqual(
            self.codes(self.till.hold(self.bob, 700), self.till.purchase(self.bob, 301), self.till.hold(self.bob, 300)),
            ["00", "51", "00"],
        )
        self.assertEqual((self.world.held(*BOB), self.world.purse(*BOB).balance), (1000, 1000))

    def test_released(self) -> None:
        """A pre-authorization that is given up frees all of it, the day's limits too; a completion then gets 25."""
        held = self.set_aside()
        answer = self.bank.outcome(self.till.release(held))
        self.assertEqual((answer.result, answer.code, answer.amount), ("approved", "00", 0))
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        self.assertEqual(self.world.held(*ADA), 0)
        self.assertEqual(self.codes(self.till.capture(held, 1250), self.till.release(held)), ["25", "25"])

    def test_taken_back(self) -> None:
        """A pre-authorization without an answer is taken back like a purchase, and its repeat gets 68."""
        request = self.till.hold(self.ada)
        held = self.bank.outcome(request)
        answer = self.bank.outcome(self.till.reverse(request))
        self.assertEqual((answer.result, answer.code, answer.amount), ("reversed", "00", 0))
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        self.assertEqual((self.world.held(*ADA), self.codes(request)), (0, ["68"]))
        self.assertEqual(self.codes(self.till.capture(held, 1250)), ["25"])
        declined = self.till.hold(self.ada, 9_999)
        self.assertEqual(self.codes(declined, self.till.reverse(declined)), ["61", "00"])

    def test_repeated(self) -> None:
        """Pre-authorization and completion repeated answer the same, also when the hold is over by then."""
        request = self.till.hold(self.ada)
        held = self.bank.outcome(request)
        capture = self.till.capture(held, 1000)
        paid = self.bank.outcome(capture)
        self.assertEqual(self.bank.handle(request, capture, replace(capture, repeat=True)), [held, paid, paid])
        self.assertEqual(self.codes(replace(capture, amount=999)), ["94"])
        self.assertEqual(self.codes(self.till.reverse(request)), ["12"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_000)

    def test_after_completion(self) -> None:
        """What was paid by a completion can be refunded, taken back or cancelled like a purchase."""
        one, two = self.set_aside(1000), self.set_aside(1000)
        paid = self.bank.outcome(self.till.capture(one, 800))
        other = self.till.capture(two, 500)
        self.bank.outcome(other)
        self.assertEqual(self.codes(self.till.refund(paid, 300), self.till.refund(paid, 501)), ["00", "13"])
        answer = self.bank.outcome(self.till.reverse(other))
        self.assertEqual((answer.result, answer.amount), ("reversed", 500))
        third = self.till.capture(self.set_aside(700), 700)
        self.assertEqual(self.codes(third, self.till.void(third)), ["00", "00"])
        self.assertEqual((self.world.purse(*ADA).balance, self.world.held(*ADA)), (9_500, 1700))

    def test_foreign(self) -> None:
        """Another shop, a purchase's reference, an old date and a wrong rid complete and release nothing."""
        request = self.till.hold(self.ada)
        held = self.bank.outcome(request)
        paid = self.pay(100)
        thief = Till("T0000002", "LIQUOR")
        old = BusinessDate("2026-11-18")
        self.assertEqual(self.codes(thief.capture(held, 1), thief.release(held)), ["25", "25"])
        self.assertEqual(self.codes(self.till.capture(paid, 1), self.till.release(paid)), ["25", "25"])
        late = (self.till.capture(held, 1, date=old), self.till.release(held, date=old))
        self.assertEqual(self.codes(*late), ["12", "12"])
        wrong = {"original": request.identity, "original_rid": bytes(16)}
        self.assertEqual(self.codes(self.till.capture(held, 1, **wrong), self.till.release(held, **wrong)), ["25"] * 2)
        self.assertEqual(self.codes(self.till.refund(held, 1), self.till.void(request)), ["25", "25"])
        self.assertEqual(self.world.held(*ADA), 1250)

    def test_totals(self) -> None:
        """A batch's totals count completions; a pre-authorization is none of them."""
        held = self.set_aside(1000)
        self.set_aside(500)
        self.bank.outcome(self.till.capture(held, 700))
        closing = self.till.close(0, 0, completion_count=1, completion_amount=700)
        details = self.bank.outcome(closing).details
        self.assertEqual((details["balanced"], details["completion-amount"]), ("yes", "7.00"))


class ExpiryPromises(HoldCase):
    """Promises about pre-authorizations that nobody asks for in time."""

    def test_expires(self) -> None:
        """After seven days a hold expires by an event; what it set aside is free, and a completion gets 25."""
        held = self.set_aside()
        self.world.clock.advance(days=6, hours=23)
        self.assertEqual(self.expiry.step(), 0)
        self.assertEqual(self.world.held(*ADA), 1250)
        self.world.clock.advance(hours=1)
        self.assertEqual((self.expiry.step(), self.expiry.step()), (1, 0))
        self.assertEqual((self.world.held(*ADA), self.world.purse(*ADA).balance), (0, 10_000))
        self.assertEqual(self.codes(self.till.capture(held, 1250), self.till.release(held)), ["25", "25"])
        self.assertEqual(self.world.journal()[-1].rule, "hold-ended")

    def test_before_the_event(self) -> None:
        """A completion that comes before the expiry was recorded is paid: the money is still set aside."""
        held = self.set_aside()
        self.world.clock.advance(days=8)
        self.assertEqual(self.codes(self.till.capture(held, 1250)), ["00"])
        self.assertEqual(self.expiry.step(), 0)
        self.assertEqual(self.world.purse(*ADA).balance, 8_750)

    def test_reversal_after(self) -> None:
        """A pre-authorization that expired can still be taken back; nothing moves, and its repeat answers as before."""
        request = self.till.hold(self.ada)
        held = self.bank.outcome(request)
        self.world.clock.advance(days=7)
        self.assertEqual(self.expiry.step(), 1)
        self.assertEqual(self.bank.outcome(request), held)
        answer = self.bank.outcome(self.till.reverse(request))
        self.assertEqual((answer.result, answer.amount), ("reversed", 0))
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)
        self.assertEqual(self.bank.outcome(request), held)
        self.assertEqual((self.world.held(*ADA), self.codes(self.till.capture(held, 1))), (0, ["25"]))

    def test_limits_of_the_day(self) -> None:
        """An expiry gives back no limits of a day that is over for the purse."""
        self.set_aside(2000)
        self.world.clock.advance(days=7)
        self.pay(300)
        self.assertEqual(self.expiry.step(), 1)
        self.assertEqual(self.world.purse(*ADA), Purse(9_700, "2026-11-27", 300, 1))

    def test_small_steps(self) -> None:
        """Many holds expire a few at a step, the oldest first, so that nobody at a till waits."""
        self.world.add_employee("ACME", "EVE", balance=100_000)
        self.world.add_company("FREE")
        self.world.add_employee("FREE", "FAY", balance=100_000)
        card = self.bank.issue("FREE", "FAY", card="CARD000000F1")
        count = HOLDS_A_STEP + 3
        self.bank.handle(*[self.till.hold(card, 10) for _ in range(count)])
        self.world.clock.advance(days=7)
        self.assertEqual([self.expiry.step() for _ in range(3)], [HOLDS_A_STEP, 3, 0])
        self.assertEqual(self.world.held("FREE", "FAY"), 0)


class RestoredPromises(HoldCase):
    """Promises about a completion that is taken back: its pre-authorization stands again."""

    def completed(self, amount: int) -> tuple[Outcome, Any]:
        """Set 12.50 aside and complete it with so much."""
        held = self.set_aside()
        capture = self.till.capture(held, amount)
        self.assertEqual(self.codes(capture), ["00"])
        return held, capture

    def test_stands_again(self) -> None:
        """A completion taken back sets aside what its pre-authorization had; that is completed again, and only once."""
        before = self.world.purse(*ADA)
        held, capture = self.completed(1000)
        self.assertEqual(self.bank.outcome(self.till.reverse(capture)).amount, 1000)
        self.assertEqual((self.world.held(*ADA), self.world.purse(*ADA).balance), (1250, before.balance))
        self.assertEqual((self.world.purse(*ADA).day_amount, self.world.purse(*ADA).day_count), (1250, 1))
        self.assertEqual(self.codes(self.till.reverse(capture)), ["00"])
        self.assertEqual(self.codes(self.till.capture(held, 1251), self.till.capture(held, 1250)), ["13", "00"])
        self.assertEqual(self.world.held(*ADA), 0)
        self.assertEqual(self.codes(self.till.capture(held, 1), self.till.release(held)), ["25", "25"])

    def test_in_one_batch(self) -> None:
        """So it is when completion, reversal and the next completion meet in one batch."""
        held = self.set_aside()
        first, second = self.till.capture(held, 400), self.till.capture(held, 700)
        self.assertEqual(self.codes(first, self.till.reverse(first), second), ["00", "00", "00"])
        self.assertEqual((self.world.held(*ADA), self.world.owed("BISTRO")), (0, 700))

    def test_ends_again(self) -> None:
        """It can be released, taken back, or expire, after as long as a new one."""
        held, capture = self.completed(1000)
        self.bank.outcome(self.till.reverse(capture))
        self.assertEqual(self.codes(self.till.release(held)), ["00"])
        self.assertEqual(self.world.held(*ADA), 0)
        held, capture = self.completed(1000)
        self.bank.outcome(self.till.reverse(capture))
        self.world.clock.advance(days=7)
        self.assertEqual((self.expiry.step(), self.expiry.step()), (1, 0))
        self.assertEqual(self.world.held(*ADA), 0)
        self.assertEqual(self.codes(self.till.capture(held, 1)), ["25"])

    def test_taken_back_again(self) -> None:
        """One that stood again and is taken back answers so for good; its late original gets 68."""
        for undo in (self.till.reverse, self.till.void):
            hold = self.till.hold(self.ada, 600)
            capture = self.till.capture(self.bank.outcome(hold), 600)
            self.assertEqual(self.codes(capture, undo(capture)), ["00", "00"])
            self.assertEqual(self.world.held(*ADA), 600)
            reversal = self.till.reverse(hold)
            first = self.bank.outcome(reversal)
            self.assertEqual((first.result, first.code, self.world.held(*ADA)), ("reversed", "00", 0))
            self.assertEqual((self.bank.outcome(reversal), self.bank.outcome(self.till.reverse(hold))), (first, first))
            self.assertEqual(self.codes(hold), ["68"])
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_completed_again(self) -> None:
        """One that stood again and is completed again is not taken back, as one that was completed once."""
        hold = self.till.hold(self.ada, 600)
        held = self.bank.outcome(hold)
        capture = self.till.capture(held, 600)
        self.assertEqual(self.codes(capture, self.till.reverse(capture)), ["00", "00"])
        self.assertEqual(self.codes(self.till.capture(held, 500)), ["00"])
        self.assertEqual(self.codes(self.till.reverse(hold), hold), ["12", "00"])

    def test_what_is_there(self) -> None:
        """What the cardholder has spent meanwhile of the rest is not set aside again."""
        held = self.bank.outcome(self.till.hold(self.bob, 1000))
        capture = self.till.capture(held, 300)
        self.assertEqual(self.codes(capture, self.till.purchase(self.bob, 600)), ["00", "00"])
        self.assertEqual(self.codes(self.till.reverse(capture)), ["00"])
        self.assertEqual((self.world.held("ACME", "BOB"), self.world.purse("ACME", "BOB").balance), (400, 400))
        self.assertEqual(self.codes(self.till.capture(held, 401), self.till.capture(held, 400)), ["13", "00"])

    def test_once(self) -> None:
        """It stands again once: the next completion, taken back, frees the money."""
        held, capture = self.completed(1000)
        again = self.till.capture(held, 900)
        self.assertEqual(self.codes(self.till.reverse(capture), again, self.till.reverse(again)), ["00", "00", "00"])
        self.assertEqual(self.world.held(*ADA), 0)
        self.assertEqual(self.codes(self.till.capture(held, 1)), ["25"])

    def test_cancelled(self) -> None:
        """A completion that is voided sets its pre-authorization aside again, until that would have expired."""
        held, capture = self.completed(1000)
        self.world.clock.advance(days=3)
        void = self.till.void(capture)
        self.assertEqual(self.bank.outcome(void).amount, 1000)
        self.assertEqual((self.world.held(*ADA), self.world.purse(*ADA).balance), (1250, 10_000))
        self.assertEqual(self.codes(void, self.till.capture(held, 1251)), ["00", "13"])
        self.world.clock.advance(days=3, hours=23)
        self.assertEqual(self.expiry.step(), 0)
        self.world.clock.advance(hours=1)
        self.assertEqual((self.expiry.step(), self.expiry.step()), (1, 0))
        self.assertEqual((self.world.held(*ADA), self.codes(self.till.capture(held, 1))), (0, ["25"]))

    def test_cancelled_in_one_batch(self) -> None:
        """So it is when completion, void and the next completion meet in one batch; the second is a purchase."""
        held = self.set_aside()
        first, second = self.till.capture(held, 400), self.till.capture(held, 700)
        self.assertEqual(self.codes(first, self.till.void(first), second), ["00", "00", "00"])
        self.assertEqual((self.world.held(*ADA), self.world.owed("BISTRO")), (0, 700))
        self.assertEqual(self.codes(self.till.void(second), self.till.capture(held, 1)), ["00", "25"])
        self.assertEqual((self.world.held(*ADA), self.world.purse(*ADA)), (0, Purse(10_000, "2026-11-20", 0, 0)))

    def test_cancelled_too_late(self) -> None:
        """When the pre-authorization would have expired by then, a void frees the money."""
        held, capture = self.completed(1000)
        self.world.clock.advance(days=7)
        self.assertEqual(self.codes(self.till.void(capture), self.till.capture(held, 1)), ["00", "25"])
        self.assertEqual((self.world.held(*ADA), self.world.purse(*ADA).balance), (0, 10_000))
