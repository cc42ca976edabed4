"""What is left after a kill, a power cut, a full disk and a broken disk."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import select
from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import (
    DB_KEY,
    FIELD_KEY,
    LOADED,
    LOOKUP_KEY,
    NOON,
    PANS,
    TODAY,
    Books,
    CountedEntropy,
    open_books,
)
from trus.errors import LedgerError, OutcomeUnknown, StorageFailed
from trus.ledger import unit as unit_of_work
from trus.ledger.audit import verify
from trus.ledger.dialect import Direct
from trus.ledger.engine import open_engine
from trus.ledger.lookup import CardLookup, FieldCipher
from trus.ledger.store import SqlLedger
from trus.ledger.tables import event
from trus.ledger.writer import Fenced
from trus.values import Identity, TerminalId

ROOT = Path(__file__).resolve().parents[2]
PAGE = 2048
WORKING_COMMIT = Direct.commit


def references(ledger: SqlLedger) -> list[str]:
    """Return the references of the purchases that are stored, oldest first."""
    with ledger.reading() as connection:
        wanted = select(event.c.rrn).where(event.c.kind == "purchase").order_by(event.c.id)
        return list(connection.execute(wanted).scalars())


def child(path: Path, first: int, limit: int = 0) -> subprocess.Popen[str]:
    """Start a writing process that pays from trace number `first` on."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.writer_child", str(path), str(first), str(limit)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stored(books: Books) -> list[str]:
    """Open a closed ledger, prove it, and return the references of its purchases."""
    ledger = open_books(books.path)
    try:
        report = verify(ledger.engine)
        if not report.sound:
            raise AssertionError(report.findings)
        return references(ledger)
    finally:
        ledger.close()


class ProcessCase(SynchronousTestCase):
    """Writing processes that end badly."""

    def test_kill(self) -> None:
        """After kill -9 all that was acknowledged is there, at most one purchase more, and the ledger is sound."""
        books = Books(self)
        books.close()
        for first, wanted in ((1, 3), (1_000, 40)):
            before = len(stored(books))
            process = child(books.path, first)
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in range(wanted)]
            os.kill(process.pid, signal.SIGKILL)
            # What was read ahead is in the file; communicate() would look at the pipe alone.
            said += process.stdout.read().split()
            process.communicate()
            self.assertEqual(process.returncode, -signal.SIGKILL)
            found = stored(books)[before:]
            self.assertEqual(found[: len(said)], said)
            self.assertLessEqual(len(found), len(said) + 1)

    def test_file_limit(self) -> None:
        """A write that the system refuses: nothing after it is approved until a restart, nothing before is lost."""
        books = Books(self)
        books.close()
        process = child(books.path, 1, books.path.stat().st_size + 100_000)
        said, errors = process.communicate(timeout=60)
        lines = said.splitlines()
        self.assertEqual(lines[-1], "StorageFailed True", errors)
        self.assertRegex(lines[-2], r"\A(OutcomeUnknown|StorageFailed) [0-9]+\Z")
        paid = lines[:-2]
        self.assertGreater(len(paid), 3)
        found = stored(books)
        self.assertEqual(found[: len(paid)], paid)
        self.assertLessEqual(len(found), len(paid) + 1)


