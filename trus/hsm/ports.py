"""Says what the network may ask of a key store: by handle, in batches, never key bytes.

Decides nothing about PKCS#11: trus.hsm.pkcs11 and trus.hsm.memory implement these ports and
the same test suite runs on both. A store that cannot be reached raises KeyStoreUnavailable,
which callers turn into response code 91.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class KeyPurpose(StrEnum):
    """What a key may be used for; the token enforces it by attributes."""

    SIGN = "sign"  #: EC P-256 pair, CKA_SIGN alone
    PIN = "pin"  #: AES-256, CKA_ENCRYPT alone: K_PIN
    CARD = "card"  #: AES-256, CKA_ENCRYPT alone: K_CARD
    DATA = "data"  #: generic secret, CKA_SIGN (HMAC) alone: K_DB
    WRAP = "wrap"  #: AES-256, CKA_WRAP and CKA_UNWRAP alone


class KeyHandle(msgspec.Struct, frozen=True):
    """Names a key of the store: label and version; says nothing of its bytes."""

    label: str
    version: int
    purpose: KeyPurpose


class KeyAttributes(msgspec.Struct, frozen=True):
    """What the token itself answers about a private or secret key."""

    handle: KeyHandle
    extractable: bool
    never_extractable: bool
    sensitive: bool
    always_sensitive: bool
    local: bool
    encrypt: bool
    decrypt: bool
    sign: bool
    wrap: bool
    unwrap: bool
    derive: bool


class KeyStore(Protocol):
    """Uses keys that never leave it. Calls block: they run in the core process alone."""

    def generate(self, label: str, purpose: KeyPurpose) -> KeyHandle:
        """Make a key inside the store, at the next free version of `label`, and name it."""
        ...

    def find(self, label: str, version: int | None = None) -> KeyHandle:
        """Return the handle of a key, the newest version unless told. Raises KeyNotFound."""
        ...

    def handles(self) -> Sequence[KeyHandle]:
        """Return the handles of all keys, sorted by label and version."""
        ...

    def attributes(self, handle: KeyHandle) -> KeyAttributes:
        """Return what the store says of a key. Raises KeyNotFound."""
        ...

    def destroy(self, handle: KeyHandle) -> None:
        """Destroy a key for ever. Raises KeyNotFound."""
        ...

    def public_key(self, handle: KeyHandle) -> bytes:
        """Return the DER SubjectPublicKeyInfo of a SIGN pair. Raises KeyNotFound."""
        ...

    def sign(self, handle: KeyHandle, payloads: Sequence[bytes]) -> list[bytes]:
        """Return ECDSA-SHA256 signatures of the payloads, DER encoded, in the same order."""
        ...

    def encrypt_blocks(self, handle: KeyHandle, blocks: Sequence[bytes]) -> list[bytes]:
        """Return each 16-byte block under a PIN or CARD key (AES, one block each), one token call."""
        ...

    def mac(self, handle: KeyHandle, messages: Sequence[bytes]) -> list[bytes]:
        """Return HMAC-SHA256 of each message under a DATA key (32 bytes each)."""
        ...

    def close(self) -> None:
        """Log out and let go of the token."""
        ...


class ObjectStore(Protocol):
    """Keeps certificates by name in the token, apart from the database (TR-17)."""

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a DER certificate under `label`, replacing one of the same label."""
        ...

    def certificate(self, label: str) -> bytes:
        """Return the DER certificate kept under `label`. Raises KeyNotFound."""
        ...

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of all certificates kept, sorted."""
        ...
