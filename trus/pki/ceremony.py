"""The off-line root of individual certificates: what its two officers do with it, and nothing else.

Knows no file and asks nobody's name: the commands do (trus.cli.ca). The root's token is opened for a
ceremony and closed after it. It signs issuing authorities and their revocation list; a request
gets the profile's lifetime and path length whatever it says. Source: RFC 5280 sections 4.2 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from trus.clock import Clock, Entropy
from trus.errors import ConfigurationError
from trus.hsm.ports import KeyStore, ObjectStore
from trus.pki.authority import Authority, Names, RevokedSerial
from trus.pki.lists import next_list
from trus.pki.policy import Policy
from trus.pki.profiles import INDIVIDUAL_ISSUING, INDIVIDUAL_ROOT, kind_of

#: The root's label in its own token.
ROOT: Final = "individual-root"
#: Longest request, in bytes: one for a P-256 key has about 300.
MAX_REQUEST_BYTES: Final = 4_096


class Root:
    """The root, its token open."""

    def __init__(self, keys: KeyStore, objects: ObjectStore, policy: Policy, clock: Clock, entropy: Entropy) -> None:
        """Find the root in its token. Raises KeyNotFound."""
        self.authority = Authority(keys, objects, ROOT, clock, entropy)
        self._policy = policy
        self._clock = clock

    @classmethod
    def create(
        cls, keys: KeyStore, objects: ObjectStore, network: str, policy: Policy, clock: Clock, entropy: Entropy
    ) -> Root:
        """Make the root's key in an empty token, and its certificate.

        Raises ConfigurationError when the token holds a root already: a second one is a token of its own.
        """
        if any(handle.label.startswith(ROOT) for handle in keys.handles()):
            raise ConfigurationError("that token holds a root already")
        common_name = f"{network} individual root"
        Authority.create(keys, objects, ROOT, policy.of(INDIVIDUAL_ROOT), common_name, clock, entropy)
        return cls(keys, objects, policy, clock, entropy)

    @property
    def certificate(self) -> x509.Certificate:
        """The root's certificate, which every device is provisioned with."""
        return self.authority.certificate

    def sign_issuing(self, request: bytes) -> x509.Certificate:
        """Return the certificate of an issuing authority for its PKCS#10 request (DER).

        Of the request only key and common name are taken. Raises ConfigurationError unless it proves
        possession of a key that the policy allows, and KeyStoreUnavailable.
        """
        parsed, name = read_request(request)
        profile = self._policy.of(INDIVIDUAL_ISSUING)
        key = parsed.public_key()
        if kind_of(key) not in profile.keys or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ConfigurationError("the request's key is of a kind that an issuing authority may not have")
        if key == self.certificate.public_key() or name == _common_name(self.certificate.subject):
            raise ConfigurationError("the request asks for the root's own key or name")
        return self.authority.issue(key, profile, Names(name))

    def revocation_list(
        self, current: x509.CertificateRevocationList | None, revoked: Sequence[int] = ()
    ) -> x509.CertificateRevocationList:
        """Return the list of revoked issuing authorities that follows `current`, with `revoked` serials added.

        Raises KeyStoreUnavailable.
        """
        added = [RevokedSerial(serial, self._clock.now().replace(microsecond=0)) for serial in revoked]
        validity = self._policy.root_crl_validity
        if current is None:
            return self.authority.revocation_list(added, 1, validity)
        return next_list(self.authority, current, added, validity)


def read_request(request: bytes) -> tuple[x509.CertificateSigningRequest, str]:
    """Return a PKCS#10 request (DER or PEM) that proves its key, and its common name. Raises ConfigurationError."""
    try:
        if len(request) > MAX_REQUEST_BYTES:
            raise ValueError("longer than any request")
        pem = request.startswith(b"-----BEGIN")
        parsed = x509.load_pem_x509_csr(request) if pem else x509.load_der_x509_csr(request)
        valid = parsed.is_signature_valid
        name = _common_name(parsed.subject)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise ConfigurationError("that is no readable request for an authority's certificate") from None
    if not valid:
        raise ConfigurationError("the request was not signed by the key that it names")
    if not name:
        raise ConfigurationError("the request names nobody")
    return parsed, name


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""
