"""A channel authority for tests: issues good certificates, and every kind of bad one.

Its keys live in memory and mean nothing outside a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trus.certificates.oids import CHANNEL_USAGE, channel_urn
from trus.net.credentials import ChannelCredentials
from trus.values import ChannelRole

DAY = timedelta(days=1)


def distinguished(name: str) -> x509.Name:
    """Return a subject with one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """An authority that issues leaves: self-signed, or below another one."""

    def __init__(self, name: str = "channel authority", above: Authority | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = distinguished(name)
        self.above = above
        signer = above or self
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0 if above else 1), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
                critical=False,
            )
            .sign(signer.key, hashes.SHA256())
        )

    def issue(
        self,
        role: ChannelRole | None,
        *,
        name: str = "somebody",
        hosts: Sequence[str] = (),
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        purposes: Sequence[x509.ObjectIdentifier] | None = None,
        uris: Sequence[str] | None = None,
    ) -> ChannelCredentials:
        """Return a fresh key with its certificate; every deviation from a good one is an argument."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        if purposes is None:
            purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            purposes += [CHANNEL_USAGE[role]] if role is not None else []
        if uris is None:
            uris = [channel_urn(role)] if role is not None else []
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        for host in hosts:
            numeric = host.replace(".", "").isdigit()
            names.append(x509.IPAddress(ip_address(host)) if numeric else x509.DNSName(host))
        builder = (
            x509.CertificateBuilder()
            .subject_name(distinguished(name))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before or now - DAY)
            .not_valid_after(not_after or now + DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        leaf = builder.sign(self.key, hashes.SHA256())
        if self.above is not None:
            return ChannelCredentials(key, (leaf, self.certificate), (self.above.certificate,))
        return ChannelCredentials(key, (leaf,), (self.certificate,))

    def revocation_list(
        self, *revoked: ChannelCredentials, next_update: datetime | None = None
    ) -> x509.CertificateRevocationList:
        """Return a list, in force until tomorrow unless told, that names these certificates."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(now - 2 * DAY)
            .next_update(next_update or now + DAY)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        for each in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(each.chain[0].serial_number)
                .revocation_date(now - DAY)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256())
