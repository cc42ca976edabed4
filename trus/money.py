"""Turns amounts as people write them into integer minor units, and back.

Refuses floats, signs, exponents, thousands separators and every digit that is not ASCII.
"""

from __future__ import annotations

import re
from typing import Final

#: Minor-unit digits of the currencies in use (ISO 4217, table A.1).
EXPONENTS: Final[dict[str, int]] = {
    "USD": 2,
    "EUR": 2,
    "GBP": 2,
    "CHF": 2,
    "CAD": 2,
    "AUD": 2,
    "BRL": 2,
    "MXN": 2,
    "INR": 2,
    "CNY": 2,
    "PLN": 2,
    "SEK": 2,
    "JPY": 0,
    "KRW": 0,
    "TND": 3,
    "KWD": 3,
}

#: Field 4 of ISO 8583 holds 12 digits of minor units.
MAX_MINOR_UNITS: Final = 999_999_999_999

#: Of a sum of amounts, such as a batch's: what a ledger's 64 bits hold in whole digits.
MAX_SUM: Final = 999_999_999_999_999_999

_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,3}))?\Z", re.ASCII)


class AmountError(ValueError):
    """The text is not an amount of that currency."""


def exponent(currency: str) -> int:
    """Return the number of minor-unit digits of an ISO 4217 alphabetic code.

    Raises AmountError for a currency that the network does not use.
    """
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise AmountError("unknown currency") from None


def parse_amount(text: str, currency: str) -> int:
    """Return `text`, such as "12.50", in minor units of `currency`.

    Exactly as many decimals as the currency has: "12.5" and "12.500" are refused for USD,
    since a terminal that is off by a factor of ten must fail before money moves. Zero is
    accepted here; rules decide whether it may be paid. Raises AmountError.
    """
    return _parse(text, currency, MAX_MINOR_UNITS)


def parse_sum(text: str, currency: str) -> int:
    """Return a sum of amounts, such as "10000000000.00", as `parse_amount` does, up to MAX_SUM. Raises AmountError."""
    return _parse(text, currency, MAX_SUM)


def _parse(text: str, currency: str, most: int) -> int:
    digits = exponent(currency)
    match = _DECIMAL.match(text)
    if match is None:
        raise AmountError("not a decimal amount")
    whole, fraction = match.groups("")
    if len(fraction) != digits:
        raise AmountError("wrong number of decimals")
    minor = int(whole + fraction)
    if minor > most:
        raise AmountError("amount too large")
    return minor


def format_amount(minor: int, currency: str) -> str:
    """Return minor units as text with exactly the currency's decimals, such as "12.50"."""
    digits = exponent(currency)
    sign = "-" if minor < 0 else ""
    body = str(abs(minor))
    if digits == 0:
        return sign + body
    body = body.rjust(digits + 1, "0")
    return f"{sign}{body[:-digits]}.{body[-digits:]}"
