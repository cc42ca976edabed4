"""What the pipeline promises about taking requests back and about closing batches, on whatever ledger."""

from __future__ import annotations

import msgspec

from tests.core.promises import ADA, PipelineCase
from tests.core.tills import Till, rid_of
from tests.core.worlds import TODAY, Purse
from trus.auth.model import State
from trus.core.messages import CloseBatch, Outcome, Refused
from trus.values import BusinessDate, Identity

replace = msgspec.structs.replace


class ReversalPromises(PipelineCase):
    """Promises about reversals."""

    def test_gives_back(self) -> None:
        """A purchase taken back leaves purse, limits and shop as they were before it."""
        request = self.till.purchase(self.ada)
        paid = self.bank.outcome(request)
        answer = self.bank.outcome(self.till.reverse(request))
        self.assertEqual((answer.result, answer.code, answer.amount, answer.rrn), ("reversed", "00", 1250, paid.rrn))
        self.assertEqual((answer.text, answer.currency), ("Taken back", "USD"))
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        self.assertEqual(self.world.owed("BISTRO"), 0)
        line = self.world.journal()[-1]
        self.assertEqual((line.kind, line.stan, line.moved, line.rule), ("reversal", 2, 1250, "taken-back"))

    def test_repeated(self) -> None:
        """A reversal repeated, under its own number or a new one, in one batch or later, gives back once."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        reversal = self.till.reverse(request)
        first, again, fresh = self.bank.handle(reversal, reversal, self.till.reverse(request))
        self.assertEqual([again, fresh], [first, first])
        self.assertEqual(self.bank.handle(replace(reversal, repeat=True), self.till.reverse(request)), [first] * 2)
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)
        self.assertEqual(len(self.world.journal()), 2)

    def test_proof(self) -> None:
        """TR-16: A reversal's answer names the entry that took the original back, whichever request that was of."""
        request, other = self.till.purchase(self.ada), self.till.purchase(self.ada)
        paid = self.bank.outcome(request)
        reversal = self.till.reverse(request)
        first = self.bank.outcome(reversal)
        assert first.receipt is not None
        assert paid.receipt is not None
        self.assertGreater(first.receipt.sequence, paid.receipt.sequence)
        later = self.bank.outcome(self.till.reverse(request))
        self.assertEqual((self.bank.outcome(reversal).receipt, later.receipt), (first.receipt, first.receipt))
        never = self.till.reverse(other)
        laid, fresh, again = self.bank.handle(never, self.till.reverse(other), replace(never, repeat=True))
        assert isinstance(laid, Outcome)
        assert laid.receipt is not None
        self.assertGreater(laid.receipt.sequence, first.receipt.sequence)
        self.assertEqual((fresh, again, self.bank.outcome(never)), (laid, laid, laid))

    def test_original_after_reversal(self) -> None:
        """The original repeated after its reversal gets 68 and moves nothing, as if it had come too late."""
        request = self.till.purchase(self.ada)
        self.bank.handle(request, self.till.reverse(request))
        answer = self.bank.outcome(request)
        self.assertEqual((answer.result, answer.code, answer.amount), ("declined", "68", None))
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_tombstone(self) -> None:
        """A reversal of what never came is acknowledged; when the original comes after all it gets 68."""
        request = self.till.purchase(self.ada, pin="0000")
        reversal = self.till.reverse(request)
        answer = self.bank.outcome(reversal)
        self.assertEqual((answer.result, answer.code, answer.amount), ("reversed", "00", 0))
        self.assertEqual(self.codes(request), ["68"])
        self.assertEqual(self.bank.handle(reversal, self.till.reverse(request)), [answer, answer])
        [line] = self.world.journal()
        self.assertEqual((line.kind, line.stan, line.asked, line.moved), ("tombstone", request.identity.stan, 1250, 0))
        self.assert_untouched()

    def test_tombstone_of_another_request(self) -> None:
        """A tombstone answers for the request that it was laid for and for no other."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(self.till.reverse(request))
        self.assertEqual(self.codes(replace(request, rid=bytes(16))), ["94"])
        self.assertEqual(self.codes(self.till.reverse(request, original_rid=bytes(16))), ["25"])

    def test_one_batch(self) -> None:
        """Original and reversal may meet in one batch, in either order, and nothing stays moved."""
        one, two = self.till.purchase(self.ada), self.till.purchase(self.ada)
        self.assertEqual(self.codes(one, self.till.reverse(one), self.till.reverse(two), two), ["00", "00", "00", "68"])
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))
        self.assertEqual([line.kind for line in self.world.journal()], ["purchase", "reversal", "tombstone"])

    def test_declined_original(self) -> None:
        """A declined request can be taken back: nothing moves, the tries stay, its repeat gets 68."""
        request = self.till.purchase(self.ada, pin="0000")
        self.bank.outcome(request)
        answer = self.bank.outcome(self.till.reverse(request))
        self.assertEqual((answer.result, answer.code, answer.amount), ("reversed", "00", 0))
        self.assertEqual(self.world.tries("CARD000000A1"), 2)
        self.assertEqual(self.codes(request), ["68"])

    def test_partial_original(self) -> None:
        """A partial approval is taken back by what was asked, and what was approved is given back."""
        request = self.till.purchase(self.bob, 1250, partial=True)
        self.bank.outcome(request)
        self.assertEqual(self.codes(self.till.reverse(request, amount=1000)), ["25"])
        self.assertEqual(self.bank.outcome(self.till.reverse(request)).amount, 1000)
        self.assertEqual(self.world.purse("ACME", "BOB"), Purse(1000, "2026-11-20", 0, 0))

    def test_mismatch(self) -> None:
        """A reversal with another rid, amount or currency than the stored request gets 25 and changes nothing."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        before = self.world.purse(*ADA)
        for wrong in (
            self.till.reverse(request, original_rid=bytes(16)),
            self.till.reverse(request, amount=1249),
            self.till.reverse(request, currency="EUR"),
        ):
            self.assertEqual(self.codes(wrong), ["25"])
        self.assertEqual(self.world.purse(*ADA), before)
        self.assertEqual(len(self.world.journal()), 1)

    def test_anothers_request(self) -> None:
        """A terminal takes back its own requests alone."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        thief = Till("T0000002", "LIQUOR")
        self.assertEqual(self.bank.one(thief.reverse(request)), Refused("63", "terminal"))
        forged = replace(self.till.reverse(request), peer=thief.peer)
        self.assertEqual(self.bank.one(forged), Refused("63", "terminal"))
        self.assertEqual(self.world.owed("BISTRO"), 1250)

    def test_malformed(self) -> None:
        """A reversal that names itself, or a rid of another length, is refused and not kept."""
        request = self.till.purchase(self.ada)
        self.assertEqual(
            self.bank.one(self.till.reverse(request, identity=request.identity)), Refused("30", "original")
        )
        self.assertEqual(self.bank.one(self.till.reverse(request, original_rid=b"")), Refused("30", "original"))
        self.assertEqual(self.world.journal(), [])

    def test_used_number(self) -> None:
        """A reversal under the number of another request gets 94; so does a purchase under a reversal's."""
        one, two = self.till.purchase(self.ada, 100), self.till.purchase(self.ada, 200)
        self.bank.handle(one, two)
        self.assertEqual(self.codes(self.till.reverse(one, identity=two.identity)), ["94"])
        reversal = self.till.reverse(one)
        self.assertEqual(self.codes(reversal), ["00"])
        self.assertEqual(self.codes(self.till.purchase(self.ada, identity=reversal.identity)), ["94"])
        self.assertEqual(self.codes(replace(self.till.reverse(two), identity=reversal.identity)), ["94"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_800)

    def test_not_reversible(self) -> None:
        """A reversal and a closing cannot be taken back: 12."""
        request = self.till.purchase(self.ada)
        reversal = self.till.reverse(request)
        closing = self.till.close(0, 0)
        self.bank.handle(request, reversal, closing)
        for named in (reversal, closing):
            amount = 1250 if named is reversal else 0
            reverse = self.till.reverse(request, original_rid=named.rid, amount=amount)
            wrong = replace(reverse, original=named.identity)
            self.assertEqual(self.codes(wrong), ["12"])
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_enquiry(self) -> None:
        """A balance enquiry can be taken back; nothing had moved."""
        request = self.till.balance(self.ada, "1234")
        self.bank.outcome(request)
        answer = self.bank.outcome(self.till.reverse(request))
        self.assertEqual((answer.result, answer.code, answer.amount), ("reversed", "00", 0))
        self.assertEqual(self.codes(request), ["68"])

    def test_whatever_became(self) -> None:
        """Money is given back also when card, holder, terminal and shop were blocked since."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        for kind, name in (
            ("card", "CARD000000A1"),
            ("employee", "ACME/ADA"),
            ("terminal", "T0000001"),
            ("shop", "BISTRO"),
        ):
            self.world.set_state(kind, name, State.BLOCKED)
        self.assertEqual(self.codes(self.till.reverse(request)), ["00"])
        self.assertEqual(self.world.purse(*ADA).balance, 10_000)

    def test_closed_terminal(self) -> None:
        """Who holds a terminal that was closed for ever takes nothing back; what it took back before stays answered."""
        request, later = self.till.purchase(self.ada), self.till.purchase(self.ada)
        self.bank.handle(request, later)
        reversal = self.till.reverse(request)
        first = self.bank.outcome(reversal)
        self.world.set_state("terminal", "T0000001", State.CLOSED)
        self.assertEqual(self.bank.one(reversal), first)
        self.assertEqual(self.bank.one(self.till.reverse(later)), Refused("58", "closed"))
        self.assertEqual(self.world.owed("BISTRO"), 1250)

    def test_counters_of_their_day(self) -> None:
        """Yesterday's purchase taken back today leaves today's allowance as it is."""
        friday = self.till.purchase(self.ada, 2500)
        self.bank.outcome(friday)
        self.world.clock.advance(days=3)
        self.assertEqual(self.codes(self.till.purchase(self.ada, 1000), self.till.reverse(friday)), ["00", "00"])
        self.assertEqual(self.world.purse(*ADA), Purse(9_000, "2026-11-23", 1000, 1))

    def test_freed_allowance(self) -> None:
        """What was taken back can be spent again the same day, also within the batch."""
        first = self.till.purchase(self.ada, 2500)
        second = self.till.purchase(self.ada, 2500)
        self.assertEqual(self.codes(first, second, self.till.reverse(first)), ["00", "61", "00"])
        self.assertEqual(self.codes(self.till.purchase(self.ada, 2500)), ["00"])

    def test_thirty_days(self) -> None:
        """A request can be taken back for 30 days, and not after: 12."""
        one, two = self.till.purchase(self.ada, 100), self.till.purchase(self.ada, 100)
        self.bank.handle(one, two)
        for _ in range(30):
            self.world.advance_day()
        self.till.date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.reverse(one)), ["12"])
        never = self.till.purchase(self.ada, date=BusinessDate("2099-01-01"))
        self.assertEqual(self.codes(self.till.reverse(never)), ["12"])
        self.assertEqual(len(self.world.journal()), 2)

    def test_last_day(self) -> None:
        """On the thirtieth day a request is still taken back."""
        one = self.till.purchase(self.ada, 100)
        self.bank.outcome(one)
        for _ in range(30):
            self.till.date = self.world.advance_day()
        self.assertEqual(self.codes(self.till.reverse(one)), ["00"])

    def test_no_token_needed(self) -> None:
        """A reversal asks nothing of the token."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        self.bank.keys.calls.clear()
        self.assertEqual(self.codes(self.till.reverse(request)), ["00"])
        self.assertEqual(self.bank.keys.calls, [])


class ClosingPromises(PipelineCase):
    """Promises about closing a terminal's batch."""

    def details(self, request: CloseBatch) -> dict[str, str]:
        answer = self.bank.outcome(request)
        self.assertEqual((answer.result, answer.code), ("approved", "00"))
        return answer.details

    def test_balanced(self) -> None:
        """Totals that agree with the ledger's close the batch in balance."""
        paid = [self.till.purchase(self.ada, amount) for amount in (1000, 1100, 1200)]
        self.bank.handle(*paid, self.till.reverse(paid[0]), self.till.purchase(self.ada, 9999))
        self.assertEqual(
            self.details(self.till.close(3, 3300, 1, 1000)),
            {
                "balanced": "yes",
                "currency": "USD",
                "purchase-count": "3",
                "purchase-amount": "33.00",
                "reversal-count": "1",
                "reversal-amount": "10.00",
                "refund-count": "0",
                "refund-amount": "0.00",
                "void-count": "0",
                "void-amount": "0.00",
                "completion-count": "0",
                "completion-amount": "0.00",
            },
        )
        self.assertEqual(self.world.journal()[-1].rule, "batch-balanced")

    def test_lost_answer(self) -> None:
        """A lost purchase that was taken back leaves a terminal that counted neither in balance."""
        lost = self.till.purchase(self.ada, 1000)
        self.bank.handle(lost, self.till.reverse(lost), self.till.purchase(self.ada, 1100))
        self.assertEqual(self.details(self.till.close(1, 1100))["balanced"], "yes")

    def test_starts_anew(self) -> None:
        """A batch begins after the last one was closed, and knows its own terminal alone."""
        paid = self.till.purchase(self.ada, 1000)
        self.bank.outcome(paid)
        self.assertEqual(self.details(self.till.close(1, 1000))["balanced"], "yes")
        self.bank.outcome(Till("T0000002", "LIQUOR").purchase(self.ada, 100))
        self.assertEqual(self.details(self.till.close(0, 0))["balanced"], "yes")
        self.bank.outcome(self.till.reverse(paid))
        self.assertEqual(self.details(self.till.close(0, 0, 1, 1000))["balanced"], "yes")

    def test_one_batch(self) -> None:
        """A closing in one batch with purchases counts those before it, and leaves those after it to the next."""
        first, second = self.till.purchase(self.ada, 1000), self.till.purchase(self.ada, 1100)
        answers = self.bank.handle(
            first, self.till.close(1, 1000), second, self.till.reverse(first), self.till.close(1, 1100, 1, 1000)
        )
        self.assertEqual([answers[place].details["balanced"] for place in (1, 4)], ["yes", "yes"])
        self.assertEqual(self.details(self.till.close(0, 0))["purchase-count"], "0")

    def test_repeated(self) -> None:
        """A closing repeated gets the same totals, whatever was sold since; a changed one gets 94."""
        closing = self.till.close(0, 0)
        first = self.bank.outcome(closing)
        self.bank.outcome(self.till.purchase(self.ada))
        self.assertEqual(self.bank.outcome(closing), first)
        self.assertEqual(self.codes(replace(closing, purchase_count=1)), ["94"])

    def test_refused(self) -> None:
        """A closing by an unknown or blocked terminal, in another currency or of an old date closes nothing."""
        self.bank.outcome(self.till.purchase(self.ada, 1000))
        self.assertEqual(self.codes(Till("T0000009", "").close(0, 0)), ["58"])
        self.assertEqual(self.codes(self.till.close(1, 1000, currency="EUR")), ["12"])
        old = Identity(self.till.terminal, BusinessDate("2026-11-18"), 77)
        self.assertEqual(self.codes(self.till.close(1, 1000, identity=old, rid=rid_of(old))), ["12"])
        self.world.set_state("terminal", "T0000001", State.BLOCKED)
        self.assertEqual(self.codes(self.till.close(1, 1000)), ["58"])
        self.world.set_state("terminal", "T0000001", State.ACTIVE)
        self.assertEqual(self.details(self.till.close(1, 1000))["balanced"], "yes")

    def test_moves_nothing(self) -> None:
        """Closing moves no money."""
        answer = self.bank.outcome(self.till.close(5, 5000))
        self.assertIsInstance(answer, Outcome)
        self.assert_untouched()
        self.assertEqual(self.till.date, TODAY)
