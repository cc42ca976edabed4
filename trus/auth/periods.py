"""The reasons for which a company pays no more this week, this month, at this shop, or on this day.

Asked only of purchases whose company's policy sets such a limit (trus.auth.plan); decides nothing alone.
Weeks are those of ISO 8601, months those of the calendar, both on the company's own clocks.
"""

from __future__ import annotations

from trus.auth.case import Case, Figures
from trus.auth.spending import week_of


def holiday(case: Case) -> Figures | None:
    """The company pays for nothing on this date, one of its holidays."""
    return {"date": case.window_day} if case.window_day in case.policy.holidays else None


def weekly_count(case: Case) -> Figures | None:
    """As many purchases as the company allows a week were made."""
    limit, spent = case.policy.weekly_count, case.counted
    if limit is None or spent.week_count < limit:
        return None
    return {"count": spent.week_count, "count_limit": limit, "week": week_of(spent.day)}


def monthly_count(case: Case) -> Figures | None:
    """As many purchases as the company allows a month were made."""
    limit, spent = case.policy.monthly_count, case.counted
    if limit is None or spent.month_count < limit:
        return None
    return {"count": spent.month_count, "count_limit": limit, "month": spent.day[:7]}


def shop_daily_count(case: Case) -> Figures | None:
    """As many purchases as the company allows a day at this shop were made."""
    limit, spent = case.shop_limit.daily_count, case.counted
    count = spent.at(case.terminal.shop_id)[1]
    if limit is None or count < limit:
        return None
    return {"count": count, "count_limit": limit, "day": spent.day, "shop": case.terminal.shop}


def weekly_amount(case: Case) -> int | None:
    """More is asked than is left of what the company pays a week."""
    limit = case.policy.weekly_amount
    return None if limit is None else limit - case.counted.week_amount


def weekly_figures(case: Case) -> Figures:
    """Return the limit and what was spent of it."""
    spent = case.counted
    return {"limit": case.policy.weekly_amount or 0, "spent": spent.week_amount, "week": week_of(spent.day)}


def monthly_amount(case: Case) -> int | None:
    """More is asked than is left of what the company pays a month."""
    limit = case.policy.monthly_amount
    return None if limit is None else limit - case.counted.month_amount


def monthly_figures(case: Case) -> Figures:
    """Return the limit and what was spent of it."""
    spent = case.counted
    return {"limit": case.policy.monthly_amount or 0, "spent": spent.month_amount, "month": spent.day[:7]}


def shop_daily_amount(case: Case) -> int | None:
    """More is asked than is left of what the company pays a day at this shop."""
    limit = case.shop_limit.daily_amount
    return None if limit is None else limit - case.counted.at(case.terminal.shop_id)[0]


def shop_daily_figures(case: Case) -> Figures:
    """Return the limit and what was spent of it."""
    limit, spent = case.shop_limit.daily_amount or 0, case.counted
    amount = spent.at(case.terminal.shop_id)[0]
    return {"limit": limit, "spent": amount, "day": spent.day, "shop": case.terminal.shop}
