"""A terminal lists the items of its batch, and hears where the ledger differs."""

from __future__ import annotations

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.backend.parts import DAY, TERMINAL, Bench
from trus.backend.batchlists import LISTING_SECONDS
from trus.core import messages as core
from trus.core.closing import LISTED
from trus.protocol.fields import MAX_DIFFERENCES_A_LINE, format_octets
from trus.protocol.messages import Kind, Message
from trus.protocol.session import SealedSession
from trus.protocol.verbs_batches import MAX_ITEMS
from trus.values import BatchItem, Identity, ItemKind, ItemState, TerminalId

FIRST = "000007:2026-11-20:purchase:stands:12.50:632400000007"
SECOND = "000008:2026-11-20:refund:reversed:3.00:632400000008"
ITEMS = (
    BatchItem(DAY, 7, ItemKind.PURCHASE, ItemState.STANDS, 1250, "632400000007"),
    BatchItem(DAY, 8, ItemKind.REFUND, ItemState.REVERSED, 300, "632400000008"),
)


class ListTests(SynchronousTestCase):
    """A session in which a batch is compared."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.session = self.bench.connect()

    def begin(self, count: str, stan: str = "000042") -> str:
        dialogue = self.session.open_dialogue()
        clear = {"stan": stan, "currency": "USD", "date": DAY}
        sealed = {"rid": format_octets(bytes(range(16))), "count": count}
        self.bench.send(self.session.seal(Kind.COMMAND, "RECONCILE", clear, sealed, dialogue=dialogue))
        return dialogue

    def add(self, dialogue: str, items: str) -> None:
        self.bench.send(self.session.seal(Kind.DATA, "ITEMS", {}, {"items": items}, dialogue=dialogue))

    def hear(self) -> list[Message]:
        session: SealedSession = self.session
        return [session.open(line) for line in self.bench.heard()]

    def test_lists_and_differences(self) -> None:
        """The core is asked once, with all items in order; the differences are said before the answer."""
        dialogue = self.begin("2")
        self.add(dialogue, FIRST)
        self.assertEqual(self.bench.core.asked, [])
        self.add(dialogue, SECOND)
        listed = ",".join(f"amount/{FIRST}/{SECOND}" for _ in range(MAX_DIFFERENCES_A_LINE + 1))
        details = {"balanced": "no", "currency": "USD", "differences": "25", LISTED: listed}
        request = self.bench.core.answer(core.Outcome("approved", "00", rrn="632400000009", details=details))
        name = Identity(TerminalId("T0000001"), DAY, 42)
        self.assertEqual(request, core.Reconcile(TERMINAL, name, bytes(range(16)), "USD", ITEMS))
        first, second, answer = self.hear()
        self.assertEqual((first.verb, second.verb, answer.verb), ("DIFFERENCES", "DIFFERENCES", "RESULT"))
        self.assertEqual(f"{first.fields['differences']},{second.fields['differences']}", listed)
        self.assertEqual((answer.fields["differences"], LISTED in answer.fields), ("25", False))

    def test_empty(self) -> None:
        """A terminal that has nothing lists nothing, and is answered at once."""
        self.begin("0")
        details = {"balanced": "yes", "differences": "0"}
        request = self.bench.core.answer(core.Outcome("approved", "00", details=details))
        assert isinstance(request, core.Reconcile)
        self.assertEqual(request.items, ())
        self.assertEqual([each.verb for each in self.hear()], ["RESULT"])

    def test_refused(self) -> None:
        """Too many items, more than were told, and a second list at once reach no core."""
        self.begin(str(MAX_ITEMS + 1))
        [answer] = self.hear()
        self.assertEqual((answer.verb, answer.fields["code"]), ("RESULT", "30"))
        dialogue = self.begin("1", "000043")
        self.add(dialogue, f"{FIRST},{SECOND}")
        [error] = self.hear()
        self.assertEqual((error.verb, error.fields["code"], error.dialogue), ("ERROR", "bad-field", dialogue))
        self.begin("1", "000044")
        self.begin("1", "000045")
        [answer] = self.hear()
        self.assertEqual((answer.verb, answer.fields["code"]), ("RESULT", "30"))
        self.assertEqual(self.bench.core.asked, [])

    def test_given_up(self) -> None:
        """A list that stops in the middle is answered 30 after a while; a terminal that gives it up hears nothing."""
        self.begin("2")
        self.bench.around.clock.moment += timedelta(seconds=LISTING_SECONDS)
        self.bench.front.end_waits()
        [answer] = self.hear()
        self.assertEqual((answer.verb, answer.fields["code"]), ("RESULT", "30"))
        dialogue = self.begin("2", "000043")
        self.bench.send(self.session.seal(Kind.INFO, "ERROR", {"code": "timeout"}, {}, dialogue=dialogue))
        self.bench.around.clock.moment += timedelta(seconds=LISTING_SECONDS)
        self.bench.front.end_waits()
        self.assertEqual((self.hear(), self.bench.core.asked), ([], []))
