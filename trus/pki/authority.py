"""An authority whose key stays in the token: issues certificates and revocation lists.

Decides nothing about who deserves a certificate and believes nothing that a request says: names
and profile come from the caller. An authority is a root, or was certified by one whose key is
somewhere else (trus.pki.generations). Sources: RFC 5280 sections 4.1, 4.2 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trus.certificates.oids import urn
from trus.clock import Clock, Entropy
from trus.errors import KeyNotFound, KeyStoreError
from trus.hsm.ports import KeyHandle, KeyPurpose, KeyStore, ObjectStore
from trus.hsm.signing import TokenPrivateKey
from trus.pki.profiles import BACKDATE, Profile, kind_of
from trus.values import DeviceRole, Frozen

#: Keys that certificates of the network may bear; which of them is the profile's word.
HolderKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

#: 159 random bits: positive and at most 20 octets (RFC 5280 section 4.1.2.2), never guessed.
_SERIAL_BYTES: Final = 20


class Names(Frozen, frozen=True):
    """Whom a certificate names: common name of the subject, URIs and DNS names of the alternative name."""

    common_name: str
    uris: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class RevokedSerial(Frozen, frozen=True):
    """An entry of a revocation list: serial number and moment (aware, UTC)."""

    serial: int
    at: datetime


def individual_names(role: DeviceRole, name: str, shop: str = "", model: str = "") -> Names:
    """Return the names of an individual certificate. Raises ValueError for impossible characters."""
    uris = [urn(role.value, name)]
    if shop:
        uris.append(urn("shop", shop))
    if model:
        uris.append(urn("model", model))
    return Names(name, tuple(uris))


def ca_label(label: str) -> str:
    """Return the key store's label of an authority's key."""
    return f"{label}-ca"


def authority_label(label: str, version: int) -> str:
    """Return the store's label of the certificate of a version of an authority's key."""
    return f"authority/{label}/{version}"


def anchor_label(label: str, number: int) -> str:
    """Return the store's label of a root, counted from 1, that is kept without its key."""
    return f"anchor/{label}/{number}"


class Authority:
    """An authority by its label: key `LABEL-ca` in the store, its certificate beside it."""

    def __init__(
        self,
        keys: KeyStore,
        objects: ObjectStore,
        label: str,
        clock: Clock,
        entropy: Entropy,
        version: int | None = None,
    ) -> None:
        """Find an authority made before: the newest version that has a certificate, unless told.

        Raises KeyNotFound; KeyStoreError when its certificate is not its key's, or its root is not kept.
        """
        handle, der = _newest(keys, objects, label, version)
        self._key = TokenPrivateKey(keys, handle)
        self._certificate = x509.load_der_x509_certificate(der)
        if self._certificate.public_key() != self._key.public_key():
            raise KeyStoreError(f"the certificate of the {label} authority does not belong to its key")
        self._root = _root_of(objects, label, self._certificate)
        self._clock = clock
        self._entropy = entropy
        self.label: Final = label
        self.version: Final = handle.version

    @classmethod
    def create(
        cls,
        keys: KeyStore,
        objects: ObjectStore,
        label: str,
        profile: Profile,
        common_name: str,
        clock: Clock,
        entropy: Entropy,
    ) -> Authority:
        """Make the authority's key inside the store, and its self-signed root certificate."""
        handle = keys.generate(ca_label(label), KeyPurpose.SIGN)
        key = TokenPrivateKey(keys, handle)
        subject = _subject(common_name)
        now = clock.now().replace(microsecond=0)
        builder = _builder(profile, key.public_key(), _serial(entropy), now - BACKDATE, now + profile.lifetime)
        builder = builder.subject_name(subject).issuer_name(subject)
        root = builder.sign(key, hashes.SHA256())
        objects.put_certificate(authority_label(label, handle.version), root.public_bytes(Encoding.DER))
        return cls(keys, objects, label, clock, entropy)

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of the key that issues: the root itself, or one that the root issued."""
        return self._certificate

    @property
    def root(self) -> x509.Certificate:
        """The certificate that others trust."""
        return self._root

    @property
    def issuers(self) -> tuple[x509.Certificate, ...]:
        """What stands in a chain between a certificate of this authority and the root."""
        return () if self._root is self._certificate else (self._certificate,)

    @property
    def signer(self) -> TokenPrivateKey:
        """The authority's key, for answers that only the authority may sign."""
        return self._key

    def pem(self) -> bytes:
        """Return the root certificate in PEM, as it is provisioned to whoever shall trust it."""
        return self._root.public_bytes(Encoding.PEM)

    def issue(self, public_key: HolderKey, profile: Profile, names: Names) -> x509.Certificate:
        """Return a certificate for a key whose holder is known by other means.

        It ends with the authority's own at the latest. Raises KeyStoreUnavailable, and ValueError
        for a kind of key that the profile does not allow.
        """
        if kind_of(public_key) not in profile.keys:
            raise ValueError(f"certificates of the profile {profile.name} bear keys of {' or '.join(profile.keys)}")
        now = self._clock.now().replace(microsecond=0)
        end = min(now + profile.lifetime, self._certificate.not_valid_after_utc)
        start = max(now - BACKDATE, self._certificate.not_valid_before_utc)
        builder = _builder(profile, public_key, _serial(self._entropy), start, end)
        builder = builder.subject_name(_subject(names.common_name)).issuer_name(self._certificate.subject)
        alternative: list[x509.GeneralName] = [x509.DNSName(host) for host in names.hosts]
        alternative += [x509.UniformResourceIdentifier(uri) for uri in names.uris]
        if alternative:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(issuer_key, critical=False).sign(self._key, hashes.SHA256())

    def revocation_list(
        self, revoked: Sequence[RevokedSerial], number: int, validity: timedelta
    ) -> x509.CertificateRevocationList:
        """Return a complete revocation list (RFC 5280 section 5) that is believed for `validity`.

        `number` must grow from list to list.
        """
        now = self._clock.now().replace(microsecond=0)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
        builder = builder.last_update(now - BACKDATE).next_update(now + validity)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer_key, critical=False)
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(each.at)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256())


