"""Writes and reads the sealed file: a header in the clear, then chunks that only the archive's key opens.

Reads no chunk that is not whole: order, number and end are in each chunk's nonce, and the header is in the
key, so that nothing can be cut, moved, repeated or put under another header. What is read is not to be
believed before the last chunk has been: `finish` says so. Source: the STREAM construction (Hoang, Reyhanitabar,
Rogaway and Vizar, 2015). The bytes are in docs/reference/backup-format.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trus.backup.errors import BackupRefused
from trus.backup.officers import Officer
from trus.backup.shares import KEY_BYTES, SealedShare, join, split
from trus.clock import Entropy

MAGIC: Final = b"TRUSBAK1"
VERSION: Final = 1
CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16
#: A header holds two shares: more than this is none of ours.
MAX_HEADER_BYTES: Final = 4096
STREAM_INFO: Final = b"trus backup stream v1"
_LENGTH_BYTES: Final = 4
_PREFIX_BYTES: Final = 7


class HeaderShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A share in the header; bytes are hexadecimal."""

    key: str
    name: str
    share: str


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What anybody may read of an archive: its id (hexadecimal), when it was made, and for whom."""

    backup: str
    made: int
    officers: tuple[HeaderShare, HeaderShare]
    version: int


class SealedWriter:
    """Seals what is written to it into chunks."""

    def __init__(
        self, file: BinaryIO, backup: bytes, made: int, officers: tuple[Officer, Officer], entropy: Entropy
    ) -> None:
        """Write the header of the backup of that id (16 bytes), made at `made` (microseconds since 1970 UTC)."""
        key = entropy.draw(KEY_BYTES)
        shares = split(key, backup, officers, entropy)
        entries = [HeaderShare(each.fingerprint.hex(), each.name, each.sealed.hex()) for each in shares]
        header = msgspec.json.encode(Header(backup.hex(), made, (entries[0], entries[1]), VERSION), order="sorted")
        start = MAGIC + len(header).to_bytes(_LENGTH_BYTES, "big") + header
        file.write(start)
        self._file = file
        self._cipher, self._prefix = _stream(key, start)
        self._number = 0
        self._waiting = bytearray()

    def write(self, content: bytes) -> None:
        """Seal `content`, in as many chunks as it takes."""
        self._waiting += content
        while len(self._waiting) > CHUNK_BYTES:
            self._put(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]

    def finish(self) -> None:
        """Seal what is left as the last chunk; nothing can be written afterwards."""
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, content: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._prefix, self._number, last=last), content, None))
        self._number += 1


class SealedReader:
    """Opens an archive with both officers' keys."""

    def __init__(self, file: BinaryIO, keys: Sequence[ec.EllipticCurvePrivateKey]) -> None:
        """Raises BackupRefused when it is no archive, or the keys are not those of its officers."""
        self.header, start = read_header(file)
        backup = bytes.fromhex(self.header.backup)
        shares = [
            SealedShare(each.name, bytes.fromhex(each.key), bytes.fromhex(each.share)) for each in self.header.officers
        ]
        self._file = file
        self._cipher, self._prefix = _stream(join(shares, backup, keys), start)
        self._number = 0
        self._opened = bytearray()
        self._ended = False
        self._next = file.read(CHUNK_BYTES + TAG_BYTES)

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes. Raises BackupRefused when there are fewer, or they were altered."""
        while len(self._opened) < count:
            if self._ended:
                raise BackupRefused("the backup ends too early")
            self._open()
        content = bytes(self._opened[:count])
        del self._opened[:count]
        return content

    def finish(self) -> None:
        """Demand that everything was read, to the last chunk. Raises BackupRefused."""
        while not self._ended:
            self._open()
        if self._opened:
            raise BackupRefused("the backup holds more than it says")

    def _open(self) -> None:
        sealed, self._next = self._next, self._file.read(CHUNK_BYTES + TAG_BYTES)
        last = not self._next
        try:
            self._opened += self._cipher.decrypt(_nonce(self._prefix, self._number, last=last), sealed, None)
        except InvalidTag:
            raise BackupRefused("the backup was altered, or is not whole") from None
        self._number += 1
        self._ended = last


def read_header(file: BinaryIO) -> tuple[Header, bytes]:
    """Return the header of an archive and every byte up to its end. Raises BackupRefused."""
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise BackupRefused("this is no backup of trus, or one of another version")
    length = file.read(_LENGTH_BYTES)
    size = int.from_bytes(length, "big")
    encoded = file.read(size) if size <= MAX_HEADER_BYTES else b""
    try:
        header = msgspec.json.decode(encoded, type=Header)
        backup, *parts = (bytes.fromhex(text) for text in (header.backup, *_texts(header)))
    except (msgspec.DecodeError, ValueError):
        raise BackupRefused("the header of the backup cannot be read") from None
    if header.version != VERSION or len(backup) != 16 or any(len(part) != 32 for part in parts[::2]):
        raise BackupRefused("the header of the backup cannot be read")
    return header, magic + length + encoded


def _texts(header: Header) -> list[str]:
    return [text for each in header.officers for text in (each.key, each.share)]


def _stream(key: bytes, start: bytes) -> tuple[AESGCM, bytes]:
    """Return the cipher of the chunks and the first bytes of their nonces: both depend on the whole header."""
    salt = hashlib.sha256(start).digest()
    made = HKDF(hashes.SHA256(), KEY_BYTES + _PREFIX_BYTES, salt, STREAM_INFO).derive(key)
    return AESGCM(made[:KEY_BYTES]), made[KEY_BYTES:]


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + (b"\x01" if last else b"\x00")
