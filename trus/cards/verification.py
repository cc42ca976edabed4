"""Tells a genuine stripe from one that somebody made up: a value that only K_CARD can compute.

Holds no key: it forms the blocks that the key store encrypts, a whole batch in one call, and
reads the answers. The value binds number, expiry, service code and card sequence, so that none
of them can be changed on a stripe. It does not stop a clone of a whole stripe: that is what PIN,
limits and a short card life are for.

Discretionary data of both tracks: key version modulo 10 (1 digit), card sequence (2 digits),
verification value (7 digits).

Block of 32 nibbles: number padded on the left with F to 19, expiry (4), service code (3), card
sequence (2), then C0DE. Value = the encrypted block as a big-endian number, modulo 10**7, 7
digits: the bias is below 2**-100.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from trus.cards.errors import CardDataRefused
from trus.cards.numbers import MAX_NUMBER_DIGITS, CardNumber
from trus.cards.tracks import StripeData
from trus.values import Secret

#: Digits of the value: one guess in ten million is right, and no guess is told from an unknown card.
VALUE_DIGITS: Final = 7
#: ISO 8583 field 23, card sequence number, has three digits; two are enough for reissues here.
MAX_SEQUENCE: Final = 99
#: Key versions that can be told apart on a stripe.
KEY_VERSIONS: Final = 10
#: Encrypted in place of a block that cannot be formed, so that the work is equal.
DUMMY_BLOCK: Final = b"\xff" * 16

_TRAILER: Final = "c0de"
_MODULUS: Final = 10**VALUE_DIGITS
_DISCRETIONARY: Final = re.compile(rf"([0-9])([0-9]{{2}})([0-9]{{{VALUE_DIGITS}}})", re.ASCII)
_PARTS: Final = re.compile(r"[0-9]{4}\|[0-9]{3}", re.ASCII)


class Claim(Secret, frozen=True):
    """What a stripe claims: the version digit of K_CARD, the card sequence, the value."""

    key_digit: int
    sequence: int
    value: str


def input_block(number: CardNumber, expiry: str, service_code: str, sequence: int) -> bytes:
    """Return the 16 bytes to encrypt under K_CARD. Raises CardDataRefused for a part of wrong form."""
    if _PARTS.fullmatch(f"{expiry}|{service_code}") is None or not 0 <= sequence <= MAX_SEQUENCE:
        raise CardDataRefused("stripe")
    return _block(number, expiry, service_code, sequence)


def value_of(encrypted: bytes) -> str:
    """Return the 7-digit value from the encrypted block (16 bytes)."""
    return f"{int.from_bytes(encrypted, 'big') % _MODULUS:0{VALUE_DIGITS}d}"


def discretionary(key_version: int, sequence: int, encrypted: bytes) -> str:
    """Return the discretionary data for a new stripe from the encrypted block."""
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise CardDataRefused("sequence")
    return f"{key_version % KEY_VERSIONS}{sequence:02d}{value_of(encrypted)}"


def claim_of(data: StripeData) -> Claim | None:
    """Return what the stripe claims, None when its discretionary data is not of this network."""
    match = _DISCRETIONARY.fullmatch(data.discretionary)
    if match is None:
        return None
    key_digit, sequence, value = match.groups()
    return Claim(int(key_digit), int(sequence), value)


def claim_block(data: StripeData, claim: Claim) -> bytes:
    """Return the block that proves the claim, for a whole batch's one encryption."""
    # The parts of a track that was read have their form.
    return _block(data.number, data.expiry, data.service_code, claim.sequence)


def proves(claim: Claim, encrypted: bytes) -> bool:
    """Return whether the encrypted block gives the claimed value; takes equal time either way."""
    return hmac.compare_digest(value_of(encrypted), claim.value)


def _block(number: CardNumber, expiry: str, service_code: str, sequence: int) -> bytes:
    digits = number.digits.rjust(MAX_NUMBER_DIGITS, "f")
    return bytes.fromhex(f"{digits}{expiry}{service_code}{sequence:02d}{_TRAILER}")
