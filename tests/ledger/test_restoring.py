"""What a ledger gives out after it was restored: nothing that was given out before."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import NOON, TODAY, Books
from tests.ledger.test_chain import Signer
from trus.errors import StorageFailed
from trus.ledger.demanded import KnownHead, epoch_of
from trus.ledger.heads import HeadLog
from trus.ledger.registry import Registry
from trus.ledger.restoring import (
    CHANGES_AN_EPOCH,
    NUMBERS_AN_EPOCH,
    raise_epoch,
    record_restoration,
    restore_epoch,
)
from trus.ledger.tables import event
from trus.receipts.documents import decode_document
from trus.values import BusinessDate

TOMORROW = BusinessDate("2026-11-21")


class RestoringCase(SynchronousTestCase):
    """A ledger that stands for one that came out of a backup."""

    def setUp(self) -> None:
        self.books = Books(self)

    def restore(self, day: BusinessDate = TODAY) -> int:
        """Begin a new epoch as a restoration does, and open the ledger anew."""
        epoch = raise_epoch(self.books.ledger, NOON, day)
        self.books.reopen()
        return epoch

    def number(self) -> int:
        """Pay, and return the number of the event within its day."""
        return int(self.books.pay(0, 1).rrn[4:])

    def test_epochs(self) -> None:
        """The first restoration begins epoch 1 and each one the next; a ledger never restored is in epoch 0."""
        with self.books.ledger.reading() as connection:
            self.assertEqual(restore_epoch(connection), 0)
        self.assertEqual([self.restore(), self.restore()], [1, 2])
        with self.books.ledger.reading() as connection:
            self.assertEqual(restore_epoch(connection), 2)
        self.assertTrue(self.books.audit().sound)

    def test_numbers(self) -> None:
        """TR-5: no event number of the day is given out again, however often the ledger is restored on that day."""
        self.assertLess(self.number(), NUMBERS_AN_EPOCH)
        for epoch in (1, 2):
            self.restore()
            self.assertEqual(self.number(), epoch * NUMBERS_AN_EPOCH + 1)

    def test_same_backup_twice(self) -> None:
        """TR-5: when the same backup was restored before, nothing is given out again that was lost since."""
        epoch = raise_epoch(self.books.ledger, NOON, TODAY, 1)
        self.books.reopen()
        self.assertEqual((epoch, self.number()), (2, 2 * NUMBERS_AN_EPOCH + 1))
        with Registry(self.books.ledger).reading() as view:
            self.assertGreaterEqual(view.directory.epoch(), 2 * CHANGES_AN_EPOCH)
        self.assertEqual(raise_epoch(self.books.ledger, NOON, TODAY, 1), 3)

    def test_epoch_of_heads(self) -> None:
        """The heads that are known tell the epoch by the slots that they cover; a digest alone tells none."""
        self.number()
        signed = HeadLog(self.books.ledger, Signer(), self.books.folder / "heads").sign(NOON)
        assert signed is not None
        first = decode_document(signed.document)
        second = msgspec.structs.replace(first, slots=[*first.slots, (2, 1, "", "")])
        heads = [KnownHead(signed.digest, each) for each in (first, second)]
        self.assertEqual([epoch_of([]), epoch_of([KnownHead(bytes(32))])], [0, 0])
        self.assertEqual([epoch_of(heads[:1]), epoch_of(heads)], [0, 1])

    def test_a_day_without_numbers(self) -> None:
        """After nine restorations on one day a tenth needs a later business date, and then goes on."""
        for _ in range(9):
            self.restore()
        failure = self.assertRaises(StorageFailed, self.restore)
        self.assertIn("has no event numbers left: open a later one", str(failure))
        with self.books.ledger.reading() as connection:
            self.assertEqual(restore_epoch(connection), 9)
        self.assertEqual(self.restore(TOMORROW), 10)
        self.assertEqual(self.number(), NUMBERS_AN_EPOCH + 1)

    def test_days(self) -> None:
        """The business date that was open at the disaster is open again; one before the backup's is refused."""
        self.assertRaises(ValueError, raise_epoch, self.books.ledger, NOON, BusinessDate("2026-11-19"))
        self.restore(TOMORROW)
        self.assertEqual(self.books.ledger.business_date(), TOMORROW)
        self.assertTrue(self.books.audit().sound)

    def test_standing(self) -> None:
        """TR-15: whoever knows of a change of standing that was lost is looked at again: all of them."""
        with Registry(self.books.ledger).changing(NOON) as change:
            lost = change.directory.changed("pos", "T0000001", change.at)
        self.restore()
        with Registry(self.books.ledger).reading() as view:
            self.assertEqual(view.directory.epoch(), lost + CHANGES_AN_EPOCH)
            self.assertIsNone(view.directory.changes_since(lost))

    def test_on_record(self) -> None:
        """The restoration is an event in the chain, with its epoch and what was told of it."""
        self.restore()
        record_restoration(self.books.ledger, NOON, {"backup": "ab", "lost": 4})
        columns = (event.c.kind, event.c.actor, event.c.rule, event.c.figures)
        newest = select(*columns).order_by(event.c.id.desc()).limit(1)
        with self.books.ledger.reading() as connection:
            kind, actor, rule, figures = connection.execute(newest).one()
        self.assertEqual((kind, actor, rule), ("admin", "restore", "RESTORE"))
        self.assertEqual(msgspec.json.decode(figures), {"backup": "ab", "epoch": 1, "lost": 4})
        self.assertTrue(self.books.audit().sound)
