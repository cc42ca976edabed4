"""Which business dates a request may carry.

Computes no date of its own: the ledger says which date is open. A new request belongs to the
open date or the one before it (a terminal may not have heard of the cut-over yet); a repeat or
a reversal may come for 30 days, which is how long terminals keep their journals.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from trus.values import BusinessDate

#: How long a request may be repeated or taken back, in days.
RETRY_DAYS: Final = 30
#: How long a pre-authorization lasts, unless the settings say otherwise: a hotel's week.
HOLD_SECONDS: Final = 7 * 86_400.0


def is_new(asked: BusinessDate, current: BusinessDate, previous: BusinessDate) -> bool:
    """Return whether a new request may carry this date."""
    return asked != "" and asked in (current, previous)


def is_within(asked: BusinessDate, current: BusinessDate, days: int = RETRY_DAYS) -> bool:
    """Return whether a date is the open one, or at most so many days before it; in its one form, YYYY-MM-DD."""
    if asked == current:
        return True
    try:
        day = date.fromisoformat(asked)
    except ValueError:
        return False
    # Of the other forms of ISO 8601 each would be an identity of its own for the same request.
    return day.isoformat() == asked and 0 <= (date.fromisoformat(current) - day).days <= days
