"""Knows which versions of K_PIN and K_CARD the key store holds, and finds the one that a card was made with.

Holds handles, never keys. A new version is used for new cards at once; older ones stay here
until the last card made with them has expired.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.cards.verification import KEY_VERSIONS
from trus.errors import KeyNotFound
from trus.hsm.ports import KeyHandle, KeyPurpose, KeyStore
from trus.values import Frozen

PIN_LABEL: Final = "K_PIN"
CARD_LABEL: Final = "K_CARD"


class CardKeys(Frozen, frozen=True):
    """Handles by version: of K_PIN by the version itself, of K_CARD by the digit on the stripe."""

    pin: Mapping[int, KeyHandle]
    card: Mapping[int, KeyHandle]
    newest_pin: int
    newest_card: int


def find_card_keys(keys: KeyStore, pin_label: str = PIN_LABEL, card_label: str = CARD_LABEL) -> CardKeys:
    """Return every version of both keys. Raises KeyNotFound when either has none."""
    pin: dict[int, KeyHandle] = {}
    card: dict[int, KeyHandle] = {}
    for handle in keys.handles():
        # Sorted by version: of two versions with one digit, the newer one counts.
        if handle.label == pin_label and handle.purpose is KeyPurpose.PIN:
            pin[handle.version] = handle
        elif handle.label == card_label and handle.purpose is KeyPurpose.CARD:
            card[handle.version % KEY_VERSIONS] = handle
    if not pin:
        raise KeyNotFound(f"the store holds no key {pin_label}")
    if not card:
        raise KeyNotFound(f"the store holds no key {card_label}")
    newest = max(handle.version for handle in card.values())
    return CardKeys(pin, card, max(pin), newest % KEY_VERSIONS)
