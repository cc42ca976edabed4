"""The whole ledger as plain rows, for an examiner who trusts no audit of its own."""

from __future__ import annotations

from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import LOADED, TERMINALS, TODAY, Books
from trus.errors import StorageFailed
from trus.ledger.dump import CardRow, EntryRow, read_dump
from trus.ledger.engine import engine_on


class DumpCase(SynchronousTestCase):
    """What an examiner is shown."""

    def test_rows(self) -> None:
        """A payment is there with its figures, its answer and both its entries; a refill with no answer."""
        books = Books(self)
        paid = books.pay(0, 1_250)
        dump = read_dump(books.ledger.engine)
        last = dump.events[-1]
        self.assertEqual(
            (last.id, last.terminal, last.authorized, last.card_id), (paid.event_id, TERMINALS[0], 1_250, 1)
        )
        self.assertEqual((last.figures, last.answer), ({"asked": 1_250, "balance": LOADED}, paid.answer))
        self.assertEqual((dump.events[0].kind, dump.events[0].answer), ("refill", b""))
        self.assertEqual([each.sequence for each in dump.events], list(range(1, len(dump.events) + 1)))
        moved = [(books.purses[0], -1_250), (books.shops[0], 1_250)]
        theirs = [each for each in dump.entries if each.event_id == paid.event_id]
        self.assertEqual(theirs, [EntryRow(paid.event_id, *each, "USD") for each in moved])
        held = {each.id: (each.kind, each.balance) for each in dump.accounts}
        self.assertEqual(held[books.purses[0]], ("purse", LOADED - 1_250))
        self.assertEqual(dump.cards[0], CardRow(1, "CARD00000000", 3, books.purses[0]))
        self.assertEqual(dump.merchants, dict(zip(TERMINALS, books.shops, strict=True)))
        self.assertEqual(dump.days, [(TODAY, "open")])

    def test_not_a_ledger(self) -> None:
        """A database that is no ledger is refused in one sentence with the engine's own words."""
        empty = engine_on(lambda: dbapi2.connect(":memory:"))
        self.addCleanup(empty.dispose)
        failure = self.assertRaises(StorageFailed, read_dump, empty)
        self.assertIn("the ledger cannot be read: no such table", str(failure))
