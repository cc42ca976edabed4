"""Takes what was read and entered at a terminal, refuses what is none, and seals the PIN.

Keeps nothing: a stripe and a PIN pass through. The PIN leaves only as an ISO 9564-1 format 4
block under the key of a sealed session.
"""

from __future__ import annotations

import re
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from trus.cards.errors import CardDataRefused
from trus.cards.numbers import CardNumber
from trus.cards.pin import FILL_BYTES, Pin, check_pin, seal_pin
from trus.cards.tracks import RawTrack, parse_track_two, read_track_two
from trus.clock import Entropy
from trus.device.blocks import PinEncoder
from trus.values import TrackTwo

_RRN: Final = re.compile(r"[A-Z0-9]{12}", re.ASCII)


def pin_encoder(entropy: Entropy) -> PinEncoder:
    """Return the maker of ISO 9564-1 format 4 blocks, filled from `entropy`."""

    def encode(pin: str, number: str, key: bytes) -> bytes:
        # Format 4 is defined over the bare block cipher; there is nothing to chain.
        cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305

        def encrypt(block: bytes) -> bytes:
            encryptor = cipher.encryptor()
            return encryptor.update(block) + encryptor.finalize()

        return seal_pin(Pin(pin), CardNumber(number), encrypt, entropy.draw(FILL_BYTES))

    return encode


def check_card(track2: str, pin: str | None) -> None:
    """Refuse what is no stripe or no PIN before anything is written. Raises CardDataRefused."""
    parse_track_two(TrackTwo(track2))
    if pin is not None:
        check_pin(Pin(pin))


def check_rrn(rrn: str) -> None:
    """Refuse what is no retrieval reference (ISO 8583 field 37). Raises CardDataRefused."""
    if _RRN.fullmatch(rrn) is None:
        raise CardDataRefused("rrn")


def swiped(text: str) -> str:
    """Return track 2 without sentinels from what a reader gave, with or without them.

    Raises CardDataRefused for a misread stripe.
    """
    text = text.strip()
    track = read_track_two(RawTrack(text)) if text.startswith(";") else TrackTwo(text)
    parse_track_two(track)
    return track.text
