"""Takes from a device's PKCS#10 request the one thing that it proves: possession of a key.

Believes no attribute, name or extension of the request (RFC 2986): what the certificate will say
comes from the activation. The URIs that it names are handed on, so that a request which speaks of
somebody else can be refused. Keys are P-256 that signed with SHA-256, or Ed25519.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trus.errors import IdentityRefused

#: A request for a P-256 key has about 250 bytes.
MAX_REQUEST_BYTES: Final = 2_048

_UNREADABLE: Final = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

#: Every reason that this module gives.
BAD_REQUEST: Final = "bad-request"
NO_PROOF: Final = "no-proof-of-possession"


class ProvenKey(NamedTuple):
    """A public key whose holder has its private half; `digest` is SHA-256 of SubjectPublicKeyInfo.

    `uris` are those that the request asks for as alternative names.
    """

    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    digest: bytes
    uris: tuple[str, ...] = ()


def key_digest(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    """Return SHA-256 of a key's DER SubjectPublicKeyInfo."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def prove(request: bytes) -> ProvenKey:
    """Return the key of a PKCS#10 request (DER) when the request proves possession of it.

    Raises IdentityRefused with one of the reasons of this module.
    """
    if len(request) > MAX_REQUEST_BYTES:
        raise IdentityRefused(BAD_REQUEST)
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
        algorithm = parsed.signature_hash_algorithm
        uris = _uris(parsed)
    except (ValueError, TypeError, UnsupportedAlgorithm, *_UNREADABLE):
        raise IdentityRefused(BAD_REQUEST) from None
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1) or not isinstance(algorithm, hashes.SHA256):
            raise IdentityRefused(BAD_REQUEST)
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise IdentityRefused(BAD_REQUEST)
    if not parsed.is_signature_valid:
        raise IdentityRefused(NO_PROOF)
    return ProvenKey(key, key_digest(key), uris)


def _uris(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