class PowerCutCase(SynchronousTestCase):
    """The disk as a power cut leaves it: the main file, the log cut anywhere past what was durable, no index."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.books.ledger.checkpoint(truncate=True)
        self.log = self.books.path.with_name("trus.db-wal")
        self.dice = random.Random(20261120)
        self.count = 0

    def recovered(self, main: bytes, log: bytes) -> list[str]:
        """Return the references that a ledger of these two files holds after recovery, proven sound."""
        self.count += 1
        folder = self.books.folder / f"cut{self.count}"
        folder.mkdir()
        path = folder / "trus.db"
        path.write_bytes(main)
        path.with_name("trus.db-wal").write_bytes(log)
        ledger = open_books(path)
        try:
            report = verify(ledger.engine)
            self.assertTrue(report.sound, report.findings)
            found = references(ledger)
            # It goes on from there: the next purchase follows in the chain.
            with ledger.order(NOON) as unit:
                identity = Identity(TerminalId("T0000001"), TODAY, 999_999)
                unit.record(self.books.purchase_at(ledger, unit, 0, 1, identity))
            self.assertTrue(verify(ledger.engine).sound)
            return found
        finally:
            ledger.close()
            shutil.rmtree(folder)

    def test_cuts(self) -> None:
        """A cut anywhere past a commit's durable length recovers exactly the purchases committed by then."""
        main = self.books.path.read_bytes()
        lengths, paid = [0], []
        for number in range(12):
            paid.append(self.books.pay(number % 4, 100 + number).rrn)
            lengths.append(self.log.stat().st_size)
        log = self.log.read_bytes()
        for _ in range(30):
            commits = self.dice.randrange(len(lengths))
            end = lengths[commits + 1] - 1 if commits + 1 < len(lengths) else len(log)
            cut = self.dice.randint(lengths[commits], end)
            garbage = self.dice.randbytes(self.dice.choice((0, 1, 24, PAGE + 24, 9_000)))
            found = self.recovered(main, log[:cut] + garbage)
            self.assertEqual(found, paid[:commits], f"cut at {cut} of {lengths}")

    def test_cut_in_a_checkpoint(self) -> None:
        """A cut while pages move into the main file loses nothing, whichever pages have arrived, torn or whole."""
        before = self.books.path.read_bytes()
        paid = [self.books.pay(number % 4, 50).rrn for number in range(8)]
        log = self.log.read_bytes()
        pages, moved = self.books.ledger.checkpoint()
        self.assertEqual(pages, moved)
        after = self.books.path.read_bytes()
        for _ in range(8):
            mixed = bytearray(before)
            mixed.extend(bytes(max(0, len(after) - len(before))))
            for start in range(0, len(after), PAGE):
                arrived = self.dice.choice((0, PAGE, PAGE, self.dice.randrange(PAGE)))
                mixed[start : start + arrived] = after[start : start + arrived]
            self.assertEqual(self.recovered(bytes(mixed), log), paid)


