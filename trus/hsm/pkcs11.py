"""Uses keys that live in a PKCS#11 token, any vendor's (TR-17, TR-18).

Never asks a token for key bytes and makes every key so that it could not get them. One thread
of one process only: a store refuses to be used by any other than the one that opened it. A store
that lost its token can be recovered without a restart, and refuses another token in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, CertificateType, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11 import exceptions as faults

from trus.errors import KeyNotFound, KeyStoreError, KeyStoreUnavailable
from trus.hsm.naming import (
    certificate_id,
    certificate_label,
    check_label,
    demand,
    newest,
    object_id,
    object_label,
    parse_certificate_id,
    parse_id,
)
from trus.hsm.pairs import Pairs, generate_pair, p256, spki
from trus.hsm.ports import KeyAttributes, KeyHandle, KeyPurpose, WrappedPair
from trus.hsm.session import TokenSession, TokenSettings, read_pin

#: AES block length, FIPS 197.
BLOCK_BYTES: Final = 16

_KEY_BITS: Final = 256
_CAPABILITIES: Final = {
    KeyPurpose.SIGN: MechanismFlag.SIGN | MechanismFlag.VERIFY,
    KeyPurpose.PIN: MechanismFlag.ENCRYPT,
    KeyPurpose.CARD: MechanismFlag.ENCRYPT,
    KeyPurpose.DATA: MechanismFlag.SIGN,
    KeyPurpose.WRAP: MechanismFlag.WRAP | MechanismFlag.UNWRAP,
}
_LOCKED_UP: Final = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.MODIFIABLE: False}
_NEW_CERTIFICATE: Final = {
    Attribute.CLASS: ObjectClass.CERTIFICATE,
    Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
    Attribute.TOKEN: True,
    Attribute.PRIVATE: False,
}
#: What a DATA key signs to be told from another one of the same name.
_CHECK_MESSAGE: Final = b"trus key check value"


class Pkcs11Store:
    """Keys and certificates of one PKCS#11 token; a context manager that closes itself."""

    production = True

    def __init__(self, settings: TokenSettings) -> None:
        """Load the module, find the token and log in. Raises KeyStoreUnavailable, WrongTokenPin."""
        self._private: dict[KeyHandle, Any] = {}
        self._public: dict[KeyHandle, Any] = {}
        self._certificates: dict[str, Any] = {}
        self._check_values: dict[KeyHandle, bytes] = {}
        self._name = settings.name
        self._token = TokenSession(settings)
        self._pairs = Pairs(self._token)
        try:
            self._look_around()
            self._find_certificates()
            self._check_values = {handle: self._check_value(handle) for handle in self._private}
        except KeyStoreError:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        """Name the token and nothing else."""
        return f"<Pkcs11Store of token {self._name!r}>"

    def _look_around(self) -> None:
        """Remember the objects that are ours, so that no request ever searches.

        Raises KeyStoreUnavailable when a key known before is gone: SoftHSM answers a search in a
        token that was removed with nothing at all.
        """
        private: dict[KeyHandle, Any] = {}
        public: dict[KeyHandle, Any] = {}
        for kind, found in (
            (ObjectClass.SECRET_KEY, private),
            (ObjectClass.PRIVATE_KEY, private),
            (ObjectClass.PUBLIC_KEY, public),
        ):
            for each, name in self._token.objects(kind, Attribute.ID):
                handle = parse_id(name)
                if handle is not None:
                    found[handle] = each
        if not private.keys() >= self._private.keys():
            raise KeyStoreUnavailable(f"the token {self._name!r} has lost keys that it held")
        self._private, self._public = private, public

    def _find_certificates(self) -> None:
        self._certificates = {}
        for each, name, label in self._token.objects(ObjectClass.CERTIFICATE, Attribute.ID, Attribute.LABEL):
            self._certificates[parse_certificate_id(name) or label] = each

    # ---------------------------------------------------------------------------- recovery

    def recover(self, pin: str = "") -> None:
        """Open the token again after it failed: module, session and every cached object anew.

        `pin` is tried in place of the one that opened the token last, when it is not empty. The
        token must be the same one: each key known before is there and works as before. Raises
        KeyStoreUnavailable or WrongTokenPin; the store stays unavailable then, and may be recovered later.
        """
        self._token.reopen(pin)
        try:
            self._look_around()
            for handle, value in self._check_values.items():
                if self._check_value(handle) != value:
                    name = object_label(handle)
                    raise KeyStoreUnavailable(f"the token {self._name!r} is another one: its key {name} differs")
            self._find_certificates()
        except KeyStoreError:
            self._token.suspend()
            raise

    def _check_value(self, handle: KeyHandle) -> bytes:
        """Return what tells this key from another one of its name; a WRAP key has nothing to show."""
        if handle.purpose is KeyPurpose.SIGN:
            return self.public_key(handle)
        if handle.purpose is KeyPurpose.DATA:
            return self.mac(handle, [_CHECK_MESSAGE])[0]
        if handle.purpose is KeyPurpose.WRAP:
            return b""
        return self.encrypt_blocks(handle, [bytes(BLOCK_BYTES)])[0]

    # ---------------------------------------------------------------------------- KeyStore

    def generate(self, label: str, purpose: KeyPurpose) -> KeyHandle:
        """Make a key inside the token, at the next free version of `label`, and name it."""
        check_label(label)
        session = self._token.pkcs11
        last = newest(list(self._private), label, None)
        handle = KeyHandle(label, 1 if last is None else last.version + 1, purpose)
        names = {"label": object_label(handle), "id": object_id(handle), "store": True}
        with self._token.at("making a key"):
            if purpose is KeyPurpose.SIGN:
                self._public[handle], self._private[handle] = generate_pair(
                    session,
                    capabilities=_CAPABILITIES[purpose],
                    private={
                        **_LOCKED_UP,
                        Attribute.PRIVATE: True,
                        Attribute.DERIVE: False,
                        Attribute.SIGN_RECOVER: False,
                    },
                    **names,
                )
            else:
                self._private[handle] = session.generate_key(
                    KeyType.GENERIC_SECRET if purpose is KeyPurpose.DATA else KeyType.AES,
                    _KEY_BITS,
                    **names,
                    capabilities=_CAPABILITIES[purpose],
                    template={**_LOCKED_UP, Attribute.PRIVATE: True, Attribute.DERIVE: False},
                )
        self._check_values[handle] = self._check_value(handle)
        return handle

    def find(self, label: str, version: int | None = None) -> KeyHandle:
        """Return the handle of a key, the newest version unless told. Raises KeyNotFound."""
        self._token.check()
        handle = newest(list(self._private), label, version)
        if handle is None:
            wanted = label if version is None else f"{label}:{version}"
            raise KeyNotFound(f"the token {self._name!r} holds no key {wanted}")
        return handle

    def handles(self) -> Sequence[KeyHandle]:
        """Return the handles of all keys, sorted by label and version, as the token says now.

        Raises KeyStoreUnavailable when a key that was there is gone.
        """
        self._look_around()
        return sorted(self._private, key=lambda each: (each.label, each.version))

    def attributes(self, handle: KeyHandle) -> KeyAttributes:
        """Return what the token itself says of a key, asked now. Raises KeyNotFound."""
        key = self._key(handle)

        def says(attribute: Attribute) -> bool:
            try:
                return bool(key[attribute])
            except faults.AttributeTypeInvalid:
                return False  # an object without the attribute cannot do what it would allow

        with self._token.at("being asked about a key"):
            return KeyAttributes(
                handle=handle,
                extractable=says(Attribute.EXTRACTABLE),
                never_extractable=says(Attribute.NEVER_EXTRACTABLE),
                sensitive=says(Attribute.SENSITIVE),
                always_sensitive=says(Attribute.ALWAYS_SENSITIVE),
                local=says(Attribute.LOCAL),
                encrypt=says(Attribute.ENCRYPT),
                decrypt=says(Attribute.DECRYPT),
                sign=says(Attribute.SIGN),
                wrap=says(Attribute.WRAP),
                unwrap=says(Attribute.UNWRAP),
                derive=says(Attribute.DERIVE),
            )

    def destroy(self, handle: KeyHandle) -> None:
        """Destroy a key, and the public half of a pair, for ever. Raises KeyNotFound."""
        key = self._key(handle)
        with self._token.at("destroying a key"):
            key.destroy()
            del self._private[handle]
            self._check_values.pop(handle, None)
            if handle in self._public:
                self._public.pop(handle).destroy()

    def public_key(self, handle: KeyHandle) -> bytes:
        """Return the DER SubjectPublicKeyInfo of a SIGN pair. Raises KeyNotFound."""
        self._token.check()
        demand(handle, KeyPurpose.SIGN)
        if handle not in self._public:
            raise KeyNotFound(f"the token {self._name!r} holds no public key {object_label(handle)}")
        with self._token.at("giving a public key"):
            encoded = self._public[handle][Attribute.EC_POINT]
        return spki(p256(encoded))

    def sign(self, handle: KeyHandle, payloads: Sequence[bytes]) -> list[bytes]:
        """Return ECDSA-SHA256 signatures of the payloads, DER encoded, in the same order."""
        demand(handle, KeyPurpose.SIGN)
        key = self._key(handle)
        signatures: list[bytes] = []
        with self._token.at("signing"):
            for payload in payloads:
                raw = key.sign(hashlib.sha256(payload).digest(), mechanism=Mechanism.ECDSA)
                half = len(raw) // 2
                signatures.append(
                    encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
                )
        return signatures

    def encrypt_blocks(self, handle: KeyHandle, blocks: Sequence[bytes]) -> list[bytes]:
        """Return each 16-byte block under a PIN or CARD key: one C_Encrypt for all of them."""
        demand(handle, KeyPurpose.PIN, KeyPurpose.CARD)
        key = self._key(handle)
        if any(len(block) != BLOCK_BYTES for block in blocks):
            raise KeyStoreError(f"a block has {BLOCK_BYTES} bytes")
        if not blocks:
            return []
        joined = b"".join(blocks)
        with self._token.at("encrypting"):
            # ECB over independent single blocks: each is a keyed permutation of its own, never a message.
            sealed: bytes = key.encrypt(joined, mechanism=Mechanism.AES_ECB, buffer_size=len(joined))
        return [sealed[start : start + BLOCK_BYTES] for start in range(0, len(joined), BLOCK_BYTES)]

    def mac(self, handle: KeyHandle, messages: Sequence[bytes]) -> list[bytes]:
        """Return HMAC-SHA256 of each message under a DATA key (32 bytes each)."""
        demand(handle, KeyPurpose.DATA)
        key = self._key(handle)
        with self._token.at("computing a MAC"):
            return [key.sign(message, mechanism=Mechanism.SHA256_HMAC) for message in messages]

    def close(self) -> None:
        """Log out and let go of the token; harmless when that was done before."""
        self._private.clear()
        self._public.clear()
        self._certificates.clear()
        self._token.close()

    def _key(self, handle: KeyHandle) -> Any:
        self._token.check()
        key = self._private.get(handle)
        if key is None:
            raise KeyNotFound(f"the token {self._name!r} holds no key {object_label(handle)}")
        return key

    # ------------------------------------------------------------------------- PairWrapper

    def wrap_new_pair(self, wrapping: KeyHandle) -> WrappedPair:
        """Make a pair inside the token and give it out under a WRAP key; the token keeps nothing of it."""
        demand(wrapping, KeyPurpose.WRAP)
        return self._pairs.make(self._key(wrapping))

    def wrap_pair(self, wrapping: KeyHandle, key: ec.EllipticCurvePrivateKey) -> WrappedPair:
        """Wrap a P-256 pair that was made elsewhere."""
        demand(wrapping, KeyPurpose.WRAP)
        return self._pairs.wrap(self._key(wrapping), key)

    def unwrap_pair(self, wrapping: KeyHandle, pair: WrappedPair) -> ec.EllipticCurvePrivateKey:
        """Open a pair in this process's memory. Raises KeyStoreError for one that was changed."""
        demand(wrapping, KeyPurpose.WRAP)
        return self._pairs.unwrap(self._key(wrapping), pair)

    # ------------------------------------------------------------------------- ObjectStore

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a DER certificate under `label`, replacing one of the same label."""
        check_label(label)
        session = self._token.pkcs11
        certificate = x509.load_der_x509_certificate(der)
        with self._token.at("storing a certificate"):
            old = self._certificates.get(label)
            if old is not None and old[Attribute.VALUE] == der:
                return
            new = session.create_object(
                {
                    **_NEW_CERTIFICATE,
                    Attribute.LABEL: certificate_label(label, der),
                    Attribute.ID: certificate_id(label),
                    Attribute.SUBJECT: certificate.subject.public_bytes(),
                    Attribute.ISSUER: certificate.issuer.public_bytes(),
                    Attribute.SERIAL_NUMBER: _der_integer(certificate.serial_number),
                    Attribute.VALUE: der,
                }
            )
            self._certificates[label] = new
            if old is not None:
                old.destroy()

    def certificate(self, label: str) -> bytes:
        """Return the DER certificate kept under `label`. Raises KeyNotFound."""
        self._token.check()
        kept = self._certificates.get(label)
        if kept is None:
            raise KeyNotFound(f"the token {self._name!r} holds no certificate {label}")
        with self._token.at("giving a certificate"):
            value: bytes = kept[Attribute.VALUE]
        return value

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of all certificates kept, sorted, as the token says now."""
        self._token.check()
        self._find_certificates()
        return sorted(self._certificates)


def _der_integer(number: int) -> bytes:
    """Return a positive number of at most 126 bytes as a DER INTEGER, as CKA_SERIAL_NUMBER wants it."""
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes((0x02, len(content))) + content


__all__ = ["BLOCK_BYTES", "Pkcs11Store", "TokenSettings", "read_pin"]
