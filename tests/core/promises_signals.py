"""What the pipeline promises about cards that are in too many places, on whatever ledger."""

from __future__ import annotations

from tests.core.promises import PipelineCase
from tests.core.tills import Till

EVE = ("TRAVEL", "EVE")


class SignalPromises(PipelineCase):
    """TR-5: what a clone of a stripe can do is limited by what one card can do."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_company("TRAVEL", velocity_count=3, velocity_minutes=5, travel_speed=300)
        self.world.add_employee(*EVE, balance=10_000)
        self.world.add_terminal("ABROAD", "T0000003", "5812")
        self.abroad = Till("T0000003", "ABROAD")
        self.eve = self.bank.issue(*EVE, card="CARD000000E1")
        self.world.place("BISTRO", "40.4168,-3.7038")
        self.world.place("ABROAD", "48.8566,2.3522")

    def test_too_far(self) -> None:
        """A card used in two cities within the hour gets 34 in the second, also within a batch."""
        self.assertEqual(
            self.codes(self.till.purchase(self.eve, 100), self.abroad.purchase(self.eve, 100)), ["00", "34"]
        )
        self.world.clock.advance(hours=1)
        self.assertEqual(self.codes(self.abroad.purchase(self.eve, 100)), ["34"])
        self.world.clock.advance(hours=3)
        self.assertEqual(self.codes(self.abroad.purchase(self.eve, 100)), ["00"])
        self.assertEqual([line.rule for line in self.world.journal()], ["approved", "too-far", "too-far", "approved"])

    def test_velocity(self) -> None:
        """A card that asks too often gets 65, across batches and within one."""
        self.assertEqual(self.codes(*[self.till.purchase(self.eve, 10) for _ in range(2)]), ["00", "00"])
        self.assertEqual(self.codes(*[self.till.purchase(self.eve, 10) for _ in range(2)]), ["00", "65"])
        self.assertEqual(self.codes(self.till.purchase(self.eve, 10)), ["65"])
        self.world.clock.advance(minutes=5)
        self.assertEqual(self.codes(self.till.purchase(self.eve, 10)), ["00"])

    def test_velocity_of_none(self) -> None:
        """A company that allows no request in that time gets 65 for the first one too."""
        self.world.add_company("NONE", velocity_count=0, velocity_minutes=5)
        self.world.add_employee("NONE", "NIL", balance=1000)
        nil = self.bank.issue("NONE", "NIL", card="CARD000000N1")
        self.assertEqual(self.codes(*[self.till.purchase(nil, 1) for _ in range(2)]), ["65", "65"])
        self.assertEqual(self.codes(self.till.purchase(nil, 1)), ["65"])

    def test_others(self) -> None:
        """Cards of other companies are not looked at."""
        batch = [self.till.purchase(self.ada, 10), self.abroad.purchase(self.ada, 10)]
        self.assertEqual(self.codes(*batch), ["00", "00"])
