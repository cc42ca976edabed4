"""Takes from a device's PKCS#10 request the one thing that it proves: possession of a key.

Believes no attribute, name or extension of the request (RFC 2986): what the certificate will say
comes from the activation. Only P-256 keys that signed with SHA-256 are taken.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trus.errors import IdentityRefused

#: A request for a P-256 key has about 250 bytes.
MAX_REQUEST_BYTES: Final = 2_048

#: Every reason that this module gives.
BAD_REQUEST: Final = "bad-request"
NO_PROOF: Final = "no-proof-of-possession"


class ProvenKey(NamedTuple):
    """A public key whose holder has its private half; `digest` is SHA-256 of SubjectPublicKeyInfo."""

    key: ec.EllipticCurvePublicKey
    digest: bytes


def key_digest(key: ec.EllipticCurvePublicKey) -> bytes:
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
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise IdentityRefused(BAD_REQUEST) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityRefused(BAD_REQUEST)
    if not isinstance(algorithm, hashes.SHA256):
        raise IdentityRefused(BAD_REQUEST)
    if not parsed.is_signature_valid:
        raise IdentityRefused(NO_PROOF)
    return ProvenKey(key, key_digest(key))
