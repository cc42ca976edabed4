"""Makes and checks the numbers of cards (ISO/IEC 7812-1), and shows no more of one than its last four digits.

Draws no randomness and knows no card: the issuer chooses the account part. Numbers begin with
a private issuer identification number: major industry identifier 9, then a country code of the
range that ISO 3166-1 leaves to its users, so that no card of another network can be mistaken for
one of this one.
"""

from __future__ import annotations

import re
from typing import Final

from stdnum import luhn

from trus.cards.errors import CardDataRefused
from trus.values import Secret

#: 9 = national use, 999 = a country code left to users (ISO 3166-1), then the issuer's own.
DEFAULT_IIN: Final = "99990001"
#: Length of the numbers issued here; tracks of 8 to 19 digits can be read.
NUMBER_DIGITS: Final = 16
#: ISO/IEC 7812-1: the longest number.
MAX_NUMBER_DIGITS: Final = 19

_IIN: Final = re.compile(r"9[0-9]{5}(?:[0-9]{2})?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{8,19}", re.ASCII)


class CardNumber(Secret, frozen=True):
    """A primary account number, digits only."""

    digits: str

    @property
    def last_four(self) -> str:
        """The four digits that may be shown and kept in the clear (PCI DSS 3.4)."""
        return self.digits[-4:]

    @property
    def masked(self) -> str:
        """The number with all but its last four digits starred."""
        return "*" * (len(self.digits) - 4) + self.last_four


def check_iin(iin: str) -> str:
    """Return an issuer identification number: 6 or 8 digits that begin with 9 (private use).

    Raises CardDataRefused.
    """
    if _IIN.fullmatch(iin) is None:
        raise CardDataRefused("iin")
    return iin


def accounts_of(iin: str) -> int:
    """Return how many numbers an issuer identification number has room for."""
    return int(10 ** (NUMBER_DIGITS - 1 - len(check_iin(iin))))


def compose_number(account: int, iin: str = DEFAULT_IIN) -> CardNumber:
    """Return the 16-digit number of an account (0 to accounts_of(iin) - 1), check digit included.

    Raises CardDataRefused for an account outside the range.
    """
    if not 0 <= account < accounts_of(iin):
        raise CardDataRefused("account")
    payload = f"{iin}{account:0{NUMBER_DIGITS - 1 - len(iin)}d}"
    return CardNumber(f"{payload}{luhn.calc_check_digit(payload)}")


def check_number(number: CardNumber) -> CardNumber:
    """Return a card number of 8 to 19 digits whose check digit (Luhn) is right.

    Raises CardDataRefused.
    """
    if _NUMBER.fullmatch(number.digits) is None:
        raise CardDataRefused("number")
    if not luhn.is_valid(number.digits):
        raise CardDataRefused("check-digit")
    return number
