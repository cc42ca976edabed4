"""Says by which keys a certificate is found in the directory (RFC 4387 section 2.2), and finds it.

Holds no certificate: the register knows handles, the key store the certificates. The keys are
SHA-1 as the standard has it; they name certificates and secure nothing. Nobody lists the network's
devices here: a search by issuer gives authorities alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trus.certificates.chains import serial_text
from trus.errors import KeyNotFound
from trus.hsm.ports import ObjectStore
from trus.pki.ports import CertificateRecord
from trus.values import Frozen

#: Octets of a key.
KEY_BYTES: Final = 20
#: Certificates in one answer: a holder has few at a time, and all of a decade's renewals are no answer.
MAX_FOUND: Final = 8


class KeyKind(StrEnum):
    """The attributes by which the directory is searched; the value is how the register names them."""

    CERTIFICATE = "cert"  #: certHash: SHA-1 of the certificate
    SUBJECT = "subject"  #: sHash: SHA-1 of the subject's name
    ISSUER = "issuer"  #: iHash: SHA-1 of the issuer's name
    ISSUER_AND_SERIAL = "serial"  #: iAndSHash: SHA-1 of IssuerAndSerialNumber
    SUBJECT_KEY = "key"  #: sKIDHash: SHA-1 of the subject key identifier
    URI = "uri"  #: uri: SHA-1 of a URI of the alternative name, without its scheme
    NAME = "name"  #: name: SHA-1 of the common name


class Found(Frozen, frozen=True):
    """Certificates or lists (DER) that a search found, none when nothing was; worth keeping for `seconds`."""

    bodies: tuple[bytes, ...]
    seconds: int


class KeyedRegister(Protocol):
    """What the directory needs of the register."""

    def found_by(self, kind: str, digest: bytes, limit: int) -> Sequence[CertificateRecord]:
        """Return the rows that a key finds, those that end last first."""
        ...

    def by_keys(self, kind: str, digests: Sequence[bytes]) -> Mapping[bytes, CertificateRecord]:
        """Return the row that each of several keys finds; a key that finds none is absent."""
        ...


def uri_digest(uri: str) -> bytes:
    """Return the key of a URI; its scheme may be there or not (RFC 4387 section 2.2)."""
    return _sha1(uri.removeprefix("urn:").encode("utf-8"))


def name_digest(name: x509.Name) -> bytes:
    """Return the key of a subject's or issuer's name."""
    return _sha1(name.public_bytes())


def key_digest_of(certificate: x509.Certificate) -> bytes:
    """Return the key of a certificate's subject key identifier."""
    return _sha1(certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest)


def common_name_digest(name: str) -> bytes:
    """Return the key of a common name."""
    return _sha1(name.encode("utf-8"))


def numbered_digest(issuer: x509.Name, serial: int) -> bytes:
    """Return the key of an issuer's name and a serial number (IssuerAndSerialNumber, RFC 5652 section 10.2.4)."""
    name = asn1_x509.Name.load(issuer.public_bytes())
    return _sha1(cms.IssuerAndSerialNumber({"issuer": name, "serial_number": serial}).dump())


def lookup_keys(certificate: x509.Certificate) -> tuple[tuple[str, bytes], ...]:
    """Return every (kind, SHA-1) by which a certificate of the network is found."""
    keys = [
        (KeyKind.CERTIFICATE, _sha1(certificate.public_bytes(Encoding.DER))),
        (KeyKind.SUBJECT, name_digest(certificate.subject)),
        (KeyKind.ISSUER, name_digest(certificate.issuer)),
        (KeyKind.ISSUER_AND_SERIAL, numbered_digest(certificate.issuer, certificate.serial_number)),
        (KeyKind.SUBJECT_KEY, key_digest_of(certificate)),
    ]
    keys += [(KeyKind.URI, uri_digest(uri)) for uri in _uris(certificate)]
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        keys.append((KeyKind.NAME, common_name_digest(str(attribute.value))))
    return tuple((kind.value, digest) for kind, digest in dict.fromkeys(keys))


class Directory:
    """Certificates by their keys: authorities from memory, holders through the register."""

    def __init__(
        self,
        register: KeyedRegister,
        objects: ObjectStore,
        authorities: Callable[[], Sequence[x509.Certificate]],
        seconds: int,
    ) -> None:
        """`authorities()` returns the certificates of roots and issuing authorities.

        An answer about a holder is worth keeping for `seconds`.
        """
        self._register = register
        self._objects = objects
        self._authorities = authorities
        self._seconds = seconds

    def find(self, by: str, value: bytes) -> Found:
        """Return what a key finds, its kind as a word. Raises KeyNotFound for what is no key, KeyStoreUnavailable."""
        try:
            kind = KeyKind(by)
        except ValueError:
            raise KeyNotFound("the directory has no such kind of key") from None
        return self.certificates(kind, value)

    def certificates(self, kind: KeyKind, digest: bytes) -> Found:
        """Return the certificates that a key finds, those that end last first.

        Raises KeyNotFound for a malformed key, KeyStoreUnavailable.
        """
        if len(digest) != KEY_BYTES:
            raise KeyNotFound("a key of the directory has 20 octets")
        key = (kind.value, digest)
        found = [each.public_bytes(Encoding.DER) for each in self._authorities() if key in lookup_keys(each)]
        if kind is not KeyKind.ISSUER:
            records = self._register.found_by(kind.value, digest, MAX_FOUND - len(found))
            found += [der for der in map(self._kept, records) if der]
        return Found(tuple(dict.fromkeys(found)), self._seconds)

    def _kept(self, record: CertificateRecord) -> bytes:
        """Return a certificate of the key store; b"" when its handle names a newer one by now."""
        der = self._objects.certificate(record.handle)
        return der if serial_text(x509.load_der_x509_certificate(der)) == record.serial else b""


def _sha1(data: bytes) -> bytes:
    # A name prescribed by RFC 4387; nothing here relies on nobody finding a second one.
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
