"""Look-ups outside of the hot path: prepared statements, and the connections that read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sqlalchemy import Connection, bindparam, insert, select, text
from sqlalchemy.exc import NoResultFound
from sqlcipher3 import dbapi2
from twisted.trial import unittest

from trus.errors import StorageFailed
from trus.ledger.dialect import Direct
from trus.ledger.engine import create_file, open_engine
from trus.ledger.prepared import Prepared, PreparedSets
from trus.ledger.readers import Readers
from trus.ledger.tables import meta

_VALUE = Prepared(select(meta.c.value).where(meta.c.name == bindparam("called")))
_NAMES = Prepared(select(meta.c.name, meta.c.value).where(meta.c.value != "no").order_by(meta.c.name))
_PUT = Prepared(insert(meta), ("name", "value"))
_AMONG = PreparedSets(
    lambda names: (
        select(meta.c.name)
        .where(meta.c.name.in_([bindparam(each) for each in names]), meta.c.value != bindparam("but"))
        .order_by(meta.c.name)
    )
)


class Asking(unittest.SynchronousTestCase):
    """A database with the table `meta`, on a file."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "trus.db")
        create_file(path)
        self.engine = open_engine(path, lambda: b"k" * 32)
        self.addCleanup(self.engine.dispose)
        with self.engine.begin() as connection:
            meta.create(connection)

    def fill(self, count: int) -> None:
        """Store so many rows, the value of each the last digit of its name."""
        with self.engine.connect() as connection:
            for number in range(count):
                _PUT.send(connection, name=f"n{number:03d}", value=str(number % 10))


class Prepare(Asking):
    def test_answers(self) -> None:
        """TR-13: a prepared statement answers with rows, a value, a column or pairs, and says what is not there."""
        self.fill(2)
        with self.engine.connect() as connection:
            self.assertEqual(_VALUE.value(connection, called="n001"), "1")
            self.assertIsNone(_VALUE.value(connection, called="n9"))
            self.assertEqual(_VALUE.first(connection, called="n000"), ("0",))
            self.assertIsNone(_VALUE.first(connection, called="n9"))
            self.assertEqual(_VALUE.only(connection, called="n001"), "1")
            self.assertRaises(NoResultFound, _VALUE.only, connection, called="n9")
            self.assertEqual(_NAMES.rows(connection), [("n000", "0"), ("n001", "1")])
            self.assertEqual(_NAMES.column(connection), ["n000", "n001"])
            self.assertEqual(_NAMES.pairs(connection), {"n000": "0", "n001": "1"})

    def test_every_value_is_given(self) -> None:
        """A value that is forgotten is an error, never NULL."""
        with self.engine.connect() as connection:
            self.assertRaises(KeyError, _VALUE.rows, connection)
            self.assertRaises(KeyError, _PUT.send, connection, name="n")

    def test_sets(self) -> None:
        """A set of any size is asked in pieces: none, one, several, more than a statement takes."""
        self.fill(150)
        names = [f"n{number:03d}" for number in range(150)]
        with self.engine.connect() as connection:
            for count in (0, 1, 3, 64, 65, 150):
                wanted = names[:count]
                found = [row[0] for row in _AMONG.rows(connection, wanted, but="3")]
                self.assertEqual(found, [each for each in wanted if each[-1] != "3"])
            self.assertEqual(_AMONG.rows(connection, ["gone"], but=""), [])


class Lending(Asking):
    def setUp(self) -> None:
        super().setUp()
        self.readers = Readers(self.engine)
        self.addCleanup(self.readers.close)

    def test_one_rests(self) -> None:
        """A look gives its connection back for the next; a look inside a look has another one."""
        with self.readers.snapshot() as first, self.readers.snapshot() as second:
            self.assertIsNot(first, second)
        with self.readers.snapshot() as again:
            self.assertIs(again, second)

    def test_one_snapshot(self) -> None:
        """What is committed during a look is seen by the next one; a connection at rest sees nothing old."""
        with self.readers.snapshot() as looking:
            self.assertEqual(_NAMES.rows(looking), [])
            self.fill(1)
            self.assertEqual(_NAMES.rows(looking), [])
        with self.readers.snapshot() as looking:
            self.assertEqual(_NAMES.rows(looking), [("n000", "0")])
            # Through SQLAlchemy as well, whose own transaction ends with the look.
            self.assertEqual(len(looking.execute(select(meta)).all()), 1)
        self.fill_more()
        with self.readers.snapshot() as looking:
            self.assertEqual(len(looking.execute(select(meta)).all()), 2)

    def fill_more(self) -> None:
        """Store one row more."""
        with self.engine.connect() as connection:
            _PUT.send(connection, name="more", value="1")

    def test_no_checkpoint_waits(self) -> None:
        """A connection at rest holds back no checkpoint: the log is emptied."""
        with self.readers.snapshot():
            pass
        self.fill(1)
        with self.engine.connect() as connection:
            self.assertEqual(Direct(connection).checkpoint(truncate=True), (0, 0))

    def test_after_an_error(self) -> None:
        """A look that ends in an error leaves no connection at rest; the storage's own errors are said as such."""
        seen: list[Connection] = []

        def look(failure: Exception) -> None:
            with self.readers.snapshot() as connection:
                seen.append(connection)
                raise failure

        self.assertRaises(KeyError, look, KeyError())
        self.assertRaises(KeyError, look, KeyError())
        self.assertIsNot(seen[0], seen[1])
        for failure in (dbapi2.OperationalError("disk I/O error"), NoResultFound("gone")):
            self.assertRaises(StorageFailed, look, failure)
        with self.assertRaises(StorageFailed), self.readers.snapshot() as looking:
            looking.execute(text("SELECT * FROM nothing"))

    def test_closed(self) -> None:
        """After the end nothing rests: what comes back late is closed."""
        with self.readers.snapshot() as looking:
            self.readers.close()
        self.assertTrue(looking.closed)
        with self.readers.snapshot() as once:
            pass
        self.assertTrue(once.closed)
        self.readers.close()
