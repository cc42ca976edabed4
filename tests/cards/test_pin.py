"""PIN blocks open to the PIN that went in, or not at all; and nothing of a PIN is ever shown."""

from __future__ import annotations

from collections import Counter

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cards.secrets import shown, shown_by_failure
from trus.cards.errors import CardDataRefused
from trus.cards.numbers import CardNumber, compose_number
from trus.cards.pin import (
    Pin,
    check_pin,
    draw_pin,
    dummy_input,
    open_pin,
    reference,
    reference_input,
    reference_version,
    same_pin,
    seal_pin,
    try_open_pin,
)

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
NUMBER = compose_number(5)

pins = st.from_regex(r"[0-9]{4,12}\Z", fullmatch=True).map(Pin)
numbers = st.from_regex(r"[0-9]{8,19}\Z", fullmatch=True).map(CardNumber)
fills = st.binary(min_size=8, max_size=8)


def encrypt(block: bytes) -> bytes:
    return Cipher(algorithms.AES(KEY), modes.ECB()).encryptor().update(block)


def decrypt(block: bytes) -> bytes:
    return Cipher(algorithms.AES(KEY), modes.ECB()).decryptor().update(block)


def sealed_field(field: str, number: CardNumber) -> bytes:
    """Seal a plain PIN field (32 nibbles) of any content, as a broken terminal might."""
    digits = number.digits.rjust(12, "0")
    number_field = bytes.fromhex(f"{len(digits) - 12:x}{digits.ljust(31, '0')}")
    mixed = bytes(a ^ b for a, b in zip(encrypt(bytes.fromhex(field)), number_field, strict=True))
    return encrypt(mixed)


class FormatFour(SynchronousTestCase):
    def test_known_answer(self) -> None:
        """ISO 9564-1 format 4: a published block is made, and opens to its PIN."""
        number = CardNumber("1234567890123456789")
        block = bytes.fromhex("28B41FDDD29B743E93124BD8E32D921E")
        self.assertEqual(seal_pin(Pin("1234"), number, encrypt, b"\xff" * 8), block)
        self.assertEqual(open_pin(block, number, decrypt), Pin("1234"))

    def test_round_trip(self) -> None:
        """Every PIN of 4 to 12 digits goes in and comes out, whatever number and fill."""

        @given(pins, numbers, fills)
        def holds(pin: Pin, number: CardNumber, fill: bytes) -> None:
            self.assertEqual(open_pin(seal_pin(pin, number, encrypt, fill), number, decrypt), pin)

        holds()

    def test_another_card(self) -> None:
        """A block made for one card does not open for another."""
        block = seal_pin(Pin("1234"), NUMBER, encrypt, bytes(8))
        self.assertRaises(CardDataRefused, open_pin, block, compose_number(6), decrypt)

    def test_same_pin_two_blocks(self) -> None:
        """Two blocks of one PIN and card differ: who listens cannot compare."""
        blocks = {seal_pin(Pin("1234"), NUMBER, encrypt, bytes([fill]) * 8) for fill in range(100)}
        self.assertEqual(len(blocks), 100)

    def test_malformed_blocks(self) -> None:
        """A wrong control nibble, length, digit or padding is refused; the random half may be anything."""
        fill = "0123456789abcdef"
        self.assertEqual(open_pin(sealed_field("441234aaaaaaaaaa" + fill, NUMBER), NUMBER, decrypt), Pin("1234"))
        for field in (
            "341234aaaaaaaaaa",
            "043456aaaaaaaaaa",
            "43123aaaaaaaaaaa",
            "4d1234567890123a",
            "4e12345678901234",
            "40aaaaaaaaaaaaaa",
            "4412a4aaaaaaaaaa",
            "44f234aaaaaaaaaa",
            "441234aaaaaaaaa0",
            "441234ffffffffff",
            "4412345aaaaaaaaa",
            "451234aaaaaaaaaa",
        ):
            block = sealed_field(field + fill, NUMBER)
            self.assertRaises(CardDataRefused, open_pin, block, NUMBER, decrypt)
            self.assertIsNone(try_open_pin(block, NUMBER, decrypt))

    def test_wrong_length(self) -> None:
        """A block of another length than 16 bytes is refused before any key is used."""

        def never(block: bytes) -> bytes:
            raise AssertionError("the key was used")

        for size in (0, 8, 15, 17, 32):
            self.assertIsNone(try_open_pin(bytes(size), NUMBER, never))

    def test_anything_at_all(self) -> None:
        """Any 16 bytes open to a well-formed PIN or to nothing."""

        @given(st.binary(min_size=16, max_size=16))
        def holds(block: bytes) -> None:
            pin = try_open_pin(block, NUMBER, decrypt)
            if pin is not None:
                check_pin(pin)

        holds()

    def test_pin_rules(self) -> None:
        """A PIN has 4 to 12 ASCII digits; nothing else is sealed."""
        for text in ("", "123", "1" * 13, "12a4", "١٢٣٤", "1234\n", "-123", " 1234"):
            self.assertRaises(CardDataRefused, check_pin, Pin(text))
            self.assertRaises(CardDataRefused, seal_pin, Pin(text), NUMBER, encrypt, bytes(8))
        self.assertRaises(CardDataRefused, seal_pin, Pin("1234"), NUMBER, encrypt, bytes(7))

    def test_drawn_pins(self) -> None:
        """Each digit of an issued PIN is equally likely, and the length is what was asked."""
        digits: Counter[str] = Counter()
        for first in range(256):
            drawn = iter((bytes([first]) * 5, bytes(5)))
            pin = draw_pin(lambda count, drawn=drawn: next(drawn), 5)  # type: ignore[misc]
            self.assertEqual(len(check_pin(pin).digits), 5)
            if first < 250:
                digits.update(pin.digits)
            else:
                self.assertEqual(pin.digits, "00000", "bytes from 250 on would favour the digits 0 to 5")
        self.assertEqual(set(digits.values()), {125})
        self.assertEqual(len(digits), 10)
        for length in (3, 13):
            self.assertRaises(CardDataRefused, draw_pin, bytes, length)


