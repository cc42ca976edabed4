"""Judges the OCSP answer that a peer carries along with its chain (RFC 6960, as stapled in TLS).

Asks nobody on line: a terminal believes the answer that its issuer signed, or nothing. The
answer must come from the authority that issued the certificate itself; answers by a delegated
responder are refused.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from trus.errors import IdentityRefused

#: How far a terminal's clock may be behind the backend's.
MAX_CLOCK_SKEW: Final = timedelta(minutes=10)
#: An answer has about 300 bytes.
MAX_STAPLE_BYTES: Final = 4_096

#: Every reason that this module gives.
NO_STAPLE: Final = "no-ocsp-answer"
BAD_STAPLE: Final = "bad-ocsp-answer"
STALE_STAPLE: Final = "stale-ocsp-answer"
REVOKED: Final = "revoked"


def verify_staple(der: bytes | None, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
    """Accept the answer (DER) that says that `leaf`, issued by `issuer`, is good at `now` (aware, UTC).

    Raises IdentityRefused with one of the reasons of this module.
    """
    if not der:
        raise IdentityRefused(NO_STAPLE)
    if len(der) > MAX_STAPLE_BYTES:
        raise IdentityRefused(BAD_STAPLE)
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise IdentityRefused(BAD_STAPLE)
        _check_signature(response, issuer)
        wanted = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256()).build()
        same = (
            isinstance(response.hash_algorithm, hashes.SHA256)
            and response.issuer_name_hash == wanted.issuer_name_hash
            and response.issuer_key_hash == wanted.issuer_key_hash
            and response.serial_number == wanted.serial_number
        )
        status = response.certificate_status
        this_update, next_update = response.this_update_utc, response.next_update_utc
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion):
        raise IdentityRefused(BAD_STAPLE) from None
    if not same or next_update is None:
        raise IdentityRefused(BAD_STAPLE)
    if not this_update - MAX_CLOCK_SKEW <= now < next_update:
        raise IdentityRefused(STALE_STAPLE)
    if status is not ocsp.OCSPCertStatus.GOOD:
        raise IdentityRefused(REVOKED)


def _check_signature(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    key = issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        response.signature_hash_algorithm, hashes.SHA256
    ):
        raise IdentityRefused(BAD_STAPLE)
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
