"""Every reason to decline is told by its own code, in an order that protects cardholder and purse."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import CARD, ENQUIRY, LUNCH, NOW, POLICY, facts
from trus.auth.decide import decide
from trus.auth.model import Checks, Decision, Kind, Question, State
from trus.money import MAX_MINOR_UNITS
from trus.values import ResponseCode, Result


def purchase(amount: int, *, partial: bool = False, currency: str = "USD") -> Question:
    return Question(Kind.PURCHASE, amount, currency, partial)


class DecideCase(SynchronousTestCase):
    def declined(
        self, code: str, rule: str, question: Question = LUNCH, now: datetime = NOW, **changes: Any
    ) -> Decision:
        decision = decide(question, facts(**changes), now)
        self.assertEqual((decision.result, decision.code, decision.rule), (Result.DECLINED, code, rule))
        self.assertEqual(decision.amount, 0)
        self.assertFalse(decision.pin_wanted)
        return decision

    def approved(self, question: Question = LUNCH, now: datetime = NOW, **changes: Any) -> Decision:
        decision = decide(question, facts(**changes), now)
        self.assertEqual((decision.result, decision.code), (Result.APPROVED, "00"), decision.rule)
        return decision


class Approvals(DecideCase):
    def test_lunch(self) -> None:
        """DC-5, TR-2: a lunch within everything is approved, and counts for the day."""
        decision = self.approved(card__counter_day="2026-11-20", card__day_amount=700, card__day_count=1)
        self.assertEqual(decision.amount, 1250)
        self.assertEqual((decision.counter_day, decision.day_amount, decision.day_count), ("2026-11-20", 1950, 2))
        self.assertEqual(decision.tries_left, 3)

    def test_new_day(self) -> None:
        """Yesterday's counters do not count today."""
        decision = self.approved(card__counter_day="2026-11-19", card__day_amount=2000, card__day_count=3)
        self.assertEqual((decision.counter_day, decision.day_amount, decision.day_count), ("2026-11-20", 1250, 1))

    def test_exact_limits(self) -> None:
        """Exactly what is left may be spent: limit, day and purse are inclusive."""
        self.approved(purchase(1800), card__balance=1800, policy__daily_amount=1800)

    def test_clock_back(self) -> None:
        """A clock that goes back does not give a second daily allowance."""
        late = {"card__counter_day": "2026-11-21", "card__day_amount": 2000, "card__day_count": 1}
        self.declined("61", "daily-amount", **late)

    def test_pin_gives_tries_back(self) -> None:
        """A right PIN gives the tries back, also when the purchase is declined afterwards."""
        self.assertEqual(self.approved(card__tries_left=1).tries_left, 3)
        self.assertEqual(self.declined("51", "funds", card__tries_left=1, card__balance=0).tries_left, 3)

    def test_balance(self) -> None:
        """A balance enquiry with the right PIN is answered, on any day and in any shop, and counts for nothing."""
        decision = self.approved(ENQUIRY, policy__week_days=(), terminal__mcc="5921", card__day_count=9)
        self.assertEqual((decision.amount, decision.day_amount, decision.day_count), (0, 0, 0))


