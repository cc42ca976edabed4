"""Draws approval codes (ISO 8583 field 38): six characters that a person can read over the telephone.

Draws a batch's entropy in one call. A code is a receipt's mark, not a secret and not unique: the
retrieval reference number names the event.
"""

from __future__ import annotations

from typing import Final

from trus.clock import Entropy

#: Crockford's base 32: no I, L, O, U.
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two characters for ten bits.
_PAIRS: Final = tuple(first + second for first in ALPHABET for second in ALPHABET)
_BYTES: Final = 4
#: Codes drawn at once.
_AT_ONCE: Final = 128


class ApprovalCodes:
    """A supply of codes."""

    def __init__(self, entropy: Entropy) -> None:
        """Draw from `entropy` when codes run out."""
        self._entropy = entropy
        self._drawn = b""
        self._used = 0

    def next(self) -> str:
        """Return a fresh code."""
        if self._used == len(self._drawn):
            self._drawn = self._entropy.draw(_BYTES * _AT_ONCE)
            self._used = 0
        start = self._used
        self._used = end = start + _BYTES
        bits = int.from_bytes(self._drawn[start:end], "big")
        return _PAIRS[bits & 1023] + _PAIRS[(bits >> 10) & 1023] + _PAIRS[(bits >> 20) & 1023]
