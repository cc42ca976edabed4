"""One card cannot be in two places, nor everywhere at once: what it did lately says so, and nothing more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import CARD, CHECKS, NOW, TERMINAL
from trus.auth.decide import decide
from trus.auth.explain import explain
from trus.auth.model import Decision, Facts, Kind, Question
from trus.auth.plan import plan_of
from trus.auth.policy import Policy
from trus.auth.signals import distance_km

replace = msgspec.structs.replace
POLICY = Policy(1, 5, "2026-01-01", week_days=(1, 2, 3, 4, 5, 6, 7), pin_above=2000)
MADRID, PARIS, SYDNEY = "40.4168,-3.7038", "48.8566,2.3522", "-33.8688,151.2093"


class SignalCase(SynchronousTestCase):
    """One card, one purchase after the other."""

    def setUp(self) -> None:
        self.card = CARD
        self.now = NOW

    def buy(self, policy: Policy, place: str = "", amount: int = 100, **checks: Any) -> Decision:
        """Decide the next purchase, and let the card remember it."""
        terminal = replace(TERMINAL, place=place, shop=f"AT{place[:2]}")
        facts = Facts(terminal, self.card, replace(CHECKS, **checks), policy)
        decision = decide(Question(Kind.PURCHASE, amount, "USD"), facts, self.now)
        if decision.signals:
            self.card = replace(self.card, signals=decision.signals)
        return decision

    def later(self, **by: float) -> None:
        """Let time pass."""
        self.now += timedelta(**by)


class Velocity(SignalCase):
    POLICY = replace(POLICY, velocity_count=3, velocity_minutes=10)

    def test_window(self) -> None:
        """A card may make so many requests in so many minutes: the next one gets 65, until the window is over."""
        self.assertEqual([self.buy(self.POLICY).code for _ in range(5)], ["00"] * 3 + ["65"] * 2)
        decision = self.buy(self.POLICY)
        self.assertEqual(
            explain(decision.rule, decision.figures),
            "The card made 3 requests within 10 minutes, and the company allows 3.",
        )
        self.later(minutes=9, seconds=59)
        self.assertEqual(self.buy(self.POLICY).code, "65")
        self.later(seconds=1)
        self.assertEqual([self.buy(self.POLICY).code for _ in range(4)], ["00"] * 3 + ["65"])

    def test_declines_count(self) -> None:
        """Requests that were declined for money count too: trying amounts out is what is slowed."""
        codes = [self.buy(self.POLICY, amount=999_999).code for _ in range(4)]
        self.assertEqual(codes, ["51", "51", "51", "65"])

    def test_wrong_pins_do_not(self) -> None:
        """A wrong PIN counts against its tries alone."""
        self.assertEqual([self.buy(self.POLICY, pin_ok=False).signals for _ in range(5)], [""] * 5)

    def test_clock_back(self) -> None:
        """A clock that goes back opens no new window."""
        for _ in range(3):
            self.buy(self.POLICY)
        self.later(minutes=-30)
        self.assertEqual(self.buy(self.POLICY).code, "65")


class Places(SignalCase):
    POLICY = replace(POLICY, travel_speed=300)

    def test_too_far(self) -> None:
        """A card that paid in Madrid cannot pay in Paris three hours later at 300 km/h, and can after four."""
        self.assertEqual(self.buy(self.POLICY, MADRID).code, "00")
        self.later(hours=3)
        decision = self.buy(self.POLICY, PARIS)
        self.assertEqual((decision.code, decision.rule, decision.signals), ("34", "too-far", ""))
        self.assertEqual(
            explain(decision.rule, decision.figures),
            "180 minutes before, the card paid at AT40, 1052 km away; the company believes in 300 km/h.",
        )
        self.assertEqual(self.buy(self.POLICY, MADRID).code, "00", "the one that stayed may go on")
        self.later(hours=4)
        self.assertEqual(self.buy(self.POLICY, PARIS).code, "00")

    def test_near(self) -> None:
        """Shops of one quarter are one place."""
        self.buy(self.POLICY, MADRID)
        self.assertEqual(self.buy(self.POLICY, "40.4500,-3.7038").code, "00")

    def test_nowhere(self) -> None:
        """A shop without a place proves nothing, and leaves the last place as it was."""
        self.buy(self.POLICY, MADRID)
        self.assertEqual(self.buy(self.POLICY).code, "00")
        self.assertEqual(self.buy(self.POLICY, SYDNEY).code, "34")

    def test_declined_is_no_place(self) -> None:
        """A purchase that was declined does not move the card: a thief abroad must not lock its holder out."""
        self.buy(self.POLICY, MADRID)
        self.buy(self.POLICY, SYDNEY)
        self.assertEqual(self.buy(self.POLICY, MADRID).code, "00")

    def test_distances(self) -> None:
        """Distances are those of the map, within half a percent."""
        for one, other, far in (
            (MADRID, PARIS, 1053),
            (PARIS, SYDNEY, 16960),
            ("0,179.9", "0,-179.9", 22),
            ("90,0", "-90,0", 20015),
        ):
            self.assertLess(abs(distance_km(one, other) - far), far * 0.005 + 1)

    def test_symmetric(self) -> None:
        """A distance is the same both ways, never below zero, never above half the earth."""
        places = st.tuples(st.integers(-90, 90), st.integers(-180, 180)).map(lambda each: f"{each[0]},{each[1]}")

        @given(places, places)
        def holds(one: str, other: str) -> None:
            far = distance_km(one, other)
            self.assertLess(abs(far - distance_km(other, one)), 1e-6)
            self.assertTrue(0 <= far <= 20016)

        holds()


class Quiet(SignalCase):
    def test_not_kept(self) -> None:
        """Of the cards of a company that does not ask for it nothing is kept."""
        self.assertEqual(self.buy(POLICY, MADRID).signals, "")
        self.assertNotIn("too-far", [rule.name for rule in plan_of(POLICY).rules])
