"""Answers OCSP requests of anybody, in batches, signed by the token's OCSP signers (RFC 6960).

Knows no HTTP. Each generation of the individual authority certifies one OCSP signer, whose key is
made in the token, does nothing else, and is replaced well before its certificate ends. Requests by
several certificates are answered in one response when one generation issued them all; what another
one issued is "unknown" there. A nonce of 1 to 128 octets comes back (RFC 9654 section 2.1); what is
answered without one holds for a while and may be kept by anybody (RFC 5019 section 5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from asn1crypto import core, ocsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trus.clock import Clock
from trus.errors import KeyNotFound
from trus.hsm.ports import KeyPurpose, KeyStore, ObjectStore
from trus.hsm.signing import TokenPrivateKey
from trus.pki.authority import Authority, Names
from trus.pki.directory import KeyedRegister, KeyKind, numbered_digest
from trus.pki.ports import CertificateRecord, CertificateState
from trus.pki.profiles import OCSP_SIGNER, Profile
from trus.pki.revocation import reason_flag
from trus.values import Frozen

#: A request for one certificate has about 100 bytes.
MAX_REQUEST_BYTES: Final = 4_096
#: Certificates in one request.
MAX_ASKED: Final = 16
#: RFC 9654 section 2.1: longer ones are malformed.
MAX_NONCE_BYTES: Final = 128
#: An answer without a nonce is believed for this long: how late a revocation may be heard of by
#: whoever kept it. The answer that the backend staples to its handshakes is another one.
ANSWER_VALIDITY: Final = timedelta(hours=1)

#: Labels in the key store.
SIGNER_KEY: Final = "individual-ocsp"

_NONCE: Final = "nonce"
_HASHES: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
_SIGNED_WITH: Final = {"algorithm": "sha256_ecdsa"}


class OcspAnswer(Frozen, frozen=True):
    """A DER OCSP response; worth keeping for `seconds`, 0 when it answers this one request alone."""

    der: bytes
    seconds: int


class _Asked(NamedTuple):
    """A request that can be answered: its CertIDs, the register's key of each, its nonce, who signs.

    The key is b"" for what no certificate of the signer's generation can be.
    """

    ids: Sequence[Any]
    keys: Sequence[bytes]
    nonce: bytes
    signer: _Signer


class _Signer(NamedTuple):
    """Who signs in the name of a generation."""

    authority: Authority
    certificate: x509.Certificate
    key_hash: bytes


class Malformed(Exception):
    """The request is none that RFC 6960 knows; carries nothing of it."""


class Responder:
    """The OCSP responder of the individual authority's generations."""

    def __init__(
        self,
        authorities: Callable[[], Sequence[Authority]],
        keys: KeyStore,
        objects: ObjectStore,
        register: KeyedRegister,
        clock: Clock,
        profile: Profile = OCSP_SIGNER,
    ) -> None:
        """`authorities()` returns the generations that may have issued something that is asked about."""
        self._authorities = authorities
        self._keys = keys
        self._objects = objects
        self._register = register
        self._clock = clock
        self._profile = profile
        self._signers: dict[int, _Signer] = {}

    # --------------------------------------------------------------------------- the signers

    def keep(self) -> list[str]:
        """Certify the signers whose certificates are missing or end soon; return what was certified.

        Raises KeyStoreUnavailable.
        """
        made = []
        for authority in self._authorities():
            kept = self._kept(authority)
            if kept is None or self._is_ending(kept):
                self._certify(authority)
                made.append(_label(authority))
        return made

    def _is_ending(self, certificate: x509.Certificate) -> bool:
        return certificate.not_valid_after_utc - self._clock.now() < self._profile.renewal

    def _certify(self, authority: Authority) -> x509.Certificate:
        try:
            handle = self._keys.find(SIGNER_KEY)
        except KeyNotFound:
            handle = self._keys.generate(SIGNER_KEY, KeyPurpose.SIGN)
        key = TokenPrivateKey(self._keys, handle)
        common_name = f"{authority.label} OCSP signer {authority.version}"
        certificate = authority.issue(key.public_key(), self._profile, Names(common_name))
        self._objects.put_certificate(_label(authority), certificate.public_bytes(Encoding.DER))
        self._signers.pop(authority.version, None)
        return certificate

    def _kept(self, authority: Authority) -> x509.Certificate | None:
        try:
            return x509.load_der_x509_certificate(self._objects.certificate(_label(authority)))
        except KeyNotFound:
            return None

    def signer_of(self, authority: Authority) -> x509.Certificate:
        """Return the certificate of a generation's OCSP signer, made now when there is none."""
        return self._signer(authority).certificate

    def _signer(self, authority: Authority) -> _Signer:
        known = self._signers.get(authority.version)
        if known is not None and not self._is_ending(known.certificate):
            return known
        certificate = self._kept(authority)
        if certificate is None or self._is_ending(certificate):
            certificate = self._certify(authority)
        key = certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        signer = _Signer(authority, certificate, hashlib.sha1(key, usedforsecurity=False).digest())
        self._signers[authority.version] = signer
        return signer

    # --------------------------------------------------------------------------- the answers

    def answer(self, requests: Sequence[bytes]) -> list[OcspAnswer]:
        """Answer requests (DER), in order: one look at the register and one call of the token for all.

        Raises KeyStoreUnavailable, and what the register raises.
        """
        now = self._clock.now().replace(microsecond=0)
        answers: list[OcspAnswer | None] = []
        asked: list[tuple[int, _Asked]] = []
        for place, request in enumerate(requests):
            try:
                found = self._read(request)
            except Malformed:
                answers.append(_unsuccessful("malformed_request"))
                continue
            if found is None:
                answers.append(_unsuccessful("unauthorized"))
                continue
            answers.append(None)
            asked.append((place, found))
        keys = [key for _, each in asked for key in each.keys]
        records = self._register.by_keys(KeyKind.ISSUER_AND_SERIAL.value, keys)
        data = [_response_data(each, records, now) for _, each in asked]
        signatures = self._keys.sign(self._keys.find(SIGNER_KEY), [each.dump() for each in data]) if data else []
        for (place, each), response, signature in zip(asked, data, signatures, strict=True):
            seconds = 0 if each.nonce else int(ANSWER_VALIDITY.total_seconds())
            answers[place] = OcspAnswer(_successful(response, signature, each.signer.certificate), seconds)
        return [each for each in answers if each is not None]

    def _read(self, request: bytes) -> _Asked | None:
        """Return what is asked, None when it is about no certificate of these authorities. Raises Malformed."""
        if len(request) > MAX_REQUEST_BYTES:
            raise Malformed
        try:
            parsed = ocsp.OCSPRequest.load(request, strict=True)
            body = parsed["tbs_request"]
            ids = [ocsp.CertId.load(each["req_cert"].dump(), strict=True) for each in body["request_list"]]
            # Everything is decoded here, since a faulty part raises where it is first looked at.
            named = [(str(each["hash_algorithm"]["algorithm"].native), each.native) for each in ids]
            nonce = _nonce(body["request_extensions"])
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as fault:
            raise Malformed from fault
        if not 1 <= len(ids) <= MAX_ASKED:
            raise Malformed
        for authority in self._authorities():
            own = [_is_issued_by(algorithm, each, authority) for algorithm, each in named]
            if any(own):
                subject = authority.certificate.subject
                keys = [
                    numbered_digest(subject, each["serial_number"]) if mine else b""
                    for (_, each), mine in zip(named, own, strict=True)
                ]
                return _Asked(ids, keys, nonce, self._signer(authority))
        return None


