"""The ciphered database file: keys, versions, locks, and what is readable from outside."""

from __future__ import annotations

import logging
import sqlite3
import stat
from functools import partial
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import (
    DB_KEY,
    FIELD_KEY,
    LOOKUP_KEY,
    NAMES,
    PANS,
    PINS,
    Books,
    CountedEntropy,
    SetClock,
    open_books,
)
from trus.errors import LedgerError, StorageFailed, WrongDatabaseKey
from trus.ledger import migrations
from trus.ledger.compose import create_database, open_for_reading, open_ledger
from trus.ledger.dialect import Trouble, trouble
from trus.ledger.engine import WriterLock, create_file, open_engine
from trus.ledger.tables import metadata


class CipheredCase(SynchronousTestCase):
    """TR-13: the file is unreadable without the token's key."""

    def setUp(self) -> None:
        self.books = Books(self)

    def files(self) -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in self.books.folder.iterdir() if "trus.db" in each.name}

    def test_wrong_key(self) -> None:
        """TR-13: under another key the database does not open, and one clear error says so."""
        self.books.close()
        for opening in (
            lambda: open_for_reading(self.books.path, db_key=b"x" * 32),
            lambda: open_ledger(
                self.books.path,
                db_key=b"x" * 32,
                lookup_key=LOOKUP_KEY,
                field_keys={1: FIELD_KEY},
                clock=SetClock(),
                entropy=CountedEntropy(),
            ),
        ):
            failure = self.assertRaises(WrongDatabaseKey, opening)
            self.assertIn("does not open under this key", str(failure))
        open_books(self.books.path).close()

    def test_plain_sqlite(self) -> None:
        """TR-13: to any other program the file is noise."""
        self.books.ledger.checkpoint(truncate=True)
        plain = sqlite3.connect(self.books.path)
        self.addCleanup(plain.close)
        self.assertRaises(sqlite3.DatabaseError, plain.execute, "SELECT * FROM event")

    def test_canaries(self) -> None:
        """TR-13: neither database, log nor shared memory holds a card number, a name or a PIN in the clear."""
        self.books.pay()
        names = set(self.files())
        self.assertEqual(names, {"trus.db", "trus.db-wal", "trus.db-shm", "trus.db.lock"})
        canaries = [*PANS, *NAMES, *PINS, "ACME", "BISTRO", "T0000001", "CREATE TABLE"]
        for moment in ("in the log", "in the file"):
            for name, content in self.files().items():
                for canary in canaries:
                    self.assertNotIn(canary.encode(), content, f"{canary} {moment} of {name}")
                    self.assertNotIn(canary.encode("utf-16-le"), content)
            self.books.ledger.checkpoint(truncate=True)

    def test_canaries_deciphered(self) -> None:
        """TR-13: whoever holds the file's key alone still sees no card number, no name and no PIN."""
        self.books.pay()
        with self.books.ledger.reading() as connection:
            rows = [
                row
                for name in metadata.tables
                for row in connection.exec_driver_sql(f"SELECT * FROM {name}").fetchall()
            ]
        dump = repr(rows)
        self.assertIn("CARD00000000", dump)
        for canary in (*PANS, *NAMES, *PINS):
            self.assertNotIn(canary, dump)
            self.assertNotIn(repr(canary.encode())[2:-1], dump)
            self.assertNotIn(canary.encode().hex(), dump.lower())

    def test_owner_alone(self) -> None:
        """The files can be read by their owner alone, from the first moment on."""
        path = self.books.folder / "new.db"
        create_database(path, db_key=DB_KEY, clock=SetClock(), entropy=CountedEntropy())
        ledger = open_books(path)
        self.addCleanup(ledger.close)
        for name in ("new.db", "new.db-wal", "new.db-shm", "new.db.lock"):
            mode = stat.S_IMODE((self.books.folder / name).stat().st_mode)
            self.assertEqual(mode, 0o600, name)

    def test_no_key_in_errors(self) -> None:
        """A database error never shows the key, nor the values of a statement."""
        with self.books.ledger.engine.connect() as connection:
            failure = self.assertRaises(
                DBAPIError, connection.exec_driver_sql, "SELECT * FROM nowhere WHERE a = ?", ("canary",)
            )
        self.assertNotIn("canary", str(failure))
        self.assertNotIn(DB_KEY.hex(), repr(self.books.ledger.engine))
        self.assertNotIn(DB_KEY.hex(), repr(self.books.ledger.engine.url))

    def test_no_statement_in_the_log(self) -> None:
        """SQLAlchemy's logger is silent by default: statements and values reach no log."""
        self.assertFalse(logging.getLogger("sqlalchemy.engine").isEnabledFor(logging.INFO))


