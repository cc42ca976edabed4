"""At the very edge of a rule: the minute, the cent, the try and the order in which reasons are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import CARD, CHECKS, ENQUIRY, LUNCH, NOW, POLICY, facts
from tests.auth.test_readings import ReadingCase, T
from trus.auth.case import Case, LocalMoment, local_moment
from trus.auth.decide import decide
from trus.auth.model import Facts, Kind, PurseFacts, Question, State
from trus.auth.policy import MAIN_PURSE, PurseRule
from trus.auth.signals import distance_km, signals_of, with_reading
from trus.auth.watching import (
    MAX_CARDS,
    UNWATCHED,
    Watch,
    WatchLimits,
    is_swept,
    lately,
    right_pin,
    wrong_pin,
    wrong_value,
)
from trus.money import MAX_MINOR_UNITS
from trus.values import ResponseCode

HERE, BRONX, PHILADELPHIA = "40.7128,-74.0060", "40.8448,-73.8648", "39.9526,-75.1652"


def at(hour: int, minute: int = 0, day: int = 20) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


class Clocks(SynchronousTestCase):
    """Local dates and times."""

    def test_local(self) -> None:
        """A moment is the local date, month, time to the minute, week day, and what yesterday was there."""
        self.assertEqual(local_moment("UTC", NOW), LocalMoment("2026-11-20", "2611", "12:30", 5, 4, "2026-11-19"))
        self.assertEqual(
            local_moment("Pacific/Auckland", datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)),
            LocalMoment("2027-01-01", "2701", "12:59", 5, 4, "2026-12-31"),
        )
        self.assertIsNone(local_moment("Nowhere/Land", NOW))

    def case(self, moment: datetime, opens: str, closes: str) -> Case:
        return Case(LUNCH, facts(policy__opens=opens, policy__closes=closes), moment)

    def test_over_midnight(self) -> None:
        """A window over midnight belongs to the day on which it opened, up to the minute at which it closes."""
        for moment, expected in (
            (at(1, 59), (4, "2026-11-19")),
            (at(2), (5, "2026-11-20")),
            (at(23), (5, "2026-11-20")),
        ):
            case = self.case(moment, "22:00", "02:00")
            self.assertEqual((case.week_day, case.window_day), expected)
        for opens, closes in (("02:00", "22:00"), ("03:00", "03:00")):
            case = self.case(at(1), opens, closes)
            self.assertEqual((case.week_day, case.window_day), (5, "2026-11-20"))

    def test_hours(self) -> None:
        """The hours begin with their first minute and end before their last."""

        def rule(moment: datetime, opens: str, closes: str) -> str:
            return decide(LUNCH, facts(policy__opens=opens, policy__closes=closes), moment).rule

        inside = [rule(moment, "11:00", "14:00") for moment in (at(10, 59), at(11), at(13, 59), at(14))]
        self.assertEqual(inside, ["hours", "approved", "approved", "hours"])
        night = [rule(moment, "22:00", "02:00") for moment in (at(21, 59), at(22), at(1, 59), at(2))]
        self.assertEqual(night, ["hours", "approved", "approved", "hours"])
        self.assertEqual([rule(at(11), "11:00", "11:00"), rule(at(0), "00:00", "24:00")], ["hours", "approved"])

    def test_expiry(self) -> None:
        """A card pays until the end of its month, by what the stripe and the register say, whichever is earlier."""

        def rule(card: str, track: str) -> str:
            return decide(LUNCH, facts(card__expiry=card, checks__track_expiry=track), NOW).rule

        self.assertEqual(rule("2611", "2611"), "approved")
        self.assertEqual([rule("2610", "2912"), rule("2912", "2610"), rule("2610", "2610")], ["card-expired"] * 3)
        self.assertEqual([rule("2911", "2912"), rule("2912", "2911")], ["card-replaced"] * 2)

    def test_counters_of_a_later_day(self) -> None:
        """A clock that goes back starts no new day; a new day begins with nothing spent."""
        for day, expected in (("2026-11-19", 0), ("2026-11-20", 700), ("2026-11-21", 700)):
            case = Case(LUNCH, facts(card__counter_day=day, card__day_amount=700, card__day_count=1), NOW)
            self.assertEqual(case.day_amount, expected, day)


class Cents(SynchronousTestCase):
    """Amounts, one by one."""

    def test_amounts(self) -> None:
        """A purchase is of one cent at least and of twelve digits at most; an enquiry has no amount."""

        def rule(amount: int, kind: Kind = Kind.PURCHASE) -> str:
            rich = facts(policy=msgspec.structs.replace(POLICY, daily_amount=None, single_amount=None))
            rich = msgspec.structs.replace(rich, card=msgspec.structs.replace(CARD, balance=MAX_MINOR_UNITS + 1))
            return decide(Question(kind, amount, "USD"), rich, NOW).rule

        amounts = (-1, 0, 1, MAX_MINOR_UNITS, MAX_MINOR_UNITS + 1)
        self.assertEqual([rule(each) for each in amounts], ["amount", "amount", "approved", "approved", "amount"])
        self.assertEqual([rule(each, Kind.BALANCE) for each in (-1, 0, 1)], ["amount", "approved", "amount"])

    def test_told(self) -> None:
        """What support is told of an approval: what was asked, the currency, the balance and the policy, no more."""
        figures = {"asked": 1250, "currency": "USD", "balance": 10_000, "policy": 1}
        self.assertEqual(decide(LUNCH, facts(), NOW).figures, figures)
        enquired = decide(ENQUIRY, facts(policy__purses=(PurseRule(MAIN_PURSE),)), NOW)
        self.assertEqual(enquired.figures, {"currency": "USD", "balance": 10_000})
        self.assertEqual((enquired.draws, enquired.day_count), ((), 0))

    def test_refused_amounts(self) -> None:
        """A refused amount is told as it was asked, in its currency."""
        decision = decide(Question(Kind.PURCHASE, 0, "USD"), facts(), NOW)
        self.assertEqual((decision.code, decision.figures), ("13", {"asked": 0, "currency": "USD"}))

    def test_first_limit(self) -> None:
        """Of several limits that an amount is over the first in order is told; in part the tightest decides."""
        tight = facts(card__balance=100)
        self.assertEqual(decide(Question(Kind.PURCHASE, 1801, "USD"), tight, NOW).rule, "single-amount")
        part = decide(Question(Kind.PURCHASE, 1801, "USD", True), tight, NOW)
        self.assertEqual((part.rule, part.amount, part.figures["limited_by"]), ("partial", 100, "funds"))

    def test_one_cent_in_part(self) -> None:
        """The last cent can be paid with, and nothing is approved of nothing."""
        asked = Question(Kind.PURCHASE, 500, "USD", True)
        self.assertEqual(decide(asked, facts(card__balance=1), NOW).amount, 1)
        none = decide(asked, facts(card__balance=0), NOW)
        self.assertEqual((none.rule, none.code, none.amount), ("funds", "51", 0))

    def test_held_or_ended(self) -> None:
        """Of what is set aside and what has ended the greater is missing, and each is told if there is any."""
        for aside, ended, left in ((300, 100, 700), (100, 300, 700), (300, 300, 700), (0, 0, 1_000)):
            decision = decide(
                Question(Kind.PURCHASE, 1_001, "USD"),
                facts(card__balance=1_000, card__held=aside, card__ended=ended),
                NOW,
            )
            told = {"asked": 1_001, "currency": "USD", "policy": 1, "balance": left}
            if aside:
                told["held"] = aside
            if ended:
                told["ended"] = ended
            self.assertEqual(decision.figures, told)

    def test_no_limit_is_no_limit(self) -> None:
        """A limit of nothing allows nothing, and no limit at all anything."""
        for limit in ("single_amount", "daily_amount"):
            decision = decide(LUNCH, facts(**{f"policy__{limit}": 0}), NOW)
            self.assertEqual((decision.code, decision.figures["limit"]), (ResponseCode.OVER_AMOUNT_LIMIT, 0))
        self.assertEqual(decide(LUNCH, facts(policy__daily_count=0), NOW).rule, "daily-count")
        free = facts(policy__daily_count=None, policy__daily_amount=None, policy__single_amount=None)
        self.assertEqual(decide(Question(Kind.PURCHASE, 10_000, "USD"), free, NOW).rule, "approved")


class Tries(SynchronousTestCase):
    """PIN tries."""

    def left(self, tries: int, allowed: int, right: bool | None) -> int | None:
        changed = facts(card__tries_left=tries, checks__pin_ok=right)
        return decide(LUNCH, msgspec.structs.replace(changed, tries_allowed=allowed), NOW).tries_left

    def test_given_back(self) -> None:
        """A right PIN gives the tries back that are allowed, and takes none away from a card that has more."""
        self.assertEqual([self.left(1, 3, True), self.left(3, 3, True), self.left(5, 3, True)], [3, 3, 5])
        self.assertEqual([self.left(3, 3, False), self.left(1, 3, False), self.left(0, 3, True)], [2, 0, 0])

    def test_wanted(self) -> None:
        """The PIN is wanted for every enquiry and for what is above the policy's amount, and costs no try."""

        def wanted(question: Question, above: int) -> bool:
            decision = decide(question, facts(checks__pin_ok=None, policy__pin_above=above), NOW)
            self.assertEqual(decision.tries_left, 3)
            return decision.pin_wanted

        self.assertEqual([wanted(LUNCH, each) for each in (0, 1249, 1250, 1251)], [True, True, False, False])
        self.assertTrue(wanted(ENQUIRY, 5_000))

    def test_states(self) -> None:
        """Each standing of a card but the active one has its code."""
        codes = {
            State.LOST: "41", State.STOLEN: "43", State.SUSPECTED: "34", State.BLOCKED: "62", State.CLOSED: "62",
            State.ACTIVE: "00",
        }  # fmt: skip
        self.assertEqual({state: decide(LUNCH, facts(card__state=state), NOW).code for state in State}, codes)

    def test_nothing_known(self) -> None:
        """Without a card nothing is said of tries, and the record says that there is none."""
        decision = decide(LUNCH, Facts(facts().terminal, None, CHECKS, POLICY), NOW)
        self.assertEqual(
            (decision.rule, decision.tries_left, decision.figures), ("card-not-genuine", None, {"known": "no"})
        )
        wrong = decide(LUNCH, facts(checks__verification_ok=False), NOW)
        self.assertEqual((wrong.tries_left, wrong.figures), (3, {"known": "yes"}))


