"""Dated policies of a company: what its employees may spend, when, where, and how proved.

Pure data and pure questions on it; times are judged in the company's own time zone
(IANA name), daylight saving included.
"""

from __future__ import annotations

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


class Policy(Frozen, frozen=True):
    """A company's rules from `valid_from` (local date, inclusive) until the next one starts.

    Amounts are minor units, None means no limit. `week_days` are ISO numbers, Monday 1.
    `opens` and `closes` are local "HH:MM"; closes is exclusive and may be before opens for
    a window over midnight. `pin_above`: a PIN is needed for amounts above it; 0 means always.
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
