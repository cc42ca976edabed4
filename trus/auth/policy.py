"""Dated policies of a company: what its employees may spend, when, where, and how proved.

Pure data and pure questions on it; times are judged in the company's own time zone
(IANA name), daylight saving included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from trus.errors import TrusError
from trus.money import MAX_MINOR_UNITS
from trus.values import Frozen

#: Merchant category codes (ISO 18245) for meals; 5813 bars and 5921 liquor are left out.
MEAL_CATEGORIES: tuple[str, ...] = (
    "5411",
    "5422",
    "5441",
    "5451",
    "5462",
    "5499",
    "5811",
    "5812",
    "5814",
)

#: Version of the JSON form of a policy.
FORM: Final = 1

#: Stands for each shop that has no limit of its own.
ANY_SHOP: Final = "*"
#: Holidays and shops that one policy may name: some years' worth, and a town's.
MAX_HOLIDAYS: Final = 64
MAX_SHOP_LIMITS: Final = 32
#: A day: what happened longer ago is no hurry.
MAX_VELOCITY_MINUTES: Final = 1440
#: The purse that every cardholder has, and how many a policy may name.
MAIN_PURSE: Final = "MAIN"
MAX_PURSES: Final = 8

#: What becomes of a request whose stripe was not read in its order: nothing, it is noted, it is declined.
OFF: Final = "off"
NOTE: Final = "note"
REFUSE: Final = "refuse"
STRIPE_READS: Final = (OFF, NOTE, REFUSE)

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_PURSE: Final = re.compile(r"[A-Z0-9]{1,15}", re.ASCII)
_SHOP: Final = re.compile(r"[A-Z0-9]{1,15}|\*", re.ASCII)
_OPENS: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_CLOSES: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00", re.ASCII)
_CATEGORY: Final = re.compile(r"[0-9]{4}", re.ASCII)


class PolicyRefused(TrusError):
    """A policy that makes no sense; `problems` names each, with its field."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ShopLimit(msgspec.Struct, frozen=True):
    """What a card may spend in a day at one shop, or at each that has no limit of its own (`shop` "*").

    Minor units and purchases, None for no limit.
    """

    shop: str
    daily_amount: int | None = None
    daily_count: int | None = None


class PurseRule(msgspec.Struct, frozen=True):
    """A purse that pays, and for which kinds of shop (ISO 18245); none named: for all that the policy allows."""

    name: str
    categories: tuple[str, ...] = ()


