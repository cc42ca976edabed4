"""Makes new cards in groups: numbers, stripes, verification values, PINs and their references.

Stores nothing and prints nothing: what it makes is secret until it lies in an envelope. The
token is asked twice for a whole group, once under K_CARD and once under K_PIN.
Sources: ISO/IEC 7812-1, ISO/IEC 7813, ISO 9564-1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

from trus.auth.model import PIN_TRIES
from trus.auth.ports import CardNames
from trus.cards import verification
from trus.cards.names import track_name
from trus.cards.numbers import CardNumber, accounts_of, check_iin, compose_number
from trus.cards.pin import Pin, draw_pin, reference, reference_input
from trus.cards.tracks import SERVICE_CODE, StripeData, encode_track_one, encode_track_two
from trus.clock import Entropy
from trus.errors import StorageFailed
from trus.hsm.ports import KeyStore
from trus.ledger.registry_values import EmployeeRow, NewCard
from trus.values import Secret

#: Labels of the keys in the store.
PIN_KEY_LABEL: Final = "K_PIN"
CARD_KEY_LABEL: Final = "K_CARD"
#: Card sequence number (ISO 8583 field 23) of the first card under a number.
FIRST_SEQUENCE: Final = 1
#: Letters and digits of a card's reference: those that nobody confuses on the telephone.
REFERENCE_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
REFERENCE_CHARACTERS: Final = 12
#: Rounds of drawing until a whole group is free; more means that the numbers are used up.
_MAX_DRAWS: Final = 20

#: Which of these references and keyed hashes are taken.
Taken = Callable[[Sequence[str], Sequence[bytes]], tuple[set[str], set[bytes]]]


class FreshCard(Secret, frozen=True):
    """A new card with everything that its maker needs; `stored` is what the database gets."""

    holder: EmployeeRow
    stored: NewCard
    track1: str
    track2: str
    pin: str


class CardMaker:
    """Makes groups of cards under one issuer identification number."""

    def __init__(self, keys: KeyStore, entropy: Entropy, iin: str, card_names: Callable[[str], CardNames]) -> None:
        """`card_names` returns the keyed hashes of a number. Raises CardDataRefused for an unfit `iin`."""
        self._keys = keys
        self._entropy = entropy
        self._iin = check_iin(iin)
        self._card_names = card_names

    def make(self, holders: Sequence[EmployeeRow], expiry: str, taken: Taken) -> list[FreshCard]:
        """Return a new card for each holder, valid through the month `expiry` (YYMM).

        Raises KeyNotFound, KeyStoreUnavailable; StorageFailed when no number is free.
        """
        card_key = self._keys.find(CARD_KEY_LABEL)
        pin_key = self._keys.find(PIN_KEY_LABEL)
        names, numbers = self._free(len(holders), taken)
        pins = [draw_pin(self._entropy.draw) for _ in holders]
        values = self._keys.encrypt_blocks(
            card_key,
            [verification.input_block(number, expiry, SERVICE_CODE, FIRST_SEQUENCE) for number in numbers],
        )
        references = self._keys.encrypt_blocks(
            pin_key, [reference_input(number, pin).block for number, pin in zip(numbers, pins, strict=True)]
        )
        made = []
        for index, holder in enumerate(holders):
            discretionary = verification.discretionary(card_key.version, FIRST_SEQUENCE, values[index])
            stripe = StripeData(numbers[index], expiry, SERVICE_CODE, discretionary)
            stored = NewCard(
                card=names[index],
                pan=numbers[index].digits,
                pan_key=self._card_names(numbers[index].digits).current,
                expiry=expiry,
                pin_reference=reference(pin_key.version, references[index]),
                tries_left=PIN_TRIES,
                employee_row=holder.row,
                sequence=FIRST_SEQUENCE,
            )
            made.append(_fresh(holder, stored, stripe, pins[index]))
        return made

    def _free(self, count: int, taken: Taken) -> tuple[list[str], list[CardNumber]]:
        """Draw references and numbers until `count` of each are new to the network."""
        names: dict[str, None] = {}
        numbers: dict[bytes, CardNumber] = {}
        for _ in range(_MAX_DRAWS):
            new_names = [self._reference() for _ in range(count - len(names))]
            drawn = {self._card_names(number.digits): number for number in self._numbers(count - len(numbers))}
            used_names, used_keys = taken(new_names, [key for each in drawn for key in (each.current, *each.former)])
            names.update((name, None) for name in new_names if name not in used_names)
            numbers.update(
                (each.current, number)
                for each, number in drawn.items()
                if used_keys.isdisjoint((each.current, *each.former))
            )
            if len(names) == count and len(numbers) == count:
                return list(names), list(numbers.values())
        raise StorageFailed("the issuer identification number has too few free card numbers")

    def _numbers(self, count: int) -> list[CardNumber]:
        room = accounts_of(self._iin)
        # 64 bits over at most 10**9 accounts: the bias of the remainder is below 2**-34.
        return [compose_number(int.from_bytes(self._entropy.draw(8), "big") % room, self._iin) for _ in range(count)]

    def _reference(self) -> str:
        return "".join(REFERENCE_ALPHABET[byte & 31] for byte in self._entropy.draw(REFERENCE_CHARACTERS))


def expiry_after(today: date, months: int) -> str:
    """Return YYMM, the last month of a card issued `today` for `months` months."""
    month = today.year * 12 + today.month - 1 + months
    return f"{month // 12 % 100:02d}{month % 12 + 1:02d}"


def _fresh(holder: EmployeeRow, stored: NewCard, stripe: StripeData, pin: Pin) -> FreshCard:
    track1 = encode_track_one(stripe, track_name(holder.surname, holder.name))
    return FreshCard(holder, stored, track1.text, encode_track_two(stripe).text, pin.digits)
