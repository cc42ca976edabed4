"""Weeks, months, shops, holidays and changing clocks: what a policy counts beyond the day, and how it ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import CARD, CHECKS, FACTS, NOW, POLICY, TERMINAL, facts, spendings
from trus.auth.advice import floor_of
from trus.auth.case import NO_POLICY
from trus.auth.decide import decide
from trus.auth.explain import explain
from trus.auth.model import Decision, Facts, Kind, Question
from trus.auth.plan import NOTHING_ALLOWED, plan_of
from trus.auth.policy import Policy, ShopLimit
from trus.auth.spending import Spent, rolled, spent_from_text, spent_to_text, week_of

replace = msgspec.structs.replace
#: Pays for anything at any time, up to the purse.
OPEN = Policy(1, 5, "2026-01-01", week_days=(1, 2, 3, 4, 5, 6, 7), pin_above=1_000_000)
RICH = replace(CARD, balance=1_000_000)


def lunch(amount: int = 1000, *, partial: bool = False) -> Question:
    return Question(Kind.PURCHASE, amount, "USD", partial)


class PeriodCase(SynchronousTestCase):
    def decide(self, policy: Policy, spent: Spent | None = None, now: datetime = NOW, **question: Any) -> Decision:
        return decide(lunch(**question), Facts(TERMINAL, replace(RICH, spent=spent), CHECKS, policy), now)

    def declined(self, code: str, rule: str, policy: Policy, spent: Spent | None, **more: Any) -> str:
        decision = self.decide(policy, spent, **more)
        self.assertEqual((decision.code, decision.rule, decision.amount), (code, rule, 0))
        return explain(decision.rule, decision.figures)


class WeeksAndMonths(PeriodCase):
    def test_weekly_amount(self) -> None:
        """A week's amount holds until Sunday and begins anew on Monday: ISO weeks, on the company's clocks."""
        policy = replace(OPEN, weekly_amount=5000)
        spent = Spent("2026-11-16", 4500, 3, 4500, 3)
        sentence = self.declined("61", "weekly-amount", policy, spent)
        self.assertEqual(
            sentence,
            "10.00 USD was asked; 45.00 USD was spent in the week 2026-W47 of the 50.00 USD that the company pays a"
            " week.",
        )
        self.declined("61", "weekly-amount", policy, spent, now=datetime(2026, 11, 22, 23, 59, tzinfo=UTC))
        monday = self.decide(policy, spent, datetime(2026, 11, 23, 0, 0, tzinfo=UTC))
        self.assertEqual((monday.code, monday.spent), ("00", Spent("2026-11-23", 1000, 1, 5500, 4, {7: (1000, 1)})))

    def test_weekly_amount_elsewhere(self) -> None:
        """It is Monday in Auckland when it is still Sunday in Greenwich."""
        policy = replace(OPEN, weekly_amount=5000, time_zone="Pacific/Auckland")
        spent = Spent("2026-11-20", 5000, 3, 5000, 3)
        self.declined("61", "weekly-amount", policy, spent, now=datetime(2026, 11, 22, 10, 59, tzinfo=UTC))
        self.assertEqual(self.decide(policy, spent, datetime(2026, 11, 22, 11, 0, tzinfo=UTC)).code, "00")

    def test_monthly_amount(self) -> None:
        """A month's amount holds to its last day; a week may begin in one month and end in the next."""
        policy = replace(OPEN, monthly_amount=5000, weekly_amount=20_000)
        spent = Spent("2026-11-30", 5000, 3, 5000, 3)
        self.declined("61", "monthly-amount", policy, spent, now=datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
        after = self.decide(policy, spent, datetime(2026, 12, 1, tzinfo=UTC)).spent
        self.assertEqual(after, Spent("2026-12-01", 6000, 4, 1000, 1, {7: (1000, 1)}))

    def test_counts(self) -> None:
        """The number of purchases of a week or of a month is a limit as well: 65, whatever the amount."""
        spent = Spent("2026-11-20", 300, 3, 900, 9)
        words = self.declined("65", "weekly-count", replace(OPEN, weekly_count=3), spent, amount=1, partial=True)
        self.assertEqual(words, "3 purchases were made in the week 2026-W47, and the company pays for 3 a week.")
        words = self.declined("65", "monthly-count", replace(OPEN, monthly_count=9), spent, amount=1)
        self.assertEqual(words, "9 purchases were made in 2026-11, and the company pays for 9 a month.")
        self.assertEqual(self.decide(replace(OPEN, weekly_count=4, monthly_count=10), spent).code, "00")

    def test_part(self) -> None:
        """With partial approval the rest of the week is paid, and named as what limits it."""
        decision = self.decide(replace(OPEN, weekly_amount=1200), Spent("2026-11-20", 900, 1, 900, 1), partial=True)
        self.assertEqual((decision.code, decision.amount, decision.figures["limited_by"]), ("10", 300, "weekly-amount"))

    def test_year_of_the_week(self) -> None:
        """The last days of December may lie in the first week of the next year."""
        self.assertEqual([week_of(day) for day in ("2026-12-31", "2027-01-03")], ["2026-W53", "2026-W53"])
        self.assertEqual([week_of(day) for day in ("2024-12-30", "2025-01-05")], ["2025-W01", "2025-W01"])

    def test_new_limit(self) -> None:
        """A limit that begins in the middle of a day counts what was spent that day."""
        today = replace(RICH, counter_day="2026-11-20", day_amount=900, day_count=1)
        decision = decide(lunch(), Facts(TERMINAL, today, CHECKS, replace(OPEN, weekly_amount=1500)), NOW)
        self.assertEqual((decision.rule, decision.figures["spent"]), ("weekly-amount", 900))

    def test_not_counted(self) -> None:
        """A company that limits the day alone has nothing else counted."""
        decision = decide(lunch(), FACTS, NOW)
        self.assertEqual((decision.code, decision.spent), ("00", None))

    def test_clock_back(self) -> None:
        """A clock that goes back over Monday gives no second week."""
        policy = replace(OPEN, weekly_amount=1500)
        self.declined("61", "weekly-amount", policy, Spent("2026-11-23", 1000, 1, 1000, 1))


class Shops(PeriodCase):
    POLICY = replace(OPEN, shop_limits=(ShopLimit("*", 2000, 2), ShopLimit("OTHER", 100, 1)))

    def test_any_shop(self) -> None:
        """A limit for each shop counts what was spent there today, and nothing that was spent elsewhere."""
        words = self.declined("61", "shop-daily-amount", self.POLICY, Spent("2026-11-20", shops={7: (1500, 1)}))
        self.assertEqual(
            words,
            "10.00 USD was asked; 15.00 USD was spent at BISTRO on 2026-11-20 of the 20.00 USD that the company pays a"
            " day there.",
        )
        words = self.declined("65", "shop-daily-count", self.POLICY, Spent("2026-11-20", shops={7: (200, 2)}), amount=1)
        self.assertEqual(
            words, "2 purchases were made at BISTRO on 2026-11-20, and the company pays for 2 a day there."
        )
        self.assertEqual(self.decide(self.POLICY, Spent("2026-11-20", shops={8: (2000, 2)})).code, "00")
        self.assertEqual(self.decide(self.POLICY, Spent("2026-11-19", shops={7: (2000, 2)})).code, "00")

    def test_own_limit(self) -> None:
        """A shop's own limit counts instead of that for each shop, also where it is none."""
        own = replace(OPEN, shop_limits=(ShopLimit("*", 100, 1), ShopLimit("BISTRO", None, 3)))
        self.assertEqual(self.decide(own, Spent("2026-11-20", shops={7: (9000, 2)})).code, "00")
        self.declined("65", "shop-daily-count", own, Spent("2026-11-20", shops={7: (9000, 3)}))


class Holidays(PeriodCase):
    def test_holiday(self) -> None:
        """On a holiday of the company nothing is paid for, though its week day is one of work."""
        policy = replace(OPEN, holidays=("2026-11-20", "2026-12-25"))
        words = self.declined("57", "holiday", policy, None)
        self.assertEqual(words, "2026-11-20 is one of the company's holidays, on which it pays for nothing.")
        self.assertEqual(self.decide(policy, now=NOW + timedelta(days=1)).code, "00")

    def test_holiday_is_local(self) -> None:
        """A holiday begins and ends at midnight where the company is."""
        policy = replace(OPEN, holidays=("2026-11-20",), time_zone="America/New_York")
        for moment, code in (
            (datetime(2026, 11, 20, 4, 59, tzinfo=UTC), "00"),
            (datetime(2026, 11, 20, 5, 0, tzinfo=UTC), "57"),
            (datetime(2026, 11, 21, 4, 59, tzinfo=UTC), "57"),
            (datetime(2026, 11, 21, 5, 0, tzinfo=UTC), "00"),
        ):
            self.assertEqual(self.decide(policy, now=moment).code, code, moment)

    def test_night_shift(self) -> None:
        """A window over midnight that opened on a holiday is closed after midnight too; the next one is open."""
        night = replace(OPEN, opens="22:00", closes="06:00", holidays=("2026-11-20",))
        self.declined("57", "holiday", night, None, now=datetime(2026, 11, 21, 1, 0, tzinfo=UTC))
        self.assertEqual(self.decide(night, now=datetime(2026, 11, 20, 1, 0, tzinfo=UTC)).code, "00")
        self.assertEqual(self.decide(night, now=datetime(2026, 11, 21, 23, 0, tzinfo=UTC)).code, "00")


class ChangingClocks(PeriodCase):
    """Madrid: from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25, both at 01:00 UTC."""

    POLICY = replace(OPEN, time_zone="Europe/Madrid", opens="02:00", closes="03:00")

    def code(self, *moment: int, **changes: Any) -> str:
        return self.decide(replace(self.POLICY, **changes), now=datetime(*moment, tzinfo=UTC)).code  # type: ignore[arg-type, misc]

    def test_gap(self) -> None:
        """A window inside the hour that is left out in spring opens on no clock that day."""
        codes = [self.code(2026, 3, 29, hour, minute) for hour in (0, 1, 2) for minute in (0, 30, 59)]
        self.assertEqual(set(codes), {"57"})
        self.assertEqual(self.code(2026, 3, 28, 1, 30), "00")

    def test_gap_at_the_edge(self) -> None:
        """A window that would open inside that hour opens with the first minute after it."""
        window = {"opens": "02:30", "closes": "04:00"}
        self.assertEqual(
            [self.code(2026, 3, 29, 0, 59, **window), self.code(2026, 3, 29, 1, 0, **window)], ["57", "00"]
        )
        self.assertEqual(
            [self.code(2026, 3, 29, 1, 59, **window), self.code(2026, 3, 29, 2, 0, **window)], ["00", "57"]
        )

    def test_overlap(self) -> None:
        """A window inside the hour that comes twice in autumn is open twice, and closed at no moment between."""
        codes = [self.code(2026, 10, 25, hour, minute) for hour in (0, 1) for minute in (0, 30, 59)]
        self.assertEqual(set(codes), {"00"})
        self.assertEqual([self.code(2026, 10, 24, 23, 59), self.code(2026, 10, 25, 2, 0)], ["57", "57"])

    def test_day_of_25_hours(self) -> None:
        """The day of 25 hours is one day of the limits, and so is the one of 23."""
        policy = replace(self.POLICY, opens="00:00", closes="24:00", daily_amount=1500, weekly_amount=9000)
        for first, last in (
            (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), datetime(2026, 10, 25, 22, 59, tzinfo=UTC)),
            (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), datetime(2026, 3, 29, 21, 59, tzinfo=UTC)),
        ):
            one = self.decide(policy, now=first)
            self.assertEqual(one.code, "00")
            card = replace(RICH, counter_day=one.counter_day, day_amount=1000, day_count=1, spent=one.spent)
            self.assertEqual(decide(lunch(), Facts(TERMINAL, card, CHECKS, policy), last).rule, "daily-amount")
            after = last + timedelta(minutes=1)
            self.assertEqual(decide(lunch(), Facts(TERMINAL, card, CHECKS, policy), after).code, "00")