class Policy(Frozen, frozen=True, dict=True):
    """A company's rules from `valid_from` (local date, inclusive) until the next one starts.

    Amounts are minor units, None means no limit. `week_days` are ISO numbers, Monday 1.
    `opens` and `closes` are local "HH:MM"; closes is exclusive and may be before opens for
    a window over midnight. `pin_above`: a PIN is needed for amounts above it; 0 means always.
    Weeks are those of ISO 8601. On `holidays` (local dates) nothing is paid for. `floor_limit` is what a
    terminal may sell off-line at once, where the network's own limit is not lower. `purses` are those that
    pay, in this order; none named: the main one alone. With `split_purses` several may share a purchase.
    A card may make `velocity_count` requests in `velocity_minutes`, and move at `travel_speed` km/h between shops.
    `stripe_reads` says what becomes of a request whose stripe was not read in its order (trus.auth.readings).
    """

    policy_id: int
    company_id: int
    valid_from: str
    time_zone: str = "UTC"
    daily_amount: int | None = None
    daily_count: int | None = None
    single_amount: int | None = None
    week_days: tuple[int, ...] = (1, 2, 3, 4, 5)
    opens: str = "00:00"
    closes: str = "24:00"
    categories: tuple[str, ...] = MEAL_CATEGORIES
    pin_above: int = 0
    weekly_amount: int | None = None
    weekly_count: int | None = None
    monthly_amount: int | None = None
    monthly_count: int | None = None
    shop_limits: tuple[ShopLimit, ...] = ()
    holidays: tuple[str, ...] = ()
    floor_limit: int | None = None
    purses: tuple[PurseRule, ...] = ()
    split_purses: bool = False
    velocity_count: int | None = None
    velocity_minutes: int = 60
    travel_speed: int | None = None
    stripe_reads: str = OFF

    @cached_property
    def watches_readings(self) -> bool:
        """Whether the numbers of the readings of its cards are looked at (trus.auth.readings)."""
        return self.stripe_reads != OFF

    @cached_property
    def watches_cards(self) -> bool:
        """Whether what each card does lately must be kept for it (trus.auth.signals)."""
        return self.velocity_count is not None or self.travel_speed is not None

    @cached_property
    def counts_periods(self) -> bool:
        """Whether more than the day's figures must be kept for it (trus.auth.spending)."""
        weeks_and_months = (self.weekly_amount, self.weekly_count, self.monthly_amount, self.monthly_count)
        return bool(self.shop_limits) or any(limit is not None for limit in weeks_and_months)

    @cached_property
    def limits_of_shops(self) -> dict[str, ShopLimit]:
        """The limits at shops, by their names."""
        return {limit.shop: limit for limit in self.shop_limits}

    def shop_limit(self, shop: str) -> ShopLimit | None:
        """Return the limit at a shop: its own, or that of every shop."""
        limits = self.limits_of_shops
        return limits.get(shop) or limits.get(ANY_SHOP)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """Return the time zone of an IANA name, None when there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return None


def policy_at(policies: Iterable[Policy], now: datetime) -> Policy | None:
    """Return the policy in force at a moment (aware), None before the first one.

    Each policy starts at midnight of its `valid_from` in its own time zone; of several that
    have started, the one with the latest date counts, and of equal dates the newest id. A
    policy with an unknown time zone never starts.
    """
    best: Policy | None = None
    for policy in policies:
        place = zone(policy.time_zone)
        if place is None or policy.valid_from > now.astimezone(place).date().isoformat():
            continue
        if best is None or (policy.valid_from, policy.policy_id) > (best.valid_from, best.policy_id):
            best = policy
    return best


def check_policy(policy: Policy) -> Policy:
    """Return the policy when every field makes sense. Raises PolicyRefused with all problems."""
    problems = tuple(_problems(policy))
    if problems:
        raise PolicyRefused(problems)
    return policy


def to_json(policy: Policy) -> str:
    """Return the policy as a JSON object without its ids: how it is kept and exported."""
    fields = {name: getattr(policy, name) for name in _FIELDS}
    return msgspec.json.encode({"form": FORM, **fields}).decode()


def from_json(text: str, *, policy_id: int = 0, company_id: int = 0) -> Policy:
    """Return the policy of a JSON object made by `to_json`.

    Missing fields take their defaults, `valid_from` excepted. Raises PolicyRefused for what is
    no such object, unknown fields and values that make no sense.
    """
    try:
        form = msgspec.json.decode(text, type=_PolicyForm)
    except msgspec.MsgspecError as problem:
        raise PolicyRefused((f"document: {problem}",)) from None
    if form.form != FORM:
        raise PolicyRefused((f"form: {form.form} is not known, {FORM} is",))
    fields: dict[str, Any] = {name: getattr(form, name) for name in _FIELDS}
    return check_policy(Policy(policy_id, company_id, **fields))


class _PolicyForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON object: Policy's fields without its ids, and the form's version."""

    valid_from: str
    form: int = FORM
    time_zone: str = "UTC"
    daily_amount: int | None = None
    daily_count: int | None = None
    single_amount: int | None = None
    week_days: tuple[int, ...] = (1, 2, 3, 4, 5)
    opens: str = "00:00"
    closes: str = "24:00"
    categories: tuple[str, ...] = MEAL_CATEGORIES
    pin_above: int = 0
    weekly_amount: int | None = None
    weekly_count: int | None = None
    monthly_amount: int | None = None
    monthly_count: int | None = None
    shop_limits: tuple[ShopLimit, ...] = ()
    holidays: tuple[str, ...] = ()
    floor_limit: int | None = None
    purses: tuple[PurseRule, ...] = ()
    split_purses: bool = False
    velocity_count: int | None = None
    velocity_minutes: int = 60
    travel_speed: int | None = None
    stripe_reads: str = OFF


