"""Asks the token about stripes and PINs: one call for all verification values of a batch, one for all PINs.

The clear PIN exists in `_check_pins` alone: PIN blocks are opened there, and what leaves it is
right, wrong or unusable. Equal work is done for a card that exists, one that does not and a track
that cannot be read. Nothing here judges: rules do (trus.auth.rules).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from trus.auth.model import CardFacts, Checks
from trus.cards.numbers import CardNumber
from trus.cards.pin import (
    REFERENCE_BYTES,
    BlockFunction,
    dummy_input,
    is_simple,
    reference,
    reference_input,
    reference_version,
    same_pin,
    try_open_pin,
)
from trus.cards.verification import DUMMY_BLOCK, Claim, claim_block, claim_of, proves
from trus.core.asked import Asked, NewPin
from trus.core.keyring import CardKeys
from trus.core.messages import ChangePin
from trus.hsm.ports import KeyStore

#: Stand in for the number of a track that cannot be read, and for what is kept of no card.
_NO_NUMBER: Final = CardNumber("0000000000000000")
_NO_REFERENCE: Final = bytes(REFERENCE_BYTES)
_AES_KEY_BYTES: Final = frozenset({16, 24, 32})
#: Whether a PIN block opened, and whether the PIN is right.
_NO_PIN: Final = (True, None)
_UNUSABLE: Final = (False, None)
_NO_KEY: Final = (None, None)
#: Sessions whose cipher is kept ready.
SESSIONS_KEPT: Final = 4096


class Redacted(list[bytes]):
    """Blocks for the token, which may hold PINs: shown by number only, wherever they appear."""

    def __repr__(self) -> str:
        """Say how many blocks there are."""
        return f"<{len(self)} blocks redacted>"


#: Why a new PIN cannot be.
UNUSABLE_PIN: Final = "new-pin-unusable"
SIMPLE_PIN: Final = "new-pin-simple"


class CardChecker:
    """Checks what only the keys of the token can check."""

    def __init__(self, keys: KeyStore, card_keys: CardKeys) -> None:
        """`card_keys` are the handles of every version of K_PIN and K_CARD."""
        self._keys = keys
        self._card_keys = card_keys
        # Setting up a cipher takes longer than using it. The keys are of sealed sessions, so that
        # they open nothing to who has no session; the oldest are forgotten.
        self._session_key = lru_cache(maxsize=SESSIONS_KEPT)(_session_key)

    def check(self, asked: Sequence[Asked], cards: Mapping[bytes, CardFacts]) -> None:
        """Set `checks` of each purchase and balance enquiry.

        They stay None for a card whose PIN reference needs a version of K_PIN that the store does
        not hold. Raises KeyStoreError when the store cannot be used.
        """
        self._make_references(asked)
        genuine = self._check_stripes(asked)
        pins = self._check_pins(asked, cards)
        for each, is_genuine, (usable, right) in zip(asked, genuine, pins, strict=True):
            stripe = each.stripe
            if usable is None:
                continue
            if stripe is None:
                each.checks = Checks("", "", False, right, usable, False)
            else:
                known = is_genuine and each.card_key in cards
                each.checks = Checks(stripe.expiry, stripe.service_code, known, right, usable)

    def _make_references(self, asked: Sequence[Asked]) -> None:
        """Set `new_pin` of each change of a PIN: under the newest key, in one call."""
        wanted: list[Asked] = []
        blocks: list[bytes] = Redacted()
        for each in asked:
            request = each.request
            if not isinstance(request, ChangePin):
                continue
            decrypt = self._session_key(request.new_pin.key)
            number = _NO_NUMBER if each.stripe is None else each.stripe.number
            pin = None if decrypt is None else try_open_pin(request.new_pin.block, number, decrypt)
            if pin is None or decrypt is None:
                each.new_pin = NewPin(fault=UNUSABLE_PIN)
            elif is_simple(pin, number) or pin == try_open_pin(request.pin.block, number, decrypt):
                each.new_pin = NewPin(fault=SIMPLE_PIN)
            else:
                wanted.append(each)
                blocks.append(reference_input(number, pin).block)
        if wanted:
            newest = self._card_keys.newest_pin
            encrypted = self._keys.encrypt_blocks(self._card_keys.pin[newest], blocks)
            for each, block in zip(wanted, encrypted, strict=True):
                each.new_pin = NewPin(reference(newest, block))

    def _check_stripes(self, asked: Sequence[Asked]) -> list[bool]:
        handles, newest = self._card_keys.card, self._card_keys.newest_card
        groups: dict[int, tuple[list[int], list[bytes]]] = {}
        claims: list[Claim | None] = []
        for index, each in enumerate(asked):
            stripe = each.stripe
            claim = None if stripe is None else claim_of(stripe)
            if stripe is None or claim is None or claim.key_digit not in handles:
                claim, digit, block = None, newest, DUMMY_BLOCK
            else:
                digit, block = claim.key_digit, claim_block(stripe, claim)
            claims.append(claim)
            _add(groups, digit, index, block)
        genuine = [False] * len(asked)
        for digit, (places, blocks) in groups.items():
            for place, encrypted in zip(places, self._keys.encrypt_blocks(handles[digit], blocks), strict=True):
                claim = claims[place]
                genuine[place] = claim is not None and proves(claim, encrypted)
        return genuine

    def _check_pins(
        self, asked: Sequence[Asked], cards: Mapping[bytes, CardFacts]
    ) -> list[tuple[bool | None, bool | None]]:
        """Return for each whether its PIN block opened, and whether the PIN is right (None: no PIN, or unknown).

        Usable is None where the card needs a version of K_PIN that the store does not hold.
        """
        handles, newest = self._card_keys.pin, self._card_keys.newest_pin
        groups: dict[int, tuple[list[int], list[bytes]]] = {}
        found: list[tuple[bool | None, bool | None]] = [_NO_PIN] * len(asked)
        for index, each in enumerate(asked):
            material = each.pin
            if material is None:
                continue
            card = cards.get(each.card_key)
            version = (0 if card is None else reference_version(card.pin_reference)) or newest
            if version not in handles:
                found[index] = _NO_KEY
                continue
            number = _NO_NUMBER if each.stripe is None else each.stripe.number
            decrypt = self._session_key(material.key)
            pin = None if decrypt is None else try_open_pin(material.block, number, decrypt)
            if pin is None:
                found[index] = _UNUSABLE
                _add(groups, version, index, dummy_input(number).block)
            else:
                _add(groups, version, index, reference_input(number, pin).block)
        for version, (places, blocks) in groups.items():
            for place, encrypted in zip(places, self._keys.encrypt_blocks(handles[version], blocks), strict=True):
                card = cards.get(asked[place].card_key)
                right = same_pin(_NO_REFERENCE if card is None else card.pin_reference, encrypted)
                if found[place] is _NO_PIN:
                    found[place] = (True, right)
        return found


def _add(groups: dict[int, tuple[list[int], list[bytes]]], key: int, place: int, block: bytes) -> None:
    group = groups.get(key)
    if group is None:
        group = groups[key] = ([], Redacted())
    group[0].append(place)
    group[1].append(block)


def _session_key(key: bytes) -> BlockFunction | None:
    """Return the decryption of one block under a session's PIN key, None for a key of wrong length."""
    if len(key) not in _AES_KEY_BYTES:
        return None
    # Single blocks: ISO 9564-1 format 4 chains its two by itself.
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor().update  # noqa: S305
