"""Keeps keys and certificates in this process's memory, for unit tests and the simulation.

Refused by every production setting (`production` is False): its keys are bytes in memory. It
behaves like a token in all that the ports promise, and the same test suite runs on both.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from trus.clock import Entropy
from trus.errors import KeyNotFound, KeyStoreError, KeyStoreUnavailable
from trus.hsm.naming import check_label, demand, newest, object_label
from trus.hsm.ports import KeyAttributes, KeyHandle, KeyPurpose, WrappedPair

#: The order of the base point of P-256 (SEC 2, section 2.4.2).
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 16


class MemoryStore:
    """A key store without a token; its keys die with it."""

    production = False

    def __init__(self, entropy: Entropy, *, deterministic: bool = False) -> None:
        """Draw keys from `entropy`; `deterministic` signs as RFC 6979 says, so that seeds replay."""
        self._entropy = entropy
        self._deterministic = deterministic
        self._secrets: dict[KeyHandle, bytes] = {}
        self._pairs: dict[KeyHandle, ec.EllipticCurvePrivateKey] = {}
        self._certificates: dict[str, bytes] = {}
        self._closed = False
        self.available = True  #: set to False to act out a removed token

    def __repr__(self) -> str:
        """Say what this is, and nothing of its keys."""
        return f"<MemoryStore of {len(self._secrets) + len(self._pairs)} keys, redacted>"

    def _use(self) -> None:
        if self._closed or not self.available:
            raise KeyStoreUnavailable("the key store in memory is closed")

    def _known(self) -> list[KeyHandle]:
        return [*self._secrets, *self._pairs]

    def generate(self, label: str, purpose: KeyPurpose) -> KeyHandle:
        """Make a key at the next free version of `label`."""
        check_label(label)
        self._use()
        last = newest(self._known(), label, None)
        handle = KeyHandle(label, 1 if last is None else last.version + 1, purpose)
        if purpose is KeyPurpose.SIGN:
            self._pairs[handle] = self._new_pair()
        else:
            self._secrets[handle] = self._entropy.draw(_KEY_BYTES)
        return handle

    def _new_pair(self) -> ec.EllipticCurvePrivateKey:
        # 128 bits more than the order needs: the bias is below 2^-128 (FIPS 186-5, A.2.1).
        number = int.from_bytes(self._entropy.draw(_KEY_BYTES + 16), "big") % (_ORDER - 1) + 1
        return ec.derive_private_key(number, ec.SECP256R1())

    def find(self, label: str, version: int | None = None) -> KeyHandle:
        """Return the handle of a key, the newest version unless told. Raises KeyNotFound."""
        self._use()
        handle = newest(self._known(), label, version)
        if handle is None:
            raise KeyNotFound(f"the store holds no key {label if version is None else f'{label}:{version}'}")
        return handle

    def handles(self) -> Sequence[KeyHandle]:
        """Return the handles of all keys, sorted by label and version."""
        self._use()
        return sorted(self._known(), key=lambda each: (each.label, each.version))

    def attributes(self, handle: KeyHandle) -> KeyAttributes:
        """Return what a token would say of such a key. Raises KeyNotFound."""
        self._use()
        if handle not in self._secrets and handle not in self._pairs:
            raise KeyNotFound(f"the store holds no key {object_label(handle)}")
        purpose = handle.purpose
        return KeyAttributes(
            handle=handle,
            extractable=False,
            never_extractable=True,
            sensitive=True,
            always_sensitive=True,
            local=True,
            encrypt=purpose in (KeyPurpose.PIN, KeyPurpose.CARD),
            decrypt=False,
            sign=purpose in (KeyPurpose.SIGN, KeyPurpose.DATA),
            wrap=purpose is KeyPurpose.WRAP,
            unwrap=purpose is KeyPurpose.WRAP,
            derive=False,
        )

    def destroy(self, handle: KeyHandle) -> None:
        """Destroy a key for ever. Raises KeyNotFound."""
        self.attributes(handle)
        self._secrets.pop(handle, None)
        self._pairs.pop(handle, None)

    def public_key(self, handle: KeyHandle) -> bytes:
        """Return the DER SubjectPublicKeyInfo of a SIGN pair. Raises KeyNotFound."""
        demand(handle, KeyPurpose.SIGN)
        return self._pair(handle).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, handle: KeyHandle, payloads: Sequence[bytes]) -> list[bytes]:
        """Return ECDSA-SHA256 signatures of the payloads, DER encoded, in the same order."""
        demand(handle, KeyPurpose.SIGN)
        key = self._pair(handle)
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=self._deterministic)
        return [key.sign(payload, algorithm) for payload in payloads]

    def encrypt_blocks(self, handle: KeyHandle, blocks: Sequence[bytes]) -> list[bytes]:
        """Return each 16-byte block under a PIN or CARD key."""
        demand(handle, KeyPurpose.PIN, KeyPurpose.CARD)
        key = self._secret(handle)
        if any(len(block) != _BLOCK_BYTES for block in blocks):
            raise KeyStoreError(f"a block has {_BLOCK_BYTES} bytes")
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - single blocks, as the token does
        return [encryptor.update(block) for block in blocks]

    def mac(self, handle: KeyHandle, messages: Sequence[bytes]) -> list[bytes]:
        """Return HMAC-SHA256 of each message under a DATA key (32 bytes each)."""
        demand(handle, KeyPurpose.DATA)
        key = self._secret(handle)
        return [hmac.digest(key, message, "sha256") for message in messages]

    def wrap_new_pair(self, wrapping: KeyHandle) -> WrappedPair:
        """Make a pair and give it out under a WRAP key."""
        demand(wrapping, KeyPurpose.WRAP)
        return self.wrap_pair(wrapping, self._new_pair())

    def wrap_pair(self, wrapping: KeyHandle, key: ec.EllipticCurvePrivateKey) -> WrappedPair:
        """Wrap a P-256 pair that was made elsewhere (RFC 5649)."""
        demand(wrapping, KeyPurpose.WRAP)
        encoded = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        wrapped = aes_key_wrap_with_padding(self._secret(wrapping), encoded)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return WrappedPair(public, wrapped)

    def unwrap_pair(self, wrapping: KeyHandle, pair: WrappedPair) -> ec.EllipticCurvePrivateKey:
        """Open a pair. Raises KeyStoreError for one that was changed."""
        demand(wrapping, KeyPurpose.WRAP)
        try:
            key = load_der_private_key(aes_key_unwrap_with_padding(self._secret(wrapping), pair.wrapped), None)
        except (InvalidUnwrap, ValueError) as error:
            raise KeyStoreError("a wrapped pair was changed, or wrapped under another key") from error
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or public != pair.public_key:
            raise KeyStoreError("a wrapped pair holds the private half of another one")
        return key

    def close(self) -> None:
        """Forget everything."""
        self._closed = True
        self._secrets.clear()
        self._pairs.clear()
        self._certificates.clear()

    def _pair(self, handle: KeyHandle) -> ec.EllipticCurvePrivateKey:
        self._use()
        if handle not in self._pairs:
            raise KeyNotFound(f"the store holds no key {object_label(handle)}")
        return self._pairs[handle]

    def _secret(self, handle: KeyHandle) -> bytes:
        self._use()
        if handle not in self._secrets:
            raise KeyNotFound(f"the store holds no key {object_label(handle)}")
        return self._secrets[handle]

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a DER certificate under `label`, replacing one of the same label."""
        check_label(label)
        self._use()
        x509.load_der_x509_certificate(der)
        self._certificates[label] = der

    def certificate(self, label: str) -> bytes:
        """Return the DER certificate kept under `label`. Raises KeyNotFound."""
        self._use()
        if label not in self._certificates:
            raise KeyNotFound(f"the store holds no certificate {label}")
        return self._certificates[label]

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of all certificates kept, sorted."""
        self._use()
        return sorted(self._certificates)
