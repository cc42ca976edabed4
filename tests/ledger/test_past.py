"""What the journal shows of a company's cards to whoever decides their past again."""

from __future__ import annotations

from pathlib import Path

from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sql_world import SqlWorld
from tests.core.tills import Bank, CardInHand, Till
from trus.auth.whatif import PastRequest
from trus.errors import StorageFailed
from trus.ledger.engine import engine_on
from trus.ledger.past import Opening, PastCompany, reading_past


class PastCase(SynchronousTestCase):
    """ACME with Ada, who has a purse of snacks too, and Bob; BYTE with Eve; a bistro. Each purse holds 90.00."""

    def setUp(self) -> None:
        self.world = SqlWorld(Path(self.mktemp()).absolute())
        self.addCleanup(self.world.close)
        for name in ("BYTE", "ACME"):
            self.world.add_company(name, daily_amount=6_000)
        for company, name in (("ACME", "ADA"), ("ACME", "BOB"), ("BYTE", "EVE")):
            self.world.add_employee(company, name, balance=9_000)
        self.world.add_purse("ACME", "ADA", "SNACK", 1_500)
        self.world.add_terminal("BISTRO", "T0000001", "5812")
        self.bank = Bank(self.world)
        self.ada, self.bob = (self.bank.issue("ACME", name, card=f"CARD00000{name}") for name in ("ADA", "BOB"))
        self.eve = self.bank.issue("BYTE", "EVE", card="CARD00000EVE")
        self.till = Till()

    def buy(self, card: CardInHand, amount: int) -> str:
        """Buy, and return the reference number."""
        return str(self.bank.outcome(self.till.purchase(card, amount)).rrn)

    def company(self, name: str) -> PastCompany:
        with reading_past(self.world.ledger.engine) as past:
            [found] = past.companies(name)
        return found

    def opening(self, of: PastCompany, since: str) -> Opening:
        with reading_past(self.world.ledger.engine) as past:
            return past.opening(of, since)

    def requests(self, of: PastCompany, since: str) -> list[PastRequest]:
        with reading_past(self.world.ledger.engine) as past:
            return list(past.requests(of, since, past.last_date()))

    def test_companies(self) -> None:
        """All companies are shown in the order of their ids, or the one asked for, if there is such a one."""
        with reading_past(self.world.ledger.engine) as past:
            self.assertEqual([each.company for each in past.companies()], ["ACME", "BYTE"])
            self.assertEqual([each.company for each in past.companies("BYTE")], ["BYTE"])
            self.assertEqual(past.companies("NONE"), [])

    def test_holders(self) -> None:
        """A company's cards are shown by reference with all their holder's purses, and no other company's."""
        acme = self.company("ACME")
        holders = {each.card: each for each in acme.holders.values()}
        self.assertEqual(set(holders), {"CARD00000ADA", "CARD00000BOB"})
        ada, bob = holders["CARD00000ADA"], holders["CARD00000BOB"]
        [(name, account)] = ada.purses
        self.assertEqual((ada.employee, name, bob.purses), ("ADA", "SNACK", ()))
        held = self.opening(acme, "2026-11-21").balances
        self.assertEqual(held, {ada.main: 9_000, account: 1_500, bob.main: 9_000})
        self.assertEqual([each.daily_amount for each in acme.policies], [6_000])

    def test_opening(self) -> None:
        """What purses held, and what was set aside in them, is that of before a date, for each company alone."""
        for card, amount in ((self.ada, 200), (self.bob, 300), (self.eve, 400)):
            self.buy(card, amount)
        holds = [self.bank.outcome(self.till.hold(card, 500)) for card in (self.ada, self.bob, self.eve)]
        before = self.till.date
        self.till.date = after = self.world.advance_day()
        self.bank.one(self.till.release(holds[1]))
        acme = self.company("ACME")
        ada, bob = sorted(acme.holders.values(), key=lambda each: each.card)
        [(_, snacks)] = ada.purses
        self.assertEqual(self.opening(acme, before), Opening({}, {}))
        self.assertEqual(
            self.opening(acme, after),
            Opening({ada.main: 8_800, snacks: 1_500, bob.main: 8_700}, {ada.main: 500, bob.main: 500}),
        )
        self.world.advance_day()
        with reading_past(self.world.ledger.engine) as past:
            self.assertEqual(past.opening(acme, past.last_date()).held, {ada.main: 500})

    def test_requests(self) -> None:
        """The events of the dates asked for are shown in order, a refill by what it moved alone, and nobody else's."""
        self.buy(self.ada, 200)
        self.till.date = since = self.world.advance_day()
        bought = [self.buy(card, 300) for card in (self.bob, self.eve, self.ada)]
        self.world.add_credit("ACME", "BOB", 700)
        acme = self.company("ACME")
        first, second, refill = self.requests(acme, since)
        self.assertEqual([first.rrn, second.rrn], [bought[0], bought[2]])
        ada, bob = sorted(acme.holders.values(), key=lambda each: each.card)
        self.assertEqual((first.moved, second.moved), (((bob.main, -300),), ((ada.main, -300),)))
        self.assertEqual((first.shop, first.mcc, first.terminal, first.code), ("BISTRO", "5812", "T0000001", "00"))
        self.assertEqual((refill.kind, refill.card, refill.moved), ("", None, ((bob.main, 700),)))

    def test_not_a_ledger(self) -> None:
        """A database that is no ledger is refused in one sentence with the engine's own words."""
        empty = engine_on(lambda: dbapi2.connect(":memory:"))
        self.addCleanup(empty.dispose)
        with reading_past(self.world.ledger.engine) as past:
            self.assertEqual(past.last_date(), self.till.date)
        with (
            self.assertRaisesRegex(StorageFailed, "the ledger cannot be read: no such table"),
            reading_past(empty) as past,
        ):
            past.last_date()