class References(SynchronousTestCase):
    def test_block(self) -> None:
        """The reference's block holds number, PIN length and PIN in 32 nibbles."""
        self.assertEqual(reference_input(NUMBER, Pin("1234")).block.hex(), "fff999900010000005241234ffffffff")
        self.assertEqual(reference_input(NUMBER, Pin("1" * 12)).block.hex(), "fff9999000100000052c" + "1" * 12)

    def test_same_pin_only(self) -> None:
        """A reference fits the PIN that it was made from, on the same card, and no other."""

        @given(pins, pins, numbers, numbers)
        def holds(pin: Pin, other_pin: Pin, number: CardNumber, other: CardNumber) -> None:
            kept = reference(2, encrypt(reference_input(number, pin).block))
            for tried, card in ((pin, number), (other_pin, number), (pin, other), (other_pin, other)):
                same = same_pin(kept, encrypt(reference_input(card, tried).block))
                self.assertEqual(same, (tried, card) == (pin, number))
            self.assertFalse(same_pin(kept, encrypt(dummy_input(number).block)))

        holds()

    def test_key_version(self) -> None:
        """A kept reference says which version of K_PIN made it."""
        kept = reference(7, bytes(16))
        self.assertEqual((len(kept), reference_version(kept)), (17, 7))
        self.assertEqual(reference_version(bytes(16)), 0)
        for version, block in ((0, bytes(16)), (256, bytes(16)), (1, bytes(15))):
            self.assertRaises(CardDataRefused, reference, version, block)


class Secrecy(SynchronousTestCase):
    def test_reprs(self) -> None:
        """Neither a PIN nor what a reference is made from shows anything in a log."""
        pin = Pin("918273")
        for value in (pin, reference_input(NUMBER, pin), [pin], {"pin": pin}):
            self.assertNotIn("918273", shown(value))
            self.assertNotIn(NUMBER.digits, shown(value))

    def test_refusals(self) -> None:
        """A refused PIN or block is not in the error, nor in the values of its traceback."""
        block = sealed_field("46918273aaaaaaa0" + "0" * 16, NUMBER)
        for work in (
            lambda: check_pin(Pin("918273a")),
            lambda: seal_pin(Pin("918273a"), NUMBER, encrypt, bytes(8)),
            lambda: open_pin(block, NUMBER, decrypt),
        ):
            seen = shown_by_failure(work, CardDataRefused)
            self.assertNotIn("918273", seen)
            self.assertNotIn(NUMBER.digits, seen)
