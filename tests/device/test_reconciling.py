"""A terminal whose totals differ lists what it has written down, also after a restart in the middle."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.device.acting import Said, Stage, result
from trus.device.journal import KEPT_ITEMS, FileJournal, Memory, Totals
from trus.device.records import Asked, Opened, Settled
from trus.protocol.batches import parse_differences, parse_items
from trus.protocol.messages import Kind, Message
from trus.values import BatchItem, BusinessDate, Identity, ItemKind, ItemState, Result, TerminalId

DATE = BusinessDate("2026-11-20")
RRN = "632400000007"


def item(stan: int, amount: int = 1250, kind: str = "purchase", state: str = "stands") -> BatchItem:
    return BatchItem(DATE, stan, ItemKind(kind), ItemState(state), amount, RRN)


class Batches(SynchronousTestCase):
    """What a terminal writes down of its batch."""

    def setUp(self) -> None:
        self.memory = Memory()
        self.stan = 0

    def ask(self, asked: Asked, result: Result, amount: int = 1250, original: int = 0) -> int:
        """Apply a request and its answer; return its number."""
        self.stan += 1
        about = Identity(TerminalId("T0000001"), DATE, original) if original else None
        opened = Opened(Identity(TerminalId("T0000001"), DATE, self.stan), asked, "00" * 16, amount, "USD", about)
        if asked in (Asked.CLOSE, Asked.RECONCILE):
            opened = Opened(opened.identity, asked, opened.rid, currency="USD", totals=self.memory.totals)
        self.memory.apply(opened)
        self.memory.apply(Settled(opened.identity, result, "00", amount, "A1B2C3", RRN))
        return self.stan

    def items(self) -> list[BatchItem]:
        return list(self.memory.items.values())

    def test_every_kind(self) -> None:
        """Purchases, completions and refunds are items; what was declined or moved nothing is none."""
        for asked in (Asked.PURCHASE, Asked.ADVICE, Asked.CAPTURE, Asked.REFUND):
            self.ask(asked, Result.APPROVED)
        self.ask(Asked.HOLD, Result.APPROVED)
        self.ask(Asked.PURCHASE, Result.DECLINED)
        self.assertEqual(self.items(), [item(1), item(2), item(3, kind="completion"), item(4, kind="refund")])

    def test_taken_back(self) -> None:
        """An item that was reversed or voided stays one; of an earlier batch it becomes one."""
        first, second = self.ask(Asked.PURCHASE, Result.APPROVED), self.ask(Asked.PURCHASE, Result.APPROVED)
        self.ask(Asked.REVERSE, Result.REVERSED, original=first)
        self.ask(Asked.VOID, Result.APPROVED, original=second)
        self.assertEqual(self.items(), [item(1, state="reversed"), item(2, state="voided")])
        old = self.ask(Asked.CAPTURE, Result.APPROVED)
        self.ask(Asked.CLOSE, Result.APPROVED)
        self.assertEqual((self.items(), self.memory.totals), ([], Totals()))
        self.ask(Asked.REVERSE, Result.REVERSED, original=old)
        self.assertEqual(self.items(), [item(old, kind="completion", state="reversed")])

    def test_sold_meanwhile(self) -> None:
        """What is answered while the batch is being closed belongs to the next one; what changed does too."""
        first = self.ask(Asked.PURCHASE, Result.APPROVED)
        identity = Identity(TerminalId("T0000001"), DATE, 99)
        self.memory.apply(Opened(identity, Asked.CLOSE, "00" * 16, currency="USD", totals=self.memory.totals))
        later = self.ask(Asked.PURCHASE, Result.APPROVED)
        self.ask(Asked.REVERSE, Result.REVERSED, original=first)
        self.memory.apply(Settled(identity, Result.APPROVED, "00"))
        self.assertEqual(self.items(), [item(first, state="reversed"), item(later)])

    def test_bounded(self) -> None:
        """Of a batch that is never closed the latest items are kept."""
        for _ in range(KEPT_ITEMS + 2):
            self.ask(Asked.PURCHASE, Result.APPROVED)
        self.assertEqual((len(self.items()), self.items()[0].stan), (KEPT_ITEMS, 3))

    def test_summary(self) -> None:
        """A compacted journal knows the items, those of a closing under way included."""
        self.ask(Asked.PURCHASE, Result.APPROVED)
        closing = Opened(Identity(TerminalId("T0000001"), DATE, 99), Asked.RECONCILE, "00" * 16, totals=Totals(1, 1250))
        self.memory.apply(closing)
        self.ask(Asked.PURCHASE, Result.APPROVED)
        again = Memory()
        again.apply(self.memory.summary())
        self.assertEqual(again.items, self.memory.items)
        self.assertEqual(again.unfinished[closing.identity].items, [item(1)])


class Reconciling(SynchronousTestCase):
    """A terminal with a purchase in its batch."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.stage = self.start()
        _, asked = self.stage.buy()
        self.stage.hear(result(asked.dialogue, approval="A1B2C3", rrn=RRN))
        self.key = self.stage.terminal.close_batch()
        (self.close,) = self.stage.drain()

    def start(self) -> Stage:
        journal = FileJournal(self.path, fsync=lambda file: None)
        self.addCleanup(journal.close)
        stage = Stage(journal)
        stage.connect()
        return stage

    def refuse(self, said: Said) -> list[Said]:
        """Say that the totals differ; return what the terminal says then."""
        return self.stage.hear(result(said.dialogue, "declined", "95", balanced="no", rrn=RRN))[1:]

    def differ(self, dialogue: str, listed: str) -> None:
        self.stage.hear(Message(Kind.DATA, "DIFFERENCES", {"differences": listed}, None, dialogue))

    def test_list(self) -> None:
        """After 95 the terminal lists its items under another number; its owner is told at the end, and once."""
        reconcile, listed = self.refuse(self.close)
        self.assertEqual((reconcile.head, reconcile.fields["count"]), ("COMMAND RECONCILE", "1"))
        self.assertNotEqual(reconcile.fields["stan"], self.close.fields["stan"])
        self.assertEqual((listed.head, listed.dialogue), ("DATA ITEMS", reconcile.dialogue))
        [mine] = parse_items(listed.fields["items"], "USD")
        self.assertEqual((mine.amount, mine.kind, mine.state, mine.rrn), (1250, "purchase", "stands", RRN))
        self.assertEqual([finished.key for finished in self.stage.finished].count(self.key), 0)
        host = "missing-at-terminal/-/000099:2026-11-20:purchase:stands:7.00:632400000009"
        self.differ(reconcile.dialogue, host)
        self.stage.hear(result(reconcile.dialogue, rrn=RRN, balanced="no", differences="1"))
        finished = self.stage.finished[-1]
        self.assertEqual((finished.key, finished.answer.code, finished.answer.balanced), (self.key, "00", False))
        self.assertEqual((finished.answer.differing, finished.answer.differences), (1, parse_differences(host, "USD")))
        self.assertEqual((self.stage.journal.memory.items, self.stage.journal.memory.totals), ({}, Totals()))

    def test_lost_answer(self) -> None:
        """A list that gets no answer is repeated whole under its identity; differences of an answer that broke off are
        forgotten."""
        reconcile, listed = self.refuse(self.close)
        self.differ(reconcile.dialogue, "state/-/-")
        self.stage.disconnect()
        again, items = self.stage.connect()
        self.assertEqual({**reconcile.fields, "repeat": "yes"}, again.fields)
        self.assertEqual(items.fields, listed.fields)
        self.stage.hear(result(again.dialogue, rrn=RRN, balanced="yes", differences="0"))
        self.assertEqual(self.stage.finished[-1].answer.differences, ())

    def test_restarted(self) -> None:
        """A terminal restarted in the middle goes on with the same list, whatever it sells meanwhile."""
        reconcile, listed = self.refuse(self.close)
        self.stage = Stage(FileJournal(self.path, fsync=lambda file: None))
        said = self.stage.connect()
        self.assertEqual([each.head for each in said], ["COMMAND RECONCILE", "DATA ITEMS"])
        self.assertEqual((said[0].fields["stan"], said[1].fields), (reconcile.fields["stan"], listed.fields))
        _, asked = self.stage.buy(700)
        self.stage.hear(result(asked.dialogue, approval="A1B2C4", rrn="632400000008"))
        self.stage.hear(result(said[0].dialogue, rrn=RRN, balanced="yes", differences="0"))
        memory = self.stage.journal.memory
        self.assertEqual([each.amount for each in memory.items.values()], [700])
        self.assertEqual(memory.totals, Totals(1, 700))

    def test_restarted_before(self) -> None:
        """A terminal restarted before the totals were answered closes again, and lists when they differ."""
        self.stage = Stage(FileJournal(self.path, fsync=lambda file: None))
        (close,) = self.stage.connect()
        self.assertEqual({**self.close.fields, "repeat": "yes"}, close.fields)
        self.assertEqual([each.head for each in self.refuse(close)], ["COMMAND RECONCILE", "DATA ITEMS"])

    def test_many_items(self) -> None:
        """A long list goes in lines that each fit, with the number of all told first."""
        for _ in range(70):
            _, asked = self.stage.buy()
            self.stage.hear(result(asked.dialogue, approval="A1B2C3", rrn=RRN))
        said = self.refuse(self.close)
        counts = [len(parse_items(each.fields["items"], "USD")) for each in said[1:]]
        self.assertEqual((said[0].fields["count"], counts), ("71", [64, 7]))

    def test_unreadable(self) -> None:
        """A difference that cannot be read is counted all the same."""
        reconcile, _ = self.refuse(self.close)
        self.differ(reconcile.dialogue, "odd/-/-")
        self.differ("c99", "state/-/-")
        self.stage.hear(result(reconcile.dialogue, rrn=RRN, balanced="no", differences="1"))
        self.assertEqual(
            (self.stage.finished[-1].answer.differing, self.stage.finished[-1].answer.differences), (1, ())
        )
