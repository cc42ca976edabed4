"""The number of a stripe's reading says whether a reader read it: in its order, before, or never."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import CARD, CHECKS, NOW, TERMINAL
from trus.auth.decide import decide
from trus.auth.explain import explain
from trus.auth.model import CardFacts, Decision, Facts, Kind, Question, TerminalFacts
from trus.auth.plan import plan_of
from trus.auth.policy import NOTE, REFUSE, Policy
from trus.auth.readings import AHEAD_SECONDS, WINDOW
from trus.auth.watching import forgiven, watch_from_text, watch_to_text, with_readings

replace = msgspec.structs.replace
POLICY = Policy(1, 5, "2026-01-01", week_days=(1, 2, 3, 4, 5, 6, 7), pin_above=2000)
REFUSED, NOTED = replace(POLICY, stripe_reads=REFUSE), replace(POLICY, stripe_reads=NOTE)
T = int(NOW.timestamp())


class ReadingCase(SynchronousTestCase):
    """Cards and terminals that remember what was decided of them."""

    def setUp(self) -> None:
        self.card: CardFacts = CARD
        self.terminal: TerminalFacts = TERMINAL

    def read(self, number: int, policy: Policy = REFUSED, kind: Kind = Kind.PURCHASE, **checks: Any) -> Decision:
        """Decide a request with a stripe that was read as that number."""
        question = Question(kind, 100 if kind is Kind.PURCHASE else 0, "USD", read=number)
        decision = decide(question, Facts(self.terminal, self.card, replace(CHECKS, **checks), policy), NOW)
        if decision.signals:
            self.card = replace(self.card, signals=decision.signals)
        if decision.reading is not None:
            watch = with_readings(watch_from_text(self.terminal.watch), decision.reading.highest, decision.reading.used)
            self.terminal = replace(self.terminal, watch=watch_to_text(watch))
        return decision

    def codes(self, *numbers: int) -> list[str]:
        """Return the codes of requests with stripes that were read as these numbers."""
        return [self.read(number).code for number in numbers]

    def other_card(self) -> None:
        """Take another card, which knows nothing yet."""
        self.card = replace(CARD, card_id=4)


class Order(ReadingCase):
    def test_in_order(self) -> None:
        """Numbers that rise, with gaps, are no signal; nor are some that come late, each once."""
        self.assertEqual(self.codes(T, T + 1, T + 9, T + 3, T + 2, T + 10), ["00"] * 6)

    def test_used_before(self) -> None:
        """A number that the terminal gave before is a kept stripe played again: 34, of whichever card."""
        self.assertEqual(self.codes(T, T + 1, T, T + 1), ["00", "00", "34", "34"])
        self.other_card()
        decision = self.read(T)
        self.assertEqual((decision.code, decision.rule, decision.amount), ("34", "stripe-read", 0))
        self.assertEqual(
            explain(decision.rule, decision.figures),
            f"The stripe came as reading {T} of the terminal, used before: its highest is {T + 1}; nothing was read"
            " then.",
        )

    def test_far_below(self) -> None:
        """A number far below the terminal's highest gets 34; within the window it may still come."""
        self.assertEqual(self.codes(T + WINDOW, T + 1, T), ["00", "00", "34"])
        self.assertEqual(self.read(T).figures["reading"], "far below")

    def test_ahead(self) -> None:
        """A number that the terminal's clock cannot have reached is not believed and moves nothing: 34."""
        self.assertEqual(
            self.codes(T + AHEAD_SECONDS + 1, T + AHEAD_SECONDS, T + AHEAD_SECONDS - 1), ["34", "00", "00"]
        )

    def test_left_out(self) -> None:
        """A terminal that gave numbers cannot leave them out; one that never did may."""
        self.assertEqual(self.codes(0, 0, T, 0), ["00", "00", "00", "34"])

    def test_card_remembers(self) -> None:
        """When the terminal's record was lost, the card still knows its last reading there."""
        self.read(T + WINDOW)
        self.terminal = TERMINAL
        self.assertEqual(self.codes(T + WINDOW, T, 0), ["34", "34", "34"])
        self.terminal = replace(TERMINAL, terminal="T0000002")
        self.assertEqual(self.codes(T + WINDOW, T + WINDOW + 1), ["00", "00"], "numbers are each terminal's own")

    def test_forgiven(self) -> None:
        """An admin who lifts a block forgives what the terminal tried; its readings stay known."""
        self.read(T)
        self.assertEqual(forgiven(self.terminal.watch), self.terminal.watch)
        self.assertEqual(forgiven(""), "")

    def test_any_order(self) -> None:
        """Whatever comes in whatever order, no number passes twice, and every one in the window passes once."""

        @given(st.lists(st.integers(1, 200), max_size=60))
        def holds(numbers: list[int]) -> None:
            self.setUp()
            seen: set[int] = set()
            for number in numbers:
                code = self.read(number).code
                fresh = number not in seen and number > max(seen, default=0) - WINDOW
                self.assertEqual(code, "00" if fresh else "34", (numbers, number))
                seen |= {number} if code == "00" else set()

        holds()


class Policies(ReadingCase):
    def test_noted(self) -> None:
        """A policy may have it noted: the purchase goes through, and support is told."""
        self.read(T, NOTED)
        decision = self.read(T, NOTED)
        self.assertEqual((decision.code, decision.rule), ("00", "approved"))
        self.assertEqual(
            explain(decision.rule, decision.figures),
            f"Nothing stood against it. Its stripe came as reading {T}, used before: the terminal's highest is {T}.",
        )
        self.assertEqual(self.read(T, NOTED).figures["card_signals"], 2)

    def test_off(self) -> None:
        """For companies that do not ask nothing is looked at and nothing kept."""
        decisions = [self.read(T, POLICY) for _ in range(2)]
        self.assertEqual([(each.code, each.reading, each.signals) for each in decisions], [("00", None, "")] * 2)
        self.assertNotIn("stripe-read", [rule.name for rule in plan_of(POLICY).rules])

    def test_enquiries(self) -> None:
        """A balance enquiry with a kept stripe gets 34 too, and is noted where the policy says so."""
        self.assertEqual([self.read(T, kind=Kind.BALANCE).code for _ in range(2)], ["00", "34"])
        decision = self.read(T, NOTED, Kind.BALANCE)
        self.assertEqual((decision.code, decision.figures["reading"]), ("00", "used before"))

    def test_wrong_pins(self) -> None:
        """A request that failed for its PIN has used its number; one that is asked for the PIN has not."""
        self.assertEqual(self.read(T, pin_ok=False).code, "55")
        self.assertEqual(self.codes(T), ["34"])
        strict = replace(REFUSED, pin_above=0)
        self.assertTrue(self.read(T + 1, strict, pin_ok=None).pin_wanted)
        self.assertEqual(self.read(T + 1, strict).code, "00")

    def test_not_genuine(self) -> None:
        """A made-up stripe says nothing about the reader: it is counted as such, and uses no number."""
        self.assertIsNone(self.read(T, verification_ok=False).reading)
        self.assertEqual(self.codes(T), ["00"])

    def test_beside_the_others(self) -> None:
        """What velocity and places keep of a card stays, and so does its last reading."""
        policy = replace(REFUSED, velocity_count=2)
        self.assertEqual([self.read(T + each, policy).code for each in (0, 1, 2, 1)], ["00", "00", "65", "34"])
        self.terminal = TERMINAL
        self.assertEqual(self.read(T + 2, policy).code, "34", "the one that was too many was a reading too")