_FIELDS: Final = tuple(name for name in _PolicyForm.__struct_fields__ if name != "form")


def _problems(policy: Policy) -> Iterable[str]:
    if not _is_date(policy.valid_from):
        yield "valid_from: a date YYYY-MM-DD is expected"
    if zone(policy.time_zone) is None:
        yield "time_zone: an IANA time zone name such as Europe/Paris is expected"
    for name in ("daily_amount", "single_amount", "weekly_amount", "monthly_amount", "floor_limit"):
        limit = getattr(policy, name)
        if limit is not None and not 0 <= limit <= MAX_MINOR_UNITS:
            yield f"{name}: 0 to {MAX_MINOR_UNITS} minor units or no limit is expected"
    for name in ("daily_count", "weekly_count", "monthly_count", "velocity_count", "travel_speed"):
        count = getattr(policy, name)
        if count is not None and count < 0:
            yield f"{name}: 0 or more, or no limit, is expected"
    if not 0 <= policy.pin_above <= MAX_MINOR_UNITS:
        yield f"pin_above: 0 to {MAX_MINOR_UNITS} minor units is expected"
    days = policy.week_days
    if any(not 1 <= day <= 7 for day in days) or len(set(days)) != len(days):
        yield "week_days: different ISO numbers from 1 (Monday) to 7 are expected"
    if _OPENS.fullmatch(policy.opens) is None:
        yield "opens: HH:MM from 00:00 to 23:59 is expected"
    if _CLOSES.fullmatch(policy.closes) is None:
        yield "closes: HH:MM from 00:00 to 24:00 is expected"
    if policy.opens == policy.closes:
        yield "closes: a time different from opens is expected; a whole day is 00:00 to 24:00"
    if any(_CATEGORY.fullmatch(category) is None for category in policy.categories):
        yield "categories: codes of 4 digits (ISO 18245) are expected"
    if len(policy.holidays) > MAX_HOLIDAYS or any(not _is_date(day) for day in policy.holidays):
        yield f"holidays: up to {MAX_HOLIDAYS} dates YYYY-MM-DD are expected"
    if not 1 <= policy.velocity_minutes <= MAX_VELOCITY_MINUTES:
        yield f"velocity_minutes: 1 to {MAX_VELOCITY_MINUTES} is expected"
    if policy.stripe_reads not in STRIPE_READS:
        yield f"stripe_reads: {', '.join(STRIPE_READS)} is expected"
    yield from _problems_of_shops(policy.shop_limits)
    names = [rule.name for rule in policy.purses]
    if len(names) > MAX_PURSES or len(set(names)) != len(names) or not all(map(_PURSE.fullmatch, names)):
        yield f"purses: up to {MAX_PURSES} different names of 1 to 15 letters A-Z and digits are expected"
    if any(_CATEGORY.fullmatch(each) is None for rule in policy.purses for each in rule.categories):
        yield "purses: codes of 4 digits (ISO 18245) are expected"


def _problems_of_shops(limits: tuple[ShopLimit, ...]) -> Iterable[str]:
    names = [limit.shop for limit in limits]
    if len(names) > MAX_SHOP_LIMITS or len(set(names)) != len(names):
        yield f"shop_limits: up to {MAX_SHOP_LIMITS} different shops are expected"
    if any(_SHOP.fullmatch(name) is None for name in names):
        yield "shop_limits: ids of shops, or * for each, are expected"
    for limit in limits:
        amount, count = limit.daily_amount, limit.daily_count
        if (amount is not None and not 0 <= amount <= MAX_MINOR_UNITS) or (count is not None and count < 0):
            yield f"shop_limits: an amount and a number, or no limit, are expected for {limit.shop}"


def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
