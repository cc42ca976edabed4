"""Holds what one end of a channel proves itself with: its private key and its certificates.

Opens no files and makes no keys: whoever owns the configuration hands over the bytes. The key
shows in no repr. Sources: RFC 7292 (PKCS #12), RFC 5280.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import PrivateFormat, load_pem_private_key, pkcs12

from trus.errors import ConfigurationError

#: Passwords are drawn with 160 bits, so that the key derivation need not slow a guesser down.
_KDF_ROUNDS: Final = 2_048

ChannelKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey


@attrs.frozen(repr=False)
class ChannelCredentials:
    """One end's private key and its chain.

    `chain` is leaf first and ends below the root; `authorities` are the self-signed certificates
    that came along, the default trust anchors for the peer.
    """

    key: ChannelKey
    chain: tuple[x509.Certificate, ...]
    authorities: tuple[x509.Certificate, ...] = ()

    def __repr__(self) -> str:
        """Name the leaf, never the key."""
        return f"<ChannelCredentials of {self.chain[0].subject.rfc4514_string()}, key redacted>"


def _is_self_signed(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer


def _assemble(key: object, leaf: x509.Certificate, others: Iterable[x509.Certificate], what: str) -> ChannelCredentials:
    if not isinstance(key, ChannelKey):
        raise ConfigurationError(f"{what} holds a key of an unsupported kind")
    if key.public_key() != leaf.public_key():
        raise ConfigurationError(f"{what} holds a key that does not belong to its certificate")
    others = tuple(others)
    issuers = tuple(each for each in others if not _is_self_signed(each))
    return ChannelCredentials(key, (leaf, *issuers), tuple(each for each in others if _is_self_signed(each)))


def from_pkcs12(data: bytes, password: bytes | None, what: str = "the PKCS#12 file") -> ChannelCredentials:
    """Return the credentials that a PKCS #12 file (DER bytes) carries.

    `what` names the file in the sentence of the ConfigurationError that a wrong password, a damaged
    file, a missing key or a missing certificate raises.
    """
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{what} cannot be opened: it is damaged or the password is wrong") from None
    if key is None or leaf is None:
        raise ConfigurationError(f"{what} holds no private key with its certificate")
    return _assemble(key, leaf, others, what)


def to_pkcs12(credentials: ChannelCredentials, password: bytes) -> bytes:
    """Return the credentials as a PKCS #12 file (DER): AES-256 and HMAC-SHA256 (RFC 7292), under a random password."""
    leaf, *issuers = credentials.chain
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_KDF_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password)
    )
    others = [*issuers, *credentials.authorities]
    return pkcs12.serialize_key_and_certificates(b"channel", credentials.key, leaf, others, encryption)


def from_pem(key: bytes, chain: bytes, password: bytes | None = None, what: str = "the PEM file") -> ChannelCredentials:
    """Return the credentials of a PEM key and a PEM chain, leaf first.

    Raises ConfigurationError as from_pkcs12 does.
    """
    try:
        private = load_pem_private_key(key, password)
        leaf, *others = x509.load_pem_x509_certificates(chain)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{what} cannot be read: it is damaged or the password is wrong") from None
    return _assemble(private, leaf, others, what)


def load_authorities(pem: bytes, what: str = "the authorities' file") -> tuple[x509.Certificate, ...]:
    """Return the trust anchors of a PEM file, at least one. Raises ConfigurationError."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise ConfigurationError(f"{what} holds no readable certificate") from None


def load_crl(data: bytes, what: str = "the revocation list") -> x509.CertificateRevocationList:
    """Return the revocation list of PEM or DER bytes. Raises ConfigurationError."""
    load = x509.load_pem_x509_crl if data.startswith(b"-----BEGIN") else x509.load_der_x509_crl
    try:
        return load(data)
    except ValueError:
        raise ConfigurationError(f"{what} cannot be read") from None
