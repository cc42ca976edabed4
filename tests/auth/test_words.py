"""Every code and every rule has its words, and the documentation says what the code does."""

from __future__ import annotations

import string
from pathlib import Path

from rich.pretty import pretty_repr
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import CARD, NOW, facts
from trus.auth.decide import decide
from trus.auth.explain import SENTENCES, explain
from trus.auth.linked import LINKED
from trus.auth.model import Kind, Question
from trus.auth.policy import Policy
from trus.auth.reference import code_table, codes_of_rules, linked_table, rule_table
from trus.auth.rules import LIMITS, RULES
from trus.auth.texts import CATALOGUE, MAX_CASHIER_CHARACTERS, NextStep, cashier_text
from trus.core.linking import DONE
from trus.values import NEVER_FINAL, ResponseCode

POLICIES = Path(__file__).parents[2] / "docs" / "reference" / "spending-policy.md"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "response-codes.md"


class Texts(SynchronousTestCase):
    def test_every_code(self) -> None:
        """The cashier reads a line that fits the pinpad's screen, for every code there is."""
        self.assertEqual(set(CATALOGUE), set(ResponseCode))
        for code in ResponseCode:
            line = cashier_text(code)
            self.assertTrue(0 < len(line) <= MAX_CASHIER_CHARACTERS)
            self.assertTrue(set(line) <= set(string.printable) - set("\r\n\t"))

    def test_never_final(self) -> None:
        """A terminal reverses after 91 and 96, and after nothing else."""
        self.assertEqual({code for code in CATALOGUE if CATALOGUE[code].next_step is NextStep.REVERSE}, NEVER_FINAL)

    def test_unknown_and_forged_read_alike(self) -> None:
        """The cashier's line for a card says nothing about whether it exists."""
        self.assertEqual(cashier_text(ResponseCode.INVALID_CARD), "Card not valid")


class Explanations(SynchronousTestCase):
    def test_every_rule(self) -> None:
        """Support gets a sentence for every rule."""
        named = {rule.name for rule in RULES} | {limit.name for limit in LIMITS} | {"approved", "partial"}
        named |= {rule.name for rules in LINKED.values() for rule in rules} | set(DONE.values())
        self.assertEqual(named - set(SENTENCES), set())
        self.assertEqual(
            len({rule.name for rule in RULES} | {limit.name for limit in LIMITS}), len(RULES) + len(LIMITS)
        )

    def test_figures(self) -> None:
        """TR-2: support can tell a cardholder to the cent why a lunch was declined."""
        question = Question(Kind.PURCHASE, 1250, "USD")
        today = {"card__counter_day": "2026-11-20", "card__day_amount": 1000}
        decision = decide(question, facts(**today), NOW)
        self.assertEqual(
            explain(decision.rule, decision.figures),
            "12.50 USD was asked; 10.00 USD was spent on 2026-11-20 of the 20.00 USD that the company pays a day.",
        )
        decision = decide(question, facts(card__balance=999), NOW)
        self.assertEqual(explain(decision.rule, decision.figures), "12.50 USD was asked, and the purse held 9.99 USD.")

    def test_erased(self) -> None:
        """Figures that were lawfully erased leave a sentence with gaps, not a failure."""
        self.assertEqual(explain("funds", {}), "? was asked, and the purse held ?.")

    def test_unknown_currency(self) -> None:
        """An amount of a currency that is no longer known is shown in minor units."""
        self.assertEqual(
            explain("funds", {"asked": 5, "balance": 4, "currency": "XXX"}), "5 was asked, and the purse held 4."
        )

    def test_later_rule(self) -> None:
        """A rule of a later version is shown as it was stored."""
        self.assertEqual(explain("moon-phase", {"phase": "full", "day": 3}), "Rule moon-phase: phase full, day 3.")
        self.assertEqual(explain("moon-phase", {}), "Rule moon-phase.")


class Documentation(SynchronousTestCase):
    def test_tables(self) -> None:
        """The reference of response codes is what the code does, row for row."""
        page = PAGE.read_text(encoding="utf-8")
        self.assertIn(code_table(), page)
        self.assertIn(rule_table(), page)
        for rules in LINKED.values():
            self.assertIn(linked_table(rules), page)

    def test_policies(self) -> None:
        """The reference of spending policies names every field that a policy has."""
        page = POLICIES.read_text(encoding="utf-8")
        for name in Policy.__struct_fields__[2:]:
            self.assertIn(f"`{name.replace('_', '-')}`", page)

    def test_rules_have_codes(self) -> None:
        """Every code that a rule gives is in the catalogue, and no rule settles with a code that settles nothing."""
        self.assertEqual(codes_of_rules() & NEVER_FINAL, frozenset())
        self.assertTrue(codes_of_rules() <= set(CATALOGUE))
        for rule in (*RULES, *LIMITS):
            self.assertTrue(rule.reason.endswith("."), rule.name)


class Secrecy(SynchronousTestCase):
    def test_card_facts(self) -> None:
        """The facts of a card show neither purse nor PIN reference in a log."""
        for form in (repr(CARD), str(CARD), pretty_repr(CARD)):
            self.assertIn("CARD00000003", form)
            self.assertNotIn("10000", form)