class OpeningCase(SynchronousTestCase):
    """What is refused at opening, with one clear sentence."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "trus.db"

    def test_missing(self) -> None:
        """A missing database is refused, not made anew."""
        failure = self.assertRaises(StorageFailed, open_books, self.path)
        self.assertIn("there is no database at", str(failure))
        self.assertFalse(self.path.exists())

    def test_empty(self) -> None:
        """An empty file is no ledger, under whatever key."""
        create_file(self.path)
        failure = self.assertRaises(StorageFailed, open_books, self.path)
        self.assertIn("holds no ledger", str(failure))

    def test_exists(self) -> None:
        """A database is never overwritten by a new one."""
        create_file(self.path)
        self.assertRaises(
            StorageFailed, create_database, self.path, db_key=DB_KEY, clock=SetClock(), entropy=CountedEntropy()
        )
        self.assertTrue(self.path.exists())

    def test_no_folder(self) -> None:
        """A database in a folder that is not there is refused with the reason."""
        failure = self.assertRaises(StorageFailed, create_file, self.folder / "no" / "trus.db")
        self.assertIn("No such file", str(failure))
        failure = self.assertRaises(StorageFailed, WriterLock, self.folder / "no" / "trus.db")
        self.assertIn("cannot be locked", str(failure))

    def test_nothing_left_behind(self) -> None:
        """A database that cannot be made whole leaves no file behind."""
        for key in (b"short", DB_KEY):
            entropy = CountedEntropy()
            if key == DB_KEY:
                entropy.draw = _broken  # type: ignore[method-assign]
            self.assertRaises(
                (ValueError, RuntimeError), create_database, self.path, db_key=key, clock=SetClock(), entropy=entropy
            )
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_schema_fails(self) -> None:
        """A database that fails while it is made leaves nothing behind; one that fails while it is opened says so."""

        def failing(*_: object) -> None:
            raise dbapi2.OperationalError("disk I/O error")

        books = Books(self)
        books.close()
        self.patch(migrations, "stamp", failing)
        self.patch(migrations, "current", failing)
        making = partial(create_database, self.path, db_key=DB_KEY, clock=SetClock(), entropy=CountedEntropy())
        self.assertIn("cannot be made: disk I/O error", str(self.assertRaises(StorageFailed, making)))
        self.assertEqual(list(self.folder.iterdir()), [])
        failure = self.assertRaises(StorageFailed, open_books, books.path)
        self.assertIn("cannot be opened: disk I/O error", str(failure))
        failure = self.assertRaises(StorageFailed, open_for_reading, books.path, db_key=DB_KEY)
        self.assertIn("cannot be read: disk I/O error", str(failure))

    def test_cannot_open(self) -> None:
        """A file that the system does not let us open is told as such, not as a wrong key."""
        create_file(self.path)

        def refuse(*_: object, **__: object) -> None:
            raise dbapi2.OperationalError("unable to open database file")

        self.patch(dbapi2, "connect", refuse)
        failure = self.assertRaises(StorageFailed, open_engine, self.path, lambda: DB_KEY)
        self.assertIn("cannot be opened", str(failure))

    def test_damaged(self) -> None:
        """A file whose first page was altered does not open; one altered later is noticed at the page."""
        books = Books(self)
        books.close()
        content = bytearray(books.path.read_bytes())
        content[100] ^= 1
        books.path.write_bytes(content)
        self.assertRaises(WrongDatabaseKey, open_books, books.path)

    def test_damaged_page(self) -> None:
        """TR-13: one bit turned in any page stops the ledger: nothing is approved from a damaged file."""
        books = Books(self)
        books.close()
        content = bytearray(books.path.read_bytes())
        for page in range(1, len(content) // 2048):
            content[page * 2048 + 1000] ^= 1
        books.path.write_bytes(content)
        self.assertRaises(LedgerError, open_books, books.path)

    def test_later_version(self) -> None:
        """A database that a later version of trus has changed is refused, never guessed at."""
        books = Books(self)
        with books.ledger.order(books.clock.now()) as unit:
            unit.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        books.close()
        for opening in (lambda: open_books(books.path), lambda: open_for_reading(books.path, db_key=DB_KEY)):
            failure = self.assertRaises(StorageFailed, opening)
            self.assertIn("later version", str(failure))

    def test_keys_have_a_size(self) -> None:
        """A data key of another size than 32 bytes is a mistake of the caller."""
        create_file(self.path)
        self.assertRaises(ValueError, open_engine, self.path, lambda: b"short")

    def test_second_writer(self) -> None:
        """A backend started twice by mistake is refused, and the first goes on."""
        books = Books(self)
        failure = self.assertRaises(StorageFailed, open_books, books.path)
        self.assertIn("in use by another process", str(failure))
        books.pay()
        books.close()
        open_books(books.path).close()

    def test_lock_is_given_back(self) -> None:
        """An opening that failed leaves no lock behind, and a lock is given back once."""
        books = Books(self)
        books.close()
        self.assertRaises(ValueError, open_ledger, books.path, db_key=b"", lookup_key=LOOKUP_KEY,
            field_keys={1: FIELD_KEY}, clock=SetClock(), entropy=CountedEntropy())  # fmt: skip
        lock = WriterLock(books.path)
        lock.release()
        lock.release()
        open_books(books.path).close()

    def test_reading_alone(self) -> None:
        """The audit's connection cannot write, and works beside a writer and without one."""
        books = Books(self)
        for _ in range(2):
            engine = open_for_reading(books.path, db_key=DB_KEY)
            with engine.connect() as connection:
                self.assertEqual(connection.exec_driver_sql("SELECT count(*) FROM card").scalar(), 4)
                failure = self.assertRaises(DBAPIError, connection.exec_driver_sql, "DELETE FROM card")
                self.assertEqual(trouble(failure), Trouble.OTHER)
            engine.dispose()
            books.close()


def _broken(count: int) -> bytes:
    raise RuntimeError(f"no {count} bytes")


class TroubleCase(SynchronousTestCase):
    """What the engine's error codes mean."""

    def test_codes(self) -> None:
        """A full disk, a broken one and a refused row are told apart; what is unknown is not guessed."""
        for code, meaning in (
            (dbapi2.SQLITE_FULL, Trouble.FULL),
            (dbapi2.SQLITE_IOERR, Trouble.BROKEN),
            (dbapi2.SQLITE_IOERR | 4 << 8, Trouble.BROKEN),
            (dbapi2.SQLITE_CORRUPT, Trouble.BROKEN),
            (dbapi2.SQLITE_NOTADB, Trouble.BROKEN),
            (dbapi2.SQLITE_CONSTRAINT, Trouble.REFUSED),
            (dbapi2.SQLITE_BUSY, Trouble.OTHER),
            (None, Trouble.OTHER),
        ):
            failure = dbapi2.OperationalError("x")
            if code is not None:
                failure.sqlite_errorcode = code
            self.assertIs(trouble(failure), meaning)
