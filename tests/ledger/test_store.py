"""Units of work: facts read, events recorded, one durable commit."""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import LOADED, NOON, PANS, TODAY, Books, rid_of
from trus.auth.model import CardFacts, State, TerminalFacts
from trus.auth.policy import Policy
from trus.auth.ports import BatchTotals, Posting, PurseUpdate
from trus.errors import LedgerError, StorageFailed, Unbalanced
from trus.ledger.days import day_of, first_event
from trus.ledger.tables import account, card, event
from trus.values import BusinessDate, Identity, ShopId, TerminalId

TOMORROW = BusinessDate("2026-11-21")


class FactsCase(SynchronousTestCase):
    """What a unit of work reads."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.ledger = self.books.ledger

    def test_facts(self) -> None:
        """TR-11: terminals, cards and policies are found by what a request names, and nothing else is."""
        unit = self.ledger.begin(NOON)
        self.addCleanup(unit.rollback)
        key, unknown = self.ledger.card_key(PANS[1]), self.ledger.card_key("9999990000009999")
        facts = unit.read(identities=[], terminals=["T0000001", "T0000009"], card_keys=[key, unknown])
        self.assertEqual(
            facts.terminals,
            {
                "T0000001": TerminalFacts(
                    TerminalId("T0000001"), State.ACTIVE, ShopId("BISTRO"), 1, "Bistro", State.ACTIVE, "5812", "USD",
                    self.books.shops[0],
                )
            },
        )  # fmt: skip
        self.assertEqual(list(facts.cards), [key])
        found = facts.cards[key]
        self.assertIsInstance(found, CardFacts)
        self.assertEqual(
            (found.card, found.state, found.expiry, found.tries_left, found.company_id, found.balance, found.currency),
            ("CARD00000001", State.ACTIVE, "3012", 3, 2, LOADED, "USD"),
        )
        self.assertEqual(facts.cards_by_id, {2: found})
        self.assertEqual([each.daily_amount for each in facts.policies[2]], [5_000])
        self.assertIsInstance(facts.policies[2][0], Policy)
        self.assertEqual((facts.requests, facts.totals), ({}, {}))

    def test_many_keys(self) -> None:
        """A batch larger than one statement's keys is read whole."""
        unit = self.ledger.begin(NOON)
        self.addCleanup(unit.rollback)
        keys = [self.ledger.card_key(PANS[0]), *(self.ledger.card_key(str(number)) for number in range(150))]
        keys.append(self.ledger.card_key(PANS[3]))
        names = [f"T{number:07d}" for number in range(200)]
        asked = [Identity(TerminalId(name), TODAY, 1) for name in names]
        facts = unit.read(identities=asked, terminals=names, card_keys=keys)
        self.assertEqual([each.card for each in facts.cards.values()], ["CARD00000000", "CARD00000003"])
        self.assertEqual(sorted(facts.terminals), ["T0000001", "T0000002"])

    def test_newest_policy_first(self) -> None:
        """A company's dated policies come newest first."""
        with self.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql(
                "INSERT INTO policy (company_id, valid_from, document, created_at) VALUES (1, '2026-12-01', '{}', 0)"
            )
        unit = self.ledger.begin(NOON)
        self.addCleanup(unit.rollback)
        facts = unit.read(identities=[], terminals=[], card_keys=[self.ledger.card_key(PANS[0])])
        self.assertEqual([each.valid_from for each in facts.policies[1]], ["2026-12-01", "2020-01-01"])

    def test_stored_request(self) -> None:
        """A request that was answered before is found with its answer, what it moved, and its card."""
        paid = self.books.pay(2, 700)
        identity = paid.identity
        assert identity is not None
        unit = self.ledger.begin(NOON)
        self.addCleanup(unit.rollback)
        facts = unit.read(identities=[identity, replace(identity, stan=99)], terminals=[], card_keys=[])
        [(found, stored)] = facts.requests.items()
        self.assertEqual(found, identity)
        self.assertEqual(
            (stored.event_id, stored.kind, stored.rid, stored.digest, stored.amount, stored.authorized),
            (paid.event_id, "purchase", rid_of(identity), paid.digest, 700, 700),
        )
        self.assertEqual((stored.answer, stored.rrn, stored.reversed_by), (paid.answer, paid.rrn, 0))
        self.assertEqual((stored.postings, stored.counter_day, stored.card_id), (paid.postings, TODAY, 3))
        self.assertEqual(facts.cards_by_id[3].balance, LOADED - 700)
        self.assertEqual(facts.cards, {})


