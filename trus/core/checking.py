"""Asks the token about stripes and PINs: one call for all verification values of a batch, one for all PINs.

The clear PIN exists in `_check_pins` alone: PIN blocks are opened there, and what leaves it is
right, wrong or unusable. Equal work is done for a card that exists, one that does not and a track
that cannot be read. Nothing here judges: rules do (trus.auth.rules).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from trus.auth.model import CardFacts, Checks
from trus.cards.numbers import CardNumber
from trus.cards.pin import (
    REFERENCE_BYTES,
    BlockFunction,
    dummy_input,
    reference_input,
    reference_version,
    same_pin,
    try_open_pin,
)
from trus.cards.verification import DUMMY_BLOCK, Claim, claim_block, claim_of, proves
from trus.core.asked import Asked
from trus.core.keyring import CardKeys
from trus.core.messages import Balance, Purchase
from trus.hsm.ports import KeyStore
from trus.values import PinMaterial

#: Stand in for the number of a track that cannot be read, and for what is kept of no card.
_NO_NUMBER: Final = CardNumber("0000000000000000")
_NO_REFERENCE: Final = bytes(REFERENCE_BYTES)
_AES_KEY_BYTES: Final = frozenset({16, 24, 32})


class Redacted(list[bytes]):
    """Blocks for the token, which may hold PINs: shown by number only, wherever they appear."""

    def __repr__(self) -> str:
        """Say how many blocks there are."""
        return f"<{len(self)} blocks redacted>"


class CardChecker:
    """Checks what only the keys of the token can check."""

    def __init__(self, keys: KeyStore, card_keys: CardKeys) -> None:
        """`card_keys` are the handles of every version of K_PIN and K_CARD."""
        self._keys = keys
        self._card_keys = card_keys

    def check(self, asked: Sequence[Asked], cards: Mapping[bytes, CardFacts]) -> None:
        """Set `checks` of each purchase and balance enquiry.

        They stay None for a card whose PIN reference needs a version of K_PIN that the store does
        not hold. Raises KeyStoreError when the store cannot be used.
        """
        genuine = self._check_stripes(asked)
        pins = self._check_pins(asked, cards)
        for index, each in enumerate(asked):
            stripe = each.stripe
            usable, right = True, None
            if isinstance(each.request, (Purchase, Balance)) and each.request.pin is not None:
                if index not in pins:
                    continue
                usable, right = pins[index]
            each.checks = Checks(
                "" if stripe is None else stripe.expiry,
                "" if stripe is None else stripe.service_code,
                genuine[index] and each.card_key in cards,
                right,
                usable,
                stripe is not None,
            )

    def _check_stripes(self, asked: Sequence[Asked]) -> list[bool]:
        groups: dict[int, tuple[list[int], list[bytes]]] = {}
        claims: list[Claim | None] = []
        for index, each in enumerate(asked):
            stripe = each.stripe
            claim = None if stripe is None else claim_of(stripe)
            if stripe is None or claim is None or claim.key_digit not in self._card_keys.card:
                claim, digit, block = None, self._card_keys.newest_card, DUMMY_BLOCK
            else:
                digit, block = claim.key_digit, claim_block(stripe, claim)
            claims.append(claim)
            places, blocks = groups.setdefault(digit, ([], Redacted()))
            places.append(index)
            blocks.append(block)
        genuine = [False] * len(asked)
        for digit, (places, blocks) in groups.items():
            for place, encrypted in zip(
                places, self._keys.encrypt_blocks(self._card_keys.card[digit], blocks), strict=True
            ):
                claim = claims[place]
                genuine[place] = claim is not None and proves(claim, encrypted)
        return genuine

    def _check_pins(
        self, asked: Sequence[Asked], cards: Mapping[bytes, CardFacts]
    ) -> dict[int, tuple[bool, bool | None]]:
        """Return by index, for requests that bring a PIN: whether its block opened, whether it is right.

        A request whose card needs a version of K_PIN that the store does not hold is left out.
        """
        groups: dict[int, tuple[list[int], list[bytes]]] = {}
        usable: dict[int, bool] = {}
        for index, each in enumerate(asked):
            request = each.request
            if not isinstance(request, (Purchase, Balance)) or request.pin is None:
                continue
            card = cards.get(each.card_key)
            version = (0 if card is None else reference_version(card.pin_reference)) or self._card_keys.newest_pin
            if version not in self._card_keys.pin:
                continue
            number = _NO_NUMBER if each.stripe is None else each.stripe.number
            decrypt = _session_key(request.pin)
            pin = None if decrypt is None else try_open_pin(request.pin.block, number, decrypt)
            usable[index] = pin is not None
            places, blocks = groups.setdefault(version, ([], Redacted()))
            places.append(index)
            blocks.append((dummy_input(number) if pin is None else reference_input(number, pin)).block)
        found: dict[int, tuple[bool, bool | None]] = {}
        for version, (places, blocks) in groups.items():
            encrypted = self._keys.encrypt_blocks(self._card_keys.pin[version], blocks)
            for place, block in zip(places, encrypted, strict=True):
                card = cards.get(asked[place].card_key)
                right = same_pin(_NO_REFERENCE if card is None else card.pin_reference, block)
                found[place] = (True, right) if usable[place] else (False, None)
        return found


def _session_key(pin: PinMaterial) -> BlockFunction | None:
    """Return the decryption of one block under a session's PIN key, None for a key of wrong length."""
    if len(pin.key) not in _AES_KEY_BYTES:
        return None
    # Single blocks: ISO 9564-1 format 4 chains its two by itself.
    decryptor = Cipher(algorithms.AES(pin.key), modes.ECB()).decryptor()  # noqa: S305
    return decryptor.update
