"""Which of several purses pays is the policy's word: by kind of shop, in its order, alone or together."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import CARD, CHECKS, NOW, TERMINAL
from trus.auth.case import Case
from trus.auth.decide import decide
from trus.auth.explain import explain
from trus.auth.model import CardFacts, Decision, Draw, Facts, Kind, PurseFacts, Question
from trus.auth.plan import plan_of
from trus.auth.policy import Policy, PolicyRefused, PurseRule, check_policy
from trus.auth.purses import draw_off_line
from trus.values import Result

replace = msgspec.structs.replace
#: Snacks are paid from SNACK first and then from MAIN; a restaurant from MAIN alone.
RULES = (PurseRule("SNACK", ("5411", "5814")), PurseRule("MAIN"))
ALONE = Policy(1, 5, "2026-01-01", week_days=(1, 2, 3, 4, 5, 6, 7), purses=RULES)
SHARED = replace(ALONE, split_purses=True)
HOLDER = replace(CARD, balance=1000, purses=(PurseFacts("SNACK", 31, 300),))
SNACKS = replace(TERMINAL, mcc="5814")


class PurseCase(SynchronousTestCase):
    def decide(self, amount: int, policy: Policy = ALONE, card: CardFacts = HOLDER, **changes: Any) -> Decision:
        terminal = changes.pop("terminal", SNACKS)
        return decide(Question(Kind.PURCHASE, amount, "USD", **changes), Facts(terminal, card, CHECKS, policy), NOW)

    def pays(self, draws: dict[str, int], *asked: Any, **changes: Any) -> Decision:
        decision = self.decide(*asked, **changes)
        self.assertEqual(decision.draws, tuple(Draw(name, amount) for name, amount in draws.items()))
        self.assertEqual(decision.amount, sum(draws.values()))
        return decision


class Alone(PurseCase):
    def test_order(self) -> None:
        """The first purse of the policy's order that holds the whole amount pays it."""
        decision = self.pays({"SNACK": 300}, 300)
        self.assertEqual(
            explain(decision.rule, decision.figures),
            "Nothing stood against it. Paid from: SNACK 3.00 USD.",
        )
        self.pays({"MAIN": 301}, 301)
        self.pays({"MAIN": 300}, 300, replace(ALONE, purses=RULES[::-1]))

    def test_kind_of_shop(self) -> None:
        """A purse pays for its kinds of shop alone."""
        self.pays({"MAIN": 100}, 100, terminal=TERMINAL)
        only = replace(ALONE, purses=RULES[:1])
        decision = self.decide(100, only, terminal=TERMINAL)
        self.assertEqual((decision.code, decision.rule), ("57", "purse-category"))
        self.assertIn("category 5812", explain(decision.rule, decision.figures))

    def test_too_little(self) -> None:
        """Where none of them holds the amount, the answer is 51 and support sees what each held."""
        decision = self.decide(1001)
        self.assertEqual((decision.code, decision.rule), ("51", "purses"))
        self.assertEqual(
            explain(decision.rule, decision.figures),
            "10.01 USD was asked, and the purses that pay for this kind of shop held SNACK 3.00 USD, MAIN 10.00 USD.",
        )
        self.assertEqual(self.decide(1, replace(ALONE, purses=RULES[:1]), CARD).rule, "purses", "he has no such purse")

    def test_part(self) -> None:
        """Partial approval takes what the fullest of them holds."""
        self.pays({"MAIN": 1000}, 1200, partial=True)
        self.pays({"SNACK": 300}, 1200, card=replace(HOLDER, balance=200), partial=True)
        self.pays({"SNACK": 250}, 1200, replace(ALONE, single_amount=250), partial=True)

    def test_set_aside(self) -> None:
        """What is set aside in a purse cannot be spent from it."""
        held = replace(HOLDER, purses=(PurseFacts("SNACK", 31, 300, 1),))
        self.pays({"MAIN": 300}, 300, card=held)
        self.pays({"SNACK": 299}, 299, card=held)


