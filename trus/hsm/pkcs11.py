"""Uses keys that live in a PKCS#11 token, any vendor's (TR-17, TR-18).

Never asks a token for key bytes and makes every key so that it could not get them. One thread
of one process only: python-pkcs11 initialises SoftHSM without locking, so a store refuses to
be used by any other thread or process than the one that opened it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, CertificateType, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11 import exceptions as faults
from pkcs11.util.ec import encode_named_curve_parameters

from trus.errors import ConfigurationError, KeyNotFound, KeyStoreError, KeyStoreUnavailable
from trus.hsm import module as modules
from trus.hsm.naming import check_label, demand, newest, object_id, object_label, parse_id
from trus.hsm.ports import KeyAttributes, KeyHandle, KeyPurpose
from trus.values import Secret

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


class TokenSettings(Secret, frozen=True):
    """Where a token is: the module's path, the token's label or slot number, its user PIN.

    `softhsm_conf` becomes SOFTHSM2_CONF before the module is initialised; empty for others.
    """

    module: str
    pin: str
    token_label: str = ""
    slot: int | None = None
    softhsm_conf: str = ""


def read_pin(path: Path) -> str:
    """Read a token's PIN from a file that its owner alone may read. Raises ConfigurationError."""
    try:
        with path.open("r", encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(257)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the token's PIN file {path} cannot be read ({type(error).__name__})") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"the token's PIN file {path} may be read by others: chmod 600 it")
    pin = text.rstrip("\r\n")
    if not 4 <= len(pin) <= 255 or not pin.isprintable():
        raise ConfigurationError(f"the token's PIN file {path} must hold one line of 4 to 255 characters")
    return pin


class Pkcs11Store:
    """Keys and certificates of one PKCS#11 token; a context manager that closes itself."""

    production = True

    def __init__(self, settings: TokenSettings) -> None:
        """Load the module, find the token and log in. Raises KeyStoreUnavailable, WrongTokenPin."""
        self._settings = settings
        self._name = settings.token_label or f"slot {settings.slot}"
        self._owner = (os.getpid(), threading.get_ident())
        self._session: Any = None
        self._private: dict[KeyHandle, Any] = {}
        self._public: dict[KeyHandle, Any] = {}
        self._certificates: dict[str, Any] = {}
        library = modules.acquire(settings.module, settings.softhsm_conf)
        self._held = True
        try:
            with self._at("opening"):
                self._session = self._find_token(library).open(rw=True, user_pin=settings.pin)
            self._look_around()
            self._find_certificates()
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

    def _find_token(self, library: Any) -> Any:
        if self._settings.slot is not None:
            for slot in library.get_slots(token_present=True):
                if slot.slot_id == self._settings.slot:
                    return slot.get_token()
            raise KeyStoreUnavailable(f"the token {self._name!r} is not there")
        tokens = [each for each in library.get_tokens() if each.label == self._settings.token_label]
        if len(tokens) != 1:
            count = "not there" if not tokens else "there more than once"
            raise KeyStoreUnavailable(f"the token {self._name!r} is {count}")
        return tokens[0]

    @contextmanager
    def _at(self, doing: str) -> Iterator[None]:
        try:
            yield
        except faults.PKCS11Error as error:
            raise modules.translate(error, self._name, doing) from error

    def _use(self) -> Any:
        """Return the session, for its own thread and process alone."""
        if self._owner != (os.getpid(), threading.get_ident()):
            raise KeyStoreError("a token is used by the one thread that opened it")
        if self._session is None:
            raise KeyStoreUnavailable(f"the token {self._name!r} is closed")
        return self._session

    def _look_around(self) -> None:
        """Remember the objects that are ours, so that no request ever searches.

        Raises KeyStoreUnavailable when a key known before is gone: SoftHSM answers a search in a
        token that was removed with nothing at all.
        """
        session = self._use()
        private: dict[KeyHandle, Any] = {}
        public: dict[KeyHandle, Any] = {}
        with self._at("being read"):
            for kind, found in (
                (ObjectClass.SECRET_KEY, private),
                (ObjectClass.PRIVATE_KEY, private),
                (ObjectClass.PUBLIC_KEY, public),
            ):
                for each in session.get_objects({Attribute.CLASS: kind}, batch_size=100):
                    handle = parse_id(each[Attribute.ID])
                    if handle is not None:
                        found[handle] = each
        if not private.keys() >= self._private.keys():
            raise KeyStoreUnavailable(f"the token {self._name!r} has lost keys that it held")
        self._private, self._public = private, public

    def _find_certificates(self) -> None:
        session = self._use()
        with self._at("being read"):
            for each in session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE}, batch_size=100):
                self._certificates[each[Attribute.LABEL]] = each

    # ---------------------------------------------------------------------------- KeyStore

    def generate(self, label: str, purpose: KeyPurpose) -> KeyHandle:
        """Make a key inside the token, at the next free version of `label`, and name it."""
        check_label(label)
        session = self._use()
        last = newest(list(self._private), label, None)
        handle = KeyHandle(label, 1 if last is None else last.version + 1, purpose)
        names = {"label": object_label(handle), "id": object_id(handle), "store": True}
        with self._at("making a key"):
            if purpose is KeyPurpose.SIGN:
                curve = session.create_domain_parameters(
                    KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
                )
                self._public[handle], self._private[handle] = curve.generate_keypair(
                    **names,
                    capabilities=_CAPABILITIES[purpose],
                    private_template={
                        **_LOCKED_UP,
                        Attribute.PRIVATE: True,
                        Attribute.DERIVE: False,
                        Attribute.SIGN_RECOVER: False,
                    },
                )
            else:
                self._private[handle] = session.generate_key(
                    KeyType.GENERIC_SECRET if purpose is KeyPurpose.DATA else KeyType.AES,
                    _KEY_BITS,
                    **names,
                    capabilities=_CAPABILITIES[purpose],
                    template={**_LOCKED_UP, Attribute.PRIVATE: True, Attribute.DERIVE: False},
                )
        return handle

    def find(self, label: str, version: int | None = None) -> KeyHandle:
        """Return the handle of a key, the newest version unless told. Raises KeyNotFound."""
        self._use()
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

        with self._at("being asked about a key"):
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
        with self._at("destroying a key"):
            key.destroy()
            del self._private[handle]
            if handle in self._public:
                self._public.pop(handle).destroy()

    def public_key(self, handle: KeyHandle) -> bytes:
        """Return the DER SubjectPublicKeyInfo of a SIGN pair. Raises KeyNotFound."""
        self._use()
        demand(handle, KeyPurpose.SIGN)
        if handle not in self._public:
            raise KeyNotFound(f"the token {self._name!r} holds no public key {object_label(handle)}")
        with self._at("giving a public key"):
            encoded = self._public[handle][Attribute.EC_POINT]
        # CKA_EC_POINT is a DER OCTET STRING around the uncompressed point (PKCS#11, section 6.3.3).
        point = encoded[2:] if len(encoded) == 67 and encoded[:2] == b"\x04\x41" else encoded
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError as error:
            raise KeyStoreError(f"the key {object_label(handle)} is not a point of P-256") from error
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, handle: KeyHandle, payloads: Sequence[bytes]) -> list[bytes]:
        """Return ECDSA-SHA256 signatures of the payloads, DER encoded, in the same order."""
        demand(handle, KeyPurpose.SIGN)
        key = self._key(handle)
        signatures: list[bytes] = []
        with self._at("signing"):
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
        with self._at("encrypting"):
            # ECB over independent single blocks: each is a keyed permutation of its own, never a message.
            sealed: bytes = key.encrypt(joined, mechanism=Mechanism.AES_ECB, buffer_size=len(joined))
        return [sealed[start : start + BLOCK_BYTES] for start in range(0, len(joined), BLOCK_BYTES)]

    def mac(self, handle: KeyHandle, messages: Sequence[bytes]) -> list[bytes]:
        """Return HMAC-SHA256 of each message under a DATA key (32 bytes each)."""
        demand(handle, KeyPurpose.DATA)
        key = self._key(handle)
        with self._at("computing a MAC"):
            return [key.sign(message, mechanism=Mechanism.SHA256_HMAC) for message in messages]

    def close(self) -> None:
        """Log out and let go of the token; harmless when that was done before."""
        session, self._session = self._session, None
        held, self._held = self._held, False
        self._private.clear()
        self._public.clear()
        self._certificates.clear()
        if not held or self._owner[0] != os.getpid():
            return
        try:
            if session is not None:
                with self._at("closing"):
                    session.close()
        finally:
            modules.release(self._settings.module)

    def _key(self, handle: KeyHandle) -> Any:
        self._use()
        key = self._private.get(handle)
        if key is None:
            raise KeyNotFound(f"the token {self._name!r} holds no key {object_label(handle)}")
        return key

    # ------------------------------------------------------------------------- ObjectStore

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a DER certificate under `label`, replacing one of the same label."""
        check_label(label)
        session = self._use()
        subject = x509.load_der_x509_certificate(der).subject.public_bytes()
        with self._at("storing a certificate"):
            new = session.create_object(
                {
                    **_NEW_CERTIFICATE,
                    Attribute.LABEL: label,
                    Attribute.ID: hashlib.sha256(der).digest(),
                    Attribute.SUBJECT: subject,
                    Attribute.VALUE: der,
                }
            )
            old = self._certificates.get(label)
            self._certificates[label] = new
            if old is not None:
                old.destroy()

    def certificate(self, label: str) -> bytes:
        """Return the DER certificate kept under `label`. Raises KeyNotFound."""
        self._use()
        kept = self._certificates.get(label)
        if kept is None:
            raise KeyNotFound(f"the token {self._name!r} holds no certificate {label}")
        with self._at("giving a certificate"):
            value: bytes = kept[Attribute.VALUE]
        return value

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of all certificates kept, sorted."""
        self._use()
        return sorted(self._certificates)
