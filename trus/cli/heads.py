"""Signs and verifies heads of the ledger's audit chain with a key of the token.

Neither ledger nor key store knows the other: this is the piece between them. The private key never
leaves the token; verifying asks the token for the public half alone.
"""

from __future__ import annotations

import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from trus.errors import KeyNotFound
from trus.hsm.ports import KeyStore

#: The key that signs heads of the audit chain.
AUDIT_KEY_LABEL: Final = "audit-head"
#: Where its public half lies, in the folder of the authorities: to be published, and given to every shop.
HEAD_KEY_FILE: Final = "audit-head.pem"
_NAME: Final = re.compile(rf"{AUDIT_KEY_LABEL}/([1-9][0-9]{{0,5}})\Z", re.ASCII)


def public_pem(keys: KeyStore) -> bytes:
    """Return the public half of every version of the audit key, PEM: all that receipts are verified with.

    Raises KeyNotFound, KeyStoreUnavailable.
    """
    found = [handle for handle in keys.handles() if handle.label == AUDIT_KEY_LABEL]
    if not found:
        raise KeyNotFound(AUDIT_KEY_LABEL)
    public = [load_der_public_key(keys.public_key(handle)) for handle in sorted(found, key=lambda each: each.version)]
    return b"".join(each.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for each in public)


class TokenHeadSigner:
    """trus.ledger.heads.HeadSigner on the newest version of the audit key."""

    def __init__(self, keys: KeyStore) -> None:
        """Raises KeyNotFound, KeyStoreUnavailable."""
        self._keys = keys
        self._handle = keys.find(AUDIT_KEY_LABEL)

    @property
    def name(self) -> str:
        """The key's label and version, such as "audit-head/1"."""
        return f"{self._handle.label}/{self._handle.version}"

    def sign(self, payload: bytes) -> bytes:
        """Return an ECDSA-SHA256 signature, DER. Raises KeyStoreUnavailable."""
        [signature] = self._keys.sign(self._handle, [payload])
        return signature


class TokenHeadVerifier:
    """trus.ledger.heads.HeadVerifier on every version of the audit key that the token holds."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._public: dict[str, ec.EllipticCurvePublicKey | None] = {}

    def verify(self, name: str, payload: bytes, signature: bytes) -> bool:
        """Return whether the audit key of that name made this signature. Raises KeyStoreUnavailable."""
        if name not in self._public:
            self._public[name] = self._find(name)
        public = self._public[name]
        if public is None:
            return False
        try:
            public.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def _find(self, name: str) -> ec.EllipticCurvePublicKey | None:
        match = _NAME.match(name)
        if match is None:
            return None
        try:
            handle = self._keys.find(AUDIT_KEY_LABEL, int(match.group(1)))
            public = load_der_public_key(self._keys.public_key(handle))
        except KeyNotFound:
            return None
        return public if isinstance(public, ec.EllipticCurvePublicKey) else None
