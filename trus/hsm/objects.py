"""Keeps the certificates and pairs of devices, wrapped under keys that never leave the token (TR-17).

A store apart from the database: the database has handles and states, this file has the objects, and
without the token it is noise. Certificates are sealed with AES-256-GCM under a key that the token
derives from K_OBJECTS; pairs are wrapped inside the token under K_WRAP first, and sealed as well.
Every record is bound to its name and kind, so that none can pose as another, and its name in the
file is a keyed hash, so that the file does not tell who has a device. The format is
docs/reference/keystore.md; where records lie is trus.hsm.objectfile's.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat, pkcs12

from trus.clock import Entropy
from trus.errors import KeyNotFound, KeyStoreError
from trus.hsm.naming import check_label
from trus.hsm.objectfile import NOTE_BYTES, ObjectFile
from trus.hsm.ports import EscrowedPair, KeyHandle, KeyPurpose, KeyStore, PairWrapper, WrappedPair

#: From which the keys of names and of seals are derived.
OBJECTS_LABEL: Final = "K_OBJECTS"
#: Which pairs leave the token under, and no other way.
WRAP_LABEL: Final = "K_WRAP"

#: 96 random bits: 2**32 records under one key keep the chance of a repeated nonce below 2**-32 (SP 800-38D).
_NONCE_BYTES: Final = 12
_IDENTITY_BYTES: Final = 16
_NAME_KEY: Final = b"trus object store\x00name"
_SEAL_KEY: Final = b"trus object store\x00seal"
_CONTEXT: Final = b"trus object 1\x00"
#: Rounds of PKCS#12's key derivation: as the channel bundles have.
_KDF_ROUNDS: Final = 100_000


class WrappingStore(KeyStore, PairWrapper, Protocol):
    """A key store that can wrap pairs."""


class _Kind(IntEnum):
    CERTIFICATE = 1
    PAIR = 2


class _Certificate(msgspec.Struct, frozen=True, array_like=True):
    label: str
    der: bytes


class _Pair(msgspec.Struct, frozen=True, array_like=True):
    label: str
    public_key: bytes
    wrapped: bytes
    version: int  # of K_WRAP


_encode: Final = msgspec.msgpack.Encoder().encode
_certificate: Final = msgspec.msgpack.Decoder(_Certificate).decode
_pair: Final = msgspec.msgpack.Decoder(_Pair).decode


class WrappedObjectStore:
    """ObjectStore and EscrowStore in one file, under keys of one token."""

    def __init__(self, keys: WrappingStore, path: Path, entropy: Entropy, *, writable: bool = True) -> None:
        """Open the file. Raises KeyNotFound without its keys, KeyStoreError when it is not theirs or damaged."""
        self._keys = keys
        self._entropy = entropy
        self._wrap = _versions(keys, WRAP_LABEL, KeyPurpose.WRAP)
        objects = _versions(keys, OBJECTS_LABEL, KeyPurpose.DATA)
        self._file = ObjectFile(path, writable=writable)
        try:
            self._read_note(objects)
        except KeyStoreError:
            self._file.close()
            raise

    @classmethod
    def open(cls, keys: WrappingStore, path: Path, entropy: Entropy) -> WrappedObjectStore:
        """Open the file, or make file and keys where there are neither yet.

        Raises KeyStoreError when there are keys and no file: it was lost, and is to be restored.
        """
        if _unfinished(path).exists():
            path.unlink(missing_ok=True)  # nothing was put into it yet
            return cls.create(keys, path, entropy)
        if path.exists():
            return cls(keys, path, entropy)
        if _holds(keys, OBJECTS_LABEL):
            raise KeyStoreError(f"the key store's file {path} is gone: restore it, the token holds its keys")
        return cls.create(keys, path, entropy)

    @classmethod
    def create(cls, keys: WrappingStore, path: Path, entropy: Entropy) -> WrappedObjectStore:
        """Make an empty file, and the keys that it needs where the token has none. Raises KeyStoreError."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # As long as this file is there, a key without a file was not lost but never finished.
        unfinished = _unfinished(path)
        unfinished.touch(0o600)
        for label, purpose in ((WRAP_LABEL, KeyPurpose.WRAP), (OBJECTS_LABEL, KeyPurpose.DATA)):
            if not _holds(keys, label):
                keys.generate(label, purpose)
        ObjectFile.create(path, entropy.draw(_IDENTITY_BYTES), _note(keys.find(OBJECTS_LABEL))).close()
        unfinished.unlink()
        return cls(keys, path, entropy)

    def __repr__(self) -> str:
        """Say how much it keeps, and nothing of what."""
        return f"<WrappedObjectStore of {len(self._file)} names>"

    def __len__(self) -> int:
        """Return how many names are known, those of destroyed pairs included."""
        return len(self._file)

    def flush(self) -> None:
        """Bring the index up to date, so that the next start reads nothing of the file."""
        self._file.flush()

    def close(self) -> None:
        """Let go of the file; the token stays open."""
        self._file.close()

    # ------------------------------------------------------------------------- ObjectStore

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a DER certificate under `label`, replacing one of the same label; it is on the disk on return."""
        self.put_certificates({label: der})

    def put_certificates(self, certificates: Mapping[str, bytes]) -> None:
        """Keep many at once. Raises ValueError for what is no certificate."""
        records = []
        for label, der in certificates.items():
            check_label(label)
            x509.load_der_x509_certificate(der)
            records.append(self._seal(_Kind.CERTIFICATE, label, _encode(_Certificate(label, der))))
        self._file.append(records)

    def certificate(self, label: str) -> bytes:
        """Return the DER certificate kept under `label`. Raises KeyNotFound; KeyStoreError when it was changed."""
        content = self._open(_Kind.CERTIFICATE, label)
        if content is None:
            raise KeyNotFound(f"the key store holds no certificate {label}")
        return _certificate(content).der

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of all certificates kept, sorted. Reads the whole file."""
        return sorted(_certificate(content).label for kind, content in self._contents() if kind is _Kind.CERTIFICATE)

    # ------------------------------------------------------------------------- EscrowStore

    def make_pair(self, label: str) -> EscrowedPair:
        """Make a P-256 pair in the token and keep it under `label`. Raises KeyStoreError when it is taken."""
        self._demand_free(label)
        return self._keep(label, self._keys.wrap_new_pair(self._wrapping))

    def put_pair(self, label: str, key: ec.EllipticCurvePrivateKey) -> EscrowedPair:
        """Keep a P-256 pair that was made elsewhere. Raises KeyStoreError when the label is taken."""
        self._demand_free(label)
        if not isinstance(key.curve, ec.SECP256R1):
            raise KeyStoreError("the key store keeps P-256 pairs")
        return self._keep(label, self._keys.wrap_pair(self._wrapping, key))

    def pair(self, label: str) -> EscrowedPair:
        """Return the public half of a pair, without opening it. Raises KeyNotFound."""
        return EscrowedPair(label, self._kept(label).public_key)

    def pair_labels(self) -> Sequence[str]:
        """Return the labels of all pairs kept, sorted. Reads the whole file."""
        return sorted(_pair(content).label for kind, content in self._contents() if kind is _Kind.PAIR)

    def take_pair(self, label: str) -> ec.EllipticCurvePrivateKey:
        """Open a pair in this process's memory. Raises KeyNotFound."""
        kept = self._kept(label)
        wrapping = self._wrap.get(kept.version)
        if wrapping is None:
            raise KeyNotFound(f"the token holds no key {WRAP_LABEL}:{kept.version}")
        return self._keys.unwrap_pair(wrapping, WrappedPair(kept.public_key, kept.wrapped))

    def destroy_pair(self, label: str) -> None:
        """Forget a pair: nobody finds it any more. Raises KeyNotFound.

        Its wrapped bytes stay in the file until `renew`, as they stay in every backup of it: beyond
        recovery it is when the version of K_WRAP is destroyed that it was wrapped under.
        """
        self._kept(label)
        self._file.append([(self._name(_Kind.PAIR, label), b"")])

    def export_pkcs12(self, label: str, chain: Sequence[bytes], passphrase: str) -> bytes:
        """Return a pair with its certificate chain (DER, leaf first) as PKCS#12 (RFC 7292) for its holder.

        Ciphered with AES-256 (PBES2) and authenticated with HMAC-SHA256. Raises KeyNotFound, and
        KeyStoreError for a certificate of another key.
        """
        if not chain or not passphrase:
            raise KeyStoreError("a pair is handed over with its certificate, under a passphrase")
        leaf, *others = [x509.load_der_x509_certificate(each) for each in chain]
        public = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if not hmac.compare_digest(public, self._kept(label).public_key):
            raise KeyStoreError(f"the certificate is not of the pair {label}")
        encryption = (
            PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(_KDF_ROUNDS)
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .hmac_hash(hashes.SHA256())
            .build(passphrase.encode("utf-8"))
        )
        name = label.encode("ascii")
        return pkcs12.serialize_key_and_certificates(name, self.take_pair(label), leaf, others or None, encryption)

    # ------------------------------------------------------------------------- maintenance

    def renew(self) -> None:
        """Write the file anew: under the newest K_OBJECTS and K_WRAP, without what was replaced or destroyed.

        Older versions of both keys are needed no more afterwards. Whole or not at all. Opens every
        pair that an older K_WRAP wrapped, in this process's memory.
        """
        contents = list(self._contents())
        self._wrap = _versions(self._keys, WRAP_LABEL, KeyPurpose.WRAP)
        objects = _versions(self._keys, OBJECTS_LABEL, KeyPurpose.DATA)
        newest = objects[max(objects)]
        self._use(newest)
        records = (self._seal(kind, *self._renewed(kind, content)) for kind, content in contents)
        self._file.replace(self._entropy.draw(_IDENTITY_BYTES), _note(newest), records)

    def check(self) -> Iterator[str]:
        """Open every record and yield a sentence for each that was changed. Reads the whole file."""
        for name, body in self._file.records():
            try:
                self._unseal(name, body)
            except KeyStoreError as fault:
                yield str(fault)

    # ------------------------------------------------------------------------------ inside

    def _read_note(self, objects: Mapping[int, KeyHandle]) -> None:
        version = int.from_bytes(self._file.note, "big")
        handle = objects.get(version)
        if handle is None:
            raise KeyNotFound(f"the token holds no key {OBJECTS_LABEL}:{version}, which seals the key store's file")
        self._use(handle)

    def _use(self, handle: KeyHandle) -> None:
        """Derive in the token what names and seals records; the derived keys are in memory alone."""
        self._name_key, seal_key = self._keys.mac(handle, [_NAME_KEY, _SEAL_KEY])
        self._cipher = AESGCM(seal_key)

    @property
    def _wrapping(self) -> KeyHandle:
        return self._wrap[max(self._wrap)]

    def _name(self, kind: _Kind, label: str) -> bytes:
        return hmac.digest(self._name_key, bytes((kind,)) + label.encode("ascii"), "sha256")

    def _seal(self, kind: _Kind, label: str, content: bytes) -> tuple[bytes, bytes]:
        name = self._name(kind, label)
        nonce = self._entropy.draw(_NONCE_BYTES)
        head = bytes((kind,))
        return name, head + nonce + self._cipher.encrypt(nonce, content, _CONTEXT + head + name)

    def _unseal(self, name: bytes, body: bytes) -> tuple[_Kind, bytes]:
        head, nonce, sealed = body[:1], body[1 : 1 + _NONCE_BYTES], body[1 + _NONCE_BYTES :]
        try:
            return _Kind(head[0]), self._cipher.decrypt(nonce, sealed, _CONTEXT + head + name)
        except (InvalidTag, ValueError, IndexError) as error:
            raise KeyStoreError(f"a record of the key store was changed (name {name[:8].hex()})") from error

    def _open(self, kind: _Kind, label: str) -> bytes | None:
        check_label(label)
        name = self._name(kind, label)
        body = self._file.get(name)
        if body is None:
            return None
        found, content = self._unseal(name, body)
        if found is not kind:
            raise KeyStoreError(f"the key store's record of {label} is of another kind")
        return content

    def _contents(self) -> Iterator[tuple[_Kind, bytes]]:
        for name, body in self._file.records():
            yield self._unseal(name, body)

    def _renewed(self, kind: _Kind, content: bytes) -> tuple[str, bytes]:
        if kind is _Kind.CERTIFICATE:
            return _certificate(content).label, content
        kept = _pair(content)
        newest = self._wrapping
        if kept.version != newest.version:
            opened = self._keys.unwrap_pair(self._wrap[kept.version], WrappedPair(kept.public_key, kept.wrapped))
            again = self._keys.wrap_pair(newest, opened)
            kept = _Pair(kept.label, again.public_key, again.wrapped, newest.version)
        return kept.label, _encode(kept)

    def _demand_free(self, label: str) -> None:
        if self._open(_Kind.PAIR, label) is not None:
            raise KeyStoreError(f"the key store holds a pair {label} already")

    def _keep(self, label: str, pair: WrappedPair) -> EscrowedPair:
        content = _encode(_Pair(label, pair.public_key, pair.wrapped, self._wrapping.version))
        self._file.append([self._seal(_Kind.PAIR, label, content)])
        return EscrowedPair(label, pair.public_key)

    def _kept(self, label: str) -> _Pair:
        content = self._open(_Kind.PAIR, label)
        if content is None:
            raise KeyNotFound(f"the key store holds no pair {label}")
        return _pair(content)


def _versions(keys: KeyStore, label: str, purpose: KeyPurpose) -> dict[int, KeyHandle]:
    found = {each.version: each for each in keys.handles() if each.label == label and each.purpose is purpose}
    if not found:
        raise KeyNotFound(f"the token holds no key {label}")
    return found


def _holds(keys: KeyStore, label: str) -> bool:
    return any(each.label == label for each in keys.handles())


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished")


def _note(handle: KeyHandle) -> bytes:
    return handle.version.to_bytes(NOTE_BYTES, "big")
