"""The values that rules work on: what they are when nothing is said, that nobody changes them, and where they end."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

import trus.auth
from tests.auth.facts import CARD, TERMINAL
from trus.auth.linked import COMPLETION, LINKED, REFUND, RELEASE, VOID, LinkedCase, judge
from trus.auth.lots import GRACE_DAYS, Lot, after, come_back, days_after, ended, merged, spend, take_again
from trus.auth.model import Checks, Decision, Facts, Kind, PurseFacts, Question, Reading, State
from trus.auth.policy import (
    MAX_HOLIDAYS,
    MAX_PURSES,
    MAX_SHOP_LIMITS,
    MAX_VELOCITY_MINUTES,
    Policy,
    PolicyRefused,
    PurseRule,
    ShopLimit,
    check_policy,
    from_json,
    to_json,
)
from trus.auth.ports import BatchTotals, EventKind, StoredRequest
from trus.auth.reconcile import MAX_LISTED, HostItem, compare
from trus.auth.reference import codes_of_rules
from trus.auth.signals import QUIET
from trus.auth.spending import Spent, rolled
from trus.money import MAX_MINOR_UNITS
from trus.values import BatchItem, BusinessDate, Difference, ItemKind, ItemState, ResponseCode, Result, Why

#: What is built up while a request is judged, and never leaves the module.
WORKED_ON = {"_Paid"}


def structs() -> Iterator[type[msgspec.Struct]]:
    """Yield the values of this package."""
    for found in pkgutil.iter_modules(trus.auth.__path__):
        module = importlib.import_module(f"trus.auth.{found.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__:
                yield value


class Frozen(SynchronousTestCase):
    def test_frozen(self) -> None:
        """Nobody changes a fact, a policy or a decision: all of them are frozen."""
        kinds = list(structs())
        self.assertGreater(len(kinds), 25)
        loose = {kind.__name__ for kind in kinds if not kind.__struct_config__.frozen}
        self.assertEqual(loose, WORKED_ON)

    def test_nothing_said(self) -> None:
        """What nobody says is nothing: no amount, no count, no limit, no exception."""
        self.assertEqual(Spent("2026-11-20"), Spent("2026-11-20", 0, 0, 0, 0, {}))
        self.assertEqual(set(msgspec.structs.astuple(BatchTotals())), {0})
        self.assertEqual(PurseFacts("SNACK", 31, 5), PurseFacts("SNACK", 31, 5, 0))
        self.assertEqual(msgspec.structs.astuple(QUIET)[:5], (0, 0, 0, "", ""))
        self.assertEqual(Checks("2912", "201", True), Checks("2912", "201", True, None, True, True))
        question = Question(Kind.BALANCE, 0, "USD")
        self.assertEqual((question.partial, question.read), (False, 0))
        self.assertEqual(Facts(None, None, Checks("", "", False), None).tries_allowed, 3)
        self.assertEqual(Reading(1, 1).signal, "")
        decision = Decision(Result.DECLINED, ResponseCode.DO_NOT_HONOUR, 0, "x", {})
        self.assertEqual(msgspec.structs.astuple(decision)[5:], (None, False, "", 0, 0, None, (), "", None))
        self.assertEqual(
            (CARD.held, CARD.spent, CARD.lots, CARD.ended, CARD.purses, CARD.signals), (0, None, "", 0, (), "")
        )
        self.assertEqual((TERMINAL.watch, TERMINAL.place), ("", ""))
        self.assertTrue(HostItem(item(1)).of_batch)

    def test_kept_as(self) -> None:
        """A policy that says nothing is kept and read as these figures."""
        said = json.loads(to_json(Policy(0, 0, "2026-01-01")))
        self.assertEqual(from_json('{"valid_from": "2026-01-01"}'), Policy(0, 0, "2026-01-01"))
        said.pop("categories")
        nothing = ("daily_amount", "daily_count", "single_amount", "weekly_amount", "weekly_count", "monthly_amount",
                   "monthly_count", "floor_limit", "velocity_count", "travel_speed")  # fmt: skip
        self.assertEqual(
            said,
            {
                "form": 1, "valid_from": "2026-01-01", "time_zone": "UTC", "week_days": [1, 2, 3, 4, 5],
                "opens": "00:00", "closes": "24:00", "pin_above": 0, "shop_limits": [], "holidays": [], "purses": [],
                "split_purses": False,
                "velocity_minutes": 60, "stripe_reads": "off", **dict.fromkeys(nothing),
            },
        )  # fmt: skip
        for form in (0, 2):
            self.assertRaises(PolicyRefused, from_json, json.dumps({"valid_from": "2026-01-01", "form": form}))


class PolicyBounds(SynchronousTestCase):
    """Each field of a policy, at its ends."""

    def refused(self, **changes: Any) -> str:
        try:
            check_policy(replace(Policy(1, 5, "2026-01-01"), **changes))
        except PolicyRefused as problem:
            [only] = problem.problems
            return only.partition(":")[0]
        return ""

    def test_amounts(self) -> None:
        """Amounts are from nothing to twelve digits, counts from nothing on."""
        for name in ("daily_amount", "single_amount", "weekly_amount", "monthly_amount", "floor_limit", "pin_above"):
            found = [self.refused(**{name: each}) for each in (-1, 0, MAX_MINOR_UNITS, MAX_MINOR_UNITS + 1)]
            self.assertEqual(found, [name, "", "", name])
        for name in ("daily_count", "weekly_count", "monthly_count", "velocity_count", "travel_speed"):
            self.assertEqual([self.refused(**{name: each}) for each in (-1, 0, 1)], [name, "", ""])

    def test_days_and_hours(self) -> None:
        """Week days are 1 to 7, each once; hours are different minutes of a day."""
        for days, said in (
            ((1,), ""),
            ((7,), ""),
            ((), ""),
            ((0,), "week_days"),
            ((8,), "week_days"),
            ((2, 2), "week_days"),
        ):
            self.assertEqual(self.refused(week_days=days), said)
        self.assertEqual(self.refused(opens="09:00", closes="09:00"), "closes")
        self.assertEqual(self.refused(opens="23:59", closes="24:00"), "")
        self.assertEqual(self.refused(opens="22:00", closes="02:00"), "")

    def test_so_many(self) -> None:
        """There are at most so many holidays, shops and purses, and minutes of a window."""
        days = tuple(days_after("2026-01-01", each) for each in range(MAX_HOLIDAYS + 1))
        self.assertEqual((self.refused(holidays=days[:-1]), self.refused(holidays=days)), ("", "holidays"))
        shops = tuple(ShopLimit(f"S{each}") for each in range(MAX_SHOP_LIMITS + 1))
        self.assertEqual((self.refused(shop_limits=shops[:-1]), self.refused(shop_limits=shops)), ("", "shop_limits"))
        purses = tuple(PurseRule(f"P{each}") for each in range(MAX_PURSES + 1))
        self.assertEqual((self.refused(purses=purses[:-1]), self.refused(purses=purses)), ("", "purses"))
        minutes = [
            self.refused(velocity_minutes=each) for each in (0, 1, MAX_VELOCITY_MINUTES, MAX_VELOCITY_MINUTES + 1)
        ]
        self.assertEqual(minutes, ["velocity_minutes", "", "", "velocity_minutes"])
        self.assertEqual((MAX_HOLIDAYS, MAX_SHOP_LIMITS, MAX_PURSES, MAX_VELOCITY_MINUTES), (64, 32, 8, 1440))

    def test_shops_and_purses(self) -> None:
        """Names and limits of shops and purses are told apart, at their ends."""
        for amount, said in ((-1, "shop_limits"), (0, ""), (MAX_MINOR_UNITS, ""), (MAX_MINOR_UNITS + 1, "shop_limits")):
            self.assertEqual(self.refused(shop_limits=(ShopLimit("BISTRO", amount),)), said)
        self.assertEqual(
            [self.refused(shop_limits=(ShopLimit("*", None, each),)) for each in (-1, 0)], ["shop_limits", ""]
        )
        for names, said in (
            (("A", "A"), "shop_limits"),
            (("a",), "shop_limits"),
            (("",), "shop_limits"),
            (("*", "A"), ""),
        ):
            self.assertEqual(self.refused(shop_limits=tuple(map(ShopLimit, names))), said)
        for rules, said in (
            ((PurseRule("A"), PurseRule("A")), "purses"), ((PurseRule("a"),), "purses"),
            ((PurseRule("A" * 16),), "purses"),
            ((PurseRule("A" * 15),), ""), ((PurseRule("A", ("581",)),), "purses"), ((PurseRule("A", ("5812",)),), ""),
        ):  # fmt: skip
            self.assertEqual(self.refused(purses=rules), said)


class Spending(SynchronousTestCase):
    """Figures of weeks, months and shops."""

    def test_given_back(self) -> None:
        """What is given back of a day changes the week, the month and the shop of that day and no other."""
        now = Spent("2026-11-20", 500, 5, 900, 9, {7: (300, 3)})
        for day, week, month, shop in (
            ("2026-11-20", (400, 4), (800, 8), (200, 2)),
            ("2026-11-16", (400, 4), (800, 8), (300, 3)),
            ("2026-11-02", (500, 5), (800, 8), (300, 3)),
            ("2026-12-20", (500, 5), (900, 9), (300, 3)),
            ("2025-11-20", (500, 5), (900, 9), (300, 3)),
        ):
            then = now.plus_of(day, 7, -100, -1)
            self.assertEqual((then.week_amount, then.week_count), week, day)
            self.assertEqual((then.month_amount, then.month_count), month, day)
            self.assertEqual((then.day, then.at(7)), ("2026-11-20", shop))
        self.assertEqual(now.plus_of("2026-11-20", None, -100, -1).shops, {7: (300, 3)})
        gone = now.plus_of("2026-11-20", 7, -1_000, -10)
        self.assertEqual(gone, Spent("2026-11-20", 0, 0, 0, 0, {7: (0, 0)}))

    def test_rolled(self) -> None:
        """A new day takes the week and the month along as far as it lies in them; an older one nothing."""
        kept = Spent("2026-11-26", 500, 5, 900, 9, {7: (300, 3)})
        self.assertEqual(rolled(kept, "2026-11-27", 10, 1), Spent("2026-11-27", 510, 6, 910, 10))
        self.assertEqual(rolled(kept, "2026-11-30", 10, 1), Spent("2026-11-30", 10, 1, 910, 10))
        self.assertEqual(rolled(kept, "2026-12-01", 10, 1), Spent("2026-12-01", 10, 1, 10, 1))
        self.assertEqual(rolled(Spent("2026-11-30", 5, 1, 5, 1), "2026-12-01", 0, 0), Spent("2026-12-01", 5, 1, 0, 0))
        for day in ("2026-11-26", "2026-11-25"):
            self.assertIs(rolled(kept, day, 10, 1), kept)
        self.assertEqual(rolled(None, "2026-11-20", 10, 1), Spent("2026-11-20", 10, 1, 10, 1))


class Lots(SynchronousTestCase):
    """Credit that ends."""

    LOTS = (Lot("2026-11-19", 100), Lot("2026-11-20", 200), Lot("2026-11-21", 300))

    def test_spent_in_order(self) -> None:
        """What ends first goes first, a lot on its last date still, and what has ended never, unless nobody asks."""
        day = "2026-11-20"
        for amount, moves in (
            (0, ()),
            (1, (Lot(day, -1),)),
            (200, (Lot(day, -200),)),
            (201, (Lot(day, -200), Lot("2026-11-21", -1))),
            (900, (Lot(day, -200), Lot("2026-11-21", -300))),
        ):
            self.assertEqual(spend(self.LOTS, amount, day), moves)
        self.assertEqual(spend(self.LOTS, 1, ""), (Lot("2026-11-19", -1),))
        self.assertEqual([ended(self.LOTS, each) for each in ("2026-11-19", day, "2026-11-22")], [0, 100, 600])

    def test_merged(self) -> None:
        """Moves of one date are one, those of nothing are none, and no lot goes below zero."""
        self.assertEqual(merged([Lot("b", 1), Lot("a", 2), Lot("b", 2), Lot("c", 0)]), (Lot("a", 2), Lot("b", 3)))
        self.assertEqual(after(self.LOTS, (Lot("2026-11-19", -100),)), self.LOTS[1:])
        self.assertRaises(ValueError, after, self.LOTS, (Lot("2026-11-19", -101),))

    def test_comes_back(self) -> None:
        """What was spent last comes back first, and nothing twice; what has ended can be spent for a week more."""
        went = (Lot("2026-11-19", -100), Lot("2026-11-20", -200))
        partly = (*went, Lot("2026-11-20", 200))
        for moved, owed, amount, back in (
            (went, 350, 50, ()),
            (went, 350, 51, (Lot("2026-11-20", 1),)),
            (went, 350, 350, (Lot("2026-11-20", 200), Lot("2026-11-27", 100))),
            (went, 350, 999, (Lot("2026-11-20", 200), Lot("2026-11-27", 100))),
            (partly, 100, 100, (Lot("2026-11-27", 100),)),
            ((went[0], Lot("2026-11-27", 30), Lot("2026-12-31", -50)), 120, 50, (Lot("2026-12-31", 50),)),
            ((*partly, Lot("2026-11-27", 30)), 70, 69, (Lot("2026-11-27", 69),)),
            ((*partly, Lot("2026-11-27", 30)), 70, 71, (Lot("2026-11-27", 70),)),
        ):
            self.assertEqual(come_back(moved, owed, amount, "2026-11-20"), back, (owed, amount))
        self.assertEqual((GRACE_DAYS, days_after("2026-12-30", 7)), (7, "2027-01-06"))
        self.assertEqual(come_back(went, 300, 300, "2026-11-21", 1), (Lot("2026-11-22", 300),))

    def test_taken_again(self) -> None:
        """What a refund gave is taken where it gave it, then of credit that never ends, then of what ends first."""
        gained = (Lot("2026-11-21", 50),)
        for undated, amount, moves in (
            (0, 50, (Lot("2026-11-21", -50),)),
            (10, 60, (Lot("2026-11-21", -50),)),
            (10, 61, (Lot("2026-11-20", -1), Lot("2026-11-21", -50))),
            (0, 251, (Lot("2026-11-20", -200), Lot("2026-11-21", -51))),
        ):
            self.assertEqual(take_again(self.LOTS, gained, undated, amount, "2026-11-20"), moves, (undated, amount))
        self.assertEqual(
            take_again(self.LOTS, (Lot("2026-11-19", 50),), 0, 50, "2026-11-20"), (Lot("2026-11-20", -50),)
        )


def stored(kind: str = "purchase", authorized: int = 500, **changes: Any) -> StoredRequest:
    return StoredRequest(
        1,
        kind,
        b"",
        b"",
        authorized,
        "USD",
        "approved",
        "00",
        "632500000001",
        b"",
        3,
        0,
        authorized=authorized,
        **changes,
    )


class Linked(SynchronousTestCase):
    """Requests about an earlier one, at the last cent."""

    def said(self, kind: str, amount: int, earlier: StoredRequest | None, **changes: Any) -> str:
        verdict = judge(LINKED[kind], LinkedCase(amount, "USD", TERMINAL, earlier)._replace(**changes))
        return "" if verdict is None else verdict.rule

    def test_amounts(self) -> None:
        """A refund or completion is of one cent at least, and of what is left at most."""
        for kind, earlier, over in (
            ("refund", stored(refunded=100), "refund-too-large"),
            ("completion", stored("hold", 400), "over-hold"),
        ):
            found = [
                self.said(kind, each, earlier) for each in (-1, 0, 1, 400, 401, MAX_MINOR_UNITS, MAX_MINOR_UNITS + 1)
            ]
            self.assertEqual(found, ["amount", "amount", "", "", over, over, "amount"])

    def test_unknown(self) -> None:
        """What was declined, or is of another kind, or is not there, is unknown."""
        for kind, own, other in (
            ("refund", "purchase", "hold"),
            ("void", "purchase", "hold"),
            ("release", "hold", "purchase"),
        ):
            name = "hold-unknown" if own == "hold" else "purchase-unknown"
            found = [self.said(kind, 1, each) for each in (None, stored(own, 0), stored(other), stored(own, 1))]
            self.assertEqual(found, [name, name, name, ""])
        self.assertEqual(self.said("refund", 1, stored("completion")), "")
        self.assertEqual((LinkedCase(1, "USD", None, None).left, LinkedCase(1, "USD", None, stored()).left), (0, 500))

    def test_over(self) -> None:
        """What was taken back, refunded whole, closed, or is in another currency, is told as such with its figures."""
        self.assertEqual(self.said("refund", 1, replace(stored(), reversed_by=9)), "purchase-taken-back")
        self.assertEqual(
            [self.said("void", 1, stored(refunded=each)) for each in (499, 500)], ["", "purchase-refunded"]
        )
        self.assertEqual(self.said("void", 1, stored(), closed=True), "batch-closed")
        self.assertEqual(self.said("refund", 1, stored(), currency="EUR"), "currency-of-purchase")
        self.assertEqual(self.said("release", 1, replace(stored("hold"), reversed_by=9, ended="expiry")), "hold-ended")
        for changes, name in (
            ({"terminal": None}, "terminal-unknown"),
            ({"terminal": replace(TERMINAL, state=State.BLOCKED)}, "terminal-not-active"),
            ({"terminal": replace(TERMINAL, state=State.CLOSED)}, "terminal-not-active"),
            ({"terminal": replace(TERMINAL, shop_state=State.BLOCKED)}, "shop-not-active"),
            ({"terminal": replace(TERMINAL, shop_state=State.CLOSED)}, "shop-not-active"),
        ):
            self.assertEqual({self.said(kind, 1, stored(), **changes) for kind in LINKED}, {name})

    def test_order(self) -> None:
        """The rules of each kind, in their order."""
        place = ["terminal-unknown", "terminal-not-active", "shop-not-active"]
        hold = ["hold-unknown", "hold-ended"]
        self.assertEqual([each.name for each in RELEASE], [*place, *hold])
        self.assertEqual(
            [each.name for each in COMPLETION], [*place, "amount", *hold, "currency-of-purchase", "over-hold"]
        )
        self.assertEqual([each.name for each in VOID[3:5]], [each.name for each in REFUND[4:6]])


class Totals(SynchronousTestCase):
    """Batches."""

    def test_counted(self) -> None:
        """Each kind has its own count and amount; a refund that was taken back is one refund less."""
        totals = BatchTotals()
        for kind in ("purchase", "reversal", "refund", "void", "completion"):
            one = totals.plus(kind, "approved", 2, 300)
            expected = replace(totals, **{f"{kind}_count": 2, f"{kind}_amount": 300})
            self.assertEqual(one, expected)
        for kind in (EventKind.BALANCE, EventKind.HOLD, EventKind.TOMBSTONE):
            self.assertIs(totals.plus(kind, "approved", 2, 300), totals)
        held = BatchTotals(refund_count=3, refund_amount=500)
        self.assertIs(held.plus("reversal", "refund-taken-back", 1, 200), held)
        self.assertEqual(held.without_refund(200), BatchTotals(refund_count=2, refund_amount=300))
        self.assertEqual(
            totals.plus("refund", "refund-taken-back", 1, 200), BatchTotals(refund_count=1, refund_amount=200)
        )

    def test_compared(self) -> None:
        """Each difference is told by its first reason, in order; what was taken back and never known is none."""
        here, there = item(1), item(1)
        for host, why in (
            (None, Why.MISSING_AT_HOST),
            (HostItem(replace(there, kind=ItemKind.REFUND, amount=1)), Why.KIND),
            (HostItem(replace(there, amount=499, state=ItemState.VOIDED)), Why.AMOUNT),
            (HostItem(replace(there, amount=501)), Why.AMOUNT),
            (HostItem(replace(there, state=ItemState.REVERSED), False), Why.STATE),
            (HostItem(replace(there, state=ItemState.VOIDED)), Why.STATE),
            (HostItem(there, False), Why.CLOSED_BEFORE),
        ):
            known = {} if host is None else {here.name: host}
            self.assertEqual(compare([here], known), [Difference(why, here, None if host is None else host.item)])
        self.assertEqual(compare([here], {here.name: HostItem(there)}), [])

    def test_not_listed(self) -> None:
        """What the ledger holds of the batch and the terminal has not listed is told, by date and number."""
        known = {
            each.name: HostItem(each, of_batch)
            for each, of_batch in (
                (item(3), True), (item(2), True), (item(4, ItemState.REVERSED), True), (item(6), False),
                (item(5, ItemState.VOIDED), True),
            )
        }  # fmt: skip
        found = compare([item(2)], known)
        self.assertEqual(found, [Difference(Why.MISSING_AT_TERMINAL, None, item(3))])
        self.assertEqual([each.host for each in compare([], known)], [item(2), item(3)])
        self.assertEqual(MAX_LISTED, 512)

    def test_codes(self) -> None:
        """Every code of a rule is known to the documentation."""
        linked = {rule.code for rules in LINKED.values() for rule in rules}
        self.assertTrue(linked <= codes_of_rules())
        self.assertIn(ResponseCode.INSUFFICIENT_FUNDS, codes_of_rules())


def item(stan: int, state: ItemState = ItemState.STANDS) -> BatchItem:
    return BatchItem(BusinessDate("2026-11-20"), stan, ItemKind.PURCHASE, state, 500, "632500000001")
