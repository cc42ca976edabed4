"""Facts of an ordinary lunch, to change one thing at a time; and every kind of facts for Hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import strategies as st

from trus.auth.model import CardFacts, Checks, Facts, Kind, Question, State, TerminalFacts
from trus.auth.policy import MEAL_CATEGORIES, Policy, ShopLimit
from trus.auth.spending import Spent
from trus.values import CardRef, ShopId, TerminalId

#: A Friday, 12:30 UTC.
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)

POLICY = Policy(1, 5, "2026-01-01", "UTC", daily_amount=2000, daily_count=3, single_amount=1800)
TERMINAL = TerminalFacts(
    TerminalId("T0000001"), State.ACTIVE, ShopId("BISTRO"), 7, "Bistro", State.ACTIVE, "5812", "USD", 70
)
CARD = CardFacts(
    3, CardRef("CARD00000003"), State.ACTIVE, "2912", 3, b"", State.ACTIVE, 5, State.ACTIVE, 30, 10_000, "USD", "", 0, 0
)
CHECKS = Checks("2912", "725", True, True)
FACTS = Facts(TERMINAL, CARD, CHECKS, POLICY)
LUNCH = Question(Kind.PURCHASE, 1250, "USD")
ENQUIRY = Question(Kind.BALANCE, 0, "USD")


def facts(**changes: Any) -> Facts:
    """Return the ordinary facts with some fields changed, found by name in whichever part has them.

    `shop_state` is the terminal's; a part itself (`card=None`) can be given too.
    """
    parts: dict[str, Any] = {"terminal": TERMINAL, "card": CARD, "checks": CHECKS, "policy": POLICY}
    whole = {name: changes.pop(name) for name in list(changes) if name in parts or name == "tries_allowed"}
    for name, value in changes.items():
        part, _, field = name.partition("__")
        parts[part] = msgspec.structs.replace(parts[part], **{field: value})
    return msgspec.structs.replace(FACTS, **{**parts, **whole})


amounts = st.integers(-5, 4000)
limits = st.none() | st.integers(0, 3000)
states = st.sampled_from(State) | st.just(State.ACTIVE)
currencies = st.sampled_from(("USD", "USD", "USD", "EUR"))
days = st.sampled_from(("", "2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"))
zones = st.sampled_from(("UTC", "America/New_York", "Pacific/Auckland", "Asia/Kolkata", "Nowhere/Land"))
times = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from((0, 1, 30, 59)))
moments = st.datetimes(datetime(2026, 11, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001

policies = st.builds(
    Policy,
    st.just(1),
    st.just(5),
    st.just("2026-01-01"),
    zones,
    limits,
    st.none() | st.integers(0, 5),
    limits,
    st.lists(st.integers(1, 7), unique=True).map(tuple) | st.just((1, 2, 3, 4, 5, 6, 7)),
    times | st.just("00:00"),
    times | st.just("24:00"),
    st.just(MEAL_CATEGORIES) | st.just(("5999",)),
    st.sampled_from((0, 0, 1000)),
    weekly_amount=limits,
    weekly_count=st.none() | st.integers(0, 5),
    monthly_amount=limits,
    monthly_count=st.none() | st.integers(0, 5),
    shop_limits=st.lists(
        st.builds(ShopLimit, st.sampled_from(("*", "BISTRO", "OTHER")), limits, st.none() | st.integers(0, 3)),
        max_size=3,
        unique_by=lambda limit: limit.shop,
    ).map(tuple),
    holidays=st.lists(st.sampled_from(("2026-11-20", "2026-12-25")), unique=True).map(tuple),
    floor_limit=limits,
    velocity_count=st.none() | st.integers(0, 3),
    travel_speed=st.none() | st.sampled_from((0, 300)),
)
spendings = st.builds(
    Spent,
    days.filter(bool),
    st.integers(0, 3000),
    st.integers(0, 5),
    st.integers(0, 3000),
    st.integers(0, 5),
    st.dictionaries(st.just(7), st.tuples(st.integers(0, 2000), st.integers(0, 3))),
)
terminals = st.builds(
    TerminalFacts,
    st.just(TerminalId("T0000001")),
    states,
    st.just(ShopId("BISTRO")),
    st.sampled_from((7, 7, 7, 0)),
    st.just("Bistro"),
    states,
    st.sampled_from(("5812", "5411", "5921")),
    currencies,
    st.just(70),
)
cards = st.builds(
    CardFacts,
    st.just(3),
    st.just(CardRef("CARD00000003")),
    states,
    st.sampled_from(("2912", "2611", "2610")),
    st.integers(0, 3),
    st.just(b""),
    states,
    st.just(5),
    states,
    st.just(30),
    st.integers(0, 5000),
    currencies,
    days,
    st.integers(0, 3000),
    st.integers(0, 5),
    spent=st.none() | spendings,
)
checks = st.builds(
    Checks,
    st.sampled_from(("2912", "2611", "2610")),
    st.sampled_from(("725", "727", "723", "")),
    st.sampled_from((True, True, False)),
    st.sampled_from((True, True, False, None)),
    st.sampled_from((True, True, False)),
    st.sampled_from((True, True, True, False)),
)
all_facts = st.builds(
    Facts, st.none() | terminals, st.none() | cards, checks, st.none() | policies, st.sampled_from((1, 3))
) | st.builds(Facts, st.just(TERMINAL), cards, st.just(CHECKS), policies)
questions = st.builds(
    Question, st.sampled_from((Kind.PURCHASE, Kind.PURCHASE, Kind.BALANCE)), amounts, currencies, st.booleans()
)
