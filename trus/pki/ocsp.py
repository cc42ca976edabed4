"""The validation authority: says under the authority's signature whether a certificate is good (RFC 6960).

Answers no requests of strangers: the backend staples the answer about its own certificate to the
handshake, so that a terminal needs no second connection. Revocation is the register's word.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from trus.pki.authority import Authority
from trus.pki.ports import CertificateRecord, CertificateState
from trus.pki.profiles import OCSP_VALIDITY

_STATUS: Final = {
    CertificateState.GOOD: (ocsp.OCSPCertStatus.GOOD, None),
    CertificateState.PENDING: (ocsp.OCSPCertStatus.GOOD, None),
    CertificateState.HELD: (ocsp.OCSPCertStatus.REVOKED, x509.ReasonFlags.certificate_hold),
    CertificateState.REVOKED: (ocsp.OCSPCertStatus.REVOKED, x509.ReasonFlags.unspecified),
}


def answer(
    authority: Authority,
    leaf: x509.Certificate,
    record: CertificateRecord,
    now: datetime,
    validity: timedelta = OCSP_VALIDITY,
) -> bytes:
    """Return the DER OCSP response about `leaf`, good for `validity` from `now` (aware, UTC).

    Raises KeyStoreUnavailable.
    """
    status, reason = _STATUS[record.state]
    changed = record.changed if status is ocsp.OCSPCertStatus.REVOKED else None
    if status is ocsp.OCSPCertStatus.REVOKED and changed is None:
        changed = record.not_before
    this_update = now.replace(microsecond=0)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf,
        issuer=authority.certificate,
        algorithm=hashes.SHA256(),
        cert_status=status,
        this_update=this_update,
        next_update=this_update + validity,
        revocation_time=changed,
        revocation_reason=reason,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
    return builder.sign(authority.signer, hashes.SHA256()).public_bytes(Encoding.DER)
