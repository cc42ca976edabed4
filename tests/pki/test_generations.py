"""An off-line root, issuing authorities below it, and the change from one to the next."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import fresh_store
from tests.pki.offline import TwoTiers, pem
from tests.pki.registers import NOON, common_name, new_key, request_for
from trus.certificates.chains import ChainVerifier
from trus.certificates.staples import verify_staple
from trus.errors import ConfigurationError, KeyNotFound, KeyStoreError
from trus.hsm.memory import MemoryStore
from trus.hsm.ports import KeyPurpose
from trus.pki.authority import Authority, individual_names
from trus.pki.ceremony import Root
from trus.pki.generations import request_generation, take_in
from trus.pki.identity import INDIVIDUAL
from trus.pki.policy import DEFAULT_POLICY
from trus.pki.profiles import DEVICE_PROFILES, INDIVIDUAL_ISSUING, OCSP_SIGNER
from trus.values import DeviceRole

POS = DEVICE_PROFILES[DeviceRole.POS]
DEVICE = individual_names(DeviceRole.POS, "T0000001", "CANTEEN1", "VX")


class RootTests(SynchronousTestCase):
    """What the root signs."""

    def setUp(self) -> None:
        self.tiers = TwoTiers()

    def refused(self, request: bytes) -> str:
        """Return why the root signs no certificate for a request."""
        return str(self.assertRaises(ConfigurationError, self.tiers.root.sign_issuing, request))

    def test_it_signs_what_the_policy_says(self) -> None:
        """An issuing authority gets the policy's lifetime, path length 0 and key usage, whatever its request says."""
        certificate = self.tiers.new_generation()
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        self.assertEqual((constraints.ca, constraints.path_length), (True, 0))
        lasts = certificate.not_valid_after_utc - NOON
        self.assertEqual(lasts, INDIVIDUAL_ISSUING.lifetime)
        usage = self.tiers.root.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        self.assertEqual((usage.digital_signature, usage.key_cert_sign, usage.crl_sign), (False, True, True))

    def test_bad_requests_are_refused(self) -> None:
        """A request that cannot be read, proves nothing, names nobody, or is for another kind of key: refused."""
        good = request_for(new_key(), "authority")
        self.assertIn("no readable request", self.refused(b"garbage"))
        self.assertIn("no readable request", self.refused(good + bytes(5000)))
        self.assertIn("not signed by the key", self.refused(good[:-1] + bytes([good[-1] ^ 1])))
        for key in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
            builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("x"))
            digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
            self.assertIn("a kind that", self.refused(builder.sign(key, digest).public_bytes(Encoding.DER)))
        nobody = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(new_key(), hashes.SHA256())
        self.assertIn("names nobody", self.refused(nobody.public_bytes(Encoding.DER)))
        self.assertIn("own key or name", self.refused(request_for(new_key(), "lunch individual root")))

    def test_a_token_holds_one_root(self) -> None:
        """A second root in the same token is refused: it would answer to the same officers."""
        tiers = self.tiers
        error = self.assertRaises(
            ConfigurationError, Root.create, tiers.root_store, tiers.root_store, "x", DEFAULT_POLICY, tiers.clock, None
        )
        self.assertIn("holds a root already", str(error))

    def test_its_list_grows(self) -> None:
        """A revoked issuing authority is on the root's list, and stays there on the next one."""
        certificate = self.tiers.new_generation()
        first = self.tiers.root.revocation_list(None)
        self.assertEqual(list(first), [])
        second = self.tiers.root.revocation_list(first, [certificate.serial_number])
        third = self.tiers.root.revocation_list(second)
        numbers = [each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for each in (second, third)]
        self.assertEqual(numbers, [2, 3])
        self.assertIsNotNone(third.get_revoked_certificate_by_serial_number(certificate.serial_number))
        self.assertEqual(third.next_update_utc, NOON + DEFAULT_POLICY.root_crl_validity)

    def test_a_signer_for_ocsp_is_marked(self) -> None:
        """An OCSP signer's certificate allows that alone, and says that nobody need ask after it."""
        self.tiers.new_generation()
        signer = self.tiers.generations().current.issue(
            new_key().public_key(), OCSP_SIGNER, individual_names(DeviceRole.BACKEND, "ocsp")
        )
        self.assertIsNotNone(signer.extensions.get_extension_for_class(x509.OCSPNoCheck))


