"""What would have been under another policy: judged again in order, on books kept beside those of what was."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.auth.facts import NOW
from trus.auth.policy import MAIN_PURSE, Policy, PurseRule, ShopLimit
from trus.auth.whatif import PIN_WANTED, Holder, PastRequest, WhatIf
from trus.values import CardRef

MAIN, SNACK, SHOP, OTHERS = 30, 31, 70, 40
HOLDER = Holder(CardRef("CARD00000003"), "E3", MAIN, (("SNACK", SNACK),))
LOOSE = Policy(9, 5, "2026-01-01", pin_above=10_000)
TODAY, TOMORROW = "2026-11-20", "2026-11-21"


def asked(number: int, amount: int, **changes: Any) -> PastRequest:
    """Return an approved purchase of an amount at lunch; `changes` are of its fields."""
    ordinary = PastRequest(
        number, f"6325{number:08}", NOW, "purchase", 3, 7, "BISTRO", "5812", "T0000001", TODAY, amount, amount, "USD",
        "approved", "00", "approved", moved=((MAIN, -amount), (SHOP, amount)),
    )  # fmt: skip
    return replace(ordinary, **changes)


def declined(number: int, amount: int, rule: str = "funds", code: str = "51", **changes: Any) -> PastRequest:
    return asked(number, amount, authorized=0, result="declined", code=code, rule=rule, moved=(), **changes)


def held(number: int, amount: int, **changes: Any) -> PastRequest:
    return asked(number, amount, **{"kind": "hold", "moved": (), **changes})


def after(original: int, kind: str, amount: int, **changes: Any) -> PastRequest:
    """Return what ends or gives back an earlier request; a completion takes the amount, anything else gives it back."""
    way = -1 if kind == "completion" else 1
    return asked(
        original + 100, amount, kind=kind, original=original, rule=kind,
        **{"moved": ((MAIN, way * amount), (SHOP, -way * amount)) if amount else (), **changes},
    )  # fmt: skip


def book(policy: Policy = LOOSE, balance: int = 10_000, snacks: int = 0, **changes: Any) -> WhatIf:
    """Return the books of a company whose only cardholder has so much."""
    given: dict[str, Any] = {
        "balances": {MAIN: balance, SNACK: snacks},
        "held": {},
        "in_force": lambda at: None,
        "since": NOW - timedelta(days=1),
    }
    given.update(changes)
    return WhatIf(policy, {3: HOLDER}, **given)


def room(books: WhatIf, card: int = 3, **changes: Any) -> int:
    """Return how much could be paid in part now, and leave the books as they are."""
    probe = asked(999, 900_000, result="partial", authorized=-1, card=card, **changes)
    change = copy.deepcopy(books).feed(probe)
    return -1 if change is None else change.amount


class Answers(SynchronousTestCase):
    """Which answers would have been others."""

    def test_nothing_changes(self) -> None:
        """What the policy would have answered alike is no change, and is counted as judged."""
        books = book()
        self.assertEqual([books.feed(asked(each, 1_000)) for each in range(3)], [None] * 3)
        self.assertIsNone(books.feed(declined(3, 8_000)))
        self.assertEqual(books.judged, 4)

    def test_declined_instead(self) -> None:
        """A purchase over a new limit would have been declined, with the limit's code, name and figures."""
        books = book(replace(LOOSE, single_amount=500))
        request = asked(1, 501)
        change = books.feed(request)
        assert change is not None
        self.assertEqual((change.request, change.holder), (request, HOLDER))
        self.assertEqual((change.code, change.amount, change.rule), ("61", 0, "single-amount"))
        self.assertIn("5.00", change.why)
        self.assertIsNone(books.feed(asked(2, 500)))

    def test_approved_instead(self) -> None:
        """A purchase that was over a limit would have been approved where the new policy allows it."""
        for rule in ("single-amount", "daily-count", "category", "hours"):
            change = book().feed(declined(1, 900, rule, "61"))
            assert change is not None
            self.assertEqual((change.code, change.amount, change.rule), ("00", 900, "approved"))

    def test_in_part(self) -> None:
        """What was approved in part is judged so again, and another part is another answer."""
        request = asked(1, 900, result="partial", code="10", authorized=500, rule="partial", moved=((MAIN, -500),))
        self.assertIsNone(book(replace(LOOSE, single_amount=500)).feed(request))
        change = book(replace(LOOSE, single_amount=400)).feed(request)
        assert change is not None
        self.assertEqual((change.code, change.amount, change.rule), ("10", 400, "partial"))
        whole = book().feed(request)
        assert whole is not None
        self.assertEqual((whole.code, whole.amount), ("00", 900))

    def test_same_code_other_amount(self) -> None:
        """A whole approval is not taken for one in part."""
        change = book(replace(LOOSE, single_amount=400)).feed(asked(1, 900))
        assert change is not None
        self.assertEqual((change.code, change.amount), ("61", 0))

    def test_not_a_policys_matter(self) -> None:
        """What was declined for the card, the PIN or the place stays so and is not judged."""
        books = book()
        for number, rule in enumerate(("card-lost", "pin-wrong", "terminal-unknown")):
            self.assertIsNone(books.feed(declined(number, 100, rule, "41")))
        self.assertEqual((books.judged, room(books)), (0, 10_000))

    def test_whose_card(self) -> None:
        """Requests without a card, or with one of nobody known, are not judged but move their money."""
        books = book()
        self.assertIsNone(books.feed(asked(1, 100, card=None)))
        self.assertIsNone(books.feed(asked(2, 100, card=4)))
        self.assertIsNone(books.feed(asked(3, 300, kind="refill", moved=((MAIN, 300), (OTHERS, -300)))))
        self.assertEqual((books.judged, room(books)), (0, 10_100))

    def test_before(self) -> None:
        """Requests before the first judged moment only fill the counters."""
        books = book(replace(LOOSE, daily_count=2, daily_amount=1_000), since=NOW)
        for number in (1, 2):
            self.assertIsNone(books.feed(asked(number, 300, at=NOW - timedelta(minutes=1))))
        self.assertIsNone(books.feed(declined(3, 300, "daily-amount", "61", at=NOW - timedelta(minutes=1))))
        self.assertEqual(books.judged, 0)
        change = books.feed(asked(4, 300))
        assert change is not None
        self.assertEqual((books.judged, change.rule, change.code), (1, "daily-count", "65"))
        self.assertEqual(room(book(replace(LOOSE, daily_amount=1_000))), 1_000)

    def test_amounts_before(self) -> None:
        """The amounts of before count for the day, the week and the shop."""
        for policy in (
            replace(LOOSE, daily_amount=1_000),
            replace(LOOSE, weekly_amount=1_000),
            replace(LOOSE, shop_limits=(ShopLimit("*", 1_000),)),
        ):
            books = book(policy, since=NOW)
            books.feed(asked(1, 300, at=NOW - timedelta(minutes=1)))
            self.assertEqual(room(books), 700)
            books.feed(asked(2, 200))
            self.assertEqual(room(books), 500)

    def test_asks_for_the_pin(self) -> None:
        """A payment that would have needed its PIN first is told, where the policy of that time did not ask for it."""
        strict = replace(LOOSE, pin_above=500)

        def asks(amount: int, before: Policy | None, policy: Policy = strict) -> bool:
            moments = {NOW: before}
            change = book(policy, in_force=lambda at: moments[at]).feed(asked(1, amount))
            if change is not None:
                self.assertEqual((change.code, change.amount, change.rule), ("", amount, PIN_WANTED))
                self.assertTrue(change.why)
            return change is not None

        free = replace(LOOSE, pin_above=900)
        self.assertEqual([asks(each, free) for each in (500, 501, 900, 901)], [False, True, True, False])
        self.assertFalse(asks(700, None))
        self.assertFalse(asks(700, strict))
        self.assertFalse(asks(700, strict, free))

    def test_not_asked_when_declined(self) -> None:
        """Nobody is asked for the PIN of a payment that is declined anyhow."""
        books = book(replace(LOOSE, pin_above=0, single_amount=100), in_force=lambda at: LOOSE)
        self.assertIsNone(books.feed(declined(1, 900, "single-amount", "61")))

    def test_two_places(self) -> None:
        """What a card did is remembered under the new policy: too far away too soon is seen, by card."""
        books = book(replace(LOOSE, travel_speed=100))
        self.assertIsNone(books.feed(asked(1, 100, place="40.7,-74.0")))
        change = books.feed(asked(2, 100, place="34.0,-118.2"))
        assert change is not None
        self.assertEqual(change.rule, "too-far")
        self.assertIsNone(books.feed(asked(3, 100, place="40.7,-74.0", shop="CAFE", shop_id=8)))

    def test_where_it_was(self) -> None:
        """The shop, its kind and its limits are those of the request."""
        only = replace(LOOSE, categories=("5812",), shop_limits=(ShopLimit("CAFE", 100),))
        change = book(only).feed(asked(1, 900, mcc="5411"))
        assert change is not None
        self.assertEqual(change.rule, "category")
        self.assertIsNone(book(only).feed(asked(1, 900)))
        change = book(only).feed(asked(1, 900, shop="CAFE", shop_id=8))
        assert change is not None
        self.assertEqual(change.rule, "shop-daily-amount")


