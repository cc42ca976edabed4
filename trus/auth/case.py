"""One authorization as the rules look at it: what is asked, who and what is known, what time it is there.

Never guesses: where a fact is missing a stand-in is looked at that nothing can be approved
with, and the first rules say so. Local time is that of the company's policy.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

from trus.auth.model import CardFacts, Facts, Question, Reading, State, TerminalFacts
from trus.auth.policy import Policy, ShopLimit, zone
from trus.auth.spending import Spent, rolled
from trus.values import CardRef, ShopId, TerminalId

#: Stands in for a terminal that nobody registered.
NO_TERMINAL: Final = TerminalFacts(TerminalId(""), State.CLOSED, ShopId(""), 0, "", State.CLOSED, "", "", 0)
#: Stands in for a card that was never issued: expired, locked and empty.
NO_CARD: Final = CardFacts(
    0, CardRef(""), State.CLOSED, "0000", 0, b"", State.CLOSED, 0, State.CLOSED, 0, 0, "", "", 0, 0
)
#: Stands in for the rules of a company that set none: nothing may be bought.
NO_POLICY: Final = Policy(0, 0, "9999-12-31", week_days=(), categories=())

#: Stands in for the limit at a shop where a policy sets none.
NO_SHOP_LIMIT: Final = ShopLimit("")

#: What a rule looked at, for support: never a number, name or PIN of a cardholder.
Figures = dict[str, int | str]

_DAY: Final = timedelta(days=1)


class Held(NamedTuple):
    """What a purse can spend, minor units."""

    name: str
    room: int


class LocalMoment(NamedTuple):
    """A moment on a company's clocks: "YYYY-MM-DD", YYMM, "HH:MM", ISO week day; and what yesterday was."""

    day: str
    month: str
    time: str
    week_day: int
    yesterday: int
    day_before: str


@lru_cache(maxsize=256)
def local_moment(time_zone: str, now: datetime) -> LocalMoment | None:
    """Return a moment (aware) as the clocks of an IANA time zone show it, None for an unknown zone.

    Remembered for the batches of one moment, which ask for the same few zones again and again.
    """
    place = zone(time_zone)
    return None if place is None else _local(place, now)


def _local(place: tzinfo, now: datetime) -> LocalMoment:
    local = now.astimezone(place)
    text = local.isoformat()
    before = local - _DAY
    return LocalMoment(
        text[:10],
        text[2:4] + text[5:7],
        text[11:16],
        local.isoweekday(),
        before.isoweekday(),
        before.isoformat()[:10],
    )


class Case:
    """A question, the facts about it, and the local time; read by every rule, changed by none.

    `local_day` is "YYYY-MM-DD" and `local_time` "HH:MM" where the company is, `month` YYMM.
    `counter_day`, `day_amount` and `day_count` are the counters that this purchase would add
    to: those kept, unless a later local day has begun since. A clock that goes back starts no
    new day. `window_day` is the date on which the hours opened that it falls into. `spent` is None where
    the policy counts no weeks, months or shops.
    """

    __slots__ = (
        "amount",
        "card",
        "checks",
        "counter_day",
        "day_amount",
        "day_count",
        "known",
        "local_day",
        "local_time",
        "moment",
        "month",
        "policy",
        "question",
        "reading",
        "shop_limit",
        "spent",
        "terminal",
        "tries_allowed",
        "usable",
        "week_day",
        "window_day",
    )

    def __init__(self, question: Question, facts: Facts, now: datetime) -> None:
        """`now` is aware; `facts` are those of the batch as it stands."""
        self.question = question
        self.amount = question.amount
        self.terminal = facts.terminal or NO_TERMINAL
        self.card = card = facts.card or NO_CARD
        self.known = facts.card is not None
        self.checks = facts.checks
        policy = facts.policy
        #: Seconds since 1970-01-01 UTC, for policies that watch cards.
        self.moment = 0
        local = None if policy is None else local_moment(policy.time_zone, now)
        if policy is None or local is None:
            policy, local = NO_POLICY, _local(UTC, now)
        self.policy = policy
        self.tries_allowed = facts.tries_allowed
        self.local_day, self.month, self.local_time, self.week_day, yesterday, before = local
        day = self.window_day = self.local_day
        if policy.opens > policy.closes and self.local_time < policy.closes:
            # After midnight, a window that opened yesterday belongs to yesterday.
            self.week_day, self.window_day = yesterday, before
        if card.counter_day >= day:
            self.counter_day, self.day_amount, self.day_count = card.counter_day, card.day_amount, card.day_count
        else:
            self.counter_day, self.day_amount, self.day_count = day, 0, 0
        #: The purses that may pay, found once (trus.auth.purses).
        self.usable: list[Held] | None = None
        self.spent: Spent | None = None
        self.shop_limit = NO_SHOP_LIMIT
        #: What the number of the stripe's reading says, found once (trus.auth.readings).
        self.reading: Reading | None = None
        if policy.watches_cards or policy.watches_readings:
            self.moment = int(now.timestamp())
        if policy.counts_periods:
            self.spent = rolled(card.spent, self.counter_day, self.day_amount, self.day_count)
            self.shop_limit = policy.shop_limit(self.terminal.shop) or NO_SHOP_LIMIT

    @property
    def counted(self) -> Spent:
        """What was spent in the periods of the counters' day; nothing where the policy counts none."""
        return self.spent or Spent(self.counter_day)