class Shared(PurseCase):
    def test_in_order(self) -> None:
        """Purses that may share a purchase are emptied in the policy's order."""
        decision = self.pays({"SNACK": 300, "MAIN": 950}, 1250, SHARED)
        self.assertIn("SNACK 3.00 USD, MAIN 9.50 USD", explain(decision.rule, decision.figures))
        self.pays({"SNACK": 300, "MAIN": 1000}, 1300, SHARED)
        self.assertEqual(self.decide(1301, SHARED).rule, "purses")
        self.pays({"SNACK": 300, "MAIN": 1000}, 5000, SHARED, partial=True)


class OffLine(PurseCase):
    def drawn(self, amount: int, policy: Policy = ALONE, card: CardFacts = HOLDER) -> dict[str, int]:
        case = Case(Question(Kind.PURCHASE, amount, "USD"), Facts(SNACKS, card, CHECKS, policy), NOW)
        return {each.purse: each.amount for each in draw_off_line(case, amount)}

    def test_whole(self) -> None:
        """What was sold off-line is paid as on-line where a purse holds it: by the first that does."""
        self.assertEqual(self.drawn(300), {"SNACK": 300})
        self.assertEqual(self.drawn(301), {"MAIN": 301})
        self.assertEqual(self.drawn(1250, SHARED), {"SNACK": 300, "MAIN": 950})

    def test_more_than_any_holds(self) -> None:
        """The goods are gone: where no purse holds the whole amount, the fullest gives all it has."""
        self.assertEqual(self.drawn(1001), {"MAIN": 1000})
        self.assertEqual(self.drawn(1001, card=replace(HOLDER, balance=299)), {"SNACK": 300})
        self.assertEqual(self.drawn(5000, SHARED), {"SNACK": 300, "MAIN": 1000})

    def test_nothing_left(self) -> None:
        """Empty purses, or none for this kind of shop, give nothing; no purse is drawn on for zero."""
        empty = replace(HOLDER, balance=0, purses=(PurseFacts("SNACK", 31, 0),))
        self.assertEqual(self.drawn(1, card=empty), {})
        self.assertEqual(self.drawn(1, replace(ALONE, purses=(PurseRule("SNACK", ("5411",)),))), {})


class Compiled(SynchronousTestCase):
    def test_not_asked(self) -> None:
        """A company that names no purses has nothing of this asked."""
        names = [each.name for each in (*plan_of(replace(ALONE, purses=())).rules, *plan_of(ALONE).limits)]
        self.assertNotIn("purse-category", names)
        self.assertEqual(names[-1], "purses")

    def test_refused(self) -> None:
        """Purses without a name, named twice, or of no kind of shop are refused."""
        for purses in ((PurseRule(""),), (PurseRule("snack"),), RULES + RULES, (PurseRule("A", ("58",)),)):
            with self.assertRaises(PolicyRefused) as caught:
                check_policy(replace(ALONE, purses=purses))
            self.assertTrue(caught.exception.problems[0].startswith("purses:"))


_rooms = st.integers(0, 1500)


class Properties(SynchronousTestCase):
    def test_whatever_they_hold(self) -> None:
        """What is approved is the sum of what purses pay, no purse pays more than it holds, and none pays nothing."""

        @settings(max_examples=300)
        @given(st.integers(1, 4000), _rooms, _rooms, _rooms, st.booleans(), st.booleans())
        def holds(amount: int, main: int, one: int, two: int, split: bool, partial: bool) -> None:
            card = replace(CARD, balance=main, purses=(PurseFacts("A", 31, one), PurseFacts("B", 32, two)))
            policy = replace(SHARED, split_purses=split, purses=(PurseRule("B"), PurseRule("MAIN"), PurseRule("A")))
            question = Question(Kind.PURCHASE, amount, "USD", partial)
            decision = decide(question, Facts(SNACKS, card, CHECKS, policy), NOW)
            held = {"B": two, "MAIN": main, "A": one}
            self.assertEqual(decision.amount, sum(each.amount for each in decision.draws))
            for each in decision.draws:
                self.assertTrue(0 < each.amount <= held[each.purse])
            order = [name for name in held if name in [each.purse for each in decision.draws]]
            self.assertEqual([each.purse for each in decision.draws], order)
            most = sum(held.values()) if split else max(held.values())
            if most >= amount:
                self.assertEqual((decision.result, decision.amount), (Result.APPROVED, amount))
            else:
                self.assertEqual(decision.amount, most if partial else 0)
            self.assertTrue(split or len(decision.draws) <= 1)

        holds()
