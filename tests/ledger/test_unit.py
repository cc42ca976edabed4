"""A unit of work at its ends: numbers leased and used up, salts of each event, what is kept of a batch."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from sqlalchemy import select, update
from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import LOADED, NOON, PANS, TODAY, Books, CountedEntropy
from trus.auth.ports import Event, PurseUpdate
from trus.errors import LedgerError, StorageFailed, Unbalanced
from trus.ledger import unit as units
from trus.ledger.days import NUMBERS_A_DAY, first_event
from trus.ledger.tables import account, business_day, card, chain_node, event, hold
from trus.ledger.unit import LEASED_NUMBERS, SqlUnit
from trus.receipts.links import HEAD_BYTES, NO_KEY


class UnitCase(SynchronousTestCase):
    """One batch after the other."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.ledger = self.books.ledger

    def unleased(self) -> int:
        with self.ledger.reading() as connection:
            return int(connection.execute(select(business_day.c.next_number)).scalar_one())

    def let_begin(self, number: int) -> None:
        """Let the next lease of the day begin with a number, for a ledger that is opened anew."""
        with self.ledger.order(NOON) as unit:
            unit.connection.execute(update(business_day).values(next_number=number))
        self.books.reopen()
        self.ledger = self.books.ledger

    def test_leases(self) -> None:
        """A thousand numbers are leased at once, used to the last one, and the rest is given up at a restart."""
        self.assertEqual((LEASED_NUMBERS, self.unleased()), (1_000, 1_001))
        self.let_begin(5_001)
        unit = self.ledger.begin(NOON)
        found = [unit.next_event() for _ in range(LEASED_NUMBERS + 1)]
        self.assertEqual([number - first_event(TODAY) for number, _ in found], list(range(5_001, 6_002)))
        self.assertEqual([rrn for _, rrn in (found[0], found[-1])], ["632400005001", "632400006001"])
        unit.commit()
        self.assertEqual(self.unleased(), 7_001)
        self.assertEqual(int(self.books.pay().rrn[4:]), 6_002)
        self.assertEqual(self.unleased(), 7_001)
        self.books.reopen()
        self.ledger = self.books.ledger
        self.assertEqual(int(self.books.pay().rrn[4:]), 7_001)

    def test_last_lease(self) -> None:
        """TR-5: the last thousand numbers of a day can be used; what is beyond them never is."""
        self.let_begin(NUMBERS_A_DAY - LEASED_NUMBERS)
        unit = self.ledger.begin(NOON)
        self.assertEqual(unit.next_event()[1], "632499999000")
        unit.rollback()
        self.let_begin(NUMBERS_A_DAY - LEASED_NUMBERS + 1)
        unit = self.ledger.begin(NOON)
        self.assertIn(TODAY, str(self.assertRaises(StorageFailed, unit.next_event)))
        unit.rollback()

    def test_frozen(self) -> None:
        """What a writer carries from one batch to the next is replaced, never changed."""
        for kind in (units.Numbering, units.Progress):
            self.assertTrue(kind.__struct_config__.frozen)

    def test_tree(self) -> None:
        """The nodes of the tree over the chain are stored with their events: a restart finds the tree as it was."""
        with self.ledger.order(NOON) as unit:
            for _ in range(300):
                unit.record(self.books.declined(unit))
        grown = self.ledger._writer.progress.tail
        self.books.reopen()
        self.assertEqual(self.books.ledger._writer.progress.tail, grown)
        with self.books.ledger.reading() as connection:
            self.assertTrue(connection.execute(select(chain_node)).all())

    def test_salts(self) -> None:
        """Each event of a batch has 16 random bytes of its own, drawn in their order."""
        with self.ledger.order(NOON) as unit:
            for who in range(3):
                unit.record(self.books.purchase(unit, who, 100))
            drawn: list[int] = []
            entropy = CountedEntropy("salts")

            def draw(count: int) -> bytes:
                drawn.append(count)
                return entropy.draw(count)

            self.patch(unit._entropy, "draw", draw)
        with self.ledger.reading() as connection:
            kept = connection.execute(select(event.c.salt).order_by(event.c.sequence.desc()).limit(3)).scalars().all()
        self.assertEqual((drawn, b"".join(reversed(kept))), ([48], CountedEntropy("salts").draw(48)))
        self.assertEqual({len(each) for each in kept}, {16})

    def test_nothing_recorded(self) -> None:
        """A unit without events stores nothing, draws nothing, and leaves the chain where it was."""
        head = self.ledger._writer.progress.head
        with self.ledger.order(NOON) as unit:
            self.patch(unit._entropy, "draw", _never)
        self.assertEqual(self.ledger._writer.progress.head, head)

    def test_over(self) -> None:
        """A unit ends once: a second commit is a mistake of the caller, a rollback afterwards is none."""
        unit = self.ledger.begin(NOON)
        unit.record(self.books.purchase(unit, 0, 100))
        unit.commit()
        self.assertIn("is over", str(self.assertRaises(LedgerError, unit.commit)))
        unit.rollback()
        self.assertEqual(self.books.balance(self.books.purses[0]), LOADED - 100)
        given_up = self.ledger.begin(NOON)
        given_up.rollback()
        given_up.rollback()
        self.assertRaises(LedgerError, given_up.commit)
        self.books.pay()

    def failing(self, unit: SqlUnit, act: Callable[[], object]) -> None:
        """Expect a refusal of the database to end a unit, and the next one to go on."""
        self.assertIn("disk I/O error", str(self.assertRaises(StorageFailed, act)))
        unit.rollback()
        self.assertRaises(LedgerError, unit.commit)

    def test_reading_fails(self) -> None:
        """A read that the disk refuses ends the unit; nothing of it is stored, and no second rollback is needed."""
        unit = self.ledger.begin(NOON)
        self.patch(unit._facts, "read", _refused)
        self.failing(unit, lambda: unit.read(identities=[], terminals=[], card_keys=[]))

    def test_risk_account_fails(self) -> None:
        """The same holds of the account for what the issuer bears."""
        unit = self.ledger.begin(NOON)
        self.patch(units, "risk_account", _refused)
        self.failing(unit, lambda: unit.risk_account("USD"))

    def test_origin_fails(self) -> None:
        """So does one of where credit came from."""
        unit = self.ledger.begin(NOON)
        self.patch(units, "origin_of", _refused)
        self.failing(unit, lambda: unit.origin(1))

    def test_receipts(self) -> None:
        """An answer that was committed has its place in the journal, any other none; without a head its key is none."""
        named = self.books.identity()
        unit = self.ledger.begin(NOON)
        unit.record(self.books.purchase(unit, 0, 100, named))
        self.assertIsNone(unit.receipt(named))
        unit.commit()
        receipt = unit.receipt(named)
        assert receipt is not None
        head = self.ledger._writer.progress.head
        self.assertEqual((receipt.slot, receipt.sequence), (head.slot, head.sequence))
        self.assertIsNone(unit.receipt(self.books.identity()))
        self.assertEqual(self.ledger._writer.progress.signing, (bytes(HEAD_BYTES), NO_KEY))


