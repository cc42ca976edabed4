"""The channel and admin authorities, judged by OpenSSL's own command."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import fresh_store
from tests.pki.registers import SetClock, new_key
from trus.certificates.oids import CHANNEL_USAGE, DEVICE_USAGE, channel_urn
from trus.clock import SystemClock, SystemEntropy
from trus.hsm.memory import MemoryStore
from trus.pki.authority import Authority, Names, RevokedSerial, individual_names
from trus.pki.channel import (
    ADMIN,
    ADMIN_SERVER_BUNDLE,
    CHANNEL,
    CHANNEL_BUNDLES,
    Bundle,
    BundlePlan,
    admin_plan,
    first_revocation_list,
    make_bundle,
)
from trus.pki.identity import INDIVIDUAL
from trus.pki.profiles import (
    ADMIN_AUTHORITY,
    ALL_PROFILES,
    CHANNEL_AUTHORITY,
    CRL_SIGNER,
    CRL_VALIDITY,
    DEVICE_PROFILES,
    INDIVIDUAL_AUTHORITY,
    OCSP_SIGNER,
)
from trus.values import DeviceRole


class OpenSslTests(SynchronousTestCase):
    """Certificates made with keys in a real token, read by OpenSSL."""

    def setUp(self) -> None:
        self.store = fresh_store(self)
        self.entropy = SystemEntropy()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.channel = self.authority(CHANNEL, CHANNEL_AUTHORITY)

    def authority(self, label: str, profile: object) -> Authority:
        """Make an authority in the token and write its root down."""
        made = Authority.create(
            self.store,
            self.store,
            label,
            profile,
            f"trus {label} CA",
            SystemClock(),
            self.entropy,  # type: ignore[arg-type]
        )
        (self.folder / f"{label}.pem").write_bytes(made.pem())
        return made

    def openssl(self, *arguments: str) -> tuple[int, str]:
        """Run openssl and return its status and everything that it said."""
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def verify(self, root: str, certificate: bytes, *options: str) -> tuple[int, str]:
        """Have openssl verify a certificate (PEM) strictly under a root."""
        (self.folder / "leaf.pem").write_bytes(certificate)
        return self.openssl("verify", "-x509_strict", "-CAfile", root, *options, "leaf.pem")

    def test_every_channel_certificate_verifies_strictly(self) -> None:
        """TR-14: each bundle's certificate is strictly conformant, for the side of TLS that it is for alone."""
        for plan in CHANNEL_BUNDLES:
            bundle = make_bundle(self.channel, plan, self.entropy)
            server = ExtendedKeyUsageOID.SERVER_AUTH.dotted_string in plan.profile.usages
            right, wrong = ("sslserver", "sslclient") if server else ("sslclient", "sslserver")
            self.assertEqual(self.verify("channel.pem", bundle.certificate_pem, "-purpose", right)[0], 0, plan.stem)
            self.assertNotEqual(self.verify("channel.pem", bundle.certificate_pem, "-purpose", wrong)[0], 0, plan.stem)

    def test_the_admins_authority_is_another(self) -> None:
        """TR-23: an admin's certificate verifies under the admins' authority, and not under the channel's."""
        admins = self.authority(ADMIN, ADMIN_AUTHORITY)
        for plan, purpose in ((admin_plan("ada"), "sslclient"), (ADMIN_SERVER_BUNDLE, "sslserver")):
            bundle = make_bundle(admins, plan, self.entropy)
            self.assertEqual(self.verify("admin.pem", bundle.certificate_pem, "-purpose", purpose)[0], 0)
            self.assertNotEqual(self.verify("channel.pem", bundle.certificate_pem, "-purpose", purpose)[0], 0)

    def test_individual_certificates_verify_and_are_no_tls_clients(self) -> None:
        """An individual certificate is strictly conformant, and TLS takes it for neither side."""
        individual = self.authority(INDIVIDUAL, INDIVIDUAL_AUTHORITY)
        names = individual_names(DeviceRole.POS, "T0000001", "SHOP1", "VX")
        leaf = individual.issue(new_key().public_key(), DEVICE_PROFILES[DeviceRole.POS], names)
        pem = leaf.public_bytes(Encoding.PEM)
        self.assertEqual(self.verify("individual.pem", pem)[0], 0)
        for purpose in ("sslclient", "sslserver"):
            self.assertNotEqual(self.verify("individual.pem", pem, "-purpose", purpose)[0], 0)

    def test_the_revocation_list_refuses_and_lets_in(self) -> None:
        """With the list a good certificate verifies, a revoked one does not, and without the list none does."""
        good = make_bundle(self.channel, CHANNEL_BUNDLES[3], self.entropy)
        bad = make_bundle(self.channel, CHANNEL_BUNDLES[3], self.entropy)
        revoked = [RevokedSerial(bad.serial, datetime.now(UTC))]
        lists = (first_revocation_list(self.channel), self.channel.revocation_list(revoked, 2, CRL_VALIDITY))
        for number, made in enumerate(lists, 1):
            (self.folder / f"{number}.crl").write_bytes(made.public_bytes(Encoding.PEM))
        options = ("-crl_check", "-CRLfile")
        status, said = self.verify("channel.pem", bad.certificate_pem, *options, "1.crl")
        self.assertEqual(status, 0, said)
        self.assertEqual(self.verify("channel.pem", good.certificate_pem, *options, "2.crl")[0], 0)
        status, said = self.verify("channel.pem", bad.certificate_pem, *options, "2.crl")
        self.assertEqual((status != 0, "certificate revoked" in said), (True, True))
        self.assertNotEqual(self.verify("channel.pem", good.certificate_pem, "-crl_check")[0], 0)

    def test_openssl_opens_the_bundle_with_its_passphrase_alone(self) -> None:
        """A PKCS#12 bundle opens in OpenSSL with its passphrase, with AES-256 and SHA-256, and with no other."""
        bundle = make_bundle(self.channel, CHANNEL_BUNDLES[0], self.entropy)
        (self.folder / "gateway.p12").write_bytes(bundle.pkcs12)
        (self.folder / "right").write_text(bundle.passphrase + "\n")
        (self.folder / "wrong").write_text("x" + bundle.passphrase[1:] + "x\n")
        arguments = ("pkcs12", "-in", "gateway.p12", "-info", "-noout", "-passin")
        status, said = self.openssl(*arguments, "file:right")
        self.assertEqual(status, 0, said)
        self.assertIn("MAC: sha256", said)
        self.assertIn("AES-256-CBC", said)
        self.assertNotEqual(self.openssl(*arguments, "file:wrong")[0], 0)