class CommitCase(SynchronousTestCase):
    """What a unit of work writes."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.ledger = self.books.ledger

    def test_purchase(self) -> None:
        """TR-11: after the commit purse, journal and chain say the same, also to a new connection."""
        paid = self.books.pay(0, 1_250)
        self.assertEqual(self.books.balance(self.books.purses[0]), LOADED - 1_250)
        self.books.reopen()
        assert paid.identity is not None
        [stored] = self.books.ledger.stored([paid.identity]).values()
        self.assertEqual(stored.answer, paid.answer)
        self.assertTrue(self.books.audit().sound)

    def test_batch(self) -> None:
        """Two purchases of one purse in one batch leave one row, at the last balance."""
        unit = self.ledger.begin(NOON)
        first = self.books.purchase(unit, 0, 1_000)
        unit.record(first)
        unit.record(self.books.approved(unit, 0, LOADED - 1_000, 500, self.books.identity()))
        unit.commit()
        self.assertEqual(self.books.balance(self.books.purses[0]), LOADED - 1_500)
        self.assertTrue(self.books.audit().sound)

    def test_tries(self) -> None:
        """A wrong PIN's counter is in the same commit as its answer."""
        unit = self.ledger.begin(NOON)
        unit.record(self.books.declined(unit, tries=2))
        unit.record(self.books.declined(unit, tries=1))
        unit.commit()
        with self.ledger.reading() as connection:
            self.assertEqual(connection.execute(select(card.c.tries_left).where(card.c.id == 1)).scalar(), 1)

    def test_rollback(self) -> None:
        """A batch that is given up leaves nothing: no event, no balance, no gap in the chain."""
        unit = self.ledger.begin(NOON)
        unit.record(self.books.purchase(unit))
        unit.rollback()
        unit.rollback()
        self.assertEqual(self.books.balance(self.books.purses[0]), LOADED)
        self.books.pay()
        self.assertTrue(self.books.audit().sound)

    def test_one_at_a_time(self) -> None:
        """A second unit of work is refused while one is open, and a unit cannot end twice."""
        unit = self.ledger.begin(NOON)
        self.assertRaises(LedgerError, self.ledger.begin, NOON)
        unit.commit()
        self.assertRaises(LedgerError, unit.commit)

    def test_identity_is_unique(self) -> None:
        """Exactly once: a second event under one identity fails for certain, whatever the core thought."""
        paid = self.books.pay()
        unit = self.ledger.begin(NOON)
        again = self.books.purchase(unit, 1, 300, paid.identity)
        unit.record(again)
        self.assertRaises(StorageFailed, unit.commit)
        self.assertEqual(self.books.balance(self.books.purses[1]), LOADED)
        self.books.pay(1)
        self.assertTrue(self.books.audit().sound)

    def test_floor(self) -> None:
        """No purse goes below zero: the database itself refuses the batch."""
        unit = self.ledger.begin(NOON)
        unit.record(self.books.purchase(unit, 0, LOADED + 1))
        self.assertRaises(StorageFailed, unit.commit)
        self.assertEqual(self.books.balance(self.books.purses[0]), LOADED)

    def test_reversal(self) -> None:
        """A request is taken back once: the second reversal fails, whatever its identity."""
        paid = self.books.pay(0, 800)
        assert paid.identity is not None
        [stored] = self.ledger.stored([paid.identity]).values()
        for attempt in range(2):
            unit = self.ledger.begin(NOON)
            facts = unit.read(identities=[paid.identity], terminals=[], card_keys=[])
            balance = facts.cards_by_id[1].balance
            taken = self.books.reversal(unit, stored, self.books.identity(), balance)
            unit.record(taken)
            if attempt == 0:
                unit.commit()
                [now] = self.ledger.stored([paid.identity]).values()
                self.assertEqual(now.reversed_by, taken.event_id)
            else:
                self.assertRaises(StorageFailed, unit.commit)
        self.assertEqual(self.books.balance(self.books.purses[0]), LOADED)
        self.assertTrue(self.books.audit().sound)

    def test_unbalanced(self) -> None:
        """Entries that do not sum to zero are refused, and the batch goes on without them."""
        unit = self.ledger.begin(NOON)
        good = self.books.purchase(unit)
        purse, till = self.books.purses[0], self.books.shops[0]
        for postings in (
            (Posting(purse, -1_250, "USD"),),
            (Posting(purse, -1_250, "USD"), Posting(till, 1_249, "USD")),
            (Posting(purse, -1_250, "USD"), Posting(till, 1_250, "EUR")),
        ):
            self.assertRaises(Unbalanced, unit.record, replace(good, postings=postings))
        unit.record(good)
        unit.commit()
        self.assertTrue(self.books.audit().sound)

    def test_balance_follows(self) -> None:
        """A purse's new balance must be its old one and the entries; a purse never moves without it."""
        unit = self.ledger.begin(NOON)
        good = self.books.purchase(unit)
        purse, stranger = self.books.purses[0], self.books.purses[3]
        wrong = PurseUpdate(purse, LOADED, TODAY, 0, 0)
        self.assertRaises(Unbalanced, unit.record, replace(good, purses=(wrong,)))
        self.assertRaises(Unbalanced, unit.record, replace(good, purses=()))
        unread = PurseUpdate(stranger, LOADED, TODAY, 0, 0)
        self.assertRaises(Unbalanced, unit.record, replace(good, purses=(*good.purses, unread)))
        unit.rollback()
        self.assertEqual(self.books.balance(purse), LOADED)

    def test_set_aside(self) -> None:
        """What is set aside is never more than the purse has, nor less than nothing."""
        unit = self.ledger.begin(NOON)
        good = self.books.purchase(unit, 0, 100)
        [left] = good.purses
        for held in (-1, left.balance + 1):
            wrong = replace(left, held=held)
            self.assertRaises(Unbalanced, unit.record, replace(good, purses=(wrong,)))
        unit.record(replace(good, purses=(replace(left, held=left.balance),)))
        unit.commit()
        with self.ledger.reading() as connection:
            query = select(account.c.held).where(account.c.id == left.account)
            self.assertEqual(connection.execute(query).scalar(), LOADED - 100)

    def test_numbers(self) -> None:
        """Reference numbers are the year's last digit, the day of the year and a number, each used once."""
        numbers = [self.books.pay(0, 1).rrn for _ in range(3)]
        self.assertTrue(all(each.startswith("6324") for each in numbers))
        self.books.reopen()
        numbers.append(self.books.pay(0, 1).rrn)
        self.assertEqual(len(set(numbers)), 4)
        self.assertEqual(sorted(numbers), numbers)

    def test_numbers_run_out(self) -> None:
        """A business date without numbers left fails for certain, and the next date goes on."""
        with self.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql("UPDATE business_day SET next_number = 99999500")
        self.books.reopen()
        self.assertRaises(StorageFailed, self.books.pay)
        self.books.ledger.advance_day(NOON)
        self.books.pay()