class RecordingCase(SynchronousTestCase):
    """What one event may do, and what is kept of it."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.ledger = self.books.ledger
        self.unit = self.ledger.begin(NOON)
        self.addCleanup(self.unit.rollback)
        self.event = self.books.purchase(self.unit, 0, 100)

    def update(self, **changes: int | None) -> Event:
        return replace(self.event, purses=(replace(self.event.purses[0], **changes),))

    def test_held(self) -> None:
        """What is set aside is from nothing to all that is left."""
        left = LOADED - 100
        for held in (-1, left + 1):
            self.assertIn("more aside", str(self.assertRaises(Unbalanced, self.unit.record, self.update(held=held))))
        self.unit.record(self.update(held=left))
        again = self.books.approved(self.unit, 0, left, 50, self.books.identity())
        self.unit.record(replace(again, purses=(replace(again.purses[0], held=0),)))
        self.unit.commit()
        with self.ledger.reading() as connection:
            held = connection.execute(select(account.c.held).where(account.c.id == self.books.purses[0])).scalar_one()
        self.assertEqual(held, 0)

    def test_unread(self) -> None:
        """An account that the unit has not read cannot be set."""
        unread = PurseUpdate(self.books.purses[1], 0, "", 0, 0)
        failure = self.assertRaises(Unbalanced, self.unit.record, replace(self.event, purses=(unread,)))
        self.assertIn("was not read", str(failure))

    def test_apart(self) -> None:
        """A balance that is off by a cent is refused, and so is a move without its balance; the batch goes on."""
        for balance in (LOADED - 99, LOADED - 101):
            failure = self.assertRaises(Unbalanced, self.unit.record, self.update(balance=balance))
            self.assertIn("apart from its entries", str(failure))
        failure = self.assertRaises(Unbalanced, self.unit.record, replace(self.event, purses=()))
        self.assertIn("without its balance", str(failure))
        self.unit.record(self.event)
        self.unit.commit()
        self.assertEqual(self.books.balance(self.books.purses[0]), LOADED - 100)

    def test_holds(self) -> None:
        """A pre-authorization is kept with its account, its amount and its end, and what it stands for again."""
        later = int(NOON.timestamp() + 3600) * 1_000_000
        purse = self.books.purses[0]
        self.unit.record(replace(self.event, hold_until=later, holds=((purse, 100),)))
        other = self.books.approved(self.unit, 0, LOADED - 100, 200, self.books.identity())
        self.unit.record(replace(other, hold_until=later + 1, holds=((purse, 150),), restores=self.event.event_id))
        self.unit.commit()
        with self.ledger.reading() as connection:
            rows = connection.execute(select(hold).order_by(hold.c.event_id)).all()
        self.assertEqual(
            [tuple(row) for row in rows],
            [
                (self.event.event_id, purse, 100, later, None),
                (other.event_id, purse, 150, later + 1, self.event.event_id),
            ],
        )
        with self.ledger.order(NOON) as unit:
            ending = self.books.purchase(unit, 1, 10)
            unit.record(replace(ending, original=self.event.event_id, ends_hold=True))
        with self.ledger.reading() as connection:
            left = connection.execute(select(hold.c.event_id)).scalars().all()
        self.assertEqual(list(left), [other.event_id])

    def test_signals(self) -> None:
        """What a card did lately is kept with the event that says so."""
        self.unit.record(replace(self.event, signals=(1, "[7,2]")))
        self.unit.commit()
        with self.ledger.reading() as connection:
            self.assertEqual(connection.execute(select(card.c.signals).where(card.c.id == 1)).scalar_one(), "[7,2]")

    def test_read_twice(self) -> None:
        """Inside a unit the last recorded balance counts, also before it is stored."""
        self.unit.record(self.event)
        purse = self.books.purses[0]
        self.assertEqual((self.unit.held(purse, 5), self.unit.held(9_999, 5)), (LOADED - 100, 5))
        self.assertEqual(self.unit.at, int(NOON.timestamp()) * 1_000_000)
        self.assertEqual(len(self.unit.draw(7)), 7)
        facts = self.ledger.card_key(PANS[0])
        self.assertEqual(len(facts), 16)


def _never(count: int) -> bytes:
    raise AssertionError(f"{count} bytes are drawn for nothing")


def _refused(*_: object) -> None:
    raise dbapi2.OperationalError("disk I/O error")