class Floor(SynchronousTestCase):
    def test_lower_counts(self) -> None:
        """Of the network's floor limit and the company's the lower one counts."""
        self.assertEqual(floor_of(None, 5000), 5000)
        self.assertEqual(
            [floor_of(replace(OPEN, floor_limit=limit), 5000) for limit in (None, 0, 6000)], [5000, 0, 5000]
        )


class Plans(SynchronousTestCase):
    def test_only_what_is_needed(self) -> None:
        """A rule that a policy does not use is not asked at all."""
        plan = plan_of(OPEN)
        self.assertEqual([rule.name for rule in plan.rules], ["currency-of-purse", "category"])
        self.assertEqual([limit.name for limit in plan.limits], ["funds"])
        self.assertFalse(OPEN.counts_periods)
        self.assertEqual([rule.name for rule in NOTHING_ALLOWED.rules[:2]], ["currency-of-purse", "no-policy"])

    def test_each_field_is_asked(self) -> None:
        """Each limit that a policy sets brings its rule, and a policy changed has a plan of its own."""
        for fields, name in (
            ({"holidays": ("2026-12-25",)}, "holiday"),
            ({"week_days": (1, 2)}, "week-day"),
            ({"opens": "07:00"}, "hours"),
            ({"closes": "16:00"}, "hours"),
            ({"daily_count": 0}, "daily-count"),
            ({"weekly_count": 0}, "weekly-count"),
            ({"monthly_count": 0}, "monthly-count"),
            ({"shop_limits": (ShopLimit("*"),)}, "shop-daily-count"),
            ({"velocity_count": 0}, "velocity"),
            ({"travel_speed": 0}, "too-far"),
            ({"single_amount": 0}, "single-amount"),
            ({"daily_amount": 0}, "daily-amount"),
            ({"weekly_amount": 0}, "weekly-amount"),
            ({"monthly_amount": 0}, "monthly-amount"),
            ({"shop_limits": (ShopLimit("*"),)}, "shop-daily-amount"),
        ):
            plan_of(OPEN)
            plan = plan_of(replace(OPEN, **fields))
            self.assertIn(name, [each.name for each in (*plan.rules, *plan.limits)])

    def test_compiled_once(self) -> None:
        """A policy is compiled once, and is the same value as before."""
        policy = replace(POLICY, daily_count=2)
        self.assertIs(plan_of(policy), plan_of(policy))
        self.assertEqual((policy, hash(NO_POLICY)), (replace(POLICY, daily_count=2), hash(replace(NO_POLICY))))