def _label(authority: Authority) -> str:
    return f"ocsp/{authority.label}/{authority.version}"


def _nonce(extensions: Any) -> bytes:
    """Return the nonce of a request, b"" without one. Raises ValueError for one of a forbidden length."""
    nonce = b""
    if not isinstance(extensions, core.Void):
        for each in extensions:
            if each["extn_id"].native == _NONCE:
                nonce = each["extn_value"].parsed.native
                if not isinstance(nonce, bytes) or not 1 <= len(nonce) <= MAX_NONCE_BYTES:
                    raise ValueError("a nonce has 1 to 128 octets")
            elif each["critical"].native:
                raise ValueError("a critical extension that nobody here knows")
    return nonce


def _is_issued_by(algorithm: str, named: Any, authority: Authority) -> bool:
    digest = _HASHES.get(algorithm)
    if digest is None:
        return False
    key = authority.certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    # RFC 6960 section 4.1.1: hashes that name the issuer; nothing relies on their strength.
    name_hash = digest(authority.certificate.subject.public_bytes(), usedforsecurity=False).digest()
    key_hash = digest(key, usedforsecurity=False).digest()
    return bool(named["issuer_name_hash"] == name_hash and named["issuer_key_hash"] == key_hash)


def _response_data(asked: _Asked, records: Mapping[bytes, CertificateRecord], now: datetime) -> Any:
    answers = [
        {
            "cert_id": each,
            "cert_status": _status(records.get(key)),
            "this_update": now,
            "next_update": now + ANSWER_VALIDITY,
        }
        for each, key in zip(asked.ids, asked.keys, strict=True)
    ]
    data: dict[str, Any] = {
        "responder_id": ocsp.ResponderId(name="by_key", value=asked.signer.key_hash),
        "produced_at": now,
        "responses": answers,
    }
    if asked.nonce:
        data["response_extensions"] = [{"extn_id": _NONCE, "extn_value": core.OctetString(asked.nonce)}]
    return ocsp.ResponseData(data)


def _status(record: CertificateRecord | None) -> Any:
    if record is None:
        return ocsp.CertStatus(name="unknown", value=core.Null())
    if record.state in (CertificateState.GOOD, CertificateState.PENDING):
        return ocsp.CertStatus(name="good", value=core.Null())
    revoked: dict[str, Any] = {"revocation_time": (record.changed or record.not_before).replace(microsecond=0)}
    flag = reason_flag(record.reason)
    if record.state is CertificateState.HELD:
        flag = x509.ReasonFlags.certificate_hold
    if flag is not x509.ReasonFlags.unspecified:
        revoked["revocation_reason"] = _REASON_NAMES[flag]
    return ocsp.CertStatus(name="revoked", value=ocsp.RevokedInfo(revoked))


_REASON_NAMES: Final = {flag: flag.name for flag in x509.ReasonFlags}


def _successful(data: Any, signature: bytes, certificate: x509.Certificate) -> bytes:
    basic = ocsp.BasicOCSPResponse(
        {
            "tbs_response_data": data,
            "signature_algorithm": _SIGNED_WITH,
            "signature": signature,
            "certs": [ocsp.Certificate.load(certificate.public_bytes(Encoding.DER))],
        }
    )
    body = {"response_type": "basic_ocsp_response", "response": basic}
    return bytes(ocsp.OCSPResponse({"response_status": "successful", "response_bytes": body}).dump())


def _unsuccessful(status: str) -> OcspAnswer:
    return OcspAnswer(bytes(ocsp.OCSPResponse({"response_status": status}).dump()), 0)
