"""Opens and makes PIN blocks (ISO 9564-1 format 4, AES) and forms the references that PINs are kept as.

Holds no key: the block cipher of a session comes in as a function, and K_PIN stays in its store.
A clear PIN is never an argument that is shown, a message or a stored value: it lives in the
redacted `Pin`, or in locals of functions that cannot raise while they hold it.

Reference = one byte of key version, then one AES block under K_PIN. K_PIN may encrypt and not
decrypt, so that nobody who reads the references gets PINs from them without trying each. Input
block of 32 nibbles: the number padded on the left with F to 19, the PIN's length, the PIN padded
on the right with F to 12.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from trus.cards.errors import CardDataRefused
from trus.cards.numbers import MAX_NUMBER_DIGITS, CardNumber
from trus.values import Secret

#: ISO 9564-1: a PIN has 4 to 12 digits.
MIN_PIN_DIGITS: Final = 4
MAX_PIN_DIGITS: Final = 12
#: AES.
BLOCK_BYTES: Final = 16
#: Random fill of format 4.
FILL_BYTES: Final = 8
#: Key version and one AES block.
REFERENCE_BYTES: Final = 17

#: Encrypts or decrypts one block of 16 bytes.
BlockFunction = Callable[[bytes], bytes]

_PIN: Final = re.compile(r"[0-9]{4,12}", re.ASCII)
# ISO 9564-1: number field of format 4, length nibble is the digits beyond 12.
_NUMBER_FIELD_BASE: Final = 12
_NUMBER_FIELD_NIBBLES: Final = 31


class Pin(Secret, frozen=True):
    """A clear PIN, digits only."""

    digits: str


class ReferenceInput(Secret, frozen=True):
    """The 16 bytes to encrypt under K_PIN; as secret as the PIN in it."""

    block: bytes


def check_pin(pin: Pin) -> Pin:
    """Return a PIN of 4 to 12 digits. Raises CardDataRefused."""
    if _PIN.fullmatch(pin.digits) is None:
        raise CardDataRefused("pin")
    return pin


def is_simple(pin: Pin, number: CardNumber) -> bool:
    """Return whether a PIN is among the first that a thief tries.

    One digit over and over, a run up or down (9 and 0 are neighbours), a pair over and over, or the
    last digits of the card.
    """
    digits = [int(each) for each in pin.digits]
    steps = {(after - before) % 10 for before, after in pairwise(digits)}
    paired = len(digits) % 2 == 0 and pin.digits == pin.digits[:2] * (len(digits) // 2)
    return steps in ({0}, {1}, {9}) or paired or number.digits.endswith(pin.digits)


def draw_pin(draw: Callable[[int], bytes], digits: int = MIN_PIN_DIGITS) -> Pin:
    """Return a PIN of so many digits, each equally likely, from `draw(count) -> bytes`.

    Raises CardDataRefused for a length that ISO 9564-1 does not allow.
    """
    if not MIN_PIN_DIGITS <= digits <= MAX_PIN_DIGITS:
        raise CardDataRefused("pin-length")
    drawn = ""
    while len(drawn) < digits:
        # Bytes from 250 on would make the digits 0 to 5 likelier.
        drawn += "".join(str(byte % 10) for byte in draw(digits) if byte < 250)
    return Pin(drawn[:digits])


def seal_pin(pin: Pin, number: CardNumber, encrypt: BlockFunction, fill: bytes) -> bytes:
    """Return the format 4 block (16 bytes) of a PIN; `fill` is 8 fresh random bytes.

    Raises CardDataRefused for a PIN or fill of wrong length.
    """
    if len(fill) != FILL_BYTES:
        raise CardDataRefused("fill")
    return encrypt(_xor(encrypt(_pin_field(check_pin(pin), fill)), _number_field(number)))


def open_pin(block: bytes, number: CardNumber, decrypt: BlockFunction) -> Pin:
    """Return the PIN of a format 4 block. Raises CardDataRefused for every malformed block."""
    pin = _opened(block, number, decrypt)
    if pin is None:
        raise CardDataRefused("pin-block")
    return pin


def try_open_pin(block: bytes, number: CardNumber, decrypt: BlockFunction) -> Pin | None:
    """Return the PIN of a format 4 block, None for every malformed block."""
    return _opened(block, number, decrypt)


def reference_input(number: CardNumber, pin: Pin) -> ReferenceInput:
    """Return the block whose encryption under K_PIN is kept as the PIN's reference."""
    digits = pin.digits
    text = f"{number.digits.rjust(MAX_NUMBER_DIGITS, 'f')}{len(digits):x}{digits.ljust(MAX_PIN_DIGITS, 'f')}"
    return ReferenceInput(bytes.fromhex(text))


def dummy_input(number: CardNumber) -> ReferenceInput:
    """Return a block to encrypt where no PIN could be opened: equal work, matches no PIN."""
    return ReferenceInput(bytes.fromhex(number.digits.rjust(MAX_NUMBER_DIGITS, "f") + "0" + "f" * MAX_PIN_DIGITS))


def reference(key_version: int, encrypted: bytes) -> bytes:
    """Return the reference to keep: key version (1 to 255), then the encrypted block.

    Raises CardDataRefused for anything else.
    """
    if not 0 < key_version < 256 or len(encrypted) != BLOCK_BYTES:
        raise CardDataRefused("reference")
    return bytes((key_version,)) + encrypted


def reference_version(kept: bytes) -> int:
    """Return the version of K_PIN that a kept reference was made with, 0 for a malformed one."""
    return kept[0] if len(kept) == REFERENCE_BYTES else 0


def same_pin(kept: bytes, encrypted: bytes) -> bool:
    """Return whether an encrypted input block is that of the kept reference; takes equal time either way."""
    return hmac.compare_digest(kept[1:], encrypted)


def _opened(block: bytes, number: CardNumber, decrypt: BlockFunction) -> Pin | None:
    if len(block) != BLOCK_BYTES:
        return None
    field = decrypt(_xor(decrypt(block), _number_field(number))).hex()
    length = int(field[1], 16)
    if field[0] != "4" or not MIN_PIN_DIGITS <= length <= MAX_PIN_DIGITS:
        return None
    digits = field[2 : 2 + length]
    if not digits.isdecimal() or field[2 + length : 16] != "a" * (14 - length):
        return None
    return Pin(digits)


def _pin_field(pin: Pin, fill: bytes) -> bytes:
    digits = pin.digits
    return bytes.fromhex(f"4{len(digits):x}{digits.ljust(14, 'a')}") + fill


def _number_field(number: CardNumber) -> bytes:
    digits = number.digits.rjust(_NUMBER_FIELD_BASE, "0")
    extra = len(digits) - _NUMBER_FIELD_BASE
    return bytes.fromhex(f"{extra:x}{digits.ljust(_NUMBER_FIELD_NIBBLES, '0')}")


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(BLOCK_BYTES, "big")
