"""A ledger is made, and opened under the right keys, in the right slot and at the right version, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import Connection, select
from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import DB_KEY, FIELD_KEY, LOOKUP_KEY, NOON, PANS, TODAY, Books, CountedEntropy, SetClock
from trus.errors import StorageFailed
from trus.ledger import migrations
from trus.ledger.compose import ONLY_SLOT, Opened, create_database, open_for_reading, open_under
from trus.ledger.facts import OLDEST_REQUEST_DAYS
from trus.ledger.keyring import VersionKeys
from trus.ledger.lookup import CardLookup
from trus.ledger.restoring import raise_epoch
from trus.ledger.rotation_state import Phase, add_rotation, save
from trus.ledger.tables import business_day, event
from trus.ledger.writer import ledger_id
from trus.values import BusinessDate

TOMORROW = BusinessDate("2026-11-21")
OLD_LOOKUP = b"o" * 32


class Keys:
    """The versions of K_DB: the second one is the ledger's, the first only finds cards of before."""

    def __init__(self) -> None:
        self.held = {
            1: VersionKeys(1, b"o" * 32, OLD_LOOKUP, b"o" * 32),
            2: VersionKeys(2, DB_KEY, LOOKUP_KEY, FIELD_KEY),
        }

    def versions(self) -> Sequence[int]:
        return sorted(self.held)

    def keys(self, version: int) -> VersionKeys:
        return self.held[version]

    def generate(self) -> int:
        raise NotImplementedError

    def destroy(self, version: int) -> None:
        raise NotImplementedError


class MakingCase(SynchronousTestCase):
    """What a new ledger holds."""

    def made(self, name: str, seed: str, business_date: str | None = None) -> tuple[str, str]:
        folder = self.books.folder
        clock = SetClock()
        clock.advance(timedelta(hours=11).total_seconds())
        told = {} if business_date is None else {"business_date": business_date}
        create_database(folder / name, db_key=DB_KEY, clock=clock, entropy=CountedEntropy(seed), **told)  # type: ignore[arg-type]
        engine = open_for_reading(folder / name, db_key=DB_KEY)
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            [(day, number)] = connection.execute(select(business_day.c.date, business_day.c.next_number)).all()
            self.assertEqual(number, 1)
            return day, ledger_id(connection)

    def test_made(self) -> None:
        """A new ledger opens on the clock's date unless told another, and has a name of 16 random bytes for itself."""
        self.books = Books(self)
        day, name = self.made("one.db", "one")
        self.assertEqual((day, name), (TODAY, CountedEntropy("one").draw(16).hex()))
        self.assertEqual(self.made("two.db", "two", "2026-12-24"), ("2026-12-24", CountedEntropy("two").draw(16).hex()))


class OpeningCase(SynchronousTestCase):
    """A ledger that is opened with the keys of a token."""

    def setUp(self) -> None:
        self.books = Books(self)

    def open(self) -> Opened:
        self.books.close()
        opened = open_under(self.books.path, Keys(), clock=SetClock(), entropy=CountedEntropy("again"))
        self.addCleanup(opened.ledger.close)
        self.books.ledger = opened.ledger
        return opened

    def slots(self) -> list[int]:
        with self.books.ledger.reading() as connection:
            return list(connection.execute(select(event.c.slot).distinct().order_by(event.c.slot)).scalars())

    def test_version(self) -> None:
        """The version under which the file opens is found, and payments go on in the only slot."""
        opened = self.open()
        self.assertEqual((opened.file_version, opened.epoch), (2, 0))
        self.books.pay()
        self.assertEqual(self.slots(), [ONLY_SLOT])

    def test_restored(self) -> None:
        """TR-5: each restoration begins a slot of its own, whose links no lost state had."""
        for epoch in (1, 2):
            raise_epoch(self.books.ledger, NOON, TODAY)
            self.assertEqual(self.open().epoch, epoch)
            self.books.pay()
        self.assertEqual(self.slots(), [ONLY_SLOT, ONLY_SLOT + 1, ONLY_SLOT + 2])
        self.assertTrue(self.books.audit().sound)

    def test_keys_of_before(self) -> None:
        """An older key tells cards as long as a request from before may come again, by the open business date."""
        begun = BusinessDate((NOON - timedelta(days=OLDEST_REQUEST_DAYS)).date().isoformat())
        with self.books.ledger.order(NOON) as unit:
            row = add_rotation(unit.connection, 1, 2, "admin/root", at=unit.at, on=begun)
            save(unit.connection, replace(row, phase=Phase.DONE))
        former = CardLookup(OLD_LOOKUP).card_key(PANS[0])
        self.assertEqual(self.open().ledger.card_names(PANS[0]).repeated, (former,))
        self.books.ledger.advance_day(NOON, TOMORROW)
        self.assertEqual(self.open().ledger.card_names(PANS[0]).repeated, ())

    def older(self, fails: bool = False) -> None:
        """Let the ledger stand at the version before, from which a step leads here."""
        with self.books.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
        self.patch(migrations, "known", lambda name: name == "0000")

        def step(connection: Connection) -> None:
            if fails:
                raise dbapi2.OperationalError("disk I/O error")
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{migrations.head()}'")

        self.patch(migrations, "upgrade", step)

    def test_upgraded(self) -> None:
        """An older schema is brought up to date when the ledger is opened with the keys of a token."""
        self.older()
        self.open()
        with self.books.ledger.reading() as connection:
            self.assertEqual(migrations.current(connection), migrations.head())

    def test_upgrade_fails(self) -> None:
        """A step that the disk refuses is told with its reason, and leaves neither a lock nor the step behind."""
        self.older(fails=True)
        failure = self.assertRaises(StorageFailed, self.open)
        self.assertIn("cannot be opened: disk I/O error", str(failure))
        self.patch(migrations, "upgrade", lambda connection: None)
        self.open()
        self.books.close()
        failure = self.assertRaises(StorageFailed, open_for_reading, self.books.path, db_key=DB_KEY)
        self.assertIn("start the backend once", str(failure))

    def test_later_version(self) -> None:
        """The ledger of a later version is refused with the keys of a token too, and its lock is given back."""
        with self.books.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        for _ in range(2):
            self.assertIn("later version", str(self.assertRaises(StorageFailed, self.open)))
