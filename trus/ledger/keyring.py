"""Finds the version of the master key that a database file opens under, and says which keys do what.

Derives no key: they come from a KeySource (the token, through the composition root), by version.
Beside the file lies a marker that says which version to try first. It is a hint and proves
nothing: the page seals of SQLCipher tell a right key from a wrong one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from trus.errors import StorageFailed, WrongDatabaseKey
from trus.ledger.engine import open_connection
from trus.values import Frozen, Secret

#: What the marker's name adds to that of the database.
MARKER_SUFFIX: Final = ".keys"


class VersionKeys(Secret, frozen=True):
    """The data keys (32 bytes each) of one version: of the file, of look-ups, of single fields."""

    version: int
    file: bytes
    lookup: bytes
    fields: bytes


class KeySource(Protocol):
    """The versions of the master key K_DB, and what is derived from each."""

    def versions(self) -> Sequence[int]:
        """Return the versions that exist, ascending. Raises KeyStoreError."""
        ...

    def keys(self, version: int) -> VersionKeys:
        """Return the data keys of a version. Raises KeyNotFound, KeyStoreUnavailable."""
        ...

    def generate(self) -> int:
        """Make the next version and return its number. Raises KeyStoreError."""
        ...

    def destroy(self, version: int) -> None:
        """Destroy a version for ever. Raises KeyNotFound, KeyStoreUnavailable."""
        ...


class Marker(Frozen, frozen=True):
    """What the file beside the database says: the version it opens under, and the one it is changed to."""

    file: int
    next: int | None = None


def read_marker(path: Path) -> Marker | None:
    """Return the marker of the database at `path`, None when there is none that can be read."""
    try:
        return msgspec.json.decode(_marker(path).read_bytes(), type=Marker)
    except (OSError, msgspec.DecodeError):
        return None


def write_marker(path: Path, marker: Marker) -> None:
    """Replace the marker of the database at `path`, durably. Raises StorageFailed."""
    place = _marker(path)
    unfinished = place.with_name(place.name + ".new")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(marker) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(place)
        sync_folder(place.parent)
    except OSError as failure:
        raise StorageFailed(f"{place} cannot be written: {failure.strerror}") from None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_file_version(path: Path, source: KeySource) -> int:
    """Return the version of K_DB whose file key opens the database at `path`.

    Tries what the marker says, then every version from the newest on. Raises WrongDatabaseKey when
    none does, StorageFailed when the file is not there or cannot be read.
    """
    if not path.is_file():
        raise StorageFailed(f"there is no database at {path}")
    held = source.versions()
    marker = read_marker(path)
    hinted = [] if marker is None else [each for each in (marker.file, marker.next) if each in held]
    for version in dict.fromkeys([*(each for each in hinted if each is not None), *reversed(held)]):
        if _opens(path, source.keys(version).file):
            return version
    tried = ", ".join(str(version) for version in held) or "none"
    raise WrongDatabaseKey(f"the database {path} does not open under any version of K_DB in the token ({tried})")


def _opens(path: Path, key: bytes) -> bool:
    try:
        open_connection(path, lambda: key, read_only=True).close()
    except WrongDatabaseKey:
        return False
    return True


def _marker(path: Path) -> Path:
    return path.with_name(path.name + MARKER_SUFFIX)
