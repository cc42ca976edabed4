"""One engine for one ledger file after the other."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import DB_KEY, LOADED, Books
from trus.errors import StorageFailed, WrongDatabaseKey
from trus.ledger.reopening import open_again


class ReopeningCase(SynchronousTestCase):
    """Two ledgers that a process opens in turn."""

    def setUp(self) -> None:
        self.one, self.two = Books(self), Books(self)
        for number, books in enumerate((self.one, self.two)):
            books.pay(0, 100 * (number + 1))
            books.close()

    def open(self, books: Books, *, read_only: bool = False) -> Engine:
        engine = open_again(books.path, lambda: DB_KEY, read_only=read_only)
        self.addCleanup(engine.dispose)
        return engine

    def balance(self, engine: Engine) -> int:
        with engine.connect() as connection:
            query = f"SELECT balance FROM account WHERE id = {self.one.purses[0]}"
            return int(connection.exec_driver_sql(query).scalar_one())

    def test_in_turn(self) -> None:
        """The same engine shows the file that was opened last, and nothing of the one before."""
        engines = []
        for books, spent in ((self.one, 100), (self.two, 200), (self.one, 100)):
            engines.append(self.open(books))
            self.assertEqual(self.balance(engines[-1]), LOADED - spent)
        self.assertEqual(len(set(map(id, engines))), 1)

    def test_reading_alone(self) -> None:
        """An engine that was opened for reading writes nothing, and is another one than that which writes."""
        reader = self.open(self.one, read_only=True)
        self.assertIsNot(reader, self.open(self.two))
        self.assertEqual(self.balance(reader), LOADED - 100)
        with reader.connect() as connection:
            self.assertRaises(DBAPIError, connection.exec_driver_sql, "DELETE FROM entry")

    def test_refused(self) -> None:
        """A file that is not there, or does not open under the key, is refused in one sentence."""
        failure = self.assertRaises(StorageFailed, open_again, self.one.path.with_name("none.db"), lambda: DB_KEY)
        self.assertIn("there is no database at", str(failure))
        self.assertRaises(WrongDatabaseKey, open_again, self.one.path, lambda: b"x" * 32)
        self.assertEqual(self.balance(self.open(self.one)), LOADED - 100)
