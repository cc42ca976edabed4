"""Turns what an admin typed for one argument into the one text that the core accepts.

Refuses everything else with a fixed sentence that repeats no byte of the input. Both sides
of the core's socket use these converters: the console to answer at once, the core because
it trusts nobody. Names of people and places follow Unicode (NFC); no control, bidirectional
control, private or unassigned character survives.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trus.auth.policy import ANY_SHOP, MAX_HOLIDAYS, MAX_PURSES, MAX_SHOP_LIMITS
from trus.money import EXPONENTS

Converter = Callable[[str], str]


class ArgumentRefused(ValueError):
    """The text is not a value of that type; the message is a fixed sentence."""


#: Longest name of a person, shop or company, in characters and in UTF-8 bytes.
MAX_NAME_CHARACTERS: Final = 64
MAX_NAME_BYTES: Final = 200
#: Combining marks in a row: enough for Vietnamese, Hebrew and Devanagari, not for towers.
_MAX_MARKS: Final = 4
#: Joiners that Persian and Indic names need; all other format characters are refused.
_JOINERS: Final = frozenset("\u200c\u200d")
#: What makes a spreadsheet take a cell for a formula, in both widths of Unicode: names go into
#: personalisation files and reports, which people open with one.
_FORMULA_SIGNS: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
#: People in one EMPLOYEES-ADD: what fits a line.
MAX_PEOPLE: Final = 100

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{1,3})?\Z", re.ASCII)
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}\Z", re.ASCII)
_ZONE_EXPECTED: Final = "an IANA time zone such as Europe/Madrid is expected"
_OPENING: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]\Z|24:00\Z", re.ASCII)
_CATEGORY: Final = re.compile(r"[0-9]{4}\Z", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}\Z", re.ASCII)


def identifier(shortest: int, longest: int) -> Converter:
    """Return a converter for names of `shortest` to `longest` letters A-Z and digits; a-z count as A-Z."""
    pattern = re.compile(rf"[A-Z0-9]{{{shortest},{longest}}}\Z", re.ASCII)
    said = str(longest) if shortest == longest else f"{shortest} to {longest}"

    def convert(text: str) -> str:
        value = text.upper() if text.isascii() else text
        if pattern.match(value) is None:
            raise ArgumentRefused(f"{said} letters A-Z and digits are expected")
        return value

    return convert


def person_name(text: str) -> str:
    """Return a name of a person, shop or company in Unicode NFC.

    Raises ArgumentRefused for an empty or overlong one, for outer or doubled spaces and for
    control, bidirectional control, private, unassigned or unpaired characters, and for a
    beginning that a spreadsheet takes for a formula.
    """
    value = unicodedata.normalize("NFC", text)
    if not 1 <= len(value) <= MAX_NAME_CHARACTERS or len(value.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise ArgumentRefused(f"1 to {MAX_NAME_CHARACTERS} characters are expected")
    if value[0] in _FORMULA_SIGNS:
        raise ArgumentRefused("a name does not begin with = + - or @")
    if value != value.strip(" ") or "  " in value:
        raise ArgumentRefused("spaces at the ends and doubled spaces are not allowed")
    marks = 0
    letters = False
    for character in value:
        category = unicodedata.category(character)
        if category.startswith("M"):
            marks += 1
            if marks > _MAX_MARKS:
                raise ArgumentRefused("too many combining marks in a row")
            continue
        marks = 0
        letters = letters or category[0] in "LN"
        if character == " " or character in _JOINERS:
            continue
        if category[0] in "CZ":
            raise ArgumentRefused("control, direction and invisible characters are not allowed")
    if not letters:
        raise ArgumentRefused("at least one letter or digit is expected")
    return value


def people(text: str) -> str:
    """Return `ID|NAME|SURNAME;ID|NAME|SURNAME...` with each part checked, at most 100 of them."""
    records = [record for record in text.split(";") if record.strip(" ")]
    if not 1 <= len(records) <= MAX_PEOPLE:
        raise ArgumentRefused(f"1 to {MAX_PEOPLE} people ID|NAME|SURNAME with ; between them are expected")
    canonical: list[str] = []
    for record in records:
        parts = [part.strip(" ") for part in record.split("|")]
        if len(parts) != 3:
            raise ArgumentRefused("each person is ID|NAME|SURNAME")
        canonical.append("|".join((_EMPLOYEE(parts[0]), person_name(parts[1]), person_name(parts[2]))))
    return ";".join(canonical)


def plain_name(text: str) -> str:
    """Return a person's name without the separators of EMPLOYEES-ADD."""
    if "|" in text or ";" in text:
        raise ArgumentRefused("the characters | and ; are not allowed")
    return person_name(text)


