"""Seals the stripe of a sale off-line to the issuer, so that the terminal that keeps it cannot open it again.

HPKE (RFC 9180) in base mode, single shot: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, no associated data;
what the stripe belongs to is the `info`, so that it opens for that request alone. Seals no PIN: an advice has none.
The sender's half is written here, since a terminal's random octets come in by a port; the receiver's is the library's.

    sealed  = key id (8 octets) || enc (32) || ciphertext of the stripe, padded with SP to 40 octets (40 + 16)
    key id  = the first 8 octets of SHA-256 of the public key
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from trus.clock import Entropy
from trus.errors import KeyStoreError
from trus.values import Identity, TrackTwo

PUBLIC_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 8
_STRIPE_BYTES: Final = 40
_TAG_BYTES: Final = 16
SEALED_BYTES: Final = _KEY_ID_BYTES + PUBLIC_KEY_BYTES + _STRIPE_BYTES + _TAG_BYTES
#: The label of the data key that the private key is, one for each version of the database's master key.
KEY_LABEL: Final = "stripes of advices"

_CONTEXT: Final = b"trus advice 1"
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_KEM_ID: Final = b"KEM" + (0x0020).to_bytes(2, "big")
_SUITE_ID: Final = b"HPKE" + b"".join(each.to_bytes(2, "big") for each in (0x0020, 0x0001, 0x0002))


def binding(identity: Identity, rid: bytes, amount: int, currency: str, read: int) -> bytes:
    """Return what a sealed stripe belongs to: one request, its amount in minor units, one reading (0 for none)."""
    named = (identity.terminal, identity.business_date, f"{identity.stan:06d}", rid.hex())
    parts = (*named, str(amount), currency, str(read))
    return b"|".join((_CONTEXT, *(part.encode("ascii") for part in parts)))


def key_id(public: bytes) -> bytes:
    """Return the 8 octets by which a public key (32 octets) is named."""
    return hashlib.sha256(public).digest()[:_KEY_ID_BYTES]


def seal_stripe(public: bytes, bound: bytes, track2: str, entropy: Entropy) -> bytes:
    """Return a stripe (ISO/IEC 7813 track 2, without sentinels) sealed to a public key, for one request.

    Raises ValueError for a key or a stripe that is none.
    """
    stripe = track2.encode("ascii").ljust(_STRIPE_BYTES, b" ")
    if len(stripe) != _STRIPE_BYTES:
        raise ValueError("a stripe has at most 40 characters")
    ephemeral = X25519PrivateKey.from_private_bytes(entropy.draw(PUBLIC_KEY_BYTES))
    enc = ephemeral.public_key().public_bytes_raw()
    shared = _expand(
        _KEM_ID,
        _extract(_KEM_ID, b"", b"eae_prk", ephemeral.exchange(X25519PublicKey.from_public_bytes(public))),
        b"shared_secret",
        enc + public,
        32,
    )
    context = b"\x00" + _extract(_SUITE_ID, b"", b"psk_id_hash", b"") + _extract(_SUITE_ID, b"", b"info_hash", bound)
    secret = _extract(_SUITE_ID, shared, b"secret", b"")
    key, nonce = _expand(_SUITE_ID, secret, b"key", context, 32), _expand(_SUITE_ID, secret, b"base_nonce", context, 12)
    return key_id(public) + enc + AESGCM(key).encrypt(nonce, stripe, b"")


class StripeKeys:
    """The issuer's private keys: one for each version of the master key that is still held."""

    def __init__(self, derive_all: Callable[[], Sequence[bytes]]) -> None:
        """`derive_all` returns the private keys (32 octets each), the newest first. Raises KeyStoreError."""
        self._derive_all = derive_all
        self._by_id: dict[bytes, X25519PrivateKey] = {}
        self._public = b""
        self.refresh()

    @property
    def public(self) -> bytes:
        """The public key that terminals are told, 32 octets."""
        return self._public

    def refresh(self) -> None:
        """Take up a version that was made since, and let go of those that were destroyed. Raises KeyStoreError."""
        keys = [X25519PrivateKey.from_private_bytes(each) for each in self._derive_all()]
        publics = [key.public_key().public_bytes_raw() for key in keys]
        self._by_id = {key_id(public): key for public, key in zip(publics, keys, strict=True)}
        self._public = publics[0]

    def open(self, sealed: bytes, bound: bytes) -> TrackTwo | None:
        """Return the stripe that was sealed for this request, None for another's and for what is none."""
        named, rest = sealed[:_KEY_ID_BYTES], sealed[_KEY_ID_BYTES:]
        key = self._by_id.get(named) or self._made_since(named)
        if key is None or len(sealed) != SEALED_BYTES:
            return None
        try:
            return TrackTwo(_SUITE.decrypt(rest, key, info=bound).rstrip(b" ").decode("ascii"))
        except (InvalidTag, ValueError):
            return None

    def _made_since(self, named: bytes) -> X25519PrivateKey | None:
        try:
            self.refresh()
        except KeyStoreError:
            return None
        return self._by_id.get(named)

    def __repr__(self) -> str:
        """Name no key."""
        return f"<StripeKeys, {len(self._by_id)}, redacted>"


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    """Return LabeledExtract of RFC 9180 section 4."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """Return LabeledExpand of RFC 9180 section 4; at most one block."""
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(secret, labeled + b"\x01", "sha256")[:length]