_dates = st.dates(date(2026, 1, 1), date(2027, 12, 31)).map(date.isoformat)


class Figures(SynchronousTestCase):
    def test_kept(self) -> None:
        """What is kept of the figures is read again."""

        @given(spendings)
        def holds(spent: Spent) -> None:
            self.assertEqual(spent_from_text(spent_to_text(spent)), spent)

        holds()

    def test_sums(self) -> None:
        """Whatever is bought on whatever days, the figures are the sums of the week, the month and the shop's day."""

        @settings(max_examples=300)
        @given(st.lists(st.tuples(_dates, st.integers(1, 3), st.integers(1, 500)), min_size=1, max_size=12))
        def holds(bought: list[tuple[str, int, int]]) -> None:
            bought = sorted(bought)
            spent: Spent | None = None
            for day, shop, amount in bought:
                spent = rolled(spent, day, 0, 0).plus(shop, amount)
            assert spent is not None
            last = bought[-1][0]
            week = [amount for day, _, amount in bought if week_of(day) == week_of(last)]
            month = [amount for day, _, amount in bought if day[:7] == last[:7]]
            self.assertEqual((spent.week_amount, spent.week_count), (sum(week), len(week)))
            self.assertEqual((spent.month_amount, spent.month_count), (sum(month), len(month)))
            for number in (1, 2, 3):
                there = [amount for day, shop, amount in bought if day == last and shop == number]
                self.assertEqual(spent.at(number), (sum(there), len(there)))

        holds()

    def test_given_back(self) -> None:
        """What is given back of a purchase leaves the figures as if it had never been made."""

        @settings(max_examples=300)
        @given(st.none() | spendings, _dates, st.integers(1, 3), st.integers(1, 500))
        def holds(kept: Spent | None, day: str, shop: int, amount: int) -> None:
            before = rolled(kept, day, 0, 0)
            if before.day != day:
                return
            after = before.plus(shop, amount).plus_of(day, shop, -amount, -1)
            self.assertEqual(replace(after, shops={}), replace(before, shops={}))
            self.assertEqual([after.at(number) for number in (1, 2, 3)], [before.at(number) for number in (1, 2, 3)])

        holds()

    def test_never_below_zero(self) -> None:
        """Figures never fall below zero, whatever is given back."""
        spent = Spent("2026-11-20", 100, 1, 100, 1).plus_of("2026-11-20", 7, -500, -3)
        self.assertEqual(spent, Spent("2026-11-20", 0, 0, 0, 0, {7: (0, 0)}))
        self.assertEqual(Spent("2026-11-20", 100, 1, 100, 1).plus_of("2026-10-20", 7, -50, -1).month_amount, 100)

    def test_facts(self) -> None:
        """An ordinary lunch is decided alike with figures of longer periods and without."""
        self.assertEqual(decide(lunch(), facts(card__spent=Spent("2026-11-20")), NOW), decide(lunch(), FACTS, NOW))
