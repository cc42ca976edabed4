"""Says what a backup holds and what it belongs to: ledger, keys, head of the audit chain, files.

The first thing inside the sealed chunks, signed by the token's audit key: whoever restores knows that the
holder of the token made it. Then come the files' contents, one after the other, as the manifest lists
them. Names are relative and plain: none can leave the folder that is restored into.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trus.backup.archive import SealedReader, SealedWriter
from trus.backup.errors import BackupRefused

VERSION: Final = 1
#: What is signed: this, and the manifest's bytes.
CONTEXT: Final = b"trus backup manifest v1\0"
#: A manifest names each file with about 150 bytes; a token of 100,000 objects is below this.
MAX_MANIFEST_BYTES: Final = 32 << 20
_MAX_SIGNATURE_BYTES: Final = 512
_PART: Final = re.compile(r"[A-Za-z0-9._@+-]{1,128}\Z")
_MAX_DEPTH: Final = 8


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file: its name below the folder, its length in bytes, SHA-256 of its content (hexadecimal)."""

    name: str
    size: int
    sha256: str


class HeadEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last signed head in the database; number 0 and an empty digest when there is none."""

    number: int
    digest: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a backup.

    `ledger` is the ledger's id, `schema` that of its database, `epoch` how often it was restored.
    `key_version` is the version of K_DB that the database's copy is under, `key_versions` all that it
    needs, `file_version` that of its file. `slots` are (slot, last sequence). `config`, `database`,
    `tokens`, `objects` and `heads` are names within the backup ("" for none); `moved` gives, for what lay
    outside the settings' folder, its path there and its name here; `left_out` what is not in it.
    """

    backup: str
    business_date: str
    config: str
    database: str
    epoch: int
    expires: int
    file_version: int
    files: list[FileEntry]
    head: HeadEntry
    heads: str
    key_version: int
    key_versions: list[int]
    ledger: str
    left_out: list[str]
    made: int
    moved: dict[str, str]
    objects: str
    schema: str
    slots: list[tuple[int, int]]
    token_label: str
    tokens: str
    version: int


class SignedManifest(msgspec.Struct, frozen=True):
    """A manifest, its bytes, who signed them and the signature (DER)."""

    manifest: Manifest
    encoded: bytes
    signer: str
    signature: bytes


def encode(manifest: Manifest) -> bytes:
    """Return the one form in which a manifest is signed and stored."""
    return msgspec.json.encode(manifest, order="sorted")


def check_name(name: str) -> str:
    """Return a file's name. Raises BackupRefused unless it is relative and plain."""
    parts = name.split("/")
    if len(parts) > _MAX_DEPTH or any(_PART.match(part) is None or part in (".", "..") for part in parts):
        raise BackupRefused(f"a backup cannot hold a file of the name {name!r}")
    return name


def write_manifest(writer: SealedWriter, encoded: bytes, signer: str, signature: bytes) -> None:
    """Put a signed manifest at the beginning of an archive."""
    for part in (encoded, signer.encode("ascii"), signature):
        writer.write(len(part).to_bytes(4, "big") + part)


def read_manifest(reader: SealedReader) -> SignedManifest:
    """Take the manifest from the beginning of an archive. Raises BackupRefused; judges no signature."""
    encoded = _part(reader, MAX_MANIFEST_BYTES)
    signer = _part(reader, _MAX_SIGNATURE_BYTES)
    signature = _part(reader, _MAX_SIGNATURE_BYTES)
    try:
        manifest = msgspec.json.decode(encoded, type=Manifest)
    except msgspec.DecodeError:
        raise BackupRefused("the manifest of the backup cannot be read") from None
    if manifest.version != VERSION or encode(manifest) != encoded:
        raise BackupRefused("the manifest of the backup is of another version")
    names = [check_name(each.name) for each in manifest.files]
    if len(set(names)) != len(names) or any(each.size < 0 for each in manifest.files):
        raise BackupRefused("the manifest of the backup names a file twice")
    if manifest.backup != reader.header.backup:
        raise BackupRefused("the manifest is of another backup")
    return SignedManifest(manifest, encoded, signer.decode("ascii", "replace"), signature)


def _part(reader: SealedReader, most: int) -> bytes:
    length = int.from_bytes(reader.read(4), "big")
    if length > most:
        raise BackupRefused("the manifest of the backup cannot be read")
    return reader.read(length)
