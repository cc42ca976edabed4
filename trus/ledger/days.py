"""Numbers events by business date, and reads the date back from the number.

Opens no connection and reads no clock. An event id is the day's ordinal x 10**8 + the number of
the day, so that one ledger date is one range of ids, in order, on every engine.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

from trus.values import BusinessDate

#: Eight digits: what the retrieval reference number leaves beside year and day.
NUMBERS_A_DAY: Final = 10**8
RRN_DIGITS: Final = 12
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return an aware moment as whole microseconds since 1970-01-01 UTC, without rounding."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """Return the moment of `at` microseconds since 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=at)


def first_event(day: str) -> int:
    """Return the id before the first event of a business date; its ids follow up to 10**8 - 1."""
    return date.fromisoformat(day).toordinal() * NUMBERS_A_DAY


def day_of(event_id: int) -> BusinessDate:
    """Return the ledger date that an event id belongs to."""
    return BusinessDate(date.fromordinal(event_id // NUMBERS_A_DAY).isoformat())


def rrn_prefix(day: str) -> str:
    """Return the first four digits of a date's retrieval reference numbers.

    Last digit of the year and day of the year (ISO 8583 field 37, in the usual YDDD form).
    """
    parsed = date.fromisoformat(day)
    return f"{parsed.year % 10}{parsed.timetuple().tm_yday:03d}"


def reference_of(event_id: int) -> str:
    """Return the retrieval reference number of an event id."""
    return rrn_prefix(day_of(event_id)) + str(event_id % NUMBERS_A_DAY).rjust(8, "0")


def candidates(rrn: str, today: str) -> tuple[int, ...]:
    """Return the event ids that a reference number can mean, newest first.

    The number names a year by its last digit: the ten-year-old namesake is tried after the
    recent one. Empty when the text is no reference number.
    """
    if len(rrn) != RRN_DIGITS or not (rrn.isascii() and rrn.isdigit()):
        return ()
    day_of_year, number = int(rrn[1:4]), int(rrn[4:])
    newest = date.fromisoformat(today) + timedelta(days=1)
    found = []
    for year in range(newest.year, max(newest.year - 30, 1), -1):
        if year % 10 != int(rrn[0]) or day_of_year < 1:
            continue
        day = date(year, 1, 1) + timedelta(days=day_of_year - 1)
        if day.year == year and day <= newest:
            found.append(day.toordinal() * NUMBERS_A_DAY + number)
    return tuple(found)


def next_day(day: str) -> BusinessDate:
    """Return the calendar day after a business date."""
    return BusinessDate((date.fromisoformat(day) + timedelta(days=1)).isoformat())


def days_before(day: str, count: int) -> str:
    """Return the date `count` days before a business date."""
    return (date.fromisoformat(day) - timedelta(days=count)).isoformat()