class Places(SynchronousTestCase):
    """Where a card was."""

    def test_distances(self) -> None:
        """Distances on the round earth, to the kilometre; the other side is half around it."""
        for one, other, expected in (
            (HERE, PHILADELPHIA, 130), (HERE, BRONX, 19), ("0,0", "0,180", 20015), ("90,0", "-90,0", 20015),
            ("51.5074,-0.1278", "48.8566,2.3522", 344), ("0,0", "0,1", 111), ("60,0", "60,1", 56),
        ):  # fmt: skip
            self.assertEqual(round(distance_km(one, other)), expected, (one, other))
            self.assertEqual(round(distance_km(other, one)), expected, (other, one))

    def test_remembered(self) -> None:
        """Place, shop and moment of the last approved purchase are kept, of one cent too, and of no other."""
        watched = facts(policy__travel_speed=100, policy__velocity_count=9, terminal__place=HERE)

        def kept(question: Question, seen: Facts) -> tuple[int, str, str, int]:
            signals = decide(question, seen, NOW).signals
            left = signals_of(Case(question, facts(card__signals=signals), NOW))
            return left.at, left.place, left.shop, left.tries

        moment = int(NOW.timestamp())
        self.assertEqual(kept(Question(Kind.PURCHASE, 1, "USD"), watched), (moment, HERE, "BISTRO", 1))
        broke = msgspec.structs.replace(watched, card=msgspec.structs.replace(CARD, balance=0))
        self.assertEqual(kept(LUNCH, broke), (0, "", "", 1))
        nowhere = facts(policy__travel_speed=100, policy__velocity_count=9)
        self.assertEqual(kept(LUNCH, nowhere), (0, "", "", 1))

    def far(self, place: str, seconds: int, speed: int = 60) -> tuple[str, dict[str, int | str]]:
        """Return what is said of a purchase in a place so many seconds after one here."""
        seen = facts(policy__travel_speed=speed, terminal__place=HERE)
        signals = decide(LUNCH, seen, NOW).signals
        later = facts(policy__travel_speed=speed, terminal__place=place, card__signals=signals)
        decision = decide(LUNCH, later, NOW + timedelta(seconds=seconds))
        return decision.rule, decision.figures

    def test_too_far(self) -> None:
        """A card that moves faster than the company allows is a copy, to the second; the same place never is."""
        away = distance_km(HERE, BRONX)
        slow, fast = int(away * 60) + 1, int(away * 60)
        self.assertEqual([self.far(BRONX, slow)[0], self.far(BRONX, fast)[0]], ["approved", "too-far"])
        figures = {"distance_km": int(away), "minutes": fast // 60, "speed": 60, "shop_before": "BISTRO"}
        self.assertEqual(self.far(BRONX, fast)[1], figures)
        self.assertEqual(self.far(BRONX, -50)[1]["minutes"], 0)
        self.assertEqual(self.far(HERE, 0)[0], "approved")
        self.assertEqual(
            [self.far("40.7128,-73.9470", 0)[0], self.far("40.7128,-73.9460", 0)[0]], ["approved", "too-far"]
        )

    def test_another_reader(self) -> None:
        """The last reading is that of the last terminal, whatever its name; at one terminal the highest stands."""
        kept = with_reading("", "T0000002", 100, odd=False)

        def last(terminal: str, number: int) -> tuple[str, int]:
            text = with_reading(kept, terminal, number, odd=False)
            signals = signals_of(Case(LUNCH, facts(card__signals=text), NOW))
            return signals.read_at, signals.read

        self.assertEqual([last(each, 50) for each in ("T0000001", "T0000003")], [("T0000001", 50), ("T0000003", 50)])
        self.assertEqual(
            [last("T0000002", each) for each in (99, 100, 101)], [("T0000002", each) for each in (100, 100, 101)]
        )

    def test_too_many(self) -> None:
        """So many requests in so many minutes and not one more; with the window's end all is forgotten."""

        def rules(*seconds: int) -> list[str]:
            signals, found = "", []
            for second in seconds:
                seen = facts(policy__velocity_count=2, policy__velocity_minutes=10, card__signals=signals)
                decision = decide(LUNCH, seen, NOW + timedelta(seconds=second))
                signals = decision.signals or signals
                found.append(decision.rule)
            return found

        self.assertEqual(rules(0, 1, 599), ["approved", "approved", "velocity"])
        for later in (600, 601, 3_000):
            told = rules(0, 1, later, later + 1, later + 2)
            self.assertEqual(told, ["approved", "approved", "approved", "approved", "velocity"])
        seen = facts(policy__velocity_count=0, policy__velocity_minutes=10, card__signals=f"[{NOW.timestamp():.0f},0]")
        decision = decide(LUNCH, seen, NOW)
        self.assertEqual(decision.figures, {"count": 0, "count_limit": 0, "minutes": 10})


class Readings(ReadingCase):
    """Readings of stripes that overtake each other."""

    def test_late_ones(self) -> None:
        """What comes late is noted beside what came before: each number once, whichever card shows it."""
        self.assertEqual(self.codes(T, T + 5, T + 3), ["00"] * 3)
        for number, code in ((T, "34"), (T + 3, "34"), (T + 5, "34"), (T + 4, "00"), (T + 1, "00"), (T + 4, "34")):
            self.other_card()
            self.assertEqual(self.read(number).code, code, number - T)


class Watches(SynchronousTestCase):
    """What a terminal has tried."""

    LIMITS = WatchLimits()
    NOW = 1_800_000_000

    def test_figures(self) -> None:
        """Ten tries are free, twenty values or thirty cards block, ten minutes forget one."""
        self.assertEqual(self.LIMITS, WatchLimits(600, 10, 20, 10, 30, 300))
        self.assertEqual(UNWATCHED, Watch(0, 0, 0, 0, (), 0))

    def test_cards_block(self) -> None:
        """Wrong PINs of thirty cards block a terminal, of twenty-nine they do not; the waits begin after ten."""
        watch, waits = UNWATCHED, []
        for card in range(1, 31):
            self.assertFalse(is_swept(watch, self.LIMITS))
            watch = wrong_pin(watch, card, self.NOW, self.LIMITS)
            waits.append(watch.until - self.NOW if watch.until else 0)
        self.assertTrue(is_swept(watch, self.LIMITS))
        self.assertEqual(waits[:13], [0] * 10 + [2, 4, 8])
        self.assertEqual((waits[-1], watch.pins_at, watch.cards), (300, self.NOW, tuple(range(1, 31))))

    def test_remembers_so_many(self) -> None:
        """The last cards are remembered, more than block a terminal, whether they failed or forgave."""
        watch = UNWATCHED
        for card in range(MAX_CARDS + 2):
            watch = wrong_pin(watch, card, self.NOW, self.LIMITS)
        self.assertEqual(watch.cards, tuple(range(2, MAX_CARDS + 2)))
        watch = right_pin(watch, 900, self.NOW, self.LIMITS)
        self.assertEqual((watch.cards, watch.pins), ((*range(3, MAX_CARDS + 2), 900), MAX_CARDS + 1))
        self.assertEqual(MAX_CARDS, 64)

    def test_begins_when_it_began(self) -> None:
        """Ten minutes are counted from the first that is held against the terminal, each kind for itself."""
        watch = wrong_value(UNWATCHED, self.NOW, self.LIMITS)
        watch = wrong_pin(wrong_value(watch, self.NOW + 300, self.LIMITS), 1, self.NOW + 300, self.LIMITS)
        self.assertEqual(watch, Watch(2, self.NOW, 1, self.NOW + 300, (1,), 0))
        self.assertEqual(
            lately(watch, self.NOW + 899, self.LIMITS), Watch(1, self.NOW + 600, 1, self.NOW + 300, (1,), 0)
        )
        self.assertEqual(lately(watch, self.NOW + 900, self.LIMITS), Watch(1, self.NOW + 600, 0, 0, (), 0))

    def test_long_ago(self) -> None:
        """After a day nothing is held against a terminal, however much it was."""
        watch = Watch(40, self.NOW, 40, self.NOW, tuple(range(40)), self.NOW + 300)
        self.assertEqual(lately(watch, self.NOW + 86_400, self.LIMITS), UNWATCHED)

    def test_waits(self) -> None:
        """A wait is as long as the worse of the two counts asks, and a later one never shortens it."""
        both = Watch(12, self.NOW, 11, self.NOW, tuple(range(11)), 0)
        self.assertEqual(wrong_value(both, self.NOW, self.LIMITS).until, self.NOW + 8)
        self.assertEqual(wrong_pin(both, 99, self.NOW, self.LIMITS).until, self.NOW + 4)
        waiting = Watch(10, self.NOW, 0, 0, (), self.NOW + 200)
        self.assertEqual(wrong_value(waiting, self.NOW, self.LIMITS).until, self.NOW + 200)
        self.assertEqual(lately(waiting, self.NOW + 199, self.LIMITS).until, self.NOW + 200)
        self.assertEqual(lately(waiting, self.NOW + 200, self.LIMITS).until, 0)
        endless = Watch(1_000, self.NOW, 0, 0, (), 0)
        self.assertEqual(wrong_value(endless, self.NOW, self.LIMITS).until, self.NOW + 300)


class Purses(SynchronousTestCase):
    """Purses at their last cent."""

    def room(self, policy_purses: tuple[PurseRule, ...], *held: PurseFacts, **changes: object) -> int:
        seen = facts(policy__purses=policy_purses, card__purses=held, card__balance=500, **changes)
        return decide(Question(Kind.PURCHASE, 1_700, "USD", True), seen, NOW).amount

    def test_room(self) -> None:
        """A purse pays what it holds less what is set aside of it; the fullest pays where they do not share."""
        rules = (PurseRule("SNACK"), PurseRule(MAIN_PURSE))
        self.assertEqual(self.room(rules, PurseFacts("SNACK", 31, 700, 100)), 600)
        self.assertEqual(self.room(rules, PurseFacts("SNACK", 31, 100, 300)), 500)
        self.assertEqual(self.room(rules, PurseFacts("snack".upper(), 31, 700, 100)), 600)
        shared = {"policy__split_purses": True}
        self.assertEqual(self.room(rules, PurseFacts("SNACK", 31, 700, 100), **shared), 1_100)
        self.assertEqual(self.room(rules, PurseFacts("SNACK", 31, 100, 300), **shared), 500)
        self.assertEqual(self.room((PurseRule("OTHER"),)), 0)
