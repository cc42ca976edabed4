"""Sets and shows the dated policies of companies.

A new policy begins as a copy of the one in force on its first day; past policies are never
changed, so that every old decision can still be explained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from trus.admin.model import RefusalCode
from trus.auth.policy import MEAL_CATEGORIES, Policy, PolicyRefused, PurseRule, ShopLimit, check_policy
from trus.core.messages import AdminAnswer
from trus.issuing.desk import Desk, Handler, Order, audit, done, refuse, the_company
from trus.money import AmountError, format_amount, parse_amount

_AMOUNTS: Final = (*("daily-amount", "single-amount", "pin-above", "weekly-amount", "monthly-amount", "floor-limit"),)
_COUNTS: Final = (
    *("daily-count", "weekly-count", "monthly-count"),
    *("velocity-count", "velocity-minutes", "travel-speed"),
)


def set_policy(desk: Desk, order: Order) -> AdminAnswer:
    """POLICY-SET."""
    now = desk.clock.now()
    first = order.text("valid-from")
    with desk.registry.changing(now) as change:
        company = the_company(change, order)
        if first < local_date(now, company.time_zone):
            raise refuse(RefusalCode.STATE, "A policy cannot begin in the past.")
        policies = change.people.policies(company.row)
        base = next((each for each in policies if each.valid_from <= first), None)
        if base is None:
            base = Policy(0, company.row, first, time_zone=company.time_zone)
        rules = changed(base, first, order.text, company.currency)
        change.people.set_policy(rules, change.at)
        audit(change, order, {"company": company.company, **_shown(rules, company.currency)})
    return done(f"The policy holds from {first} on.", [_shown(rules, company.currency)])


#: Returns what was said of a field of POLICY-SET, "" where it was not named.
Said = Callable[[str], str]


def changed(base: Policy, valid_from: str, said: Said, currency: str) -> Policy:
    """Return a policy from `valid_from` on, as `base` except for what was said. Raises CommandRefused."""
    rules = msgspec.structs.replace(base, policy_id=0, valid_from=valid_from, **_changes(said, currency))
    try:
        return check_policy(rules)
    except PolicyRefused as wrong:
        raise refuse(RefusalCode.ARGUMENTS, f"The policy makes no sense: {wrong}.") from None


def show_policies(desk: Desk, order: Order) -> AdminAnswer:
    """POLICY-SHOW."""
    now = desk.clock.now()
    with desk.registry.reading() as view:
        company = the_company(view, order)
        policies = view.people.policies(company.row)
    today = local_date(now, company.time_zone)
    current = next((each for each in policies if each.valid_from <= today), None)
    rows = [{"in-force": "yes" if each is current else "no", **_shown(each, company.currency)} for each in policies]
    return done(f"{len(rows)} policies of {company.company}, newest first; today there is {today}.", rows)


def local_date(now: datetime, time_zone: str) -> str:
    """Return the date of `now` (aware) in an IANA time zone."""
    return now.astimezone(UTC if time_zone == "UTC" else ZoneInfo(time_zone)).date().isoformat()


def _changes(said: Said, currency: str) -> dict[str, object]:
    changes: dict[str, object] = {}
    for name in _AMOUNTS:
        text = said(name)
        if text:
            changes[name.replace("-", "_")] = _limit(text, currency)
    for name in _COUNTS:
        text = said(name)
        if text:
            changes[name.replace("-", "_")] = _count(text)
    days = said("week-days")
    if days:
        changes["week_days"] = tuple(int(day) for day in days.split(","))
    for name in ("opens", "closes"):
        if said(name):
            changes[name] = said(name)
    categories = said("categories")
    if categories:
        changes["categories"] = MEAL_CATEGORIES if categories == "meals" else tuple(categories.split(","))
    holidays, shops = said("holidays"), said("shop-limits")
    if holidays:
        changes["holidays"] = () if holidays == "none" else tuple(holidays.split(","))
    if shops:
        changes["shop_limits"] = (
            () if shops == "none" else tuple(_shop_limit(each, currency) for each in shops.split(";"))
        )
    purses, split = said("purses"), said("split-purses")
    if purses:
        changes["purses"] = () if purses == "none" else tuple(_purse(each) for each in purses.split(";"))
    if split:
        changes["split_purses"] = split == "yes"
    if said("stripe-reads"):
        changes["stripe_reads"] = said("stripe-reads")
    return changes


def _purse(text: str) -> PurseRule:
    name, _, categories = text.partition(":")
    if categories == "meals":
        return PurseRule(name, MEAL_CATEGORIES)
    return PurseRule(name, tuple(categories.split(",")) if categories else ())


def _shop_limit(text: str, currency: str) -> ShopLimit:
    shop, _, limit = text.partition(":")
    amount, _, count = limit.partition("/")
    return ShopLimit(shop, _limit(amount, currency), _count(count))


def _count(text: str) -> int | None:
    return None if text == "none" else int(text)


def _limit(text: str, currency: str) -> int | None:
    if text == "none":
        return None
    try:
        return parse_amount(text, currency)
    except AmountError as wrong:
        raise refuse(RefusalCode.AMOUNT, f"The amount is not one of {currency}: {wrong}.") from None


def _shown(rules: Policy, currency: str) -> dict[str, str]:
    def amount(minor: int | None) -> str:
        return "none" if minor is None else format_amount(minor, currency)

    def count(number: int | None) -> str:
        return "none" if number is None else str(number)

    shops = [f"{each.shop}:{amount(each.daily_amount)}/{count(each.daily_count)}" for each in rules.shop_limits]
    return {
        "valid-from": rules.valid_from,
        "daily-amount": amount(rules.daily_amount),
        "daily-count": count(rules.daily_count),
        "weekly-amount": amount(rules.weekly_amount),
        "weekly-count": count(rules.weekly_count),
        "monthly-amount": amount(rules.monthly_amount),
        "monthly-count": count(rules.monthly_count),
        "shop-limits": ";".join(shops) or "none",
        "single-amount": amount(rules.single_amount),
        "week-days": ",".join(str(day) for day in rules.week_days),
        "opens": rules.opens,
        "closes": rules.closes,
        "time-zone": rules.time_zone,
        "categories": ",".join(rules.categories),
        "pin-above": amount(rules.pin_above),
        "holidays": ",".join(rules.holidays) or "none",
        "floor-limit": amount(rules.floor_limit),
        "velocity-count": count(rules.velocity_count),
        "velocity-minutes": str(rules.velocity_minutes),
        "travel-speed": count(rules.travel_speed),
        "stripe-reads": rules.stripe_reads,
        "purses": ";".join(_purse_shown(each) for each in rules.purses) or "none",
        "split-purses": "yes" if rules.split_purses else "no",
        "currency": currency,
    }


def _purse_shown(rule: PurseRule) -> str:
    return f"{rule.name}:{','.join(rule.categories)}" if rule.categories else rule.name


HANDLERS: Final[Mapping[str, Handler]] = {"POLICY-SET": set_policy, "POLICY-SHOW": show_policies}
