"""What a retrieval reference number means in a ledger of many years, where every ten years have the same ones."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.core.promises import PipelineCase
from tests.core.sql_world import SqlWorld
from trus.values import BusinessDate

BOB, CAT = ("ACME", "BOB"), ("FREE", "CAT")


class Namesakes(PipelineCase, SynchronousTestCase):
    """A ledger that is kept for ten years and more."""

    def make_world(self) -> SqlWorld:
        """Return an empty world in a ciphered file."""
        world = SqlWorld(Path(self.mktemp()).absolute())
        self.addCleanup(world.close)
        return world

    def test_refund(self) -> None:
        """A refund by reference is of the newest purchase of that name: nobody gets the money of another one's."""
        world = self.world
        assert isinstance(world, SqlWorld)
        world.add_company("FREE")
        world.add_employee(*CAT, balance=1000)
        cat = self.bank.issue(*CAT, card="CARD000000C1")
        old = self.bank.outcome(self.till.purchase(self.bob, 700))
        self.till.date = world.ledger.advance_day(world.clock.now(), BusinessDate("2036-11-19"))
        answers = [self.bank.outcome(self.till.purchase(cat, 100)) for _ in range(10)]
        [new] = [each for each in answers if each.rrn == old.rrn]
        self.assertEqual(self.codes(self.till.refund(new, 100)), ["00"])
        self.assertEqual((world.purse(*BOB).balance, world.purse(*CAT).balance), (300, 100))