class BeforeThePin(DecideCase):
    def test_place(self) -> None:
        """An unknown or blocked terminal and a blocked shop sell nothing: 58 and 03."""
        self.declined("58", "terminal-unknown", terminal=None)
        self.declined("58", "terminal-not-active", terminal__state=State.BLOCKED)
        self.declined("03", "shop-not-active", terminal__shop_state=State.CLOSED)

    def test_request(self) -> None:
        """A foreign currency is refused with 12, an amount that cannot be paid with 13."""
        self.declined("12", "currency-of-terminal", purchase(1250, currency="EUR"))
        for amount in (0, -1, MAX_MINOR_UNITS + 1):
            self.declined("13", "amount", purchase(amount))
        self.declined("13", "amount", Question(Kind.BALANCE, 1, "USD"))

    def test_stripe(self) -> None:
        """A track that cannot be read is a format error: 30."""
        self.declined("30", "track-unreadable", card=None, checks=Checks("", "", False, track_readable=False))

    def test_unknown_or_forged(self) -> None:
        """An unknown card and a forged one get the same answer, 14, and no PIN try is taken."""
        unknown = self.declined("14", "card-not-genuine", card=None, checks__verification_ok=False)
        forged = self.declined("14", "card-not-genuine", checks__verification_ok=False, checks__pin_ok=False)
        self.assertEqual((unknown.code, unknown.rule), (forged.code, forged.rule))
        self.assertEqual(forged.tries_left, 3)
        self.assertEqual((unknown.figures["known"], forged.figures["known"]), ("no", "yes"))

    def test_card_states(self) -> None:
        """Lost 41, stolen 43, suspected 34, blocked or closed 62: whatever the PIN."""
        for state, code, rule in (
            (State.LOST, "41", "card-lost"),
            (State.STOLEN, "43", "card-stolen"),
            (State.SUSPECTED, "34", "card-suspected"),
            (State.BLOCKED, "62", "card-not-active"),
            (State.CLOSED, "62", "card-not-active"),
        ):
            self.declined(code, rule, card__state=state, checks__pin_ok=None)

    def test_expiry(self) -> None:
        """A card is valid through the last day of its month where the company is, and expired the next: 54."""
        last = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
        first = datetime(2026, 12, 1, 0, 0, tzinfo=UTC)
        month = {"card__expiry": "2611", "checks__track_expiry": "2611", "policy__week_days": (1, 2, 3, 4, 5, 6, 7)}
        self.approved(now=last, **month)
        self.declined("54", "card-expired", now=first, **month)
        self.approved(now=first, policy__time_zone="America/New_York", **month)
        self.declined("54", "card-expired", now=last, policy__time_zone="Asia/Kolkata", **month)

    def test_replaced(self) -> None:
        """The stripe of a card that was renewed is refused, before and after it expires: 54."""
        self.declined("54", "card-replaced", checks__track_expiry="2812")
        self.declined("54", "card-expired", checks__track_expiry="2512")

    def test_service_code(self) -> None:
        """A card for cash alone buys no lunch: 57."""
        self.declined("57", "service-code", checks__service_code="723")
        self.approved(checks__service_code="727")

    def test_holder(self) -> None:
        """Nobody pays for an employee who has left, 62, or with the money of a closed company, 57."""
        self.declined("62", "employee-not-active", card__employee_state=State.CLOSED)
        self.declined("57", "company-not-active", card__company_state=State.BLOCKED)

    def test_nothing_about_money(self) -> None:
        """Who holds a card without its PIN learns nothing about purse, limits or policy."""
        rich = decide(LUNCH, facts(checks__pin_ok=None), NOW)
        poor = decide(
            LUNCH,
            facts(
                checks__pin_ok=None,
                card__balance=0,
                card__day_count=99,
                card__counter_day="2026-11-20",
                policy__daily_amount=0,
                policy__week_days=(),
                policy__categories=(),
            ),
            NOW,
        )
        self.assertEqual((rich.result, rich.code, rich.pin_wanted), (poor.result, poor.code, poor.pin_wanted))
        self.assertTrue(rich.pin_wanted)


class ThePin(DecideCase):
    def test_wanted(self) -> None:
        """Without a PIN, one is asked for; nothing is decided and no try is taken."""
        decision = decide(LUNCH, facts(checks__pin_ok=None), NOW)
        self.assertEqual((decision.pin_wanted, decision.rule, decision.tries_left), (True, "pin-wanted", 3))

    def test_small_amounts(self) -> None:
        """Up to the amount that the policy names, no PIN is needed; above it, one is."""
        without = {"checks__pin_ok": None, "policy__pin_above": 1250}
        self.approved(**without)
        self.assertTrue(decide(purchase(1251), facts(**without), NOW).pin_wanted)
        self.assertTrue(decide(ENQUIRY, facts(**without), NOW).pin_wanted)

    def test_no_policy_needs_pin(self) -> None:
        """A company without a policy is no way around the PIN."""
        self.assertTrue(decide(LUNCH, facts(policy=None, checks__pin_ok=None), NOW).pin_wanted)

    def test_wrong(self) -> None:
        """A wrong PIN takes one try and says how many are left: 55, also where no PIN was needed."""
        decision = self.declined("55", "pin-wrong", checks__pin_ok=False)
        self.assertEqual((decision.tries_left, decision.figures), (2, {"tries_left": 2}))
        self.declined("55", "pin-wrong", checks__pin_ok=False, policy__pin_above=5000)
        self.assertEqual(self.declined("55", "pin-wrong", checks__pin_ok=False, card__tries_left=1).tries_left, 0)

    def test_locked(self) -> None:
        """Once the tries are used up the right PIN gets 75 like a wrong one, and so does none at all."""
        for right in (True, False, None):
            self.declined("75", "pin-locked", card__tries_left=0, checks__pin_ok=right, policy__pin_above=5000)

    def test_unusable(self) -> None:
        """A PIN block that does not open takes no try: 88."""
        decision = self.declined("88", "pin-unusable", checks__pin_ok=None, checks__pin_usable=False)
        self.assertEqual(decision.tries_left, 3)