def admin_name(text: str) -> str:
    """Return an admin's name: 1 to 32 of a-z, 0-9, dot, dash and underscore, as in the certificate."""
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,31}", text, re.ASCII) is None:
        raise ArgumentRefused("1 to 32 of a-z, 0-9, dot, dash and underscore are expected")
    return text


def amount(text: str) -> str:
    """Return a decimal amount such as 12.50; its decimals are checked against the currency later."""
    if _AMOUNT.match(text) is None:
        raise ArgumentRefused("an amount such as 12.50 is expected")
    return text


def amount_or_none(text: str) -> str:
    """Return a decimal amount, or `none` for no limit."""
    return "none" if text.lower() == "none" else amount(text)


def currency(text: str) -> str:
    """Return an ISO 4217 code that the network uses."""
    value = text.upper()
    if value not in EXPONENTS:
        raise ArgumentRefused("one of " + " ".join(EXPONENTS) + " is expected")
    return value


def calendar_date(text: str) -> str:
    """Return a date YYYY-MM-DD that exists."""
    if _DATE.match(text) is not None:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise ArgumentRefused("that date does not exist") from None
        return text
    raise ArgumentRefused("a date YYYY-MM-DD is expected")


def time_zone(text: str) -> str:
    """Return an IANA time zone name that this machine knows."""
    if len(text) > 40 or _ZONE.match(text) is None:
        raise ArgumentRefused(_ZONE_EXPECTED)
    try:
        return ZoneInfo(text).key
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ArgumentRefused(_ZONE_EXPECTED) from None


def hour(text: str) -> str:
    """Return a time of day HH:MM; 24:00 is the end of the day."""
    if _OPENING.match(text) is None:
        raise ArgumentRefused("a time HH:MM is expected")
    return text


def week_days(text: str) -> str:
    """Return ISO week days as `1,2,3`; ranges such as `1-5` are taken apart."""
    days: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([1-7])(?:-([1-7]))?", part, re.ASCII)
        if match is None or int(match.group(2) or 7) < int(match.group(1)):
            raise ArgumentRefused("ISO week days such as 1-5 or 1,3,5 are expected, Monday is 1")
        first = int(match.group(1))
        days.update(range(first, int(match.group(2) or first) + 1))
    return ",".join(str(day) for day in sorted(days))


def dates_or_none(text: str) -> str:
    """Return up to 64 dates YYYY-MM-DD with commas between, in order, or `none`."""
    if text.lower() == "none":
        return "none"
    days = sorted({calendar_date(part) for part in text.split(",")})
    if len(days) > MAX_HOLIDAYS:
        raise ArgumentRefused(f"up to {MAX_HOLIDAYS} dates are expected")
    return ",".join(days)


def shop_limits(text: str) -> str:
    """Return limits at shops as `SHOP:AMOUNT/COUNT;...`, each part `none` for no limit, or `none` alone."""
    if text.lower() == "none":
        return "none"
    parts = text.split(";")
    limits: dict[str, str] = {}
    for part in parts:
        shop, _, limit = part.partition(":")
        most, slash, count = limit.partition("/")
        if not slash:
            raise ArgumentRefused("each limit is SHOP:AMOUNT/COUNT, such as *:20.00/2 or BISTRO:none/1")
        name = shop if shop == ANY_SHOP else _SHOP(shop)
        limits[name] = f"{name}:{amount_or_none(most)}/{_COUNT(count)}"
    if len(limits) != len(parts) or len(parts) > MAX_SHOP_LIMITS:
        raise ArgumentRefused(f"up to {MAX_SHOP_LIMITS} limits of different shops are expected")
    return ";".join(limits[name] for name in sorted(limits))


def purses(text: str) -> str:
    """Return purses in the order of paying as `NAME:MCC,MCC;NAME`, or `none` for the main one alone."""
    if text.lower() == "none":
        return "none"
    rules: dict[str, str] = {}
    parts = text.split(";")
    for part in parts:
        name, colon, categories = part.partition(":")
        rules[_PURSE(name)] = f":{merchant_categories(categories)}" if colon else ""
    if len(rules) != len(parts) or len(parts) > MAX_PURSES:
        raise ArgumentRefused(f"up to {MAX_PURSES} different purses are expected")
    return ";".join(name + categories for name, categories in rules.items())


def place(text: str) -> str:
    """Return a place as `latitude,longitude` in degrees with at most 5 decimals (a metre), or `none`."""
    if text.lower() == "none":
        return "none"
    match = re.fullmatch(r"(-?[0-9]{1,2}(?:\.[0-9]{1,5})?),(-?[0-9]{1,3}(?:\.[0-9]{1,5})?)", text, re.ASCII)
    if match is None or abs(float(match.group(1))) > 90 or abs(float(match.group(2))) > 180:
        raise ArgumentRefused("a place such as 48.8566,2.3522 (latitude,longitude) is expected")
    return text


