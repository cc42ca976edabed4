"""Whatever the facts, a decision is made, is within every limit, and depends on nothing else."""

from __future__ import annotations

from datetime import datetime

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import all_facts, amounts, cards, moments, policies, questions
from trus.auth.case import Case
from trus.auth.decide import decide
from trus.auth.explain import explain
from trus.auth.model import CardFacts, Facts, Kind, Question, State
from trus.auth.policy import Policy, ShopLimit
from trus.values import ResponseCode, Result

many = settings(max_examples=400)


class Properties(SynchronousTestCase):
    def test_total_and_deterministic(self) -> None:
        """Any facts get one decision, the same every time, and a sentence for support."""

        @many
        @given(questions, all_facts, moments)
        def holds(question: Question, facts: Facts, now: datetime) -> None:
            decision = decide(question, facts, now)
            self.assertEqual(decide(question, facts, now), decision)
            self.assertIsInstance(decision.code, ResponseCode)
            self.assertNotIn("?", explain(decision.rule, decision.figures))
            self.assertEqual(decision.result is Result.APPROVED, decision.code == "00")
            self.assertEqual(decision.result is Result.PARTIAL, decision.code == "10")

        holds()

    def test_never_above(self) -> None:
        """Nothing is ever approved above what was asked, what the purse holds or what a limit allows."""

        @many
        @given(questions, all_facts, moments)
        def holds(question: Question, facts: Facts, now: datetime) -> None:
            decision = decide(question, facts, now)
            if decision.result is Result.DECLINED:
                self.assertEqual(decision.amount, 0)
                return
            card, policy, terminal = facts.card, facts.policy, facts.terminal
            assert card is not None and terminal is not None
            self.assertLessEqual(decision.amount, card.balance)
            self.assertLessEqual(decision.amount, max(question.amount, 0))
            self.assertEqual(
                {card.state, card.company_state, card.employee_state, terminal.state, terminal.shop_state},
                {State.ACTIVE},
            )
            self.assertTrue(facts.checks.verification_ok)
            self.assertIsNot(facts.checks.pin_ok, False)
            self.assertGreater(card.tries_left, 0)
            if question.kind is Kind.BALANCE:
                self.assertEqual((decision.amount, facts.checks.pin_ok), (0, True))
                return
            assert policy is not None
            self.assertGreater(decision.amount, 0)
            self.assertIn(terminal.mcc, policy.categories)
            if policy.single_amount is not None:
                self.assertLessEqual(decision.amount, policy.single_amount)
            if policy.daily_amount is not None:
                self.assertLessEqual(decision.day_amount, policy.daily_amount)
            if policy.daily_count is not None:
                self.assertLessEqual(decision.day_count, policy.daily_count)
            assert decision.spent is not None or not policy.counts_periods
            if decision.spent is not None:
                shop = policy.shop_limit(terminal.shop) or ShopLimit("*")
                amount, count = decision.spent.at(terminal.shop_id)
                for spent, limit in (
                    (decision.spent.week_amount, policy.weekly_amount),
                    (decision.spent.week_count, policy.weekly_count),
                    (decision.spent.month_amount, policy.monthly_amount),
                    (decision.spent.month_count, policy.monthly_count),
                    (amount, shop.daily_amount),
                    (count, shop.daily_count),
                ):
                    self.assertTrue(limit is None or spent <= limit)
            if not facts.checks.pin_ok:
                self.assertLessEqual(question.amount, policy.pin_above)
            if decision.result is Result.PARTIAL:
                self.assertTrue(question.partial)
                self.assertLess(decision.amount, question.amount)

        holds()

    def test_counters_monotone(self) -> None:
        """Within a day the counters never fall, and a day never comes back."""

        @many
        @given(questions, all_facts, moments)
        def holds(question: Question, facts: Facts, now: datetime) -> None:
            card = facts.card
            decision = decide(question, facts, now)
            if card is None:
                self.assertIsNone(decision.tries_left)
                return
            self.assertGreaterEqual(decision.counter_day, card.counter_day)
            if decision.counter_day == card.counter_day:
                self.assertEqual(decision.day_amount, card.day_amount + decision.amount)
                self.assertEqual(decision.day_count, card.day_count + (decision.amount > 0))
            assert decision.tries_left is not None
            if decision.tries_left < card.tries_left:
                self.assertEqual(decision.code, "55")
                self.assertEqual(decision.tries_left, card.tries_left - 1)
                self.assertIs(facts.checks.pin_ok, False)
            elif decision.tries_left > card.tries_left:
                self.assertIs(facts.checks.pin_ok, True)
            self.assertGreaterEqual(decision.tries_left, 0)

        holds()

    def test_irrelevant_facts(self) -> None:
        """Names, accounts and references never change an answer."""

        @many
        @given(questions, all_facts, moments, st.integers(1, 1 << 40), st.text(max_size=8))
        def holds(question: Question, facts: Facts, now: datetime, number: int, text: str) -> None:
            card, terminal, policy = facts.card, facts.terminal, facts.policy
            changed = msgspec.structs.replace(
                facts,
                card=card and msgspec.structs.replace(card, card_id=number, card=text, purse_account=number),
                terminal=terminal
                and msgspec.structs.replace(
                    terminal, terminal=text, shop=text, shop_name=text, merchant_account=number
                ),
                policy=policy and msgspec.structs.replace(policy, company_id=number),
            )
            self.assertEqual(decide(question, changed, now), decide(question, facts, now))

        holds()

    def test_more_money_never_hurts(self) -> None:
        """A fuller purse never turns a yes into a no, nor a larger part into a smaller one."""

        @many
        @given(questions, cards, policies, moments, st.integers(0, 3000))
        def holds(question: Question, card: CardFacts, policy: Policy, now: datetime, more: int) -> None:
            from tests.auth.facts import CHECKS, TERMINAL

            richer = msgspec.structs.replace(card, balance=card.balance + more)
            before = decide(question, Facts(TERMINAL, card, CHECKS, policy), now)
            after = decide(question, Facts(TERMINAL, richer, CHECKS, policy), now)
            self.assertGreaterEqual(after.amount, before.amount)

        holds()

    def test_smaller_is_never_worse(self) -> None:
        """Where an amount is approved, so is every smaller one."""

        @many
        @given(all_facts, moments, amounts, amounts)
        def holds(facts: Facts, now: datetime, one: int, other: int) -> None:
            small, large = sorted((one, other))
            assume(small > 0)
            if decide(Question(Kind.PURCHASE, large, "USD"), facts, now).result is Result.APPROVED:
                decision = decide(Question(Kind.PURCHASE, small, "USD"), facts, now)
                self.assertEqual((decision.result, decision.amount), (Result.APPROVED, small))

        holds()

    def test_day_in_sequence(self) -> None:
        """A day's purchases, one after the other, never exceed the day's limits or the purse."""

        @many
        @given(cards, policies, moments, st.lists(st.tuples(amounts, st.booleans()), max_size=12))
        def holds(card: CardFacts, policy: Policy, now: datetime, asked: list[tuple[int, bool]]) -> None:
            from tests.auth.facts import CHECKS, TERMINAL

            start = Case(Question(Kind.PURCHASE, 1, "USD"), Facts(TERMINAL, card, CHECKS, policy), now)
            spent = count = 0
            for amount, partial in asked:
                decision = decide(
                    Question(Kind.PURCHASE, amount, "USD", partial), Facts(TERMINAL, card, CHECKS, policy), now
                )
                spent += decision.amount
                count += decision.amount > 0
                card = msgspec.structs.replace(
                    card,
                    balance=card.balance - decision.amount,
                    counter_day=decision.counter_day,
                    day_amount=decision.day_amount,
                    day_count=decision.day_count,
                    spent=decision.spent or card.spent,
                )
                self.assertGreaterEqual(card.balance, 0)
            if spent and policy.daily_amount is not None:
                self.assertLessEqual(start.day_amount + spent, policy.daily_amount)
            if count and policy.daily_count is not None:
                self.assertLessEqual(start.day_count + count, policy.daily_count)

        holds()