class DayCase(SynchronousTestCase):
    """Business dates."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.ledger = self.books.ledger

    def test_cut_over(self) -> None:
        """After cut-over an event's ledger date is the new one, whatever date its request carries."""
        before = self.books.pay()
        self.assertEqual(self.ledger.advance_day(NOON), TOMORROW)
        after = self.books.pay(0, 100, self.books.identity(0, TODAY))
        self.assertEqual((day_of(before.event_id), day_of(after.event_id)), (TODAY, TOMORROW))
        self.assertEqual(after.event_id, first_event(TOMORROW) + 1)
        self.assertTrue(after.rrn.startswith("6325"))
        unit = self.ledger.begin(NOON)
        self.addCleanup(unit.rollback)
        self.assertEqual((unit.business_date, unit.previous_date), (TOMORROW, TODAY))
        self.assertTrue(self.books.audit().sound)

    def test_skipped_days(self) -> None:
        """The operator may open a later date, never an earlier one."""
        monday = BusinessDate("2026-11-23")
        self.assertEqual(self.ledger.advance_day(NOON, monday), monday)
        self.assertRaises(ValueError, self.ledger.advance_day, NOON, monday)
        self.assertEqual(self.ledger.business_date(), monday)
        self.books.pay()

    def test_no_open_day(self) -> None:
        """A ledger without an open business date takes no event and says so."""
        with self.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql("UPDATE business_day SET state = 'closed'")
        self.assertRaises(StorageFailed, self.ledger.begin, NOON)
        self.assertRaises(StorageFailed, self.ledger.business_date)


