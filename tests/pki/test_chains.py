"""Chains that are believed, and all the ways in which one is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import NOON, SmallPki, common_name, new_key
from trus.certificates.chains import ChainVerifier, load_anchors
from trus.certificates.oids import DEVICE_USAGE, parse_urn, urn
from trus.errors import ConfigurationError, IdentityRefused
from trus.pki.authority import individual_names
from trus.pki.profiles import DEVICE_PROFILES
from trus.values import DeviceRole, PeerIdentity

POS = DeviceRole.POS


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(Encoding.DER)


def make(
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    *,
    subject: str = "T0000001",
    ca: bool = False,
    path_length: int | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (DEVICE_USAGE[POS],),
    critical_usage: bool = True,
    names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier("urn:trus:pos:T0000001"),),
    start: datetime = NOON - timedelta(days=1),
    end: datetime = NOON + timedelta(days=30),
    signing: bool = True,
    cert_sign: bool | None = None,
) -> x509.Certificate:
    """Return a certificate with every part as told: what an authority of this network would never issue."""
    builder = x509.CertificateBuilder().subject_name(common_name(subject)).public_key(public_key)
    builder = builder.issuer_name(issuer.subject if issuer is not None else common_name(subject))
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    sign = ca if cert_sign is None else cert_sign
    usage = x509.KeyUsage(signing, False, False, False, False, sign, sign, False, False)
    builder = builder.add_extension(usage, critical=True)
    if usages and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical_usage)
    if names and not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return builder.add_extension(identifier, critical=False).sign(issuer_key, hashes.SHA256())


def uri(text: str) -> x509.UniformResourceIdentifier:
    """Return a URI alternative name."""
    return x509.UniformResourceIdentifier(text)


class ChainTests(SynchronousTestCase):
    """Chains made part by part under a root of the test's own."""

    def setUp(self) -> None:
        self.root_key = new_key()
        self.root = make(None, self.root_key, self.root_key.public_key(), subject="root", ca=True, path_length=1)
        self.key = new_key()
        self.verifier = ChainVerifier([self.root])

    def leaf(self, **parts: object) -> bytes:
        """Return a leaf under the root, with some parts changed."""
        return der(make(self.root, self.root_key, self.key.public_key(), **parts))  # type: ignore[arg-type]

    def refused(self, chain: Sequence[bytes], role: DeviceRole = POS, now: datetime = NOON) -> str:
        """Return the reason for which a chain is refused."""
        return self.assertRaises(IdentityRefused, self.verifier.verify, chain, role, now).reason

    def test_a_good_chain_names_its_holder(self) -> None:
        """TR-16: a terminal's good certificate gives its name, shop, model and serial, and nothing is asked on line."""
        names = [uri("urn:trus:pos:T0000001"), uri("urn:trus:shop:CANTEEN1"), uri("urn:trus:model:VX-9.1")]
        leaf = make(self.root, self.root_key, self.key.public_key(), names=names)
        verified = self.verifier.verify([der(leaf)], POS, NOON)
        serial = f"{leaf.serial_number:x}"
        self.assertEqual(verified.peer, PeerIdentity(POS, "T0000001", serial, "CANTEEN1", "VX-9.1"))
        self.assertEqual((verified.leaf, verified.issuer), (leaf, self.root))

    def test_a_chain_may_hold_one_issuing_authority(self) -> None:
        """A chain of two certificates, leaf and issuing authority, is believed under the same anchor."""
        middle_key = new_key()
        middle = make(self.root, self.root_key, middle_key.public_key(), subject="middle", ca=True, path_length=0)
        leaf = make(middle, middle_key, self.key.public_key())
        verified = self.verifier.verify([der(leaf), der(middle)], POS, NOON)
        self.assertEqual(verified.issuer, middle)

    def test_two_anchors_are_believed_side_by_side(self) -> None:
        """While an authority changes its root, devices hold both and believe chains of either."""
        other_key = new_key()
        other = make(None, other_key, other_key.public_key(), subject="next root", ca=True, path_length=1)
        verifier = ChainVerifier([self.root, other])
        leaf = make(other, other_key, self.key.public_key())
        self.assertEqual(verifier.verify([der(leaf)], POS, NOON).issuer, other)
        self.assertEqual(verifier.verify([self.leaf()], POS, NOON).issuer, self.root)

    def test_a_foreign_chain_is_refused(self) -> None:
        """A certificate of another authority, also of one with the same name, is refused."""
        other_key = new_key()
        other = make(None, other_key, other_key.public_key(), subject="root", ca=True, path_length=1)
        leaf = make(other, other_key, self.key.public_key())
        self.assertEqual(self.refused([der(leaf)]), "untrusted-certificate")
        self.assertEqual(self.refused([der(leaf), der(other)]), "untrusted-certificate")

    def test_a_self_signed_certificate_is_refused(self) -> None:
        """A device that certified itself is refused."""
        self.assertEqual(self.refused([der(make(None, self.key, self.key.public_key()))]), "untrusted-certificate")

    def test_time_decides(self) -> None:
        """A certificate is refused before its first and after its last moment, each with its own word."""
        leaf = self.leaf(start=NOON - timedelta(hours=1), end=NOON + timedelta(hours=1))
        self.verifier.verify([leaf], POS, NOON + timedelta(minutes=59))
        self.assertEqual(self.refused([leaf], now=NOON + timedelta(hours=1, seconds=1)), "expired-certificate")
        self.assertEqual(self.refused([leaf], now=NOON - timedelta(hours=2)), "certificate-not-yet-valid")

    def test_an_expired_authority_certifies_nobody(self) -> None:
        """When the root has expired, so has everything under it."""
        root = make(
            None, self.root_key, self.root_key.public_key(), subject="root", ca=True, end=NOON - timedelta(seconds=1)
        )
        self.verifier = ChainVerifier([root])
        self.assertEqual(self.refused([self.leaf()]), "untrusted-certificate")

    def test_only_the_role_asked_for_is_believed(self) -> None:
        """A terminal's certificate does not speak for a card or the backend, and the other way round."""
        leaf = self.leaf()
        self.assertEqual(self.refused([leaf], DeviceRole.BACKEND), "wrong-role")
        self.assertEqual(self.refused([leaf], DeviceRole.CARD), "wrong-role")

    def test_usage_and_name_must_agree(self) -> None:
        """A POS usage with a backend's name, or the reverse, speaks for nobody."""
        crossed = self.leaf(names=[uri("urn:trus:backend:backend")])
        self.assertEqual(self.refused([crossed], POS), "wrong-role")
        self.assertEqual(self.refused([crossed], DeviceRole.BACKEND), "wrong-role")

    def test_a_certificate_for_two_uses_is_refused(self) -> None:
        """A certificate that could also be a TLS client's, or another role's, is refused."""
        for extra in (ExtendedKeyUsageOID.CLIENT_AUTH, DEVICE_USAGE[DeviceRole.BACKEND]):
            self.assertEqual(self.refused([self.leaf(usages=[DEVICE_USAGE[POS], extra])]), "wrong-role")

    def test_a_channel_certificate_is_refused(self) -> None:
        """TR-15: the two authorities' certificates cannot stand in for each other."""
        leaf = self.leaf(usages=[ExtendedKeyUsageOID.CLIENT_AUTH], names=[uri("urn:trus:channel:pos")])
        self.assertEqual(self.refused([leaf]), "wrong-role")

    def test_missing_parts_are_refused(self) -> None:
        """A certificate without usage, without names, or with an uncritical usage is refused."""
        for parts in ({"usages": ()}, {"names": ()}, {"critical_usage": False}):
            self.assertEqual(self.refused([self.leaf(**parts)]), "untrusted-certificate", parts)

    def test_doubled_and_foreign_names_are_refused(self) -> None:
        """Two names of a kind, a name of another kind or shape, or a host name besides: refused."""
        pos = uri("urn:trus:pos:T0000001")
        for names, reason in (
            ([pos, uri("urn:trus:pos:T0000002")], "malformed-certificate"),
            ([pos, uri("https://example.com/")], "malformed-certificate"),
            ([pos, x509.DNSName("gateway.trus.internal")], "malformed-certificate"),
            ([uri("urn:trus:pos:")], "malformed-certificate"),
            ([pos, uri("urn:trus:card:C1")], "wrong-role"),
            ([pos, uri("urn:trus:channel:pos")], "wrong-role"),
        ):
            self.assertEqual(self.refused([self.leaf(names=names)]), reason, names)

    def test_a_key_that_may_not_sign_is_refused(self) -> None:
        """A certificate whose key usage has no digital signature cannot authenticate anybody."""
        self.assertEqual(self.refused([self.leaf(signing=False)]), "wrong-role")

    def test_a_holder_cannot_certify_another(self) -> None:
        """A terminal that issues certificates with its own key is not an authority."""
        holder = make(self.root, self.root_key, self.key.public_key())
        forged = make(holder, self.key, new_key().public_key(), subject="T0000002")
        self.assertEqual(self.refused([der(forged), der(holder)]), "untrusted-certificate")

    def test_a_longer_path_is_refused(self) -> None:
        """Path length is honoured, and a chain of more than two certificates is not even read."""
        first_key, second_key = new_key(), new_key()
        first = make(self.root, self.root_key, first_key.public_key(), subject="first", ca=True, path_length=0)
        second = make(first, first_key, second_key.public_key(), subject="second", ca=True, path_length=0)
        leaf = make(second, second_key, self.key.public_key())
        self.assertEqual(self.refused([der(leaf), der(second), der(first)]), "malformed-certificate")
        self.assertEqual(self.refused([der(leaf), der(second)]), "untrusted-certificate")

    def test_garbage_is_refused(self) -> None:
        """Empty chains, cut, changed and oversized certificates are refused as malformed or untrusted."""
        leaf = self.leaf()
        self.assertEqual(self.refused([]), "malformed-certificate")
        self.assertEqual(self.refused([b""]), "malformed-certificate")
        self.assertEqual(self.refused([leaf[:-1]]), "malformed-certificate")
        self.assertEqual(self.refused([leaf, b"\x30\x00"]), "malformed-certificate")
        self.assertEqual(self.refused([leaf + bytes(5_000)]), "malformed-certificate")
        self.assertEqual(self.refused([leaf[:-1] + bytes([leaf[-1] ^ 1])]), "untrusted-certificate")

    def test_every_changed_byte_is_refused(self) -> None:
        """No byte of a certificate can be changed without its refusal, and none raises anything else."""
        leaf = bytearray(self.leaf())
        for place in range(len(leaf)):
            changed = bytes(leaf[:place]) + bytes([leaf[place] ^ 0x55]) + bytes(leaf[place + 1 :])
            self.assertRaises(IdentityRefused, self.verifier.verify, [changed], POS, NOON)

    def test_another_curve_and_rsa_are_refused(self) -> None:
        """Individual certificates bear P-256 keys and no others."""
        other = ec.generate_private_key(ec.SECP384R1()).public_key()
        self.assertEqual(self.refused([der(make(self.root, self.root_key, other))]), "malformed-certificate")
        modulus = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        self.assertEqual(self.refused([der(make(self.root, self.root_key, modulus))]), "malformed-certificate")

    def test_anchors_are_needed(self) -> None:
        """Without an anchor nothing can be verified, and the configuration says so."""
        self.assertRaises(ConfigurationError, ChainVerifier, [])
        self.assertRaises(ConfigurationError, load_anchors, b"no certificate")
        self.assertRaises(ConfigurationError, load_anchors, b"")
        self.assertEqual(load_anchors(self.root.public_bytes(Encoding.PEM)), (self.root,))


