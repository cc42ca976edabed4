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
