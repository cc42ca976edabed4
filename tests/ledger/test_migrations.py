"""The schema's history."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import DB_KEY, NOON, Books, CountedEntropy, SetClock, open_books
from trus.errors import StorageFailed
from trus.ledger import migrations
from trus.ledger.audit import verify
from trus.ledger.compose import create_database, open_for_reading
from trus.ledger.dialect import DATABASE_ERRORS
from trus.ledger.engine import create_file, open_engine
from trus.ledger.findings import Check
from trus.ledger.migrations import running
from trus.ledger.tables import metadata

#: The step that brought receipts: since then an event's mark is part of its link.
MARKED = "0011"


def schema(connection: Connection) -> dict[str, str]:
    """Return the definition of every table and index, in the engine's own words."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(str(sql).split()) for name, sql in rows}


class MigrationsCase(SynchronousTestCase):
    """A database that was migrated step by step."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.path = folder / "trus.db"

    def engine(self, path: Path) -> Engine:
        create_file(path)
        engine = open_engine(path, lambda: DB_KEY)
        self.addCleanup(engine.dispose)
        return engine

    def test_schema(self) -> None:
        """The migrations lead to the very tables that a new database has, constraints and indexes included."""
        create_database(self.path, db_key=DB_KEY, clock=SetClock(), entropy=CountedEntropy())
        stepped = self.engine(self.path.with_name("stepped.db"))
        with open_for_reading(self.path, db_key=DB_KEY).connect() as made, stepped.connect() as migrated:
            migrations.upgrade(migrated)
            self.assertEqual(migrations.current(made), migrations.head())
            context = MigrationContext.configure(migrated, opts={"compare_type": True})
            self.assertEqual(compare_metadata(context, metadata), [])
            self.assertEqual(migrations.current(migrated), migrations.head())
            found, expected = schema(migrated), schema(made)
        self.assertEqual(sorted(found), sorted(expected))
        for name, sql in expected.items():
            self.assertEqual(sorted(_parts(found[name])), sorted(_parts(sql)), name)

    def test_the_name_cannot_be_read(self) -> None:
        """A database without a schema's name is no ledger; one whose name cannot be read is not taken for that."""
        with self.engine(self.path).connect() as connection:
            self.assertIsNone(migrations.current(connection))
            connection.exec_driver_sql("CREATE TABLE alembic_version (name TEXT)")
            self.assertRaises(DATABASE_ERRORS, migrations.current, connection)

    def test_known(self) -> None:
        """The steps are known by name, each released one for ever."""
        self.assertTrue(migrations.known("0001"))
        self.assertFalse(migrations.known("9999"))

    def test_names(self) -> None:
        """The names of the files are the steps that Alembic links, one after the other, with one end."""
        linked = running.steps()
        files = sorted(path.name for path in Path(migrations.__file__).parent.glob("versions/0*.py"))
        self.assertEqual(linked, [f"{number:04d}" for number in range(1, len(linked) + 1)])
        self.assertEqual(linked, [name[:4] for name in files])
        self.assertEqual(migrations.head(), linked[-1])

    def test_a_start_needs_no_alembic(self) -> None:
        """Opening a ledger whose schema is this version's loads nothing of Alembic: a core is up sooner."""
        code = (
            "import sys, trus.ledger.compose, trus.ledger.snapshot;"
            "print([name for name in sys.modules if name.startswith('alembic')])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), "[]")

    def test_downgrade(self) -> None:
        """The first step can be undone: nothing of it is left."""
        engine = self.engine(self.path)
        with engine.connect() as connection:
            migrations.upgrade(connection)
            migrations.downgrade(connection)
            self.assertEqual(set(schema(connection)), {"alembic_version"})
            connection.commit()

    def test_alembic_needs_a_connection(self) -> None:
        """Alembic's own command line opens no database: the ledger's key is in no configuration."""
        failure = self.assertRaises(RuntimeError, command.upgrade, running.config(), "head")
        self.assertIn("trus.ledger.migrations.upgrade", str(failure))

    def test_earlier_schemas(self) -> None:
        """A backend brings a ledger up to date when it opens it, which then answers as before; the audit asks for that.

        Going back below MARKED takes the marks away that the links are over: of these the chain is not asked.
        """
        books = Books(self)
        paid = books.pay(0, 700)
        assert paid.identity is not None
        books.close()
        steps = running.steps()
        for step in (steps[-2], MARKED, steps[steps.index(MARKED) - 1], steps[0]):
            engine = open_engine(books.path, lambda: DB_KEY)
            with engine.connect() as connection:
                command.downgrade(running.config(connection), step)
                connection.commit()
                self.assertEqual(migrations.current(connection), step)
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
            engine.dispose()
            older = books.path.with_name(f"{step}.db")
            shutil.copy(books.path, older)
            failure = self.assertRaises(StorageFailed, open_for_reading, older, db_key=DB_KEY)
            self.assertIn(f"has the older schema {step}: start the backend once", str(failure))
            ledger = open_books(older)
            [stored] = ledger.stored([paid.identity]).values()
            self.assertEqual((stored.answer, stored.authorized), (paid.answer, 700), step)
            with ledger.order(NOON) as unit:
                unit.record(books.purchase_at(ledger, unit, 1, 300, books.identity()))
            broken = {each.check for each in verify(ledger.engine).findings}
            self.assertEqual(broken - {Check.CHAIN} if step < MARKED else broken, set(), step)
            ledger.close()


def _parts(sql: str) -> list[str]:
    """Return the pieces of a definition without its layout: constraints may stand in another order."""
    return ["".join(part.split()).strip("()") for part in sql.split(",")]