class GenerationTests(SynchronousTestCase):
    """One generation after another."""

    def setUp(self) -> None:
        self.tiers = TwoTiers()
        self.first = self.tiers.new_generation()
        self.key = new_key()
        self.leaf = self.tiers.generations().current.issue(self.key.public_key(), POS, DEVICE)

    def test_a_chain_of_two_is_believed_by_the_root_alone(self) -> None:
        """TR-15: leaf and issuing authority lead to the root; the leaf alone, or the issuing anchor, do not."""
        chain = self.tiers.generations().chain(self.leaf)
        self.assertEqual([x509.load_der_x509_certificate(each) for each in chain], [self.leaf, self.first])
        verifier = ChainVerifier([self.tiers.root.certificate])
        self.assertEqual(verifier.verify(chain, DeviceRole.POS, NOON).issuer, self.first)

    def test_old_certificates_verify_after_the_change(self) -> None:
        """The next generation issues from now on; what the first one issued verifies and is answered for."""
        self.tiers.clock.advance(timedelta(days=900))
        now = self.tiers.clock.now()
        second = self.tiers.new_generation()
        generations = self.tiers.generations()
        self.assertEqual(generations.current.certificate, second)
        self.assertNotEqual(second.subject, self.first.subject)
        fresh = generations.current.issue(new_key().public_key(), POS, DEVICE)
        verifier = ChainVerifier([self.tiers.root.certificate])
        for leaf, issuer in ((self.leaf, self.first), (fresh, second)):
            verified = verifier.verify(generations.chain(leaf), DeviceRole.POS, now)
            self.assertEqual(verified.issuer, issuer)
            self.assertEqual(generations.of(leaf).certificate, issuer)
            answer = ocsp.OCSPResponseBuilder().add_response(
                leaf, issuer, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, now, now + timedelta(days=1), None, None
            )
            answer = answer.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
            signed = answer.sign(generations.of(leaf).signer, hashes.SHA256()).public_bytes(Encoding.DER)
            verify_staple(signed, leaf, issuer, now)

    def test_a_request_alone_changes_nothing(self) -> None:
        """Until its certificate is taken in, a new generation's key issues nothing."""
        request_generation(self.tiers.store, INDIVIDUAL, "next")
        self.assertEqual(self.tiers.generations().current.certificate, self.first)

    def test_a_foreign_certificate_is_not_taken_in(self) -> None:
        """A certificate of another root, or for a key of another token, makes nobody an authority here."""
        other = TwoTiers()
        theirs = other.new_generation()
        stores = (self.tiers.store, self.tiers.store, INDIVIDUAL)
        for certificate, root, said in (
            (theirs, self.tiers.root.certificate, "not issued by that root"),
            (theirs, other.root.certificate, "holds no key"),
            (self.leaf, self.first, "not issued by that root"),
        ):
            error = self.assertRaises(ConfigurationError, take_in, *stores, certificate, root)
            self.assertIn(said, str(error))
        self.assertEqual(self.tiers.generations().roots, [self.tiers.root.certificate])
        self.assertRaises(KeyNotFound, self.tiers.generations().of, theirs)

    def test_a_generation_whose_key_is_gone_is_passed_over(self) -> None:
        """A generation that has ended and was destroyed is missed by nobody."""
        self.tiers.new_generation()
        self.tiers.store.destroy(self.tiers.store.find("individual-ca", 1))
        generations = self.tiers.generations()
        self.assertEqual(len(generations.all), 1)
        self.assertRaises(KeyNotFound, generations.chain, self.leaf)

    def test_a_lost_root_is_noticed(self) -> None:
        """An issuing authority whose root the store has lost does not start."""
        store = MemoryStore(self.tiers.entropy)
        store.generate("individual-ca", KeyPurpose.SIGN)
        self.assertRaises(KeyNotFound, Authority, store, store, INDIVIDUAL, self.tiers.clock, self.tiers.entropy)
        del self.tiers.store._certificates["anchor/individual/1"]
        self.assertRaises(KeyStoreError, self.tiers.generations)


class OpenSslTests(SynchronousTestCase):
    """The same in the eyes of OpenSSL, with the issuing key in a real token."""

    def test_chains_verify_strictly_with_all_lists(self) -> None:
        """Leaf, issuer and root pass `openssl verify -x509_strict -crl_check_all`; a revoked issuer does not."""
        tiers = TwoTiers(fresh_store(self))
        issuing = tiers.new_generation()
        current = tiers.generations().current
        leaf = current.issue(new_key().public_key(), POS, DEVICE)
        folder = Path(self.mktemp())
        folder.mkdir()
        good = tiers.root.revocation_list(None)
        lists = current.revocation_list([], 1, timedelta(days=90))

        def verify(root_list: x509.CertificateRevocationList) -> subprocess.CompletedProcess[str]:
            files = {"root.pem": tiers.root.certificate, "issuing.pem": issuing, "leaf.pem": leaf}
            for name, part in files.items():
                (folder / name).write_bytes(pem(part))
            (folder / "lists.pem").write_bytes(pem(root_list, lists))
            command = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-attime", f"{NOON.timestamp():.0f}"]
            command += ["-CAfile", "root.pem", "-untrusted", "issuing.pem", "-CRLfile", "lists.pem", "leaf.pem"]
            return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

        done = verify(good)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "leaf.pem: OK"), done.stderr)
        revoked = verify(tiers.root.revocation_list(good, [issuing.serial_number]))
        self.assertNotEqual(revoked.returncode, 0)
        self.assertIn("certificate revoked", revoked.stderr)
