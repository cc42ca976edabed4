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
from cryptography.hazmat.primitives.asymmetric import ec


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


class WrappedPair(msgspec.Struct, frozen=True):
    """A P-256 pair outside the token: its public half, and its private half under a WRAP key.

    `public_key` is a DER SubjectPublicKeyInfo; `wrapped` is the PKCS#8 PrivateKeyInfo under AES key
    wrap with padding (RFC 5649), which nobody opens without the token.
    """

    public_key: bytes
    wrapped: bytes


class PairWrapper(Protocol):
    """The capability of a key store to make pairs that leave it only wrapped (CKM_AES_KEY_WRAP_KWP)."""

    def wrap_new_pair(self, wrapping: KeyHandle) -> WrappedPair:
        """Make a pair inside the store and give it out wrapped; the store itself keeps nothing of it."""
        ...

    def wrap_pair(self, wrapping: KeyHandle, key: ec.EllipticCurvePrivateKey) -> WrappedPair:
        """Wrap a pair that was made elsewhere."""
        ...

    def unwrap_pair(self, wrapping: KeyHandle, pair: WrappedPair) -> ec.EllipticCurvePrivateKey:
        """Open a pair in this process's memory. Raises KeyStoreError for one that was changed."""
        ...


class ObjectStore(Protocol):
    """Keeps certificates by name in the key store, apart from the database (TR-17)."""

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a DER certificate under `label`, replacing one of the same label."""
        ...

    def certificate(self, label: str) -> bytes:
        """Return the DER certificate kept under `label`. Raises KeyNotFound."""
        ...

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of all certificates kept, sorted."""
        ...


class EscrowedPair(msgspec.Struct, frozen=True):
    """Names a pair that the key store keeps for somebody: its label and public half (DER, SPKI)."""

    label: str
    public_key: bytes


class EscrowStore(Protocol):
    """Keeps pairs of devices, wrapped under a key that never leaves the token (TR-17).

    A capability: a key store whose token cannot wrap raises KeyStoreError. Whoever may use the
    token may take a pair out again; that is what escrow means (docs/reference/keystore.md).
    """

    def make_pair(self, label: str) -> EscrowedPair:
        """Make a P-256 pair in the token and keep it under `label`. Raises KeyStoreError when it is taken."""
        ...

    def put_pair(self, label: str, key: ec.EllipticCurvePrivateKey) -> EscrowedPair:
        """Keep a P-256 pair that was made elsewhere. Raises KeyStoreError when the label is taken."""
        ...

    def pair(self, label: str) -> EscrowedPair:
        """Return the public half of a pair, without opening it. Raises KeyNotFound."""
        ...

    def take_pair(self, label: str) -> ec.EllipticCurvePrivateKey:
        """Open a pair in this process's memory. Raises KeyNotFound."""
        ...

    def destroy_pair(self, label: str) -> None:
        """Forget a pair for ever. Raises KeyNotFound."""
        ...

    def export_pkcs12(self, label: str, chain: Sequence[bytes], passphrase: str) -> bytes:
        """Return a pair with its certificate chain (DER, leaf first) as PKCS#12 for its holder.

        Raises KeyNotFound, and KeyStoreError for a certificate of another key.
        """
        ...