class AfterThePin(DecideCase):
    def test_currency_of_purse(self) -> None:
        """A purse in another currency than the shop's pays nothing: 57."""
        self.declined("57", "currency-of-purse", card__currency="EUR")

    def test_policy(self) -> None:
        """Without a policy in force nothing is allowed: 57."""
        self.declined("57", "no-policy", policy=None)
        self.declined("57", "no-policy", policy__time_zone="Nowhere/Land")

    def test_category(self) -> None:
        """A shop of another category than the company pays for: 57."""
        self.declined("57", "category", terminal__mcc="5921")
        self.approved(terminal__mcc="5921", policy__categories=("5921",))

    def test_week_day(self) -> None:
        """Saturday is no working day here: 57; it is one where the policy says so."""
        saturday = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        self.declined("57", "week-day", now=saturday)
        self.approved(now=saturday, policy__week_days=(6,))

    def test_hours(self) -> None:
        """Hours begin with their first minute and end before their last: 57 outside."""
        hours = {"policy__opens": "11:30", "policy__closes": "14:30"}
        for minute, inside in (("11:29", False), ("11:30", True), ("14:29", True), ("14:30", False)):
            now = datetime.fromisoformat(f"2026-11-20T{minute}:59+00:00")
            if inside:
                self.approved(now=now, **hours)
            else:
                self.declined("57", "hours", now=now, **hours)

    def test_over_midnight(self) -> None:
        """A night shift's window belongs to the day on which it opened."""
        night = {"policy__opens": "22:00", "policy__closes": "02:00"}
        self.approved(now=datetime(2026, 11, 20, 23, 0, tzinfo=UTC), **night)
        self.approved(now=datetime(2026, 11, 21, 1, 59, tzinfo=UTC), **night)
        self.declined("57", "hours", now=datetime(2026, 11, 20, 2, 0, tzinfo=UTC), **night)
        self.declined("57", "week-day", now=datetime(2026, 11, 21, 23, 0, tzinfo=UTC), **night)
        self.declined("57", "week-day", now=datetime(2026, 11, 23, 1, 0, tzinfo=UTC), **night)

    def test_until_midnight(self) -> None:
        """A window may end at midnight under either name of it."""
        for closes in ("24:00", "00:00"):
            window = {"policy__opens": "18:00", "policy__closes": closes}
            self.approved(now=datetime(2026, 11, 20, 23, 59, tzinfo=UTC), **window)
            self.declined("57", "hours", now=datetime(2026, 11, 20, 17, 59, tzinfo=UTC), **window)

    def test_daylight_saving(self) -> None:
        """Hours are those on the company's clocks, before and after they are changed."""
        noon = {"policy__opens": "12:00", "policy__closes": "13:00", "policy__time_zone": "America/New_York"}
        # The clocks went back on 2026-11-01: noon was 16:00 UTC on Friday and is 17:00 UTC on Monday.
        self.approved(now=datetime(2026, 10, 30, 16, 30, tzinfo=UTC), **noon)
        self.declined("57", "hours", now=datetime(2026, 11, 2, 16, 30, tzinfo=UTC), **noon)
        self.approved(now=datetime(2026, 11, 2, 17, 30, tzinfo=UTC), **noon)

    def test_local_day(self) -> None:
        """The day's allowance begins at midnight where the company is."""
        spent = {"card__counter_day": "2026-11-20", "card__day_amount": 2000, "card__day_count": 1}
        auckland = {"policy__time_zone": "Pacific/Auckland", "policy__week_days": (1, 2, 3, 4, 5, 6, 7)}
        decision = self.approved(now=datetime(2026, 11, 20, 11, 0, tzinfo=UTC), **spent, **auckland)
        self.assertEqual(decision.counter_day, "2026-11-21")
        self.declined("61", "daily-amount", now=datetime(2026, 11, 20, 10, 59, tzinfo=UTC), **spent, **auckland)

    def test_limits(self) -> None:
        """Over one purchase's or the day's amount 61, over the day's count 65, over the purse 51."""
        today = {"card__counter_day": "2026-11-20", "card__day_amount": 1000, "card__day_count": 2}
        self.declined("61", "single-amount", purchase(1801))
        figures = self.declined("61", "daily-amount", purchase(1001), **today).figures
        self.assertEqual((figures["limit"], figures["spent"], figures["day"]), (2000, 1000, "2026-11-20"))
        self.declined("65", "daily-count", card__counter_day="2026-11-20", card__day_count=3)
        self.assertEqual(self.declined("51", "funds", card__balance=1249).figures["balance"], 1249)

    def test_no_limits(self) -> None:
        """Where a policy sets no limit, the purse is the only one."""
        unlimited = {f"policy__{name}": None for name in ("daily_amount", "daily_count", "single_amount")}
        self.approved(purchase(10_000), card__day_amount=1 << 40, card__counter_day="2026-11-20", **unlimited)
        self.declined("51", "funds", purchase(10_001), **unlimited)

    def test_zero_limits(self) -> None:
        """A limit of zero is a limit."""
        self.declined("61", "single-amount", policy__single_amount=0)
        self.declined("61", "daily-amount", policy__daily_amount=0)
        self.declined("65", "daily-count", policy__daily_count=0)


