"""Seals a token's PIN to a key in a second token, such as a smart card: without the card there is no PIN (TR-18).

Writes no file and asks nobody for a card's PIN. The seal is ECIES with P-256, in which the card does the
private half (CKM_ECDH1_DERIVE) and its key never leaves it: a fresh pair agrees with the card's key,
HKDF-SHA256 makes a key of the outcome, AES-256-GCM seals the PIN. Bound into it is for which token the
PIN is. Whoever holds card and card PIN may open the seal, so the two are kept apart from the machine.
"""

from __future__ import annotations

from typing import Any, Final, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import KDF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from trus.clock import Entropy
from trus.errors import ConfigurationError, KeyNotFound, KeyStoreError
from trus.hsm.naming import check_label
from trus.hsm.pairs import generate_pair, p256, spki
from trus.hsm.session import TokenSession, TokenSettings

#: What a sealed PIN file begins with; a PIN cannot.
FORMAT: Final = "trus-sealed-pin/1"
#: The label of a key that is made for this purpose, unless told.
SEAL_KEY_LABEL: Final = "trus-pin-seal"

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
#: PINs are filled to this length, so that the seal does not tell theirs.
_FILLED_BYTES: Final = 256
_INFO: Final = b"trus token pin\x00"


class SealedPin(msgspec.Struct, frozen=True):
    """A sealed PIN file's content: JSON, byte strings in base64.

    `token` is the label of the token whose PIN it is; `key_id` the CKA_ID and `key` the DER
    SubjectPublicKeyInfo of the card's key; `share` the fresh pair's public point, uncompressed.
    """

    format: str
    token: str
    key_id: bytes
    key: bytes
    share: bytes
    nonce: bytes
    sealed: bytes

    def encode(self) -> bytes:
        """Return the file's content."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


def is_sealed(content: bytes) -> bool:
    """Return whether a PIN file's content is a sealed PIN."""
    return FORMAT.encode("ascii") in content[:64]


def decode_seal(content: bytes) -> SealedPin:
    """Return the seal that a PIN file holds. Raises ConfigurationError."""
    try:
        seal = msgspec.json.decode(content, type=SealedPin)
    except msgspec.DecodeError as error:
        raise ConfigurationError("the token's PIN file holds no sealed PIN") from error
    if seal.format != FORMAT:
        raise ConfigurationError(f"the token's PIN file is sealed in another way than {FORMAT}")
    return seal


class SealingCard:
    """A second token with a key that agrees on secrets; a context manager that closes itself."""

    def __init__(self, settings: TokenSettings) -> None:
        """Log in to the card. Raises KeyStoreUnavailable, WrongTokenPin."""
        self._token = TokenSession(settings)

    def __enter__(self) -> Self:
        """Return the card."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the card go."""
        self._token.close()

    def make_key(self, label: str = SEAL_KEY_LABEL) -> bytes:
        """Make a key on the card that may agree on secrets and nothing else; return its CKA_ID.

        Raises KeyStoreError when the card has one of that label.
        """
        check_label(label)
        if any(found == label for _, found in self._token.objects(ObjectClass.PRIVATE_KEY, Attribute.LABEL)):
            raise KeyStoreError(f"the token {self._token.name!r} has a key {label} already")
        name = label.encode("ascii")
        with self._token.at("making a key"):
            generate_pair(
                self._token.pkcs11,
                capabilities=MechanismFlag.DERIVE,
                private={
                    Attribute.PRIVATE: True,
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.MODIFIABLE: False,
                    Attribute.SIGN_RECOVER: False,
                },
                label=label,
                id=name,
                store=True,
            )
        return name

    def find_key(self, label: str) -> bytes:
        """Return the CKA_ID of the card's key of this label. Raises KeyNotFound."""
        for _, name, found in self._token.objects(ObjectClass.PRIVATE_KEY, Attribute.ID, Attribute.LABEL):
            if found == label:
                return bytes(name)
        raise KeyNotFound(f"the token {self._token.name!r} has no private key {label}")

    def seal(self, key_id: bytes, token: str, pin: str, entropy: Entropy) -> SealedPin:
        """Seal the PIN of the token of this label to a key of the card. Raises KeyNotFound."""
        key = self._public(key_id)
        fresh = ec.generate_private_key(ec.SECP256R1())
        share = fresh.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        secret = fresh.exchange(ec.ECDH(), key)
        encoded = pin.encode("utf-8")
        if len(encoded) >= _FILLED_BYTES:
            raise ConfigurationError("the token's PIN is too long to be sealed")
        filled = bytes((len(encoded),)) + encoded + bytes(_FILLED_BYTES - 1 - len(encoded))
        nonce = entropy.draw(_NONCE_BYTES)
        open_seal = SealedPin(FORMAT, token, key_id, spki(key), share, nonce, b"")
        sealed = _cipher(secret, open_seal).encrypt(nonce, filled, _context(open_seal))
        return msgspec.structs.replace(open_seal, sealed=sealed)

    def unseal(self, seal: SealedPin, token: str) -> str:
        """Return the PIN of the token of this label.

        Raises KeyNotFound when the card has not the key, KeyStoreError when the seal is another
        token's or was changed.
        """
        if seal.token != token:
            raise KeyStoreError(f"the PIN file is sealed for the token {seal.token!r}, not for {token!r}")
        try:
            filled = _cipher(self._agree(seal), seal).decrypt(seal.nonce, seal.sealed, _context(seal))
        except (InvalidTag, ValueError) as error:
            raise KeyStoreError("the sealed PIN file was changed, or is sealed to another key of that name") from error
        return filled[1 : 1 + filled[0]].decode("utf-8")

    def _agree(self, seal: SealedPin) -> bytes:
        [private] = self._keys(ObjectClass.PRIVATE_KEY, seal.key_id)
        with self._token.at("agreeing on a secret"):
            shared = private.derive_key(
                KeyType.GENERIC_SECRET,
                8 * _KEY_BYTES,
                mechanism=Mechanism.ECDH1_DERIVE,
                mechanism_param=(KDF.NULL, None, seal.share),
                capabilities=MechanismFlag.SIGN,
                template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True, Attribute.DERIVE: False},
            )
            try:
                return bytes(shared[Attribute.VALUE])
            finally:
                shared.destroy()

    def _public(self, key_id: bytes) -> ec.EllipticCurvePublicKey:
        [public] = self._keys(ObjectClass.PUBLIC_KEY, key_id)
        with self._token.at("giving a public key"):
            return p256(public[Attribute.EC_POINT])

    def _keys(self, kind: ObjectClass, key_id: bytes) -> list[Any]:
        found = [each for each, name in self._token.objects(kind, Attribute.ID) if name == key_id]
        if len(found) != 1:
            raise KeyNotFound(f"the token {self._token.name!r} has not the key that seals the PIN")
        return found


def _cipher(secret: bytes, seal: SealedPin) -> AESGCM:
    info = _INFO + seal.token.encode("utf-8")
    return AESGCM(HKDF(hashes.SHA256(), _KEY_BYTES, salt=seal.share + seal.key, info=info).derive(secret))


def _context(seal: SealedPin) -> bytes:
    return msgspec.msgpack.encode([seal.format, seal.token, seal.key_id, seal.key, seal.share])
