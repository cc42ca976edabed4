"""Derives every key of a sealed session from what both sides shared and said.

Draws nothing and stores nothing. Each key has its own label and depends on the transcript
of everything said before it, so that no key serves two purposes, two directions or two
sessions. The expansion is that of TLS 1.3 (RFC 8446 section 7.1) with the prefix "trus1 ".
Specification: docs/protocol.md, "Keys".
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.values import Secret

#: SHA-256, HMAC-SHA-256, AES-256 keys and X25519 shares all have 32 octets.
HASH_BYTES: Final = 32
NONCE_BYTES: Final = 16
IV_BYTES: Final = 12
LABEL_BYTES: Final = 12
_ZEROS: Final = bytes(HASH_BYTES)
_SIGNATURE_PAD: Final = b" " * 64


def transcript(tag: str, *items: bytes) -> bytes:
    """Return SHA-256 of `tag` and `items`, each preceded by its length in four octets."""
    digest = hashlib.sha256()
    for item in (b"trus1 " + tag.encode("ascii"), *items):
        digest.update(len(item).to_bytes(4, "big"))
        digest.update(item)
    return digest.digest()


def extract(salt: bytes, secret: bytes) -> bytes:
    """Return HKDF-Extract with SHA-256 (RFC 5869 section 2.2)."""
    return hmac.digest(salt, secret, "sha256")


def expand(secret: bytes, label: str, context: bytes, length: int = HASH_BYTES) -> bytes:
    """Return HKDF-Expand (RFC 5869 section 2.3) of at most 32 octets for `label`.

    The info is: length in two octets; the octets of "trus1 " and label after their count in
    one octet; the context after its count in one octet.
    """
    if not 0 < length <= HASH_BYTES:
        raise LocalProtocolError("one block of HKDF-Expand is enough for every key")
    name = b"trus1 " + label.encode("ascii")
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]


def mac(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA-256."""
    return hmac.digest(key, message, "sha256")


def same(left: bytes, right: bytes) -> bool:
    """Compare two secrets in a time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)


def signature_payload(side: str, transcript_hash: bytes, credential: bytes) -> bytes:
    """Return what a side signs: a context that no other protocol signs, and the transcript.

    The shape is that of RFC 8446 section 4.4.3: 64 spaces, a context string, a zero octet,
    a hash.
    """
    context = f"trus 1, {side} signature".encode("ascii")
    return _SIGNATURE_PAD + context + b"\x00" + transcript("proof", transcript_hash, credential)


class Agreement:
    """One ephemeral X25519 key (RFC 7748)."""

    def __init__(self, seed: bytes) -> None:
        """Take 32 random octets as the private key."""
        self._private = X25519PrivateKey.from_private_bytes(seed)

    @property
    def share(self) -> bytes:
        """The public key, 32 octets."""
        return self._private.public_key().public_bytes_raw()

    def agree(self, share: bytes) -> bytes:
        """Return the shared secret.

        Raises RemoteProtocolError (refused) for a share that makes it all zero (RFC 7748
        section 6.1).
        """
        try:
            # The library itself refuses an all-zero result; a test holds it to that.
            return self._private.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError:
            raise RemoteProtocolError(ErrorCode.REFUSED, "share") from None


class HandshakeKeys:
    """The secrets of one handshake, from the resumption secret (if any) and the agreement."""

    def __init__(self, resumption: bytes | None) -> None:
        """Begin with a ticket's secret, or without."""
        self._early = extract(_ZEROS, resumption or _ZEROS)
        self._secret = b""

    def __repr__(self) -> str:
        """Show nothing."""
        return "<HandshakeKeys redacted>"

    def binder(self, first_line: bytes, channel_binding: bytes) -> bytes:
        """Return the proof that this side knows the resumption secret.

        `first_line` is message 1 up to, not including, the SP before "binder=".
        """
        return mac(expand(self._early, "binder", b""), transcript("binder", first_line, channel_binding))

    def agreed(self, secret: bytes) -> None:
        """Mix in the X25519 secret."""
        self._secret = extract(expand(self._early, "derived", b""), secret)
        self._early = b""

    def cipher(self, side: str, transcript_hash: bytes) -> tuple[AESGCM, bytes]:
        """Return AEAD and nonce of the one handshake line that `side` seals."""
        key = expand(self._secret, f"{side} proof key", transcript_hash)
        return AESGCM(key), expand(self._secret, f"{side} proof iv", transcript_hash, IV_BYTES)

    def proof(self, side: str, transcript_hash: bytes, credential: bytes, signature: bytes) -> bytes:
        """Return the MAC by which `side` proves the agreement over its credential."""
        key = expand(self._secret, f"{side} mac", transcript_hash)
        return mac(key, transcript("mac", transcript_hash, credential, signature))

    def finish(self, transcript_hash: bytes) -> SessionSecrets:
        """Return the session's keys and forget the handshake's."""
        secrets = SessionSecrets.derive(self._secret, transcript_hash)
        self._secret = b""
        return secrets


class DirectionKeys(Secret, frozen=True):
    """AES-256-GCM key (32 octets) and iv (12) of one direction."""

    key: bytes
    iv: bytes


class SessionSecrets(Secret, frozen=True):
    """Everything that a session derives; `transcript_hash` is what a rekey continues."""

    initiator: DirectionKeys
    responder: DirectionKeys
    pin: bytes
    resumption: bytes
    transcript_hash: bytes

    @classmethod
    def derive(cls, secret: bytes, transcript_hash: bytes) -> SessionSecrets:
        """Derive all of them from a handshake's or a rekey's secret."""

        def direction(side: str) -> DirectionKeys:
            return DirectionKeys(
                expand(secret, f"{side} key", transcript_hash),
                expand(secret, f"{side} iv", transcript_hash, IV_BYTES),
            )

        return cls(
            direction("initiator"),
            direction("responder"),
            expand(secret, "pin", transcript_hash),
            expand(secret, "resumption", transcript_hash),
            transcript_hash,
        )

    def rekeyed(self, agreed: bytes, offers: tuple[bytes, ...]) -> SessionSecrets:
        """Return the next secrets; the PIN key stays the session's.

        `offers` are share and nonce of the initiator, then of the responder. Old secrets do
        not follow from the new ones, nor the new from the old without `agreed`.
        """
        early = extract(_ZEROS, self.resumption)
        secret = extract(expand(early, "derived", b""), agreed)
        after = SessionSecrets.derive(secret, transcript("rekey", self.transcript_hash, *offers))
        return SessionSecrets(after.initiator, after.responder, self.pin, after.resumption, after.transcript_hash)
