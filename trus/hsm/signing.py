"""Lends a key of the store to the builders of `cryptography` as if it were a private key object.

Holds a handle and no key: certificates, CRLs and OCSP answers are signed by a key that stays in
the token. Whatever would need the key's bytes is refused.
"""

from __future__ import annotations

from typing import Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.utils import Buffer

from trus.errors import KeyStoreError
from trus.hsm.ports import KeyHandle, KeyPurpose, KeyStore


class TokenPrivateKey(ec.EllipticCurvePrivateKey):
    """A P-256 key of the key store; signs ECDSA with SHA-256 and does nothing else."""

    def __init__(self, store: KeyStore, handle: KeyHandle) -> None:
        """Raises KeyNotFound; KeyStoreError when the key is not for signing."""
        if handle.purpose is not KeyPurpose.SIGN:
            raise KeyStoreError(f"the key {handle.label}:{handle.version} is for {handle.purpose.value} alone")
        public = load_der_public_key(store.public_key(handle))
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise KeyStoreError(f"the key {handle.label}:{handle.version} is not an elliptic curve key")
        self._store = store
        self._handle = handle
        self._public = public

    @property
    def handle(self) -> KeyHandle:
        """The key's name in its store."""
        return self._handle

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Return a DER ECDSA-SHA256 signature. Raises UnsupportedAlgorithm for anything else."""
        wanted = signature_algorithm.algorithm
        if not isinstance(signature_algorithm, ec.ECDSA) or not isinstance(wanted, hashes.SHA256):
            raise UnsupportedAlgorithm("a key of the token signs ECDSA with SHA-256")
        [signature] = self._store.sign(self._handle, [bytes(data)])
        return signature

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """256 bits."""
        return self._public.key_size

    def _refuse(self) -> NoReturn:
        raise UnsupportedAlgorithm("the key stays in its token")

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Refuse: the token does not allow the key to derive."""
        self._refuse()

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        """Refuse: nobody sees the key's bytes."""
        self._refuse()

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:  # noqa: A002 - its name there
        """Refuse: nobody sees the key's bytes."""
        self._refuse()

    def __copy__(self) -> TokenPrivateKey:
        """Return the same object: a handle has no copy."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TokenPrivateKey:
        """Return the same object: a handle has no copy."""
        return self

    def __repr__(self) -> str:
        """Name the key and nothing of its bytes."""
        return f"<TokenPrivateKey {self._handle.label}:{self._handle.version}>"
