"""Protects the lines of one direction of a session under one key.

Knows no verb and no state beyond the count of lines, from which each nonce is made; a line
that was lost, repeated, moved or altered does not open.
Specification: docs/protocol.md, "The seal".
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trus.protocol import grammar
from trus.protocol.errors import SessionEnded
from trus.protocol.keyschedule import IV_BYTES, DirectionKeys

#: Records in one direction under one key before the session resumes in place.
MAX_RECORDS: Final = 1 << 20
#: A peer that never answered the request for new keys is cut off here; AES-GCM would allow
#: 2^24.5 full-sized records of TLS (RFC 8446 section 5.5).
LAST_RECORD: Final = 1 << 22


class Direction:
    """The key, iv and count of one direction."""

    __slots__ = ("_aead", "_iv", "sequence")

    def __init__(self, keys: DirectionKeys, sequence: int = 0) -> None:
        """Begin at record number `sequence`."""
        self._aead = AESGCM(keys.key)
        self._iv = int.from_bytes(keys.iv, "big")
        self.sequence = sequence

    def __repr__(self) -> str:
        """Show the count alone."""
        return f"<Direction after {self.sequence} records>"

    def seal(self, clear: bytes, plaintext: bytes) -> bytes:
        """Return `clear`, the seal over both, and CR LF. Raises SessionEnded past LAST_RECORD."""
        sealed = self._aead.encrypt(self._next_nonce(), plaintext, clear)
        return clear + grammar.SEAL_MARK + grammar.encode_base64url(sealed) + b"\r\n"

    def open(self, clear: bytes, sealed: bytes) -> bytes:
        """Return the plaintext that the next record seals. Raises SessionEnded (tag)."""
        try:
            return self._aead.decrypt(self._next_nonce(), sealed, clear)
        except InvalidTag:
            raise SessionEnded("tag") from None

    def _next_nonce(self) -> bytes:
        sequence = self.sequence
        if sequence >= LAST_RECORD:
            raise SessionEnded("records")
        self.sequence = sequence + 1
        return (self._iv ^ sequence).to_bytes(IV_BYTES, "big")