class Money(SynchronousTestCase):
    """What the purses would hold."""

    def test_declined_leaves_its_money(self) -> None:
        """A purchase that would have been declined leaves its money for the next one, and its limits."""
        books = book(replace(LOOSE, single_amount=900))
        books.feed(asked(1, 3_000))
        self.assertEqual(room(books), 900)
        self.assertEqual(books._balance(MAIN), 10_000)
        self.assertIsNone(books.feed(asked(2, 800)))
        self.assertEqual(books._balance(MAIN), 9_200)

    def test_approved_takes_its_money(self) -> None:
        """A purchase that would have been approved takes money that later ones had."""
        books = book(balance=1_000)
        books.feed(declined(1, 900, "single-amount", "61"))
        change = books.feed(asked(2, 101))
        assert change is not None
        self.assertEqual((change.code, change.rule), ("51", "funds"))
        self.assertEqual(room(books), 100)

    def test_start(self) -> None:
        """Balances and what is set aside are those of the beginning; nothing known is nothing held."""
        self.assertEqual(room(book(balance=1_000, held={MAIN: 300})), 700)
        self.assertEqual(room(book(replace(LOOSE, purses=(PurseRule("SNACK"),)), snacks=500, held={SNACK: 100})), 400)
        self.assertIsNone(book(balances={}).feed(declined(1, 1)))

    def test_purses(self) -> None:
        """Each purse pays what the policy lets it, from its own balance."""
        policy = replace(LOOSE, purses=(PurseRule("SNACK"), PurseRule(MAIN_PURSE)), split_purses=True)
        books = book(policy, balance=1_000, snacks=200)
        self.assertIsNone(books.feed(asked(1, 500)))
        self.assertEqual((books._balance(MAIN), books._balance(SNACK)), (700, 0))
        self.assertEqual(room(books), 700)

    def test_held(self) -> None:
        """What is set aside is not there until it is given up, under the shop's own word, in both books."""
        for kind in ("release", "expiry", "reversal"):
            books = book(balance=1_000)
            self.assertIsNone(books.feed(held(1, 400)))
            self.assertEqual(room(books), 600)
            self.assertIsNone(books.feed(after(1, kind, 0, result="approved")))
            self.assertEqual(room(books), 1_000, kind)

    def test_held_before(self) -> None:
        """What was set aside before the first judged moment is given back as well."""
        books = book(balance=1_000, since=NOW)
        books.feed(held(1, 400, at=NOW - timedelta(hours=1)))
        self.assertEqual(room(books), 600)
        books.feed(after(1, "release", 0))
        self.assertEqual(room(books), 1_000)

    def test_held_otherwise(self) -> None:
        """A hold that would have been declined holds nothing, and its completion takes nothing."""
        books = book(replace(LOOSE, single_amount=300), balance=250)
        change = books.feed(held(1, 200))
        self.assertIsNone(change)
        books = book(replace(LOOSE, single_amount=100), balance=250)
        change = books.feed(held(1, 200))
        assert change is not None
        self.assertEqual((room(books), change.code), (100, "61"))
        books.feed(after(1, "completion", 150))
        self.assertEqual((books._balance(MAIN), room(books)), (250, 100))
        self.assertEqual(books._held, {MAIN: 0})

    def test_completed(self) -> None:
        """A completion takes what it took, and frees the rest; what it took can be given back."""
        books = book(replace(LOOSE, daily_amount=5_000), balance=1_000)
        books.feed(held(1, 400))
        books.feed(after(1, "completion", 300))
        self.assertEqual((room(books), books._held), (700, {MAIN: 0}))
        books.feed(after(101, "refund", 100))
        self.assertEqual(room(books), 800)
        self.assertEqual(books._counters[MAIN].amount, 200)

    def test_set_aside_again(self) -> None:
        """A completion that is taken back sets money aside again, as much as would have been paid, until that ends."""
        for policy, aside, counted in ((LOOSE, 300, 300), (replace(LOOSE, single_amount=200), 200, 200)):
            books = book(replace(policy, daily_amount=5_000), balance=1_000)
            books.feed(held(1, 300, result="partial", code="10", rule="partial"))
            books.feed(after(1, "completion", 300))
            books.feed(after(101, "void", 300, restored=300))
            free = books._balance(MAIN) - books._held[MAIN]
            self.assertEqual((free, books._counters[MAIN].amount), (1_000 - aside, counted))
            books.feed(after(201, "release", 0))
            self.assertEqual((books._balance(MAIN), books._held[MAIN], books._counters[MAIN].amount), (1_000, 0, 0))

    def test_ended(self) -> None:
        """What had ended of the purse could not be spent, unless what is set aside kept it."""
        books = book(balance=1_000)
        self.assertEqual(room(books, ended=300), 700)
        books.feed(held(1, 400))
        self.assertEqual(room(books, ended=300), 600)

    def test_completed_above_what_would_be_held(self) -> None:
        """A completion takes no more than would have been set aside."""
        books = book(replace(LOOSE, single_amount=300), balance=1_000)
        part = held(1, 400, result="partial", code="10", authorized=350, rule="partial")
        change = books.feed(part)
        assert change is not None
        self.assertEqual((change.amount, books._balance(MAIN)), (300, 1_050))
        self.assertEqual(books._held, {MAIN: 350})
        books.feed(after(1, "completion", 350))
        self.assertEqual((books._balance(MAIN), books._counters[MAIN].amount), (700, 300))

    def test_advised_hold(self) -> None:
        """A hold whose money moved at once is set aside from the account that it moved."""
        books = book(snacks=500)
        books.feed(held(1, 200, moved=((SNACK, 0),)))
        self.assertEqual(books._held, {SNACK: 200})

    def test_shared_hold(self) -> None:
        """A hold that several purses share is set aside in each of them, and completed from one after the other."""
        policy = replace(LOOSE, purses=(PurseRule("SNACK"), PurseRule("MAIN")), split_purses=True)
        books = book(policy, balance=1_000, snacks=300)
        books.feed(held(1, 500, moved=((SNACK, -300), (SNACK, 300), (MAIN, -200), (MAIN, 200))))
        self.assertEqual(books._held, {SNACK: 300, MAIN: 200})
        self.assertEqual((books._balance(SNACK), books._balance(MAIN)), (300, 1_000))
        books.feed(after(1, "completion", 350, moved=((SNACK, -300), (MAIN, -50), (SHOP, 350))))
        self.assertEqual(books._held, {SNACK: 0, MAIN: 0})
        self.assertEqual((books._balance(SNACK), books._balance(MAIN)), (0, 950))

    def test_given_back(self) -> None:
        """Refunds, voids and reversals give back in both books, a declined one in neither."""
        for kind in ("refund", "void", "reversal"):
            books = book(balance=1_000)
            books.feed(asked(1, 400))
            books.feed(after(1, kind, 400, result="declined", moved=()))
            self.assertEqual(room(books), 600)
            books.feed(after(1, kind, 400))
            self.assertEqual(room(books), 1_000, kind)

    def test_given_back_of_a_declined_one(self) -> None:
        """What gives back a purchase that would have been declined gives nothing back."""
        books = book(replace(LOOSE, single_amount=100), balance=1_000)
        books.feed(asked(1, 400))
        books.feed(after(1, "refund", 400))
        self.assertEqual(books._balance(MAIN), 1_000)

    def test_given_back_in_part(self) -> None:
        """Refunds in part give back what would have been taken and not more, one after the other."""
        books = book(replace(LOOSE, single_amount=300), balance=1_000)
        books.feed(asked(1, 400, result="partial", code="10", rule="partial", authorized=400))
        self.assertEqual(books._balance(MAIN), 700)
        books.feed(after(1, "refund", 250))
        self.assertEqual(books._balance(MAIN), 950)
        books.feed(replace(after(1, "refund", 150), event_id=102))
        self.assertEqual(books._balance(MAIN), 1_000)

    def test_unknown_original(self) -> None:
        """What gives back a purchase from before the books moves its money alone."""
        books = book(balance=1_000)
        books.feed(after(50, "refund", 100))
        self.assertEqual(room(books), 1_100)


