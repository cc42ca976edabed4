"""Reads what a replay plays: the file of purchases, and the cards it is played with.

Connects nowhere. A row that makes no sense is named by its line and column before anything is
played; what is in a personalisation file is never repeated in an error.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from stdnum import luhn

from trus.cards.numbers import CardNumber
from trus.cards.tracks import StripeData, encode_track_two, parse_track_two
from trus.errors import ConfigurationError, TrusError
from trus.values import Frozen, Secret, TrackTwo

#: The columns that every file has, in this order, and those that it may have after them.
COLUMNS: Final = ("at", "shop", "terminal", "employee", "amount", "pin", "expect")
MORE_COLUMNS: Final = ("action", "card", "figure", "note")

_AT: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?", re.ASCII)
_TERMINAL: Final = re.compile(r"[A-Z0-9]{8}", re.ASCII)
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,3})?", re.ASCII)
_PIN: Final = re.compile(r"[0-9]{4,12}|right|wrong|none|asked", re.ASCII)
_CODE: Final = re.compile(r"[0-9]{2}", re.ASCII)


class Action(StrEnum):
    """What happens in a row."""

    BUY = "buy"
    PARTIAL = "partial"  #: a purchase that takes less when the card holds less
    RETRY = "retry"  #: a purchase whose first answer is lost on the way
    REVERSE = "reverse"  #: takes back this employee's last purchase at this terminal
    BALANCE = "balance"
    CLOSE = "close"  #: closes the terminal's batch


class Stripe(StrEnum):
    """Which stripe is read."""

    OWN = "own"
    FORGED = "forged"  #: a wrong verification value
    UNKNOWN = "unknown"  #: a number that was never issued


class Row(Frozen, frozen=True):
    """One line of the file; amounts are text until the currency is known. `line` counts from 1."""

    line: int
    at: str
    shop: str
    terminal: str
    employee: str
    amount: str
    pin: str
    expect: str
    action: Action = Action.BUY
    stripe: Stripe = Stripe.OWN
    figure: str = ""
    note: str = ""


class Card(Secret, frozen=True):
    """A card as its holder has it: the stripe's track 2, the PIN, the holder's name."""

    track2: str
    pin: str
    name: str
    surname: str
    company: str

    @property
    def holder(self) -> str:
        """The holder's name as a list may show it: the given name and an initial."""
        return f"{self.name} {self.surname[:1]}."


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file. Raises ConfigurationError, with line and column."""
    try:
        # Spreadsheets begin UTF-8 with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = tuple(next(reader, ()))
            extra = header[len(COLUMNS) :]
            if header[: len(COLUMNS)] != COLUMNS or any(name not in MORE_COLUMNS for name in extra):
                names, more = ",".join(COLUMNS), ", ".join(MORE_COLUMNS)
                raise ConfigurationError(f"{path}: the first line must be {names}, and after these any of {more}")
            return [_row(path, reader.line_num, header, values) for values in reader if values]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise ConfigurationError(f"{path} cannot be read: {_why(problem)}") from None


def _why(problem: Exception) -> str:
    """Return the reason why a file cannot be read, without repeating what stands in it."""
    if isinstance(problem, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(problem, OSError):
        return (problem.strerror or type(problem).__name__).lower()
    return str(problem)


def _row(path: Path, line: int, header: tuple[str, ...], values: list[str]) -> Row:
    if len(values) != len(header):
        raise ConfigurationError(f"{path}, line {line}: {len(values)} columns, expected {len(header)}")
    given = dict(zip(header, values, strict=True))

    def check(name: str, pattern: re.Pattern[str], expected: str) -> None:
        if pattern.fullmatch(given[name]) is None:
            raise ConfigurationError(f"{path}, line {line}, {name}: expected {expected}")

    check("at", _AT, "a time such as 12:30 or 12:30:05")
    check("terminal", _TERMINAL, "a terminal's name of 8 characters")
    check("pin", _PIN, "4 to 12 digits, or right, wrong, none, asked")
    check("expect", _CODE, "a response code of 2 digits")
    try:
        action = Action(given.get("action") or "buy")
        stripe = Stripe(given.get("card") or "own")
    except ValueError as problem:
        raise ConfigurationError(f"{path}, line {line}: {problem}") from None
    if action in (Action.BUY, Action.PARTIAL, Action.RETRY):
        check("amount", _AMOUNT, "an amount such as 12.50")
    if action is not Action.CLOSE and not given["employee"]:
        raise ConfigurationError(f"{path}, line {line}, employee: expected somebody with a card")
    figure, note = given.get("figure", ""), given.get("note", "")
    rest = (given["shop"], given["terminal"], given["employee"], given["amount"], given["pin"], given["expect"])
    return Row(line, given["at"], *rest, action, stripe, figure, note)


def read_cards(paths: Iterable[Path]) -> dict[str, Card]:
    """Return the cards of personalisation files by employee. Raises ConfigurationError."""
    cards: dict[str, Card] = {}
    for path in paths:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                for record in csv.DictReader(file, strict=True):
                    cards[record["employee"]] = _card(record)
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigurationError(f"{path} cannot be read: {_why(problem)}") from None
        except (KeyError, csv.Error, TrusError):
            raise ConfigurationError(f"{path} is no personalisation file") from None
    return cards


def _card(record: Mapping[str, str]) -> Card:
    parse_track_two(TrackTwo(record["track2"]))
    return Card(record["track2"], record["pin"], record["name"], record["surname"], record["company"])


def stripe_of(card: Card, stripe: Stripe) -> str:
    """Return the track 2 that is read in a row."""
    if stripe is Stripe.OWN:
        return card.track2
    data = parse_track_two(TrackTwo(card.track2))
    if stripe is Stripe.FORGED:
        last = (int(data.discretionary[-1]) + 5) % 10
        forged = StripeData(data.number, data.expiry, data.service_code, f"{data.discretionary[:-1]}{last}")
        return encode_track_two(forged).text
    number = _never_issued(data.number)
    return encode_track_two(StripeData(number, data.expiry, data.service_code, data.discretionary)).text


def _never_issued(number: CardNumber) -> CardNumber:
    """Return a number of the same issuer with a right check digit, half the numbers away from this one."""
    account = (int(number.digits[-8:-1]) + 5_000_000) % 10_000_000
    payload = f"{number.digits[:-8]}{account:07d}"
    return CardNumber(payload + luhn.calc_check_digit(payload))


def pin_of(card: Card, pin: str) -> str | None:
    """Return the PIN that goes with the request, None when none does."""
    match pin:
        case "right":
            return card.pin
        case "wrong":
            return f"{card.pin[:-1]}{(int(card.pin[-1]) + 1) % 10}"
        case "none" | "asked":
            return None
        case _:
            return pin