class BrokenCase(SynchronousTestCase):
    """Disks that are full or fail while the ledger writes."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.ledger = self.books.ledger

    def limit(self, pages: int) -> None:
        with self.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").close()

    def fail_commits(self, code: int, words: str) -> None:
        """Have the driver's next commit fail with a result code of the engine."""

        def commit(_: object) -> None:
            failure = dbapi2.OperationalError(words)
            failure.sqlite_errorcode = code
            raise failure

        self.patch(Direct, "commit", commit)

    def mend(self) -> None:
        self.patch(Direct, "commit", WORKING_COMMIT)

    def test_full_disk(self) -> None:
        """A full disk: the batch fails for certain, nothing of it is stored; with room again payments go on."""
        self.limit(1)
        paid = 0
        for _ in range(100):
            try:
                self.books.pay(0, 1)
            except StorageFailed as failure:
                self.assertIn("full", str(failure))
                break
            paid += 1
        else:
            self.fail("the disk was never full")
        self.assertEqual(self.books.balance(self.books.purses[0]), LOADED - paid)
        self.assertEqual(self.ledger.health(), "ok")
        self.assertEqual(len(references(self.ledger)), paid)
        self.limit(0xFFFFFFFE)
        self.books.pay(0, 1)
        self.assertTrue(self.books.audit().sound)

    def test_full_at_commit(self) -> None:
        """A disk that is full at the very commit: nothing was stored, and the ledger goes on."""
        self.fail_commits(dbapi2.SQLITE_FULL, "database or disk is full")
        self.assertRaises(StorageFailed, self.books.pay)
        self.mend()
        self.assertEqual(references(self.ledger), [])
        self.books.pay()
        self.assertTrue(self.books.audit().sound)

    def test_broken_at_commit(self) -> None:
        """A commit that fails with an I/O error: nothing is said, nothing approved until a restart."""
        identity = self.books.identity()
        self.fail_commits(dbapi2.SQLITE_IOERR | 4 << 8, "disk I/O error")
        failure = self.assertRaises(OutcomeUnknown, self.books.pay, 0, 1_250, identity)
        self.assertIn("disk I/O error", str(failure))
        self.mend()
        self.assertRaises(StorageFailed, self.books.pay)
        self.assertRaises(OutcomeUnknown, self.ledger.stored, [identity])
        self.assertIn("restart", self.ledger.health())
        self.books.reopen()
        self.assertEqual(self.books.ledger.stored([identity]), {})
        self.books.pay(0, 1_250, identity)
        self.assertTrue(self.books.audit().sound)

    def test_broken_before_commit(self) -> None:
        """A page that cannot be read or written stops the ledger before anything is decided on it."""

        def rows(*_: object) -> None:
            failure = dbapi2.DatabaseError("database disk image is malformed")
            failure.sqlite_errorcode = dbapi2.SQLITE_CORRUPT
            raise failure

        unit = self.ledger.begin(NOON)
        self.patch(Direct, "rows", rows)
        self.assertRaises(StorageFailed, unit.read, identities=[], terminals=["T0000001"], card_keys=[])
        self.assertIn("malformed", self.ledger.health())
        self.assertRaises(StorageFailed, self.ledger.begin, NOON)
        self.assertRaises(LedgerError, unit.commit)

    def test_accounts_cannot_be_looked_up(self) -> None:
        """An event of accounts that cannot be looked up is not taken: its unit is over, nothing of it is kept."""
        unit = self.ledger.begin(NOON)
        event = self.books.purchase(unit)
        unit.rollback()
        unit = self.ledger.begin(NOON)
        broken = dbapi2.DatabaseError("database disk image is malformed")
        broken.sqlite_errorcode = dbapi2.SQLITE_CORRUPT

        def rows(*_: object) -> list[tuple[object, ...]]:
            raise broken

        self.patch(Direct, "rows", rows)
        self.assertRaises(StorageFailed, unit.record, replace(event, purses=()))
        self.assertIn("malformed", self.ledger.health())
        self.assertRaises(LedgerError, unit.commit)

    def test_risk_account_cannot_be_opened(self) -> None:
        """An advice whose shortfall has no account to go to is not stored: its unit is over, nothing of it is kept."""
        unit = self.ledger.begin(NOON)
        unit.record(self.books.purchase(unit))
        broken = dbapi2.DatabaseError("database disk image is malformed")
        broken.sqlite_errorcode = dbapi2.SQLITE_CORRUPT

        def fail(*_: object) -> None:
            raise broken

        self.patch(unit_of_work, "risk_account", fail)
        failure = self.assertRaises(StorageFailed, unit.risk_account, "USD")
        self.assertIn("malformed", str(failure))
        self.assertRaises(LedgerError, unit.commit)
        self.assertIn("malformed", self.ledger.health())
        self.books.reopen()
        self.assertEqual(references(self.books.ledger), [])

    def test_log_cannot_be_emptied(self) -> None:
        """A log that cannot be moved into the file before the file is exchanged stops the ledger."""

        def checkpoint(*_: object, **__: object) -> None:
            failure = dbapi2.OperationalError("disk I/O error")
            failure.sqlite_errorcode = dbapi2.SQLITE_IOERR
            raise failure

        self.patch(Direct, "checkpoint", checkpoint)
        self.assertRaises(StorageFailed, self.ledger.empty_log)
        self.assertIn("disk I/O error", self.ledger.health())
        self.assertRaises(StorageFailed, self.books.pay)

    def test_checkpoint_fails(self) -> None:
        """A checkpoint that fails stops the ledger: the medium is no longer to be trusted."""

        def checkpoint(*_: object, **__: object) -> None:
            failure = dbapi2.OperationalError("disk I/O error")
            failure.sqlite_errorcode = dbapi2.SQLITE_IOERR
            raise failure

        self.patch(Direct, "checkpoint", checkpoint)
        self.assertRaises(StorageFailed, self.ledger.checkpoint)
        self.assertRaises(StorageFailed, self.books.pay)
        self.books.ledger.close()
        failure = self.assertRaises(StorageFailed, open_books, self.books.path)
        self.assertIn("cannot be opened for writing", str(failure))

    def test_busy(self) -> None:
        """Another process that holds the write lock too long: the batch fails for certain, the next may not."""
        engine = open_engine(self.books.path, lambda: DB_KEY)
        self.addCleanup(engine.dispose)
        with self.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql("PRAGMA busy_timeout = 1").close()
        with engine.connect() as other:
            Direct(other).begin()
            self.assertRaises(StorageFailed, self.books.pay)
            Direct(other).rollback()
        self.books.pay()

    def test_rollback_fails(self) -> None:
        """A rollback that fails stops the ledger."""

        def rollback(_: object) -> None:
            raise dbapi2.OperationalError("cannot rollback")

        unit = self.ledger.begin(NOON)
        self.patch(Direct, "rollback", rollback)
        unit.rollback()
        self.assertIn("cannot rollback", self.ledger.health())