class Partial(DecideCase):
    def part(self, amount: int, limited_by: str, question: Question, **changes: Any) -> None:
        decision = decide(question, facts(**changes), NOW)
        self.assertEqual((decision.result, decision.code, decision.amount), (Result.PARTIAL, "10", amount))
        self.assertEqual((decision.rule, decision.figures["limited_by"]), ("partial", limited_by))
        self.assertEqual((decision.day_amount, decision.day_count), (changes.get("card__day_amount", 0) + amount, 1))

    def test_only_when_asked(self) -> None:
        """Part of an amount is approved only to a terminal that asked for that: 10."""
        self.part(900, "funds", purchase(1250, partial=True), card__balance=900)
        self.declined("51", "funds", purchase(1250), card__balance=900)

    def test_tightest(self) -> None:
        """What is approved is what every limit allows, and the tightest one is named."""
        self.part(1800, "single-amount", purchase(5000, partial=True))
        today = {"card__counter_day": "2026-11-20", "card__day_amount": 1500}
        self.part(500, "daily-amount", purchase(5000, partial=True), **today)
        self.part(300, "funds", purchase(5000, partial=True), card__balance=300, **today)

    def test_whole(self) -> None:
        """What can be paid whole is paid whole, also where part would do."""
        self.assertEqual(self.approved(purchase(1250, partial=True)).amount, 1250)

    def test_nothing_left(self) -> None:
        """Where nothing is left nothing is approved, and the code says why."""
        self.declined("51", "funds", purchase(1250, partial=True), card__balance=0)
        spent = {"card__counter_day": "2026-11-20", "card__day_amount": 2500}
        self.declined("61", "daily-amount", purchase(1250, partial=True), **spent)
        self.declined("65", "daily-count", purchase(1250, partial=True), policy__daily_count=0)


class Order(DecideCase):
    def test_first_reason_wins(self) -> None:
        """Of several reasons the first of the documented order is told, so that an answer never depends on luck."""
        problems: list[tuple[str, dict[str, Any]]] = [
            ("58", {"terminal__shop_id": 0}),
            ("58", {"terminal__state": State.BLOCKED}),
            ("03", {"terminal__shop_state": State.BLOCKED}),
            ("12", {"terminal__currency": "EUR"}),
            ("30", {"checks__track_readable": False}),
            ("14", {"checks__verification_ok": False}),
            ("41", {"card__state": State.LOST}),
            ("54", {"card__expiry": "2501"}),
            ("54", {"checks__track_expiry": "2911"}),
            ("57", {"checks__service_code": "723"}),
            ("62", {"card__employee_state": State.CLOSED}),
            ("57", {"card__company_state": State.CLOSED}),
            ("75", {"card__tries_left": 0}),
            ("88", {"checks__pin_usable": False}),
            ("55", {"checks__pin_ok": False}),
            ("57", {"card__currency": "EUR"}),
            ("57", {"policy__categories": ()}),
            ("57", {"policy__week_days": ()}),
            ("57", {"policy__closes": "00:01"}),
            ("65", {"policy__daily_count": 0}),
            ("61", {"policy__single_amount": 0}),
            ("61", {"policy__daily_amount": 0}),
            ("51", {"card__balance": 0}),
        ]
        changes: dict[str, Any] = {}
        for code, change in reversed(problems):
            changes.update(change)
            self.assertEqual(decide(LUNCH, facts(**changes), NOW).code, code, change)

    def test_facts_unchanged(self) -> None:
        """A decision changes none of the facts that it was made from."""
        before = msgspec.msgpack.encode((CARD, POLICY))
        decide(LUNCH, facts(), NOW)
        self.assertEqual(msgspec.msgpack.encode((CARD, POLICY)), before)
        self.assertIsInstance(decide(LUNCH, facts(), NOW).code, ResponseCode)
