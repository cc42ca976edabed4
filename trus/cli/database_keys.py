"""Derives the ledger's keys from the versions of K_DB that the token holds.

Neither ledger nor key store knows the other: this is the piece between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from trus.errors import KeyStoreError
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys, versions_of
from trus.hsm.ports import KeyPurpose, KeyStore
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL, open_for_reading
from trus.ledger.keyring import VersionKeys, find_file_version
from trus.ledger.rotation import KeyStatus, look


class TokenKeySource:
    """trus.ledger.keyring.KeySource on a key store."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._derived: dict[int, VersionKeys] = {}

    def versions(self) -> Sequence[int]:
        """Return the versions that the store holds, ascending. Raises KeyStoreUnavailable."""
        return versions_of(self._store)

    def keys(self, version: int) -> VersionKeys:
        """Return the data keys of a version. Raises KeyNotFound, KeyStoreUnavailable."""
        known = self._derived.get(version)
        if known is None:
            data = DataKeys(self._store, version)
            file, lookup, fields = (data.derive(each) for each in (FILE_KEY_LABEL, LOOKUP_KEY_LABEL, FIELD_KEY_LABEL))
            known = self._derived[version] = VersionKeys(version, file, lookup, fields)
        return known

    def generate(self) -> int:
        """Make the next version inside the store. Raises KeyStoreError."""
        return self._store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA).version

    def destroy(self, version: int) -> None:
        """Destroy a version for ever. Raises KeyNotFound, KeyStoreUnavailable."""
        handle = self._store.find(DATABASE_KEY_LABEL, version)
        if handle.purpose is not KeyPurpose.DATA:
            raise KeyStoreError(f"the key {DATABASE_KEY_LABEL} is not for data")
        self._store.destroy(handle)
        self._derived.pop(version, None)


def file_key(path: Path, store: KeyStore) -> bytes:
    """Return the key of the version of K_DB that the database at `path` opens under.

    Raises WrongDatabaseKey, StorageFailed, KeyStoreError.
    """
    source = TokenKeySource(store)
    return source.keys(find_file_version(path, source)).file


def backup_key(store: KeyStore, version: int, backup: bytes) -> bytes:
    """Return the key of the ledger's copy in the backup of that id: no other copy has it.

    Raises KeyNotFound, KeyStoreUnavailable.
    """
    return DataKeys(store, version).derive(f"ledger backup {backup.hex()}")


def read_status(path: Path, source: TokenKeySource, now: datetime) -> KeyStatus:
    """Return which versions of K_DB the database at `path` uses for what, without changing it.

    Raises WrongDatabaseKey, StorageFailed, KeyStoreError.
    """
    version = find_file_version(path, source)
    engine = open_for_reading(path, db_key=source.keys(version).file)
    try:
        with engine.connect() as connection:
            return look(connection, path, source, version, now)
    finally:
        engine.dispose()