class FenceCase(SynchronousTestCase):
    """Two writers of one slot."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.engine = open_engine(self.books.path, lambda: DB_KEY)
        self.addCleanup(self.engine.dispose)

    def second(self) -> SqlLedger:
        """Open a second writer past the lock, as another machine on shared storage would."""
        fields = FieldCipher({1: FIELD_KEY}, CountedEntropy())
        return SqlLedger(self.engine, CardLookup(LOOKUP_KEY), fields, CountedEntropy("second"), slot=1, now=NOON)

    def test_stale_writer(self) -> None:
        """A writer whose slot was taken over stops for good; the new one continues its chain."""
        self.books.pay()
        second = self.second()
        failure = self.assertRaises(Fenced, self.books.pay)
        self.assertIn("slot 1", str(failure))
        self.assertRaises(StorageFailed, self.books.pay)
        self.assertIn("another process", self.books.ledger.health())
        with second.order(NOON) as unit:
            unit.record(self.books.purchase_at(second, unit, 0, 5, self.books.identity()))
        self.assertTrue(verify(self.engine).sound)
        second.close()

    def test_stale_writer_in_a_race(self) -> None:
        """A stale writer that passes every other check is stopped by the chain's own unique key."""
        epoch = "UPDATE writer_slot SET epoch = epoch"
        second = self.second()
        with second.order(NOON) as unit:
            unit.record(self.books.purchase_at(second, unit, 0, 5, self.books.identity()))
            unit.connection.exec_driver_sql(f"{epoch} - 1")
        with self.books.ledger.order(NOON) as unit:
            event = self.books.purchase(unit, 1, 7)
        unit = self.books.ledger.begin(NOON)
        unit.read(identities=[], terminals=[], card_keys=[self.books.ledger.card_key(PANS[1])])
        unit.record(replace(event, event_id=event.event_id + 500))
        failure = self.assertRaises(StorageFailed, unit.commit)
        self.assertIn("event.slot, event.sequence", str(failure))
        self.assertEqual(self.books.balance(self.books.purses[1]), LOADED)
        second.close()

    def test_two_slots(self) -> None:
        """Two writers with a slot each write by turns, each its own chain and its own numbers."""
        fields = FieldCipher({1: FIELD_KEY}, CountedEntropy())
        second = SqlLedger(self.engine, CardLookup(LOOKUP_KEY), fields, CountedEntropy("two"), slot=2, now=NOON)
        numbers = []
        for _ in range(3):
            numbers.append(self.books.pay().rrn)
            with second.order(NOON) as unit:
                event = self.books.purchase_at(second, unit, 1, 5, self.books.identity())
                unit.record(event)
                numbers.append(event.rrn)
        self.assertEqual(len(set(numbers)), 6)
        report = verify(self.engine)
        self.assertTrue(report.sound, report.findings)
        self.assertEqual(report.events, 12)
        second.close()