def _newest(keys: KeyStore, objects: ObjectStore, label: str, version: int | None) -> tuple[KeyHandle, bytes]:
    """Return key and certificate; a key whose certificate is still to come is passed over."""
    handle = keys.find(ca_label(label), version)
    while True:
        try:
            return handle, objects.certificate(authority_label(label, handle.version))
        except KeyNotFound:
            if version is not None or handle.version == 1:
                raise
        handle = keys.find(ca_label(label), handle.version - 1)


def _root_of(objects: ObjectStore, label: str, certificate: x509.Certificate) -> x509.Certificate:
    if certificate.issuer == certificate.subject:
        return certificate
    for root in anchors(objects, label):
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return root
    raise KeyStoreError(f"the store has lost the root of the {label} authority")


def anchors(objects: ObjectStore, label: str) -> list[x509.Certificate]:
    """Return the roots that are kept for an authority, oldest first."""
    found: list[x509.Certificate] = []
    while True:
        try:
            der = objects.certificate(anchor_label(label, len(found) + 1))
        except KeyNotFound:
            return found
        found.append(x509.load_der_x509_certificate(der))


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _serial(entropy: Entropy) -> int:
    """Return a random positive serial number of at most 159 bits."""
    return (int.from_bytes(entropy.draw(_SERIAL_BYTES), "big") >> 1) or 1


def _builder(
    profile: Profile, public_key: HolderKey, serial: int, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().public_key(public_key).serial_number(serial)
    builder = builder.not_valid_before(start).not_valid_after(end)
    constraints = x509.BasicConstraints(ca=profile.is_authority, path_length=profile.path_length)
    builder = builder.add_extension(constraints, critical=True)
    builder = builder.add_extension(profile.key_usage(), critical=True)
    if profile.usages:
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(dotted) for dotted in profile.usages])
        builder = builder.add_extension(usage, critical=profile.critical_usage)
    if profile.no_check:
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    policy = x509.PolicyInformation(x509.ObjectIdentifier(profile.policy), None)
    builder = builder.add_extension(x509.CertificatePolicies([policy]), critical=False)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
