"""Makes officers' keys and certificates, and says who may be an officer.

An officer holds a P-256 key under a passphrase, away from the network's machines. The certificate names
the officer; it is self-signed, because whoever makes a backup compares fingerprints and trusts nobody's
signature. Keeps no key and asks for no passphrase.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from trus.backup.errors import BackupRefused
from trus.clock import Clock
from trus.values import Frozen, Secret

#: An officer's key serves for ten years; a backup outlives no officer.
VALIDITY: Final = timedelta(days=3650)
#: Shorter passphrases can be tried out by whoever finds the key file.
MIN_PASSPHRASE: Final = 12
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}\Z")
_POINT_BYTES: Final = 65


class Officer(Frozen, frozen=True):
    """The public half: name, fingerprint (SHA-256 of the SubjectPublicKeyInfo), uncompressed point."""

    name: str
    fingerprint: bytes
    point: bytes

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the key to encrypt to."""
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.point)


class NewOfficer(Secret, frozen=True):
    """A fresh officer: PKCS#8 under the passphrase, and the certificate, both PEM."""

    officer: Officer
    key_pem: bytes
    certificate_pem: bytes


def new_officer(name: str, passphrase: bytes, clock: Clock) -> NewOfficer:
    """Make a key and certificate for `name`. Raises BackupRefused for an unfit name or passphrase."""
    if _NAME.match(name) is None:
        raise BackupRefused("an officer's name is 1 to 63 letters, digits, blanks, dots, dashes and underscores")
    if len(passphrase) < MIN_PASSPHRASE:
        raise BackupRefused(f"an officer's passphrase has at least {MIN_PASSPHRASE} bytes")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = clock.now().replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_KEY_AGREEMENT, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    return NewOfficer(_officer(name, key.public_key()), pem, certificate.public_bytes(Encoding.PEM))


def read_certificate(pem: bytes, now: datetime) -> Officer:
    """Return the officer of a certificate that is valid now. Raises BackupRefused."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = certificate.public_key()
    except (ValueError, TypeError):
        raise BackupRefused("an officer's certificate cannot be read") from None
    name = str(names[0].value) if len(names) == 1 else ""
    if _NAME.match(name) is None:
        raise BackupRefused("an officer's certificate bears no fit name")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BackupRefused(f"the officer {name} has no P-256 key")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise BackupRefused(f"the certificate of the officer {name} is not valid now")
    return _officer(name, key)


def demand_two(officers: list[Officer]) -> tuple[Officer, Officer]:
    """Return the two officers. Raises BackupRefused unless they are two, with two keys."""
    if len(officers) != 2:
        raise BackupRefused("a backup is made for two officers, no more and no fewer")
    first, second = officers
    if first.fingerprint == second.fingerprint:
        raise BackupRefused("the two officers have the same key: one of them could open the backup alone")
    return first, second


def open_key(pem: bytes, passphrase: bytes) -> ec.EllipticCurvePrivateKey:
    """Return an officer's private key. Raises BackupRefused for a wrong passphrase or another kind of key."""
    try:
        key = load_pem_private_key(pem, passphrase)
    except TypeError:
        raise BackupRefused("an officer's key is under a passphrase, and this file is not") from None
    except ValueError:
        raise BackupRefused("an officer's key does not open: wrong passphrase, or no key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BackupRefused("an officer's key is on P-256")
    return key


def fingerprint_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return SHA-256 of the key's SubjectPublicKeyInfo (DER)."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize()


def _officer(name: str, key: ec.EllipticCurvePublicKey) -> Officer:
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return Officer(name, fingerprint_of(key), point)


_KEY_AGREEMENT: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=True,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
