"""Derives the data keys of the database from K_DB, inside the token (TR-13).

Never sees K_DB: each data key is HMAC-SHA256 under one version of it, computed by the token.
The derived keys live in the core's memory alone (docs/reference/keys.md).
"""

from __future__ import annotations

from trus.errors import KeyStoreError
from trus.hsm.ports import KeyHandle, KeyPurpose, KeyStore

#: The label of the database's master key in the key store.
DATABASE_KEY_LABEL = "K_DB"


class DataKeys:
    """Data keys of one version of K_DB, derived once each and remembered."""

    def __init__(self, store: KeyStore, version: int | None = None) -> None:
        """Use the newest version of K_DB unless told. Raises KeyNotFound."""
        handle = store.find(DATABASE_KEY_LABEL, version)
        if handle.purpose is not KeyPurpose.DATA:
            raise KeyStoreError(f"the key {DATABASE_KEY_LABEL} is not for data")
        self._store = store
        self._handle: KeyHandle = handle
        self._derived: dict[str, bytes] = {}

    @property
    def version(self) -> int:
        """The version of K_DB in use."""
        return self._handle.version

    def derive_all(self, label: str) -> list[bytes]:
        """Return every data key of this label that may have been used, the one to use first.

        Raises KeyStoreUnavailable.
        """
        return [self.derive(label)]

    def derive(self, label: str) -> bytes:
        """Return the 32-byte data key of this label, the same for ever under one version of K_DB.

        Raises KeyStoreUnavailable.
        """
        key = self._derived.get(label)
        if key is None:
            message = b"trus data key\x00" + label.encode("ascii")
            [key] = self._store.mac(self._handle, [message])
            self._derived[label] = key
        return key

    def __repr__(self) -> str:
        """Return the version alone."""
        return f"<DataKeys of {DATABASE_KEY_LABEL} version {self._handle.version}, redacted>"


class RollingDataKeys(DataKeys):
    """Data keys of the newest version of K_DB, whichever that is at the time, and of all older ones.

    For what lives shorter than a version, such as the hashes of activation codes: what was made under
    an older version is recognised for as long as the store holds that.
    """

    def __init__(self, store: KeyStore) -> None:
        """Raises KeyNotFound when there is no version."""
        super().__init__(store)
        self._versions: dict[int, DataKeys] = {}

    @property
    def version(self) -> int:
        """The newest version."""
        return self._store.find(DATABASE_KEY_LABEL).version

    def derive(self, label: str) -> bytes:
        """Return the data key of this label under the newest version. Raises KeyStoreUnavailable."""
        return self._of(self.version).derive(label)

    def derive_all(self, label: str) -> list[bytes]:
        """Return the data keys of this label, newest first. Raises KeyStoreUnavailable."""
        return [self._of(version).derive(label) for version in reversed(versions_of(self._store))]

    def _of(self, version: int) -> DataKeys:
        known = self._versions.get(version)
        if known is None:
            known = self._versions[version] = DataKeys(self._store, version)
        return known


def versions_of(store: KeyStore) -> list[int]:
    """Return the versions of K_DB that a store holds, ascending. Raises KeyStoreUnavailable."""
    return sorted(
        handle.version
        for handle in store.handles()
        if handle.label == DATABASE_KEY_LABEL and handle.purpose is KeyPurpose.DATA
    )
