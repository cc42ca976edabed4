"""What the pipeline promises about closing a batch item by item, on whatever ledger."""

from __future__ import annotations

import msgspec

from tests.core.promises import PipelineCase
from tests.core.tills import Till, item_of
from trus.auth.model import State
from trus.core.closing import LISTED
from trus.core.messages import MoneyRequest, Outcome
from trus.protocol.batches import parse_differences
from trus.values import BatchItem, BusinessDate, Identity, ItemKind, ItemState

replace = msgspec.structs.replace


class ReconcilePromises(PipelineCase):
    """Promises about a batch whose totals differ."""

    def sold(self, amount: int = 1000) -> tuple[MoneyRequest, Outcome]:
        """Let Ada buy something."""
        request = self.till.purchase(self.ada, amount)
        return request, self.bank.outcome(request)

    def differences(self, answer: Outcome) -> list[tuple[str, BatchItem | None, BatchItem | None]]:
        """Return what an answer lists, and check that it is as many as it says."""
        self.assertEqual((answer.result, answer.code), ("approved", "00"))
        listed = answer.details.get(LISTED, "")
        found = (
            [(each.why.value, each.terminal, each.host) for each in parse_differences(listed, "USD")] if listed else []
        )
        self.assertEqual(
            (answer.details["differences"], answer.details["balanced"]), (str(len(found)), "no" if found else "yes")
        )
        return found

    def test_out_of_balance(self) -> None:
        """Totals that differ get 95 and the ledger's totals, and the batch stays open: the right ones close it."""
        self.sold()
        for wrong in ((1, 999), (2, 1000), (0, 0)):
            answer = self.bank.outcome(self.till.close(*wrong))
            self.assertEqual((answer.result, answer.code, answer.details["balanced"]), ("declined", "95", "no"))
            self.assertEqual(answer.details["purchase-amount"], "10.00")
            self.assertEqual(self.world.journal()[-1].rule, "batch-differs")
        self.assertEqual(self.codes(self.till.close(1, 1000), self.till.close(0, 0)), ["00", "00"])

    def test_same(self) -> None:
        """A terminal that counted wrongly and lists the right items closes in balance; the next batch is empty."""
        items = [item_of(*self.sold(amount)) for amount in (1000, 1100)]
        self.assertEqual(self.differences(self.bank.outcome(self.till.reconcile(*items))), [])
        self.assertEqual(self.world.journal()[-1].rule, "batch-reconciled")
        self.assertEqual(self.codes(self.till.close(0, 0)), ["00"])

    def test_every_kind_of_difference(self) -> None:
        """Each difference is named with what both sides have: absent, or of another kind, amount or state."""
        first, second, third = (item_of(*self.sold(amount)) for amount in (600, 700, 800))
        unknown = BatchItem(BusinessDate("2026-11-20"), 900_000, ItemKind.PURCHASE, ItemState.STANDS, 5, "0" * 12)
        mine = (
            replace(first, amount=601),
            replace(second, kind=ItemKind.COMPLETION),
            replace(third, state=ItemState.REVERSED),
            unknown,
        )
        fourth = item_of(*self.sold(400))
        answer = self.bank.outcome(self.till.reconcile(*mine))
        self.assertEqual(
            self.differences(answer),
            [
                ("amount", mine[0], first),
                ("kind", mine[1], second),
                ("state", mine[2], third),
                ("missing-at-host", unknown, None),
                ("missing-at-terminal", None, fourth),
            ],
        )
        line = self.world.journal()[-1]
        self.assertEqual((line.rule, line.moved), ("batch-items-differ", 0))
        self.assertEqual(self.world.owed("BISTRO"), 2500)

    def test_taken_back(self) -> None:
        """What was taken back agrees when both know it, and is no difference when the terminal never knew of it."""
        lost, _ = self.sold(600)
        known, answer = self.sold(700)
        voided, voided_answer = self.sold(800)
        self.bank.handle(self.till.reverse(lost), self.till.reverse(known), self.till.void(voided))
        items = [item_of(known, answer, state="reversed"), item_of(voided, voided_answer, state="voided")]
        self.assertEqual(self.differences(self.bank.outcome(self.till.reconcile(*items))), [])

    def test_other_kinds(self) -> None:
        """Refunds and completions are items; pre-authorizations, declines and enquiries are none."""
        sold, answer = self.sold(1000)
        refund = self.till.refund(answer, 300)
        returned = self.bank.outcome(refund)
        held = self.bank.outcome(self.till.hold(self.ada, 500))
        capture = self.till.capture(held, 400)
        paid = self.bank.outcome(capture)
        self.bank.handle(self.till.purchase(self.ada, 9999), self.till.balance(self.ada, self.ada.pin))
        items = [item_of(sold, answer), item_of(refund, returned, "refund"), item_of(capture, paid, "completion")]
        self.assertEqual(self.differences(self.bank.outcome(self.till.reconcile(*items))), [])

    def test_of_an_earlier_batch(self) -> None:
        """What a batch before it had is a difference, unless it came back in this one."""
        first, second = self.sold(600), self.sold(700)
        self.assertEqual(self.codes(self.till.close(2, 1300)), ["00"])
        self.bank.outcome(self.till.reverse(second[0]))
        back = item_of(*second, state="reversed")
        answer = self.bank.outcome(self.till.reconcile(item_of(*first), back))
        self.assertEqual(self.differences(answer), [("closed-before", item_of(*first), item_of(*first))])

    def test_nobody_elses(self) -> None:
        """Another terminal's items are unknown, whatever their reference number."""
        other = Till("T0000002", "LIQUOR")
        for _ in range(5):
            request = other.purchase(self.ada, 100)
        item = item_of(request, self.bank.outcome(request), amount=100, rrn="0" * 12)
        self.sold(500)
        found = self.differences(self.bank.outcome(self.till.reconcile(item)))
        self.assertEqual([why for why, _, _ in found], ["missing-at-host", "missing-at-terminal"])

    def test_repeated(self) -> None:
        """A reconciliation repeated, as after a restart, gets the same list; with other items it gets 94."""
        request = self.till.reconcile(item_of(*self.sold()), item_of(*self.sold(), amount=5))
        first = self.bank.outcome(request)
        self.sold(700)
        self.assertEqual(self.bank.outcome(replace(request, repeat=True)), first)
        self.assertEqual(self.codes(replace(request, items=request.items[:1])), ["94"])

    def test_in_one_batch(self) -> None:
        """A reconciliation among other requests sees those before it and leaves those after it to the next batch."""
        first, second = self.till.purchase(self.ada, 500), self.till.purchase(self.ada, 600)
        answers = self.bank.handle(first, self.till.reconcile(), second)
        [(why, _, host)] = self.differences(answers[1])
        self.assertEqual((why, host), ("missing-at-terminal", item_of(first, answers[0])))
        self.assertEqual(self.codes(self.till.close(1, 600)), ["00"])

    def test_refused(self) -> None:
        """An unknown or blocked terminal, another currency and an old date close nothing."""
        self.sold()
        self.assertEqual(self.codes(Till("T0000009", "").reconcile()), ["58"])
        self.assertEqual(self.codes(self.till.reconcile(currency="EUR")), ["12"])
        self.assertEqual(
            self.codes(self.till.reconcile(identity=Identity(self.till.terminal, BusinessDate("2026-11-18"), 77))),
            ["12"],
        )
        self.world.set_state("terminal", "T0000001", State.BLOCKED)
        self.assertEqual(self.codes(self.till.reconcile()), ["58"])
        self.world.set_state("terminal", "T0000001", State.ACTIVE)
        self.assertEqual(self.codes(self.till.close(1, 1000)), ["00"])
