"""Throw-away certificates for tests of storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


def some_certificate(name: str) -> bytes:
    """Return a self-signed DER certificate of this common name."""
    return certificate_of(ec.generate_private_key(ec.SECP256R1()), name)


def certificate_of(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a self-signed DER certificate of this key and common name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(77).not_valid_before(start).not_valid_after(start + timedelta(days=9))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
