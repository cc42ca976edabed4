"""`trus policy try` says what another policy would have answered: what the network itself would have, no more."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sql_world import SqlWorld
from tests.core.tills import Bank, CardInHand, Till
from trus.auth.policy import PurseRule, ShopLimit
from trus.cli.policy_try import Tried, Wanted, as_json, show, try_policy
from trus.core.messages import Outcome
from trus.errors import CommandRefused, ConfigurationError
from trus.ledger.past import reading_past

WEEK = (1, 2, 3, 4, 5, 6, 7)
LENIENT: dict[str, Any] = {"week_days": WEEK, "daily_amount": 6000, "categories": ("5812", "5814")}


class Town:
    """A company with three employees, a bistro and a snack bar, under one policy; what was answered to whom."""

    def __init__(self, case: SynchronousTestCase, **policy: Any) -> None:
        self.world = SqlWorld(Path(case.mktemp()).absolute())
        case.addCleanup(self.world.close)
        self.world.add_company("ACME", **policy)
        for name in ("ADA", "BOB", "EVE"):
            self.world.add_employee("ACME", name, balance=9000)
        self.world.add_terminal("BISTRO", "T0000001", "5812")
        self.world.add_terminal("SNACKS", "T0000002", "5814")
        self.bank = Bank(self.world)
        self.cards = [self.bank.issue("ACME", name, card=f"CARD00000{name}") for name in ("ADA", "BOB", "EVE")]
        for name in ("ADA", "BOB"):
            self.world.add_purse("ACME", name, "SNACK", 1500)
        self.tills = [Till("T0000001", "BISTRO"), Till("T0000002", "SNACKS")]
        self.codes: list[str] = []

    def play(self, seed: int, steps: int) -> None:
        """Let the town trade: purchases, wrong PINs, pre-authorizations, and all that takes them back."""
        chance = random.Random(seed)
        done: list[tuple[Till, Any, Outcome, str]] = []
        for _ in range(steps):
            self.world.clock.advance(minutes=chance.choice((1, 20, 90, 600)))
            if chance.random() < 0.1:
                self.date = self.world.advance_day()
            till, card = chance.choice(self.tills), chance.choice(self.cards)
            amount, what, pick = chance.randint(1, 2500), chance.random(), chance.random()
            self._step(till, card, amount, what, pick, done)

    def _step(self, till: Till, card: CardInHand, amount: int, what: float, pick: float, done: list[Any]) -> None:
        date = getattr(self, "date", None)
        if what < 0.6 or not done:
            changes = {"pin": "0000"} if what < 0.02 else {}
            request = till.purchase(card, amount, date=date, **changes)
            answer = self.bank.outcome(request)
            done.append((till, request, answer, "purchase"))
            self.codes.append(answer.code)
            return
        if what < 0.75:
            request = till.hold(card, amount, date=date)
            answer = self.bank.outcome(request)
            done.append((till, request, answer, "hold"))
            self.codes.append(answer.code)
            return
        teller, request, answer, kind = done.pop(int(pick * len(done)))
        part = max(1, amount % max(1, request.amount))
        if kind == "hold":
            act = teller.capture if what < 0.9 else None
            self.bank.one(act(answer, part, date=date) if act else teller.release(answer, date=date))
        elif what < 0.9:
            self.bank.one(teller.refund(answer, part, date=date))
        else:
            self.bank.one(teller.reverse(request))

    def tried(self, **wanted: Any) -> Tried:
        """Try a policy on all of it."""
        with reading_past(self.world.ledger.engine) as past:
            [tried] = try_policy(past, Wanted(since="2026-11-20", **wanted), self.world.clock.now())
        return tried


class TryCase(SynchronousTestCase):
    """What would have been."""

    def test_the_same_policy_changes_nothing(self) -> None:
        """A policy tried on the traffic that it decided itself changes no answer, whatever was taken back of it."""
        policies: tuple[dict[str, Any], ...] = (
            LENIENT,
            {**LENIENT, "weekly_amount": 7000, "monthly_count": 12, "shop_limits": (ShopLimit("*", 3000, 2),)},
            {**LENIENT, "purses": (PurseRule("SNACK", ("5814",)), PurseRule("MAIN"))},
            {"single_amount": 2000, "daily_count": 2, "opens": "08:00", "closes": "20:00", "holidays": ("2026-11-21",)},
        )
        for number, policy in enumerate(policies):
            town = Town(self, **policy)
            town.play(number, 70)
            tried = town.tried()
            self.assertGreater(tried.judged, 20)
            self.assertEqual([each.why for each in tried.changes], [])

    def test_it_would_have_been_so(self) -> None:
        """What is told is what the network answers to the same traffic where that policy is in force from the start."""
        stricter: dict[str, Any] = {**LENIENT, "single_amount": 2000, "daily_amount": 3000, "weekly_amount": 6000}
        fields = {"single-amount": "20.00", "daily-amount": "30.00", "weekly-amount": "60.00"}
        for seed in (7, 8):
            was, would = Town(self, **LENIENT), Town(self, **stricter)
            for town in (was, would):
                self.purchases(town, seed)
            expected = sum(one != other for one, other in zip(was.codes, would.codes, strict=True))
            tried = was.tried(fields=fields)
            self.assertGreater(expected, 3)
            self.assertEqual(len(tried.changes), expected)
            limits = {"single-amount", "daily-amount", "weekly-amount"}
            self.assertTrue({each.rule for each in tried.changes} <= {*limits, "approved", "funds"})

    def purchases(self, town: Town, seed: int) -> None:
        """Let everybody buy for some days."""
        chance = random.Random(seed)
        for _ in range(60):
            town.world.clock.advance(minutes=chance.choice((20, 90, 600)))
            request = chance.choice(town.tills).purchase(chance.choice(town.cards), chance.randint(1, 2500))
            town.codes.append(town.bank.outcome(request).code)

    def test_money_that_was_not_spent(self) -> None:
        """What would have been declined leaves its money, and its limits, to the next purchase."""
        town = Town(self, **LENIENT)
        till, ada = town.tills[0], town.cards[0]
        codes = [town.bank.outcome(till.purchase(ada, amount)).code for amount in (5000, 1000)]
        town.world.clock.advance(days=1)
        codes += [town.bank.outcome(till.purchase(ada, amount)).code for amount in (3000, 1000)]
        self.assertEqual(codes, ["00", "00", "00", "51"])
        tried = town.tried(fields={"single-amount": "40.00"})
        told = [(each.request.amount, each.request.code, each.code) for each in tried.changes]
        self.assertEqual(told, [(5000, "00", "61"), (1000, "51", "00")])

    def test_pin(self) -> None:
        """A purchase that needed no PIN then, and would need one, is told as one that asks for the PIN."""
        town = Town(self, **LENIENT, pin_above=1000)
        answer = town.bank.outcome(town.tills[0].purchase(town.cards[0], 900, pin=None))
        self.assertEqual(answer.code, "00")
        [change] = town.tried(fields={"pin-above": "5.00"}).changes
        self.assertEqual((change.code, change.rule, change.request.rrn), ("", "pin-wanted", answer.rrn))
        self.assertEqual(town.tried(fields={"pin-above": "9.00"}).changes, ())

    def test_not_the_policys_business(self) -> None:
        """What was declined for the card, the PIN or the place stays declined under any policy."""
        town = Town(self, **LENIENT)
        town.bank.outcome(town.tills[0].purchase(town.cards[0], 100, pin="0000"))
        tried = town.tried(fields={"daily-amount": "none"})
        self.assertEqual((tried.judged, tried.changes), (0, ()))

    def test_a_policy_that_waits(self) -> None:
        """Without a word the policy that waits for its day is tried, and the past is not changed by it."""
        town = Town(self, **LENIENT)
        town.bank.outcome(town.tills[0].purchase(town.cards[0], 900))
        before = town.world.journal_bytes()
        with town.world.registry.changing(town.world.clock.now()) as change:
            company = change.people.company("ACME")
            assert company is not None
            from trus.auth.policy import Policy

            change.people.set_policy(Policy(0, company.row, "2026-12-01", single_amount=800), change.at)
        [only] = town.tried().changes
        self.assertEqual((only.code, only.rule), ("61", "single-amount"))
        self.assertEqual(town.tried(valid_from="2020-01-01").changes, ())
        self.assertEqual(town.world.journal_bytes(), before)
        with self.assertRaisesRegex(ConfigurationError, "ACME has no policy from 2026-12-24 on"):
            town.tried(valid_from="2026-12-24")

    def test_refused(self) -> None:
        """A field that makes no sense, an unknown company and dates the wrong way round are one sentence each."""
        town = Town(self, **LENIENT)
        with self.assertRaises(CommandRefused):
            town.tried(fields={"single-amount": "1.5"})
        with self.assertRaisesRegex(ConfigurationError, "no such company"):
            town.tried(company="NOBODY")
        with self.assertRaisesRegex(ConfigurationError, "is after"):
            town.tried(until="2026-11-01")


class TellingCase(SynchronousTestCase):
    """How it is told."""

    def test_tables_and_items(self) -> None:
        """Tables count what would change by rule; items name transactions, with cards by reference and no number."""
        town = Town(self, **LENIENT)
        for amount in (900, 1500, 1600):
            town.bank.outcome(town.tills[0].purchase(town.cards[0], amount))
        tried = [town.tried(fields={"single-amount": "10.00"})]
        output = io.StringIO()
        show(tried, Console(file=output, width=100), items=True)
        text = output.getvalue()
        for part in (
            "ACME: 3 requests decided again under the one from 2020-01-01 on, with single-amount=10.00; 2 would",
            "single-amount",
            "31.00",
            "card CARD00000ADA shop BISTRO 15.00 USD: 00 would be 61.",
            "15.00 USD was asked, and the company pays at most 10.00 USD at once.",
        ):
            self.assertIn(part, text)
        self.assertNotIn(town.cards[0].number.digits[:6], text)
        [told] = json.loads(as_json(tried, items=True))
        self.assertEqual((told["company"], told["decided"], told["changed"]), ("ACME", 3, 2))
        self.assertEqual(told["changes"], [{"was": "00", "would_be": "61", "rule": "single-amount", "requests": 2}])
        self.assertEqual([each["amount"] for each in told["items"]], [1500, 1600])
        self.assertNotIn("items", json.loads(as_json(tried, items=False))[0])
