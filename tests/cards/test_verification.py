"""A stripe that was not made with K_CARD is told from one that was."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cards.secrets import shown
from tests.cards.test_tracks import stripes
from trus.cards.errors import CardDataRefused
from trus.cards.numbers import CardNumber, compose_number
from trus.cards.tracks import SERVICE_CODE, StripeData, encode_track_one, encode_track_two
from trus.cards.verification import (
    VALUE_DIGITS,
    claim_block,
    claim_of,
    discretionary,
    input_block,
    proves,
    value_of,
)

KEY = bytes.fromhex("00112233445566778899aabbccddeeff" * 2)
NUMBER = compose_number(5)


def encrypt(block: bytes) -> bytes:
    return Cipher(algorithms.AES(KEY), modes.ECB()).encryptor().update(block)


def genuine(number: CardNumber, expiry: str, sequence: int) -> StripeData:
    block = input_block(number, expiry, SERVICE_CODE, sequence)
    return StripeData(number, expiry, SERVICE_CODE, discretionary(3, sequence, encrypt(block)))


def stands(data: StripeData) -> bool:
    claim = claim_of(data)
    return claim is not None and proves(claim, encrypt(claim_block(data, claim)))


class Verification(SynchronousTestCase):
    def test_block(self) -> None:
        """The block holds number, expiry, service code and sequence, each in its place."""
        self.assertEqual(input_block(NUMBER, "3012", "725", 7).hex(), "fff9999000100000052301272507c0de")

    def test_known_answer(self) -> None:
        """A card made today is genuine tomorrow: the value of a fixed key and card does not change."""
        data = genuine(NUMBER, "3012", 1)
        self.assertEqual(data.discretionary, "301" + value_of(encrypt(input_block(NUMBER, "3012", "725", 1))))
        self.assertEqual(data.discretionary, "3013200695")

    def test_value(self) -> None:
        """The value is the encrypted block modulo ten million, with its leading zeros."""
        self.assertEqual(value_of(bytes(15) + b"\x07"), "0000007")
        self.assertEqual(value_of(b"\xff" * 16), str((2**128 - 1) % 10**7).zfill(7))

    def test_genuine(self) -> None:
        """Every stripe that the issuer makes is genuine, and has room for its value on both tracks."""

        @given(st.integers(0, 9_999_999), st.integers(0, 99))
        def holds(account: int, sequence: int) -> None:
            data = genuine(compose_number(account), "3012", sequence)
            encode_track_two(data)
            encode_track_one(data, "W" * 24 + "/H")
            self.assertTrue(stands(data))

        holds()

    def test_longest_number(self) -> None:
        """A 19-digit number leaves room for the value on track 2."""
        encode_track_two(genuine(CardNumber("9" * 19), "3012", 99))

    def test_changed(self) -> None:
        """TR-5: a changed number, expiry, service code, sequence or value makes a stripe a forgery."""
        data = genuine(NUMBER, "3012", 1)
        value = int(data.discretionary[-VALUE_DIGITS:])
        for forged in (
            StripeData(compose_number(6), data.expiry, data.service_code, data.discretionary),
            StripeData(NUMBER, "3112", data.service_code, data.discretionary),
            StripeData(NUMBER, data.expiry, "727", data.discretionary),
            StripeData(NUMBER, data.expiry, data.service_code, "302" + data.discretionary[3:]),
            StripeData(NUMBER, data.expiry, data.service_code, f"301{(value + 1) % 10**7:07d}"),
        ):
            self.assertFalse(stands(forged))

    def test_made_up(self) -> None:
        """A stripe whose discretionary data somebody guessed is a forgery."""

        @given(stripes)
        def holds(data: StripeData) -> None:
            self.assertFalse(stands(data))

        holds()

    def test_foreign_discretionary(self) -> None:
        """Discretionary data of another layout claims nothing."""
        for text in ("", "123", "30132006951", "301108733", "30110873x0"):
            self.assertIsNone(claim_of(StripeData(NUMBER, "3012", "725", text)))

    def test_parts(self) -> None:
        """A block is made of well-formed parts alone."""
        for expiry, service_code, sequence in (
            ("301", "725", 1),
            ("3012", "72", 1),
            ("3012", "725", 100),
            ("3012", "725", -1),
        ):
            self.assertRaises(CardDataRefused, input_block, NUMBER, expiry, service_code, sequence)
        self.assertRaises(CardDataRefused, discretionary, 1, 100, bytes(16))

    def test_secrecy(self) -> None:
        """A claim shows no value in a log."""
        claim = claim_of(genuine(NUMBER, "3012", 1))
        self.assertIsNotNone(claim)
        self.assertNotIn("3200695", shown(claim))
