"""Credit that ends, as the ledger keeps it: posted away in steps, proved by the audit, free for who has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.core.sql_world import SqlWorld
from tests.core.tills import Bank, Till
from trus.auth.lots import Lot
from trus.auth.ports import Event, PurseUpdate
from trus.errors import StorageFailed, Unbalanced
from trus.ledger.audit import verify
from trus.ledger.expiring import LOOK_SECONDS, PURSES_A_STEP, LotExpiry
from trus.ledger.findings import Check
from trus.ledger.lots import LotBook

LAST = "2026-11-20"


class LotCase(SynchronousTestCase):
    """A company whose employees got credit of today."""

    def setUp(self) -> None:
        self.world = SqlWorld(Path(self.mktemp()).absolute())
        self.addCleanup(self.world.ledger.close)
        self.world.add_company("ACME")
        self.notes: list[str] = []
        self.expiry = LotExpiry(self.world.ledger, self.world.clock, lambda level, text: self.notes.append(text))

    def give(self, count: int) -> list[tuple[str, str]]:
        people = [("ACME", f"E{number:03d}") for number in range(count)]
        for person in people:
            self.world.add_employee(*person, 100)
            self.world.add_credit(*person, 50, LAST)
        return people

    def prepaid(self) -> int:
        with self.world.registry.reading() as view:
            company = view.people.company("ACME")
        assert company is not None
        return company.prepaid

    def test_steps(self) -> None:
        """What has ended goes back to the company, a few purses at a step, until nothing is due."""
        people = self.give(PURSES_A_STEP + 3)
        self.assertEqual(self.expiry.step(), 0)
        self.world.advance_day()
        self.assertEqual([self.expiry.step() for _ in range(3)], [PURSES_A_STEP, 3, 0])
        for person in people:
            self.assertEqual((self.world.lots(*person), self.world.purse(*person).balance), ("", 100))
        self.assertEqual(self.prepaid(), 50 * len(people))
        self.assertTrue(verify(self.world.ledger.engine).sound)

    def test_set_aside(self) -> None:
        """Credit that ended while a pre-authorization set it aside stays with the purse until that has ended too."""
        [person] = self.give(1)
        self.world.advance_day()
        hold = "UPDATE account SET held = ? WHERE kind = 'purse'"
        for held, back in ((150, 0), (50, 0), (49, 1), (0, 50)):
            with self.world.ledger.order(self.world.clock.now()) as unit:
                unit.connection.exec_driver_sql(hold, (held,)).close()
            self.expiry.step()
            self.assertEqual(self.prepaid(), back, held)
        self.assertEqual(self.world.purse(*person).balance, 100)

    def test_now_and_then(self) -> None:
        """The upkeep looks every few seconds, and at once while more is due."""
        self.give(PURSES_A_STEP + 1)
        self.world.advance_day()
        self.expiry.keep()
        self.assertEqual(self.prepaid(), 0)
        self.world.clock.advance(seconds=LOOK_SECONDS)
        self.expiry.keep()
        self.assertEqual(self.prepaid(), 50 * PURSES_A_STEP)
        self.expiry.keep()
        self.assertEqual(self.prepaid(), 50 * (PURSES_A_STEP + 1))

    def test_storage_fails(self) -> None:
        """What cannot be stored is noted and due again."""
        [person] = self.give(1)
        self.world.advance_day()

        def fail(now: Any) -> Any:
            raise StorageFailed("disk")

        self.patch(self.world.ledger, "begin", fail)
        self.assertEqual(self.expiry.step(), 0)
        self.assertEqual(self.notes, ["credit could not expire: disk"])
        self.assertEqual(self.world.purse(*person).balance, 150)

    def test_costs_nothing(self) -> None:
        """A purchase from a purse without dated credit sends the statements that it sent before there were lots."""
        self.give(1)
        self.world.add_employee("ACME", "ADA", 1000)
        self.world.add_terminal("BISTRO", "T0000001", "5812")
        bank = Bank(self.world)
        cards = [bank.issue("ACME", who, f"CARD0000{who}") for who in ("ADA", "E000")]
        sent: list[str] = []

        driver: Any = self.world.ledger._writer.direct.connection.connection.driver_connection
        driver.set_trace_callback(sent.append)
        till = Till()
        for card, touched in zip(cards, (False, True), strict=True):
            sent.clear()
            bank.outcome(till.purchase(card, 40))
            self.assertTrue(any("INSERT INTO entry" in each for each in sent))
            self.assertEqual(any("lot_move" in each or "SET lots" in each for each in sent), touched)

    def test_audit(self) -> None:
        """The audit names a purse whose lots do not follow from their moves, and moves of nothing."""
        [(_, _)] = self.give(1)
        for change in ("UPDATE account SET lots = '2026-11-20:49'", "UPDATE account SET lots = 'x'"):
            with self.world.ledger.engine.begin() as connection:
                connection.exec_driver_sql(change + " WHERE kind = 'purse'").close()
            report = verify(self.world.ledger.engine)
            self.assertEqual([each.check for each in report.findings], [Check.LOTS])
        with self.world.ledger.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE account SET lots = '2026-11-20:50' WHERE kind = 'purse'").close()
            connection.exec_driver_sql(
                "INSERT INTO lot_move SELECT 7, '2026-11-20', account, 0 FROM lot_move LIMIT 1"
            ).close()
        [finding] = verify(self.world.ledger.engine).findings
        self.assertEqual((finding.check, finding.row), (Check.LOTS, "event 7"))


class LotBookCase(SynchronousTestCase):
    """What a unit of work refuses of lots."""

    def event(self, lots: str | None, *moves: Lot, balance: int = 100) -> Event:
        purse = PurseUpdate(1, balance, "", 0, 0, lots=lots)
        return Event(
            *(1, "purchase", None, b"", b"", None, None, 0, "USD", "approved", "00", "", "1", "", {}, b""),
            purses=(purse,),
            lots=moves,
        )

    def test_refusals(self) -> None:
        """Lots apart from their moves, moves of nobody, more than there is, or more than the balance: refused."""
        book = LotBook()
        book.know(1, "2026-11-20:60")
        for event in (
            self.event("2026-11-20:50", Lot("2026-11-20", -20)),
            self.event(None, Lot("2026-11-20", -10)),
            self.event("2026-11-20:60"),
            self.event("2026-11-20:-10", Lot("2026-11-20", -70)),
            self.event("2026-11-20:50", Lot("2026-11-20", -10), balance=40),
            self.event(None, balance=59),
        ):
            self.assertTrue(book.concerns(event))
            self.assertRaises(Unbalanced, book.check, event)
        self.assertEqual(book.changed, {})

    def test_kept(self) -> None:
        """What was recorded before counts for what comes after."""
        book = LotBook()
        self.assertFalse(book.concerns(self.event(None)))
        self.assertEqual(book.know(1, ""), "")
        event = self.event("2026-11-20:60", Lot("2026-11-20", 60))
        book.check(event)
        book.keep(event)
        self.assertEqual(book.know(1, ""), "2026-11-20:60")
        self.assertEqual((book.changed, book.rows), ({1: "2026-11-20:60"}, [(1, "2026-11-20", 1, 60)]))
