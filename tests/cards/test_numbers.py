"""Numbers of cards belong to this network alone and are shown by their last four digits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn
from twisted.trial.unittest import SynchronousTestCase

from tests.cards.secrets import shown, shown_by_failure
from trus.cards.errors import CardDataRefused
from trus.cards.numbers import DEFAULT_IIN, CardNumber, accounts_of, check_iin, check_number, compose_number


class Numbers(SynchronousTestCase):
    def test_luhn(self) -> None:
        """Every number made has 16 digits, begins with the private IIN and has a right check digit (ISO/IEC 7812-1)."""

        @given(st.integers(0, accounts_of(DEFAULT_IIN) - 1))
        def holds(account: int) -> None:
            number = compose_number(account)
            self.assertEqual(len(number.digits), 16)
            self.assertTrue(number.digits.startswith(DEFAULT_IIN))
            self.assertTrue(luhn.is_valid(number.digits))
            self.assertEqual(check_number(number), number)

        holds()

    def test_every_account_has_its_own(self) -> None:
        """Two accounts never share a number."""
        self.assertEqual(len({compose_number(account).digits for account in range(2000)}), 2000)

    def test_known_answer(self) -> None:
        """A number made today is the number made tomorrow."""
        self.assertEqual(compose_number(5).digits, "9999000100000052")
        self.assertEqual(compose_number(5, "999900").digits, "9999000000000053")

    def test_one_wrong_digit(self) -> None:
        """A single mistyped digit is noticed, wherever it is."""

        @given(st.integers(0, 9_999_999), st.integers(0, 15), st.integers(1, 9))
        def holds(account: int, place: int, change: int) -> None:
            digits = compose_number(account).digits
            wrong = digits[:place] + str((int(digits[place]) + change) % 10) + digits[place + 1 :]
            self.assertRaises(CardDataRefused, check_number, CardNumber(wrong))

        holds()

    def test_foreign_iin(self) -> None:
        """An IIN of another network, or of a length that ISO/IEC 7812 does not know, is refused."""
        for iin in ("411111", "99990", "9999000", "999900011", "99990a", "９９９９００", ""):
            self.assertRaises(CardDataRefused, check_iin, iin)
        self.assertEqual(check_iin("984012"), "984012")

    def test_account_out_of_range(self) -> None:
        """An account that the IIN has no room for is refused, not cut."""
        for account in (-1, accounts_of(DEFAULT_IIN)):
            self.assertRaises(CardDataRefused, compose_number, account)
        self.assertEqual(accounts_of("999900"), 1_000_000_000)

    def test_not_a_number(self) -> None:
        """What is not 8 to 19 ASCII digits is no card number."""
        for text in ("", "1234567", "1" * 20, "4111 1111 1111 1111", "٤١١١١١١١١١١١١١١١", "4111111111111111\n"):
            self.assertRaises(CardDataRefused, check_number, CardNumber(text))

    def test_masking(self) -> None:
        """Of a number only the last four digits are ever shown."""
        number = compose_number(1_234_567)
        self.assertEqual(number.last_four, number.digits[-4:])
        self.assertEqual(number.masked, "*" * 12 + number.digits[-4:])
        self.assertNotIn(number.digits[:12], shown(number))
        self.assertNotIn(number.digits[4:], shown(number))

    def test_refusal_shows_nothing(self) -> None:
        """A refused number is not in the error, nor in the values of its traceback."""
        wrong = CardNumber(compose_number(5).digits[:-1] + "7")
        self.assertNotIn(wrong.digits, shown_by_failure(lambda: check_number(wrong), CardDataRefused))
