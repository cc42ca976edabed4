"""The schema's history."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import DB_KEY, CountedEntropy, SetClock, open_books
from trus.errors import StorageFailed
from trus.ledger import migrations
from trus.ledger.compose import create_database, open_for_reading
from trus.ledger.dialect import DATABASE_ERRORS
from trus.ledger.engine import create_file, open_engine
from trus.ledger.migrations import running
from trus.ledger.tables import metadata


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

    def test_upgrade_at_opening(self) -> None:
        """A backend brings an older schema up to date when it opens the ledger; the audit asks for that."""
        create_database(self.path, db_key=DB_KEY, clock=SetClock(), entropy=CountedEntropy())
        steps = migrations.upgrade

        def upgrade(connection: Connection) -> None:
            # There is one schema so far: the older one is made believe, and reaching it is no step.
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{migrations.head()}'")
            steps(connection)

        self.patch(migrations, "upgrade", upgrade)
        self.patch(migrations, "known", lambda name: name == "0000")
        engine = open_engine(self.path, lambda: DB_KEY)
        with engine.connect() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
        engine.dispose()
        failure = self.assertRaises(StorageFailed, open_for_reading, self.path, db_key=DB_KEY)
        self.assertIn("start the backend once", str(failure))
        open_books(self.path).close()
        open_for_reading(self.path, db_key=DB_KEY).dispose()

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
        script = Path(migrations.__file__).parent
        code = (
            "from alembic import command; from alembic.config import Config; c = Config();"
            f"c.set_main_option('script_location', {str(script)!r}); command.upgrade(c, 'head')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("trus.ledger.migrations.upgrade", done.stderr)


def _parts(sql: str) -> list[str]:
    """Return the pieces of a definition without its layout: constraints may stand in another order."""
    return ["".join(part.split()).strip("()") for part in sql.split(",")]