class IssuedTests(SynchronousTestCase):
    """What the network's own authority issues is what the verifier expects."""

    def test_what_is_issued_is_believed(self) -> None:
        """Every device profile's certificate verifies for its own role and for no other."""
        pki = SmallPki()
        verifier = ChainVerifier([pki.authority.certificate])
        for role, profile in DEVICE_PROFILES.items():
            names = individual_names(role, "N1", "SHOP1", "M1")
            chain = [der(pki.authority.issue(new_key().public_key(), profile, names))]
            self.assertEqual(verifier.verify(chain, role, NOON).peer.name, "N1")
            for other in set(DeviceRole) - {role}:
                self.assertRaises(IdentityRefused, verifier.verify, chain, other, NOON)


class UrnTests(SynchronousTestCase):
    """The names inside certificates."""

    def test_names_go_there_and_back(self) -> None:
        """A kind and a name become a URN and come back from it."""
        self.assertEqual(urn("pos", "T0000001"), "urn:trus:pos:T0000001")
        self.assertEqual(parse_urn("urn:trus:channel:gateway"), ("channel", "gateway"))

    def test_anything_else_is_no_name(self) -> None:
        """Blanks, line ends, further colons, other scripts and other schemes are no names."""
        for bad in ("", "a b", "a\n", "a:b", "é", "x" * 65, "-a", "a/b"):
            self.assertRaises(ValueError, urn, "pos", bad)
            self.assertIsNone(parse_urn(f"urn:trus:pos:{bad}"))
        for bad in ("URN:TRUS:pos:a", "urn:other:pos:a", "urn:trus:pos", "urn:trus:POS:a"):
            self.assertIsNone(parse_urn(bad))
