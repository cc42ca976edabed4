"""Money that goes back to the wrong account is found by the ledger's audit and by the simulation's judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.core.promises import PipelineCase
from tests.core.sql_world import SqlWorld
from trus.auth.model import CardFacts
from trus.auth.ports import Posting, StoredRequest
from trus.core import linking, refunding, reversing
from trus.ledger.audit import verify
from trus.ledger.dump import read_dump
from trus.ledger.findings import Check
from trus.simulation.balances import balanced
from trus.simulation.books import Books

Back = Callable[[StoredRequest, CardFacts, int], tuple[Posting, ...]]


def _forgetful(earlier: StoredRequest, card: CardFacts, amount: int) -> tuple[Posting, ...]:
    """Give back by what the purchase took, and forget what went to and fro since."""
    return linking.come_back(msgspec.structs.replace(earlier, returned=()), card, amount)


def _purse_first(earlier: StoredRequest, card: CardFacts, amount: int) -> tuple[Posting, ...]:
    """Give everything to the purse, whoever bore it."""
    back = linking.come_back(earlier, card, amount)
    return (back[0], Posting(card.purse_account, amount, earlier.currency))


class JudgedCase(PipelineCase, SynchronousTestCase):
    """Faults planted into what gives money back. Bob's purse holds 10.00."""

    def make_world(self) -> SqlWorld:
        """Return an empty world, whose audit is the test's own."""
        self.sql = SqlWorld(Path(self.mktemp()).absolute())
        self.addCleanup(self.sql.ledger.close)
        return self.sql

    def plant(self, back: Back) -> None:
        """Let a faulty rule say what goes back."""
        self.patch(refunding, "come_back", back)
        self.patch(reversing, "come_back", back)

    def assert_found(self) -> None:
        """Both judges find the sale, and name the account on the wrong side; the audit finds nothing else."""
        report = verify(self.sql.ledger.engine)
        self.assertEqual({each.check for each in report.findings}, {Check.REFUNDS})
        self.assertTrue(all("got back more than it gave over it" in each.problem for each in report.findings))
        found = [each.what for each in balanced(Books(read_dump(self.sql.ledger.engine)))]
        self.assertEqual(len(found), len(report.findings))
        self.assertTrue(all("on the wrong side" in each for each in found), found)

    def test_sound(self) -> None:
        """Without a fault neither finds anything, whatever went to and fro."""
        first = self.till.purchase(self.bob, 1000)
        refund = self.till.refund(self.bank.outcome(first), 1000)
        batch = (refund, self.till.purchase(self.bob, 1000), self.till.reverse(refund), self.till.reverse(first))
        self.assertEqual(self.codes(*batch), ["00"] * 4)
        self.assertTrue(verify(self.sql.ledger.engine).sound)
        self.assertEqual(list(balanced(Books(read_dump(self.sql.ledger.engine)))), [])

    def test_shortfall_not_made_good(self) -> None:
        """TR-2: a purse that gets what the issuer bore of a refund taken back is found."""
        self.plant(_forgetful)
        first = self.till.purchase(self.bob, 1000)
        refund = self.till.refund(self.bank.outcome(first), 1000)
        batch = (refund, self.till.purchase(self.bob, 1000), self.till.reverse(refund), self.till.reverse(first))
        self.assertEqual(self.codes(*batch), ["00"] * 4)
        self.assert_found()

    def test_risk_made_good_twice(self) -> None:
        """TR-2: an issuer's risk that is made good twice is found."""
        self.plant(_forgetful)
        sold = self.bank.outcome(self.till.advise(self.bob, 1_500))
        self.assertEqual(self.codes(self.till.refund(sold, 500), self.till.refund(sold, 500)), ["00", "00"])
        self.assert_found()

    def test_purse_first(self) -> None:
        """TR-2: a purse that gets the issuer's share of an off-line purchase is found."""
        self.plant(_purse_first)
        sold = self.bank.outcome(self.till.advise(self.bob, 1_500))
        self.assertEqual(self.codes(self.till.refund(sold, 1_500)), ["00"])
        self.assert_found()