def merchant_category(text: str) -> str:
    """Return a merchant category code of ISO 18245: 4 digits."""
    if _CATEGORY.match(text) is None:
        raise ArgumentRefused("4 digits are expected")
    return text


def merchant_categories(text: str) -> str:
    """Return category codes with commas between, sorted; `meals` stands for the meal categories."""
    if text.lower() == "meals":
        return "meals"
    parts = text.split(",")
    if len(parts) > 64 or any(_CATEGORY.match(part) is None for part in parts):
        raise ArgumentRefused("category codes such as 5811,5812 or the word meals are expected")
    return ",".join(sorted(set(parts)))


def whole_number(least: int, most: int) -> Converter:
    """Return a converter for whole numbers from `least` to `most`."""

    def convert(text: str) -> str:
        if _NUMBER.match(text) is None or not least <= int(text) <= most:
            raise ArgumentRefused(f"a whole number from {least} to {most} is expected")
        return str(int(text))

    return convert


def whole_number_or_none(least: int, most: int) -> Converter:
    """Return a converter for whole numbers from `least` to `most`, or `none` for no limit."""
    number = whole_number(least, most)

    def convert(text: str) -> str:
        return "none" if text.lower() == "none" else number(text)

    return convert


def choice(*words: str) -> Converter:
    """Return a converter for one of some lower-case words."""

    def convert(text: str) -> str:
        value = text.lower()
        if value not in words:
            raise ArgumentRefused("one of " + " ".join(words) + " is expected")
        return value

    return convert


def choices(*words: str) -> Converter:
    """Return a converter for some of the lower-case words, commas between, in the order of `words`."""

    def convert(text: str) -> str:
        said = text.lower().split(",")
        if any(word not in words for word in said):
            raise ArgumentRefused("some of " + ",".join(words) + " are expected")
        return ",".join(word for word in words if word in said)

    return convert


def verb(text: str) -> str:
    """Return the name of a command in capitals."""
    value = text.upper()
    if re.fullmatch(r"[A-Z][A-Z0-9-]{0,30}", value, re.ASCII) is None:
        raise ArgumentRefused("the name of a command is expected")
    return value


def serial(text: str) -> str:
    """Return a certificate's serial number in lower-case hexadecimal without leading zeros (RFC 5280: 20 octets)."""
    value = text.lower().replace(":", "").lstrip("0")
    if re.fullmatch(r"[0-9a-f]{1,40}", value, re.ASCII) is None:
        raise ArgumentRefused("a serial number of up to 40 hexadecimal digits is expected")
    return value


def holder(text: str) -> str:
    """Return the name of whoever holds an individual certificate: a terminal, a card or a backend."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", text, re.ASCII) is None:
        raise ArgumentRefused("1 to 64 letters, digits, dots and dashes are expected")
    return text


def digits(count: int) -> Converter:
    """Return a converter for exactly `count` digits, such as a retrieval reference number."""
    pattern = re.compile(rf"[0-9]{{{count}}}\Z", re.ASCII)

    def convert(text: str) -> str:
        if pattern.match(text) is None:
            raise ArgumentRefused(f"{count} digits are expected")
        return text

    return convert


def card_expiry(text: str) -> str:
    """Return a card's last month of validity, YYMM as on the stripe (ISO/IEC 7813)."""
    if re.fullmatch(r"[0-9]{2}(?:0[1-9]|1[0-2])", text, re.ASCII) is None:
        raise ArgumentRefused("a month YYMM is expected")
    return text


def reference(text: str) -> str:
    """Return a reference of the outside world, such as a bank transfer's: 1 to 35 printable ASCII."""
    if re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z ./:_+-]{0,34}", text, re.ASCII) is None or text != text.strip():
        raise ArgumentRefused("1 to 35 letters, digits, spaces and ./:_+- are expected")
    return text


def model(text: str) -> str:
    """Return a device's model as certificates name it: 1 to 32 letters, digits, dots and hyphens."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,31}", text, re.ASCII) is None:
        raise ArgumentRefused("1 to 32 letters, digits, dots and hyphens are expected")
    return text


def page_mark(text: str) -> str:
    """Return the mark that a page ended with: 1 to 40 letters, digits, dots, dashes and underscores."""
    if re.fullmatch(r"[0-9A-Za-z._-]{1,40}", text, re.ASCII) is None:
        raise ArgumentRefused("the mark that the last page ended with is expected")
    return text


_EMPLOYEE: Final = identifier(1, 15)
_SHOP: Final = identifier(1, 15)
_PURSE: Final = identifier(1, 15)
_COUNT: Final = whole_number_or_none(0, 9999)
