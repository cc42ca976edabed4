"""Splits an archive's key between two officers, so that neither learns anything of it without the other.

Stores nothing. The key is 32 random bytes; one share is random, the other is the key with that share
taken out (exclusive or), so that each alone is random too. Each share is sealed to its officer's key by
HPKE (RFC 9180, base mode): DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec

from trus.backup.errors import BackupRefused
from trus.backup.officers import Officer, fingerprint_of
from trus.clock import Entropy
from trus.values import Frozen

KEY_BYTES: Final = 32
#: What HPKE's key schedule is told, before the backup's id, the share's number and the officer's fingerprint.
CONTEXT: Final = b"trus backup share v1\0"
_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class SealedShare(Frozen, frozen=True):
    """A share as it stands in an archive: encapsulated key (65 bytes), ciphertext (32) and tag (16)."""

    name: str
    fingerprint: bytes
    sealed: bytes


def split(key: bytes, backup: bytes, officers: tuple[Officer, Officer], entropy: Entropy) -> tuple[SealedShare, ...]:
    """Return the two shares of `key` (32 bytes) for the backup of that id (16 bytes), each sealed to its officer."""
    first = entropy.draw(KEY_BYTES)
    shares = (first, _xor(key, first))
    return tuple(
        SealedShare(
            officer.name,
            officer.fingerprint,
            _SUITE.encrypt(share, officer.public_key(), info=_info(backup, number, officer.fingerprint)),
        )
        for number, (officer, share) in enumerate(zip(officers, shares, strict=True), start=1)
    )


def join(shares: Sequence[SealedShare], backup: bytes, keys: Sequence[ec.EllipticCurvePrivateKey]) -> bytes:
    """Return the key of the archive whose shares these are. Raises BackupRefused unless both keys are there."""
    held = {fingerprint_of(key.public_key()): key for key in keys}
    found = []
    for number, share in enumerate(shares, start=1):
        key = held.get(share.fingerprint)
        if key is None:
            raise BackupRefused(f"the key of the officer {share.name} is missing: this backup needs both officers")
        try:
            found.append(_SUITE.decrypt(share.sealed, key, info=_info(backup, number, share.fingerprint)))
        except InvalidTag:
            raise BackupRefused(f"the share of the officer {share.name} was altered") from None
    if len(found) != 2 or any(len(each) != KEY_BYTES for each in found):
        raise BackupRefused("the archive has not two shares")
    return _xor(found[0], found[1])


def _info(backup: bytes, number: int, fingerprint: bytes) -> bytes:
    return CONTEXT + backup + bytes((number,)) + fingerprint


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
