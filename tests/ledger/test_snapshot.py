"""A copy of the whole ledger under another key, and what is told of it."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import func, insert, select
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import DB_KEY, NOON, TODAY, Books, open_books
from tests.ledger.test_chain import Signer
from trus.errors import StorageFailed, WrongDatabaseKey
from trus.ledger import migrations, snapshot
from trus.ledger.engine import create_file, open_connection, open_engine
from trus.ledger.heads import HeadLog
from trus.ledger.rotation_state import Phase, add_rotation, save
from trus.ledger.snapshot import LedgerFacts, copy_database, facts_of
from trus.ledger.tables import event, meta
from trus.ledger.writer import ledger_id

COPY_KEY = b"c" * 32


class CopyCase(SynchronousTestCase):
    """Copies."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.target = self.books.folder / "copy.db"

    def copy(self, key: bytes = DB_KEY) -> None:
        copy_database(self.books.path, key, self.target, COPY_KEY)

    def events(self, path: Path, key: bytes) -> list[tuple[int, bytes]]:
        """Return the number and the link of every event."""
        engine = open_engine(path, lambda: key, read_only=True)
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            return [(row[0], row[1]) for row in connection.execute(select(event.c.id, event.c.link))]

    def test_copy(self) -> None:
        """A copy opens under its own key alone and holds the journal of its moment; the original goes on."""
        before = self.events(self.books.path, DB_KEY)
        self.copy()
        self.books.pay()
        self.assertEqual(self.events(self.target, COPY_KEY), before)
        self.assertRaises(WrongDatabaseKey, open_connection, self.target, lambda: DB_KEY)
        self.assertEqual(self.target.stat().st_mode & 0o777, 0o600)
        self.assertEqual(len(self.events(self.books.path, DB_KEY)), len(before) + 1)

    def test_durable(self) -> None:
        """A copy is told of only when it is on the medium."""
        flushed: list[int] = []

        def fsync(descriptor: int) -> None:
            flushed.append(os.fstat(descriptor).st_ino)

        self.patch(snapshot.os, "fsync", fsync)
        self.copy()
        self.assertEqual(flushed, [self.target.stat().st_ino])

    def test_wrong_key(self) -> None:
        """Where the original does not open, no copy is begun."""
        self.assertRaises(WrongDatabaseKey, self.copy, b"x" * 32)
        self.assertFalse(self.target.exists())

    def test_existing(self) -> None:
        """A file that is there already is nobody's to overwrite, nor to take away."""
        self.target.write_bytes(b"mine")
        self.assertRaises(StorageFailed, self.copy)
        self.assertEqual(self.target.read_bytes(), b"mine")

    def test_medium_fails(self) -> None:
        """A copy that the medium does not take is a failure in one sentence, and nothing of it is left."""

        def fsync(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(snapshot.os, "fsync", fsync)
        failure = self.assertRaises(StorageFailed, self.copy)
        self.assertIn(f"the database {self.books.path} cannot be copied: ", str(failure))
        self.assertFalse(self.target.exists())

    def test_interrupted(self) -> None:
        """Whoever interrupts a copy leaves nothing of it, and is not told of a failure of the medium."""

        def fsync(_descriptor: int) -> None:
            raise KeyboardInterrupt

        self.patch(snapshot.os, "fsync", fsync)
        self.assertRaises(KeyboardInterrupt, self.copy)
        self.assertFalse(self.target.exists())


class FactsCase(SynchronousTestCase):
    """What is told of a ledger."""

    def setUp(self) -> None:
        self.books = Books(self)

    def facts(self, *held: int) -> LedgerFacts:
        return facts_of(self.books.path, DB_KEY, held, 1, NOON)

    def rotate(self, phase: Phase) -> None:
        """Put a rotation from version 2 to version 3 on record."""
        with self.books.ledger.order(NOON) as unit:
            row = add_rotation(unit.connection, 2, 3, "admin", at=0, on=TODAY)
            save(unit.connection, replace(row, phase=phase.value))

    def test_young(self) -> None:
        """A ledger without a head, never restored and never rotated, says so, and how many events it has."""
        with self.books.ledger.reading() as connection:
            count = connection.execute(select(func.count()).select_from(event)).scalar_one()
            name = ledger_id(connection)
        facts = self.facts(1)
        self.assertEqual((facts.ledger, facts.schema, facts.business_date), (name, migrations.head(), TODAY))
        self.assertEqual((facts.epoch, facts.head, facts.digest), (0, 0, b""))
        self.assertEqual((facts.slots, facts.events), (((1, count),), count))
        self.assertEqual(facts.versions, (1,))

    def test_old(self) -> None:
        """The newest signed head, the restorations and every slot are told; events are those of all slots."""
        before = self.facts(1).events
        signed = HeadLog(self.books.ledger, Signer(), self.books.folder / "heads").sign(NOON)
        assert signed is not None
        with self.books.ledger.order(NOON) as unit:
            unit.connection.execute(insert(meta).values(name="restore_epoch", value="3"))
        self.books.close()
        self.books.ledger = open_books(self.books.path, self.books.clock, slot=4)
        self.books.pay()
        facts = self.facts(1)
        self.assertEqual((facts.head, facts.digest, facts.epoch), (1, signed.digest, 3))
        self.assertEqual(facts.slots, ((1, before), (4, 1)))
        self.assertEqual(facts.events, before + 1)

    def test_no_day(self) -> None:
        """A ledger whose schema or day nobody can tell has an empty one."""
        with self.books.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql("UPDATE business_day SET state = 'closed'").close()
            unit.connection.exec_driver_sql("DELETE FROM alembic_version").close()
        facts = self.facts(1)
        self.assertEqual((facts.schema, facts.business_date), ("", ""))

    def test_versions_under_way(self) -> None:
        """While a rotation is under way the ledger needs both its keys, that of its file and those of its rows."""
        self.rotate(Phase.ROWS)
        self.assertEqual(self.facts(1, 2, 3, 4).versions, (1, 2, 3))

    def test_versions_done(self) -> None:
        """When it is done, a former key is needed as long as a request of its time may be repeated, if it exists."""
        self.rotate(Phase.DONE)
        self.assertEqual(self.facts(1, 2, 3, 4).versions, (1, 2, 3))
        self.assertEqual(self.facts(1, 3, 4).versions, (1, 3))

    def test_unreadable(self) -> None:
        """A file that is no ledger is a failure in one sentence; a wrong key is told as one."""
        empty = self.books.folder / "empty.db"
        create_file(empty)
        failure = self.assertRaises(StorageFailed, facts_of, empty, DB_KEY, (), 1, NOON)
        self.assertIn(f"the database {empty} cannot be read: no such table", str(failure))
        self.assertRaises(WrongDatabaseKey, facts_of, self.books.path, COPY_KEY, (), 1, NOON)