class TotalsCase(SynchronousTestCase):
    """What a terminal's batch holds when it closes."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.ledger = self.books.ledger

    def totals(self, *terminals: str) -> dict[str, BatchTotals]:
        unit = self.ledger.begin(NOON)
        try:
            return unit.read(identities=[], terminals=[], card_keys=[], closing=terminals).totals
        finally:
            unit.rollback()

    def test_totals(self) -> None:
        """Approved purchases and reversals count since the last approved close-batch, declines never."""
        paid = self.books.pay(0, 700)
        self.books.pay(1, 300)
        self.books.pay(2, 50, shop=1)
        assert paid.identity is not None
        [stored] = self.ledger.stored([paid.identity]).values()
        unit = self.ledger.begin(NOON)
        unit.record(self.books.declined(unit))
        unit.read(identities=[paid.identity], terminals=[], card_keys=[])
        unit.record(self.books.reversal(unit, stored, self.books.identity(), LOADED - 700))
        unit.record(self.books.closing(unit, self.books.identity(), "declined"))
        unit.commit()
        self.assertEqual(
            self.totals("T0000001", "T0000002", "T0000003"),
            {
                "T0000001": BatchTotals(2, 1_000, 1, 700),
                "T0000002": BatchTotals(1, 50, 0, 0),
                "T0000003": BatchTotals(),
            },
        )
        unit = self.ledger.begin(NOON)
        unit.record(self.books.closing(unit, self.books.identity()))
        unit.commit()
        self.assertEqual(self.totals("T0000001")["T0000001"], BatchTotals())

    def test_items_that_moved_nothing(self) -> None:
        """What a terminal lists although it was declined, or is no payment, is no item of the backend's."""
        names = [self.books.identity() for _ in range(3)]
        with self.ledger.order(NOON) as unit:
            unit.record(self.books.declined(unit, names[0]))
            unit.record(self.books.closing(unit, names[1]))
            unit.record(self.books.purchase(unit, 0, 700, names[2]))
        unit = self.ledger.begin(NOON)
        self.addCleanup(unit.rollback)
        listed = [(each.business_date, each.stan) for each in names]
        facts = unit.read(identities=[], terminals=[], card_keys=[], reconciling={"T0000001": listed})
        self.assertEqual(list(facts.batches["T0000001"]), [listed[2]])

    def test_over_days(self) -> None:
        """A batch lasts over cut-overs until its terminal closes it."""
        day = TODAY
        for _ in range(70):
            day = self.ledger.advance_day(NOON)
            self.books.pay(0, 10, self.books.identity(0, day))
        self.assertEqual(self.totals("T0000001")["T0000001"], BatchTotals(70, 700))
        unit = self.ledger.begin(NOON)
        unit.record(self.books.closing(unit, self.books.identity(0, day)))
        unit.commit()
        late = self.books.identity(0, BusinessDate("2027-01-05"))
        self.books.pay(0, 20, late)
        self.assertEqual(self.totals("T0000001")["T0000001"], BatchTotals(1, 20))


class OrderCase(SynchronousTestCase):
    """Orders of an admin, and reading beside them."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.ledger = self.books.ledger

    def test_order_fails(self) -> None:
        """An order that hits a constraint is rolled back and told as StorageFailed, without its values."""

        def twice() -> None:
            with self.ledger.order(NOON) as unit:
                unit.connection.exec_driver_sql("INSERT INTO meta VALUES ('x', 'canary')")
                unit.connection.exec_driver_sql("INSERT INTO meta VALUES ('x', 'canary')")

        failure = self.assertRaises(StorageFailed, twice)
        self.assertNotIn("canary", str(failure))
        with self.ledger.reading() as connection:
            self.assertEqual(connection.exec_driver_sql("SELECT count(*) FROM meta WHERE name = 'x'").scalar(), 0)
        self.books.pay()

    def test_reading_fails(self) -> None:
        """A query that fails is told as StorageFailed."""

        def ask() -> None:
            with self.ledger.reading() as connection:
                connection.exec_driver_sql("SELECT * FROM nowhere")

        self.assertRaises(StorageFailed, ask)

    def test_reading_is_a_snapshot(self) -> None:
        """A report sees one moment: what is committed meanwhile is not in it."""
        count = select(event.c.id)
        with self.ledger.reading() as connection:
            before = len(connection.execute(count).all())
            self.books.pay()
            self.assertEqual(len(connection.execute(count).all()), before)

    def test_checkpoint(self) -> None:
        """A checkpoint is due after enough units, moves the log's pages, and is then not due."""
        self.assertFalse(self.ledger.checkpoint_due)
        for _ in range(260):
            self.ledger.begin(NOON).rollback()
        self.books.pay()
        self.assertTrue(self.ledger.checkpoint_due)
        pages, moved = self.ledger.checkpoint()
        self.assertGreater(pages, 0)
        self.assertEqual(pages, moved)
        self.assertFalse(self.ledger.checkpoint_due)
        self.assertEqual(self.ledger.health(), "ok")
