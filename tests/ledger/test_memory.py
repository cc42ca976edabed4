"""A ledger's database in memory keeps what is committed, forgets what is not, and begins anew."""

from __future__ import annotations

from pathlib import Path

from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import DB_KEY, CountedEntropy, SetClock
from trus.ledger.compose import create_database
from trus.ledger.dialect import Direct
from trus.ledger.memory import MemoryDatabase

_DATE = "SELECT date FROM business_day WHERE state = 'open'"
_CHANGE = "UPDATE business_day SET date = ? WHERE state = 'open'"


class MemoryCase(SynchronousTestCase):
    def setUp(self) -> None:
        path = Path(self.mktemp()).absolute()
        create_database(path, db_key=DB_KEY, clock=SetClock(), entropy=CountedEntropy())
        self.content = path.read_bytes()
        self.database = MemoryDatabase(self.content, DB_KEY)

    def connect(self) -> Direct:
        """Return a connection to the ledger."""
        return Direct(self.database.engine.connect())

    def test_units(self) -> None:
        """What is committed is seen by the next connection, what is not is forgotten when its connection closes."""
        writer = self.connect()
        self.assertEqual(writer.checkpoint(truncate=True), (0, 0))
        writer.rollback()
        writer.begin()
        writer.send(_CHANGE, [("2031-01-01",)])
        writer.commit()
        writer.commit()
        writer.begin()
        writer.send(_CHANGE, [("2031-01-02",)])
        self.assertRaises(dbapi2.OperationalError, self.connect().begin)
        writer.close()
        reader = self.connect()
        reader.begin_reading()
        self.assertEqual(reader.rows(_DATE, ()), [("2031-01-01",)])
        reader.rollback()
        self.assertEqual(self.database.peeked, 0)

    def test_a_look_inside_a_unit_is_counted(self) -> None:
        """Whoever reads while a unit is open would see what is not committed: that is counted."""
        writer = self.connect()
        writer.begin()
        self.connect().begin_reading()
        self.assertEqual(self.database.peeked, 1)
        writer.rollback()

    def test_anew(self) -> None:
        """Set back, the database is as it was at first; a copy can be kept, which anybody may open."""
        writer = self.connect()
        founded = writer.rows(_DATE, ())
        for _ in range(2):
            writer = self.connect()
            writer.begin()
            writer.send(_CHANGE, [("2031-01-01",)])
            writer.commit()
            self.assertNotEqual(writer.rows(_DATE, ()), founded)
            writer.close()
            self.database.set_back()
            self.assertEqual(self.connect().rows(_DATE, ()), founded)
        kept = Path(self.mktemp()).absolute()
        self.database.save(kept)
        with dbapi2.connect(str(kept)) as copy:
            self.assertEqual(copy.execute(_DATE).fetchall(), founded)

    def test_two(self) -> None:
        """Two databases have nothing to do with each other."""
        one, two = self.connect(), Direct(MemoryDatabase(self.content, DB_KEY).engine.connect())
        one.begin()
        two.begin()
        one.send(_CHANGE, [("2031-01-01",)])
        one.commit()
        self.assertNotEqual(two.rows(_DATE, ()), one.rows(_DATE, ()))
