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
    limit, spent = case.policy.weekly_count, case.spent
    if limit is None or spent is None or spent.week_count < limit:
        return None
    return {"count": spent.week_count, "count_limit": limit, "week": week_of(spent.day)}


def monthly_count(case: Case) -> Figures | None:
    """As many purchases as the company allows a month were made."""
    limit, spent = case.policy.monthly_count, case.spent
    if limit is None or spent is None or spent.month_count < limit:
        return None
    return {"count": spent.month_count, "count_limit": limit, "month": spent.day[:7]}


def shop_daily_count(case: Case) -> Figures | None:
    """As many purchases as the company allows a day at this shop were made."""
    limit, spent = case.shop_limit, case.spent
    if limit is None or limit.daily_count is None or spent is None:
        return None
    count = spent.at(case.terminal.shop_id)[1]
    if count < limit.daily_count:
        return None
    return {"count": count, "count_limit": limit.daily_count, "day": spent.day, "shop": case.terminal.shop}


def weekly_amount(case: Case) -> int | None:
    """More is asked than is left of what the company pays a week."""
    limit, spent = case.policy.weekly_amount, case.spent
    return None if limit is None or spent is None else limit - spent.week_amount


def weekly_figures(case: Case) -> Figures:
    """Return the limit and what was spent of it."""
    spent = case.spent
    if spent is None:
        return {}
    return {"limit": case.policy.weekly_amount or 0, "spent": spent.week_amount, "week": week_of(spent.day)}


def monthly_amount(case: Case) -> int | None:
    """More is asked than is left of what the company pays a month."""
    limit, spent = case.policy.monthly_amount, case.spent
    return None if limit is None or spent is None else limit - spent.month_amount


def monthly_figures(case: Case) -> Figures:
    """Return the limit and what was spent of it."""
    spent = case.spent
    if spent is None:
        return {}
    return {"limit": case.policy.monthly_amount or 0, "spent": spent.month_amount, "month": spent.day[:7]}


def shop_daily_amount(case: Case) -> int | None:
    """More is asked than is left of what the company pays a day at this shop."""
    limit, spent = case.shop_limit, case.spent
    if limit is None or limit.daily_amount is None or spent is None:
        return None
    return limit.daily_amount - spent.at(case.terminal.shop_id)[0]


def shop_daily_figures(case: Case) -> Figures:
    """Return the limit and what was spent of it."""
    limit, spent = case.shop_limit, case.spent
    if limit is None or spent is None:
        return {}
    amount = spent.at(case.terminal.shop_id)[0]
    return {"limit": limit.daily_amount or 0, "spent": amount, "day": spent.day, "shop": case.terminal.shop}