class Limits(SynchronousTestCase):
    """What the counters would say."""

    def spent(self, *requests: PastRequest, policy: Policy | None = None) -> tuple[int, int]:
        """Return the day's amount and count after the requests."""
        books = book(policy or replace(LOOSE, daily_amount=5_000, weekly_count=9))
        for request in requests:
            books.feed(request)
        kept = books._counters[MAIN]
        self.assertEqual(kept.day, TODAY)
        if kept.spent is not None:
            self.assertEqual((kept.spent.week_amount, kept.spent.week_count), (kept.amount, kept.count))
        return kept.amount, kept.count

    def test_counted(self) -> None:
        """What would have been approved counts with its amount."""
        self.assertEqual(self.spent(asked(1, 300), asked(2, 200), declined(3, 90_000)), (500, 2))

    def test_whole_given_back(self) -> None:
        """What gives all of it back on its business date gives the amount and the count back."""
        for kind in ("refund", "void", "reversal"):
            self.assertEqual(self.spent(asked(1, 300), asked(2, 200), after(1, kind, 300)), (200, 1), kind)

    def test_part_given_back(self) -> None:
        """A refund in part gives its amount back, and the count with the last of it."""
        part, rest = after(1, "refund", 100), replace(after(1, "refund", 200), event_id=102)
        self.assertEqual(self.spent(asked(1, 300), part), (200, 1))
        self.assertEqual(self.spent(asked(1, 300), part, rest), (0, 0))

    def test_a_later_date(self) -> None:
        """A refund on a later business date gives no limits back; a void and a reversal do."""
        later: Mapping[str, Any] = {"business_date": TOMORROW}
        self.assertEqual(self.spent(asked(1, 300), after(1, "refund", 300, **later)), (300, 1))
        self.assertEqual(self.spent(asked(1, 300), after(1, "reversal", 300, **later)), (0, 0))

    def test_a_released_hold(self) -> None:
        """A hold counts while it stands, and a completion for what it took."""
        self.assertEqual(self.spent(held(1, 300)), (300, 1))
        self.assertEqual(self.spent(held(1, 300), after(1, "release", 0)), (0, 0))
        self.assertEqual(self.spent(held(1, 300), after(1, "completion", 200)), (200, 1))
        self.assertEqual(self.spent(held(1, 300), after(1, "completion", 300)), (300, 1))

    def test_another_day(self) -> None:
        """What is given back after its day has passed changes no counter of the day that is open."""
        books = book(replace(LOOSE, daily_amount=5_000, week_days=(1, 2, 3, 4, 5, 6, 7)))
        books.feed(asked(1, 300))
        books.feed(asked(2, 200, at=NOW + timedelta(days=1), business_date=TOMORROW))
        books.feed(after(1, "reversal", 300))
        kept = books._counters[MAIN]
        self.assertEqual((kept.day, kept.amount, kept.count), (TOMORROW, 200, 1))

    def test_never_below_nothing(self) -> None:
        """Counters end at nothing, whatever is given back."""
        books = book(replace(LOOSE, daily_amount=5_000), since=NOW)
        books.feed(asked(1, 300, at=NOW - timedelta(minutes=1)))
        books._counters.clear()
        books.feed(asked(2, 100))
        self.assertEqual((books._counters[MAIN].amount, books._counters[MAIN].count), (100, 1))
        books.feed(after(1, "refund", 300))
        self.assertEqual((books._counters[MAIN].amount, books._counters[MAIN].count), (0, 0))
