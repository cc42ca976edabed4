"""Finds cards by a keyed hash of their number, and ciphers single fields that name a person or a card.

Refuses to decipher a field that was moved to another table, row or column, or under a key
version that it does not hold. Keys come from the key store (trus.hsm.datakeys) through the
composition root; nothing here stores them or shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from trus.auth.ports import CardNames
from trus.clock import Entropy
from trus.errors import LedgerError

#: Bytes of a data key: HMAC-SHA256's and AES-256's.
KEY_BYTES: Final = 32
#: Bytes kept of the keyed hash. 128 bits: among 10**9 cards the odds of any collision are 2**-69.
CARD_KEY_BYTES: Final = 16
#: NIST SP 800-38D, 8.2.2: random nonces of 96 bits, at most 2**32 seals under one key.
NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


class FieldUnreadable(LedgerError):
    """A ciphered field does not open: it was moved, altered, or its key version is retired."""


class _KeyedHash:
    """HMAC-SHA256 under one key. To set it up takes three times as long as to use it, so that copies are used."""

    def __init__(self, key: bytes) -> None:
        self._begun: Final = HMAC(_checked(key), SHA256())

    def card_key(self, pan: str) -> bytes:
        """Return the first 16 bytes of the hash over a number's digits."""
        begun = self._begun.copy()
        begun.update(pan.encode("utf-8"))
        return begun.finalize()[:CARD_KEY_BYTES]


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a data key has {KEY_BYTES} bytes")
    return key


class CardLookup:
    """Turns a card number into the key that its row is found by."""

    def __init__(self, key: bytes, former: Sequence[bytes] = (), repeated: Sequence[bytes] = ()) -> None:
        """`key` is 32 bytes that serve nothing else.

        While K_DB is rotated, rows that were not reached yet are found under a `former` key; requests
        made under one of `repeated` may still be repeated, and hold its hash in their digests.
        """
        self._hash = _KeyedHash(key)
        self._former = tuple(_KeyedHash(each) for each in former)
        self._repeated = tuple(_KeyedHash(each) for each in repeated)

    def card_key(self, pan: str) -> bytes:
        """Return the first 16 bytes of HMAC-SHA256 over the number's digits, under the newest key.

        A plain hash would not do: there are few enough card numbers to try them all.
        """
        return self._hash.card_key(pan)

    def card_names(self, pan: str) -> CardNames:
        """Return the hash under which a new row is stored, and all others that may stand for the number."""
        if not self._former and not self._repeated:
            return CardNames(self._hash.card_key(pan))
        return CardNames(
            self._hash.card_key(pan),
            tuple(each.card_key(pan) for each in self._former),
            tuple(each.card_key(pan) for each in self._repeated),
        )

    def __repr__(self) -> str:
        """Return the class name alone."""
        return "<CardLookup redacted>"


class FieldCipher:
    """AES-256-GCM over one field, bound to its table, column, row and key version.

    Sealed form: version (1 byte), nonce (12), ciphertext, tag (16).
    """

    def __init__(self, keys: Mapping[int, bytes], entropy: Entropy, sealing: int | None = None) -> None:
        """`keys` maps a version (1 to 255) to 32 bytes; all open, `sealing` seals, the highest unless told."""
        if not keys or not all(0 < version < 256 for version in keys):
            raise ValueError("field keys need a version from 1 to 255")
        self._ciphers = {version: AESGCM(_checked(key)) for version, key in keys.items()}
        self._version = max(keys) if sealing is None else sealing
        if self._version not in keys:
            raise ValueError(f"there is no field key of version {self._version}")
        self._entropy = entropy

    @property
    def version(self) -> int:
        """The version that seals."""
        return self._version

    def seal(self, text: str, *, table: str, column: str, row: str) -> bytes:
        """Return `text` ciphered for this place. `row` is the row's name, such as a CardRef."""
        nonce = self._entropy.draw(NONCE_BYTES)
        place = _place(table, column, row, self._version)
        sealed = self._ciphers[self._version].encrypt(nonce, text.encode("utf-8"), place)
        return bytes((self._version,)) + nonce + sealed

    def open(self, sealed: bytes, *, table: str, column: str, row: str) -> str:
        """Return the text that was sealed for this place. Raises FieldUnreadable."""
        if len(sealed) < 1 + NONCE_BYTES + _TAG_BYTES:
            raise FieldUnreadable(f"{table}.{column} of {row} is too short to be a sealed field")
        version = sealed[0]
        cipher = self._ciphers.get(version)
        if cipher is None:
            raise FieldUnreadable(f"{table}.{column} of {row} needs key version {version}")
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            clear = cipher.decrypt(nonce, body, _place(table, column, row, version))
        except InvalidTag:
            raise FieldUnreadable(f"{table}.{column} of {row} does not open") from None
        return clear.decode("utf-8")

    def __repr__(self) -> str:
        """Return the versions alone."""
        return f"<FieldCipher versions {sorted(self._ciphers)}, redacted>"


def sealed_version(sealed: bytes) -> int:
    """Return the key version that a sealed field needs; 0 for no bytes at all."""
    return sealed[0] if sealed else 0


def _place(table: str, column: str, row: str, version: int) -> bytes:
    """Return the associated data: no name holds a zero byte, so no two places share one."""
    if "\0" in table + column + row:
        raise ValueError("a field's place holds no zero byte")
    return b"trus field\0" + "\0".join((table, column, row, str(version))).encode("utf-8")
