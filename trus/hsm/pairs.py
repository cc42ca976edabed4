"""Makes pairs in the token that leave it only wrapped under one of its keys, and opens them again (TR-17).

Keeps nothing: what is wrapped belongs in trus.hsm.objects. Wrapping is AES key wrap with
padding (RFC 5649, NIST SP 800-38F KWP) around the PKCS#8 PrivateKeyInfo: confidential and proof against
change, but not bound to a name; the store of objects binds it.
"""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11 import exceptions as faults
from pkcs11.util.ec import decode_ec_private_key, encode_named_curve_parameters

from trus.errors import KeyStoreError
from trus.hsm.ports import WrappedPair
from trus.hsm.session import TokenSession

#: The standard's number of RFC 5649 (CKM_AES_KEY_WRAP_KWP, PKCS#11 3.0), then the older one that
#: SoftHSM and its contemporaries give the same algorithm.
_MECHANISMS: Final = (Mechanism.AES_KEY_WRAP_KWP, Mechanism.AES_KEY_WRAP_PAD)

#: The private half while it is in the token unwrapped: nobody reads it, and it ends with the session.
_LEAVES_WRAPPED: Final = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: True,
    Attribute.PRIVATE: True,
    Attribute.DERIVE: False,
    Attribute.SIGN_RECOVER: False,
}
#: The PrivateKeyInfo as bytes: opened as what it is on the inside, some modules want attributes of their own.
_OPENED: Final = {
    Attribute.SENSITIVE: False,
    Attribute.EXTRACTABLE: True,
    Attribute.PRIVATE: True,
    Attribute.DERIVE: False,
}

#: What modules answer to a wrapped key that does not open; SoftHSM says CKR_GENERAL_ERROR.
_CHANGED: Final = (
    faults.EncryptedDataInvalid,
    faults.EncryptedDataLenRange,
    faults.GeneralError,
    faults.WrappedKeyInvalid,
    faults.WrappedKeyLenRange,
)


def p256(encoded: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key of a CKA_EC_POINT. Raises KeyStoreError for anything but P-256.

    CKA_EC_POINT is a DER OCTET STRING around the uncompressed point (PKCS#11, section 6.3.3); some
    modules give the bare point.
    """
    point = encoded[2:] if len(encoded) == 67 and encoded[:2] == b"\x04\x41" else encoded
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise KeyStoreError("a key of the token is not a point of P-256") from error


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the DER SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def generate_pair(session: Any, *, capabilities: MechanismFlag, private: dict[Attribute, Any], **names: Any) -> Any:
    """Return the public and the private half of a new P-256 pair of the token."""
    curve = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
    )
    return curve.generate_keypair(**names, capabilities=capabilities, private_template=private)


class Pairs:
    """Wraps and opens pairs in one session of one token."""

    def __init__(self, session: TokenSession) -> None:
        self._session = session

    def make(self, wrapping: Any) -> WrappedPair:
        """Make a pair of the session and give it out under the wrapping key, a WRAP key's object."""
        session = self._session.pkcs11
        with self._session.at("making a pair"):
            public, private = generate_pair(
                session,
                capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                private=_LEAVES_WRAPPED,
                store=False,
            )
            try:
                point = public[Attribute.EC_POINT]
                wrapped = self._session.wrap_key(self._mechanism(session), wrapping, private)
            finally:
                public.destroy()
                private.destroy()
        return WrappedPair(spki(p256(point)), wrapped)

    def wrap(self, wrapping: Any, key: ec.EllipticCurvePrivateKey) -> WrappedPair:
        """Put a pair into the session and give it out under the wrapping key."""
        session = self._session.pkcs11
        encoded = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        with self._session.at("wrapping a pair"):
            private = session.create_object(
                {**decode_ec_private_key(encoded), **_LEAVES_WRAPPED, Attribute.TOKEN: False, Attribute.SIGN: True}
            )
            try:
                wrapped = self._session.wrap_key(self._mechanism(session), wrapping, private)
            finally:
                private.destroy()
        return WrappedPair(spki(key.public_key()), wrapped)

    def unwrap(self, wrapping: Any, pair: WrappedPair) -> ec.EllipticCurvePrivateKey:
        """Open a pair in this process's memory. Raises KeyStoreError for one that was changed."""
        session = self._session.pkcs11
        public = load_der_public_key(pair.public_key)
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise KeyStoreError("a wrapped pair is not of an elliptic curve")
        with self._session.at("opening a pair"):
            try:
                opened = wrapping.unwrap_key(
                    ObjectClass.SECRET_KEY,
                    KeyType.GENERIC_SECRET,
                    pair.wrapped,
                    mechanism=self._mechanism(session),
                    capabilities=MechanismFlag.SIGN,
                    template=_OPENED,
                )
            except _CHANGED as error:
                raise KeyStoreError("a wrapped pair was changed, or wrapped under another key") from error
            try:
                encoded = opened[Attribute.VALUE]
            finally:
                opened.destroy()
        try:
            key = load_der_private_key(_one_der_value(encoded), None)
        except ValueError as error:
            raise KeyStoreError("a wrapped pair holds no private key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != public:
            raise KeyStoreError("a wrapped pair holds the private half of another one")
        return key

    def _mechanism(self, session: Any) -> Mechanism:
        offered = session.token.slot.get_mechanisms()
        for mechanism in _MECHANISMS:
            if mechanism in offered:
                return mechanism
        raise KeyStoreError(f"the token {self._session.name!r} cannot wrap keys (AES key wrap with padding)")


def _one_der_value(encoded: bytes) -> bytes:
    """Return the PrivateKeyInfo without the zero bytes that SoftHSM fills the last block with before it wraps.

    Raises ValueError when something else follows, or when the length is not of the short forms
    that a P-256 key has (X.690, section 8.1.3).
    """
    if len(encoded) < 3 or encoded[0] != 0x30 or encoded[1] > 0x81:
        raise ValueError("no DER sequence of at most 255 bytes")
    length = 2 + encoded[1] if encoded[1] < 0x80 else 3 + encoded[2]
    if any(encoded[length:]):
        raise ValueError("something follows the DER sequence")
    return encoded[:length]