class BundleTests(SynchronousTestCase):
    """Bundles, read with a library."""

    def setUp(self) -> None:
        self.clock = SetClock()
        self.entropy = SystemEntropy()
        store = MemoryStore(self.entropy)
        self.authority = Authority.create(
            store, store, CHANNEL, CHANNEL_AUTHORITY, "trus channel CA", self.clock, self.entropy
        )

    def bundle(self, plan: BundlePlan) -> tuple[Bundle, x509.Certificate]:
        """Make a bundle and open it."""
        made = make_bundle(self.authority, plan, self.entropy)
        key, leaf, others = pkcs12.load_key_and_certificates(made.pkcs12, made.passphrase.encode())
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert leaf is not None
        self.assertEqual(key.public_key(), leaf.public_key())
        self.assertEqual(others, [self.authority.certificate])
        self.assertEqual(leaf.serial_number, made.serial)
        self.assertEqual(leaf, x509.load_pem_x509_certificate(made.certificate_pem))
        pem = load_pem_private_key(made.key_pem, None)
        assert isinstance(pem, ec.EllipticCurvePrivateKey)
        self.assertEqual(pem.private_numbers(), key.private_numbers())
        return made, leaf

    def test_a_bundle_names_its_role_and_its_host(self) -> None:
        """Each bundle's certificate bears its role as URN and usage, and a server's its host name."""
        for plan in CHANNEL_BUNDLES:
            _, leaf = self.bundle(plan)
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            self.assertEqual(names.get_values_for_type(x509.UniformResourceIdentifier), [channel_urn(plan.role)])
            self.assertEqual(names.get_values_for_type(x509.DNSName), list(plan.hosts))
            usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            self.assertIn(CHANNEL_USAGE[plan.role], usage)
            self.assertEqual(bool(plan.hosts), ExtendedKeyUsageOID.SERVER_AUTH in usage, plan.stem)
            self.assertFalse(set(DEVICE_USAGE.values()) & set(usage))

    def test_every_bundle_has_a_key_and_a_passphrase_of_its_own(self) -> None:
        """No two bundles share a key or a passphrase: the front door's key is not the link's."""
        made = [self.bundle(plan) for plan in CHANNEL_BUNDLES]
        self.assertEqual(len({bundle.passphrase for bundle, _ in made}), len(CHANNEL_BUNDLES))
        self.assertEqual(len({bundle.key_pem for bundle, _ in made}), len(CHANNEL_BUNDLES))
        self.assertEqual({len(bundle.passphrase) for bundle, _ in made}, {32})

    def test_an_admin_is_known_by_name(self) -> None:
        """An admin's certificate bears the admin's name as common name, and the admin's role."""
        _, leaf = self.bundle(admin_plan("ada"))
        self.assertEqual(leaf.subject.rfc4514_string(), "CN=ada")

    def test_a_bundle_printed_shows_nothing(self) -> None:
        """A bundle in a log shows neither key nor passphrase."""
        made, _ = self.bundle(CHANNEL_BUNDLES[0])
        self.assertEqual(repr(made), "<Bundle redacted>")

    def test_serial_numbers_are_random_and_short(self) -> None:
        """RFC 5280: serial numbers are positive, at most 20 octets, and never the same twice."""
        serials = {self.bundle(CHANNEL_BUNDLES[3])[1].serial_number for _ in range(50)}
        self.assertEqual(len(serials), 50)
        self.assertTrue(all(0 < serial < 1 << 159 for serial in serials))

        class Zeros:
            def draw(self, count: int) -> bytes:
                return bytes(count)

        store = MemoryStore(self.entropy)
        lowest = Authority.create(store, store, "x", CHANNEL_AUTHORITY, "x", self.clock, Zeros())
        self.assertEqual(lowest.certificate.serial_number, 1)

    def test_a_certificate_ends_with_its_authority(self) -> None:
        """No certificate outlives the authority that issued it, nor begins before it."""
        root = self.authority.certificate
        self.clock.moment = root.not_valid_after_utc - timedelta(days=10)
        _, leaf = self.bundle(CHANNEL_BUNDLES[0])
        self.assertEqual(leaf.not_valid_after_utc, root.not_valid_after_utc)

    def test_only_p256_is_certified(self) -> None:
        """An authority certifies P-256 keys alone."""
        key = ec.generate_private_key(ec.SECP384R1()).public_key()
        self.assertRaises(ValueError, self.authority.issue, key, CHANNEL_BUNDLES[0].profile, Names("x"))


class PolicyTests(SynchronousTestCase):
    """The policy as a whole."""

    def test_usages_never_mix(self) -> None:
        """No profile speaks for two roles, and none for the individual and the channel authority at once."""
        individual = {usage.dotted_string for usage in DEVICE_USAGE.values()}
        channel = {usage.dotted_string for usage in CHANNEL_USAGE.values()}
        for profile in ALL_PROFILES:
            private = [usage for usage in profile.usages if usage in individual | channel]
            serves = profile.is_authority or profile in (CRL_SIGNER, OCSP_SIGNER)
            self.assertEqual(len(private), 0 if serves else 1, profile.name)
            if set(private) & individual:
                self.assertEqual(list(profile.usages), private)
                self.assertTrue(profile.critical_usage)

    def test_names_of_profiles_are_unique(self) -> None:
        """Every profile has a name of its own, by which documentation and audit call it."""
        self.assertEqual(len({profile.name for profile in ALL_PROFILES}), len(ALL_PROFILES))
