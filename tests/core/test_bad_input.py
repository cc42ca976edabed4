"""What no terminal may ask: each thing has its code, and a dump of the ledger's state before and after is the same.

State is what balances, limits, tries, holds, lots and entries say. Declines are written into the journal, by design.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from tests.core.promises import PipelineCase
from tests.core.sql_world import SqlWorld
from tests.core.tills import Till, item_of
from tests.core.worlds import World
from trus.auth.model import State
from trus.core.messages import MoneyRequest, Outcome
from trus.ledger.tables import account, card, entry, hold, lot_move
from trus.money import MAX_MINOR_UNITS
from trus.values import BusinessDate, DeviceRole, Identity, PeerIdentity, TerminalId

replace = msgspec.structs.replace
#: What an amount cannot be.
ABSURD = (0, -1, -1250, MAX_MINOR_UNITS + 1, 2**63 - 1)


class BadInput(PipelineCase, SynchronousTestCase):
    """A shop with a purchase, a pre-authorization and a refund in its books; another shop that wants some of it."""

    def make_world(self) -> World:
        """Return an empty world on a ciphered file."""
        self.sql = SqlWorld(Path(self.mktemp()).absolute())
        self.addCleanup(self.sql.close)
        return self.sql

    def setUp(self) -> None:
        super().setUp()
        self.world.add_credit("ACME", "BOB", 500, "2026-12-31")
        self.bought = self.till.purchase(self.ada, 1000)
        self.paid = self.bank.outcome(self.bought)
        self.asked_hold = self.till.hold(self.bob, 700)
        self.held = self.bank.outcome(self.asked_hold)
        self.given = self.till.refund(self.paid, 300)
        self.assertEqual(self.codes(self.given), ["00"])
        self.other = Till("T0000002", "LIQUOR")

    def state(self) -> list[Any]:
        """Dump what is booked, set aside, counted and left of tries."""
        with self.sql.ledger.reading() as reader:
            return [
                [tuple(row) for row in reader.execute(select(table).order_by(*table.primary_key.columns))]
                for table in (account, card, entry, hold, lot_move)
            ]

    def assert_refused(self, code: str, *requests: MoneyRequest) -> None:
        """Each request gets this code and changes nothing."""
        for request in requests:
            before = self.state()
            answer = self.bank.one(request)
            self.assertEqual(answer.code, code, (type(request).__name__, answer))
            self.assertEqual(self.state(), before, type(request).__name__)

    def test_absurd_amounts(self) -> None:
        """Zero, negative and overflowing amounts get 13, of whatever kind of request; a total proves nothing: 95."""
        for amount in ABSURD:
            self.assert_refused(
                "13",
                self.till.purchase(self.ada, amount),
                self.till.purchase(self.ada, amount, partial=True),
                self.till.hold(self.ada, amount),
                self.till.advise(self.ada, amount),
                self.till.refund(self.paid, amount),
                self.till.capture(self.held, amount),
            )
            self.assert_refused("25", self.till.void(self.bought, amount=amount))
            self.assert_refused("25", self.till.reverse(self.bought, amount=amount))
            self.assert_refused("95", self.till.close(1, amount))

    def test_wrong_currency(self) -> None:
        """Another currency than the shop's gets 12; about an earlier request it is 12 or finds nothing."""
        self.assert_refused(
            "12",
            self.till.purchase(self.ada, 100, currency="EUR"),
            self.till.hold(self.ada, 100, currency="EUR"),
            self.till.advise(self.ada, 100, currency="EUR"),
            self.till.refund(self.paid, 100, currency="EUR"),
            self.till.capture(self.held, 100, currency="EUR"),
            self.till.close(1, 1000, currency="EUR"),
            self.till.reconcile(currency="EUR"),
        )
        wrong = self.till.void(self.bought, currency="EUR"), self.till.reverse(self.bought, currency="EUR")
        self.assert_refused("25", *wrong)

    def test_in_anothers_name(self) -> None:
        """A request under another terminal's id gets 63, whatever it asks; a card or a backend asks for nothing: 58."""
        thief = self.other.peer
        mine = (
            self.till.purchase(self.ada, 100),
            self.till.hold(self.ada, 100),
            self.till.advise(self.ada, 100),
            self.till.balance(self.ada, self.ada.pin),
            self.till.refund(self.paid, 100),
            self.till.capture(self.held, 100),
            self.till.release(self.held),
            self.till.reverse(self.bought),
            self.till.void(self.bought),
            self.till.change_pin(self.ada, "9182"),
            self.till.close(1, 1000),
            self.till.reconcile(),
        )
        self.assert_refused("63", *(replace(request, peer=thief) for request in mine))
        no_terminal = PeerIdentity(DeviceRole.CARD, "T0000001", "1f")
        self.assert_refused("58", *(replace(request, peer=no_terminal) for request in mine))
        unknown = Till("T0000099", "BISTRO")
        self.assert_refused("58", unknown.purchase(self.ada, 100), unknown.close(0, 0), unknown.refund(self.paid, 1))
        self.assert_refused("63", replace(self.other.reverse(self.bought), identity=self.other.identity()))

    def test_another_shops_transactions(self) -> None:
        """By its reference number, another shop's purchase or pre-authorization is not found: 25."""
        self.assert_refused(
            "25",
            self.other.refund(self.paid, 100),
            self.other.capture(self.held, 100),
            self.other.release(self.held),
        )
        stolen = Identity(self.other.terminal, self.till.date, self.bought.identity.stan)
        self.assert_refused("25", replace(self.other.void(self.bought), original=stolen))

    def test_more_than_is_left(self) -> None:
        """Refunds in a race take no more than is left: the one too many gets 13, alone or in one batch with others."""
        self.assert_refused("13", self.till.refund(self.paid, 701))
        batch = [self.till.refund(self.paid, amount) for amount in (400, 400, 300, 1)]
        self.assertEqual(self.codes(*batch), ["00", "13", "00", "13"])
        self.assert_refused("13", self.till.refund(self.paid, 1))
        self.assert_refused("13", self.till.capture(self.held, 701))

    def test_reversals_of_reversals(self) -> None:
        """A reversal, a void, a release and a closing cannot be taken back: 12."""
        undone = self.till.purchase(self.ada, 200)
        reversal = self.till.reverse(undone)
        voided = self.till.purchase(self.ada, 200)
        void = self.till.void(voided)
        release = self.till.release(self.held)
        self.assertEqual(self.codes(undone, reversal, voided, void, release), ["00"] * 5)
        closing = self.till.close(3, 1400, 1, 200, refund_count=1, refund_amount=300, void_count=1, void_amount=200)
        self.assertEqual(self.codes(closing), ["00"])
        for request in (reversal, void):
            back = self.till.reverse(request)
            self.assert_refused("12", back, replace(back, repeat=True))
        self.assert_refused("12", self.till.reverse(release), self.till.reverse(closing))
        self.assert_refused("25", self.till.void(undone), self.till.void(voided))

    def test_replays_across_dates(self) -> None:
        """A request repeated after cut-overs gets its stored answer and moves nothing; of an old or future date: 12."""
        for _ in range(3):
            self.world.advance_day()
        before = self.state()
        for request in (self.bought, self.given, self.asked_hold):
            answer = self.bank.one(replace(request, repeat=True))
            self.assertEqual(answer.code, "00")
        self.assertEqual(self.state(), before)
        self.assert_refused("94", replace(self.bought, amount=1001), replace(self.bought, rid=bytes(16)))
        for date in ("2026-11-21", "2026-11-24", "2027-01-01", "2026-10-01"):
            identity = Identity(self.till.terminal, BusinessDate(date), 900_001)
            self.assert_refused("12", self.till.purchase(self.ada, 100, identity=identity))
        for _ in range(31):
            self.till.date = self.world.advance_day()
        late = replace(self.bought, repeat=True), self.till.reverse(self.bought), self.till.void(self.bought)
        self.assert_refused("12", *late)

    def test_dates_of_another_form(self) -> None:
        """A business date has one form: the same day written otherwise, or no day at all, is 12 for whatever asks."""
        advice = self.till.advise(self.ada, 100)
        self.assertEqual(self.bank.one(advice).code, "00")
        for date in ("20261120", "2026-W47-5", "2026-325", "2026-11-31", "2026-11-2", ""):
            identity = Identity(advice.identity.terminal, BusinessDate(date), advice.identity.stan)
            self.assert_refused("12", replace(advice, identity=identity))

    def test_malformed_names(self) -> None:
        """A trace number or rid that has not its form gets 30 before anything is looked up."""
        fresh = self.till.purchase(self.ada, 100)
        for stan in (0, -1, 1_000_000):
            wrong = Identity(TerminalId("T0000001"), self.till.date, stan)
            self.assert_refused("30", replace(fresh, identity=wrong), replace(self.till.reconcile(), identity=wrong))
        for rid in (b"", bytes(15), bytes(17)):
            self.assert_refused(
                "30", replace(fresh, rid=rid), replace(self.till.reverse(self.bought), original_rid=rid)
            )

    def test_invented_items(self) -> None:
        """Items of a batch that a terminal makes up close it with differences, and pay nothing."""
        invented = item_of(self.bought, Outcome("approved", "00", rrn="9" * 12, amount=999_999), stan=777)
        before = self.state()
        answer = self.bank.outcome(self.till.reconcile(invented))
        self.assertEqual((answer.code, answer.details["balanced"]), ("00", "no"))
        self.assertEqual(self.state(), before)

    def test_stations_that_are_over(self) -> None:
        """A blocked terminal gets 58 for everything but a reversal, a closed shop 03, a card of the sweep 14."""
        self.world.set_state("terminal", "T0000001", State.BLOCKED)
        self.assert_refused(
            "58",
            self.till.purchase(self.ada, 100),
            self.till.advise(self.ada, 100),
            self.till.refund(self.paid, 100),
            self.till.void(self.bought),
            self.till.capture(self.held, 100),
            self.till.release(self.held),
            self.till.close(1, 1000),
        )
        self.world.set_state("terminal", "T0000001", State.ACTIVE)
        self.world.set_state("shop", "BISTRO", State.BLOCKED)
        self.assert_refused("03", self.till.purchase(self.ada, 100), self.till.refund(self.paid, 100))
        self.world.set_state("shop", "BISTRO", State.ACTIVE)
        self.assert_refused("14", self.till.purchase(self.ada, 100, track=self.ada.forged()))
