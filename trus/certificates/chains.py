"""Judges one certificate chain for one role at one moment.

Builds no path by itself: signatures, validity, basic constraints and path length are the work
of cryptography.x509.verification (RFC 5280 section 6). This module adds what only this
network knows: the extended key usage of the role and the URNs that name the holder. It knows
nothing of revocation: the backend asks its register, a device the stapled OCSP answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from trus.certificates.oids import DEVICE_USAGE, parse_urn
from trus.errors import ConfigurationError, IdentityRefused
from trus.values import DeviceRole, PeerIdentity

#: Leaf and at most one issuing authority: what fits a handshake line (two P-256 certificates).
MAX_CHAIN: Final = 2
#: A certificate of the network has about 800 bytes.
MAX_CERTIFICATE_BYTES: Final = 4_096

#: Every reason that this module gives.
MALFORMED: Final = "malformed-certificate"
EXPIRED: Final = "expired-certificate"
NOT_YET_VALID: Final = "certificate-not-yet-valid"
UNTRUSTED: Final = "untrusted-certificate"
WRONG_ROLE: Final = "wrong-role"

_UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class Verified(NamedTuple):
    """A chain that holds: who the holder is, its certificate and that of its issuer."""

    peer: PeerIdentity
    leaf: x509.Certificate
    issuer: x509.Certificate


class ChainVerifier:
    """Verifies individual certificates against the anchors it was given, and no others."""

    def __init__(self, anchors: Sequence[x509.Certificate]) -> None:
        """`anchors` are the individual authority's roots, provisioned and never learned on line.

        Raises ConfigurationError without any.
        """
        if not anchors:
            raise ConfigurationError("an individual authority's root certificate is needed, and none is given")
        self._store = verification.Store(list(anchors))

    def verify(self, chain: Sequence[bytes], role: DeviceRole, now: datetime) -> Verified:
        """Verify a chain (DER, leaf first, no root) for `role` at `now` (aware, UTC).

        Raises IdentityRefused with one of the reasons of this module.
        """
        leaf, issuers = _parse(chain)
        if now < leaf.not_valid_before_utc:
            raise IdentityRefused(NOT_YET_VALID)
        if now > leaf.not_valid_after_utc:
            raise IdentityRefused(EXPIRED)
        try:
            path = self._verifier(now).verify(leaf, issuers).chain
        except verification.VerificationError:
            raise IdentityRefused(UNTRUSTED) from None
        return Verified(_holder(leaf, role), leaf, path[1])

    def _verifier(self, now: datetime) -> verification.ClientVerifier:
        builder = verification.PolicyBuilder().store(self._store).time(now).max_chain_depth(MAX_CHAIN - 1)
        return builder.extension_policies(ca_policy=_CA_POLICY, ee_policy=_EE_POLICY).build_client_verifier()


#: An authority must be one: basicConstraints, keyCertSign (RFC 5280 section 4.2.1).
_CA_POLICY: Final = verification.ExtensionPolicy.webpki_defaults_ca()
#: The holder's extensions must be there; what they say is read afterwards, for the role asked.
_EE_POLICY: Final = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, verification.Criticality.CRITICAL, None)
    .require_present(x509.KeyUsage, verification.Criticality.CRITICAL, None)
    .require_present(x509.ExtendedKeyUsage, verification.Criticality.CRITICAL, None)
    .require_present(x509.SubjectAlternativeName, verification.Criticality.AGNOSTIC, None)
)


def load_anchors(pem: bytes, what: str = "the individual authority's file") -> tuple[x509.Certificate, ...]:
    """Return the root certificates of a PEM file, at least one. Raises ConfigurationError."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise ConfigurationError(f"{what} holds no readable certificate") from None


def serial_text(certificate: x509.Certificate) -> str:
    """Return a certificate's serial number as the network writes it: lower-case hexadecimal."""
    return f"{certificate.serial_number:x}"


def _parse(chain: Sequence[bytes]) -> tuple[x509.Certificate, list[x509.Certificate]]:
    if not 1 <= len(chain) <= MAX_CHAIN or any(len(der) > MAX_CERTIFICATE_BYTES for der in chain):
        raise IdentityRefused(MALFORMED)
    try:
        leaf, *issuers = [x509.load_der_x509_certificate(der) for der in chain]
        key = leaf.public_key()
    except _UNREADABLE:
        raise IdentityRefused(MALFORMED) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityRefused(MALFORMED)
    return leaf, issuers


def _holder(leaf: x509.Certificate, role: DeviceRole) -> PeerIdentity:
    """Return who a verified leaf speaks for, when that is a holder of this role and of no other."""
    try:
        extensions = leaf.extensions
        usage = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        key_usage = extensions.get_extension_for_class(x509.KeyUsage).value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (*_UNREADABLE, x509.ExtensionNotFound):
        raise IdentityRefused(MALFORMED) from None
    # Exactly the one usage: a certificate that could also be something else is nobody's here.
    if usage != [DEVICE_USAGE[role]] or constraints.ca or not key_usage.digital_signature:
        raise IdentityRefused(WRONG_ROLE)
    said: dict[str, str] = {}
    for uri in uris:
        parsed = parse_urn(uri)
        if parsed is None or parsed[0] in said:
            raise IdentityRefused(MALFORMED)
        said[parsed[0]] = parsed[1]
    if len(uris) != len(list(names)):
        raise IdentityRefused(MALFORMED)
    name = said.pop(role.value, None)
    shop, model = said.pop("shop", ""), said.pop("model", "")
    if name is None or said:
        raise IdentityRefused(WRONG_ROLE)
    return PeerIdentity(role, name, serial_text(leaf), shop, model)
