"""TR-15: pkilint finds nothing above 'notice' in what the network's authorities sign (RFC 5280, RFC 6960)."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from twisted.trial.unittest import SynchronousTestCase

from tests.pki import lint
from tests.pki.ledgered import KeptPki
from tests.pki.registers import new_key
from trus.certificates.oids import ADMIN_POLICY, CHANNEL_POLICY, CHANNEL_USAGE, DEVICE_USAGE, INDIVIDUAL_POLICY
from trus.pki.authority import Authority, Names, RevokedSerial, individual_names
from trus.pki.channel import (
    ADMIN,
    ADMIN_SERVER_BUNDLE,
    CHANNEL,
    CHANNEL_BUNDLES,
    admin_plan,
    first_revocation_list,
    make_bundle,
)
from trus.pki.lists import next_list
from trus.pki.ports import CertificateState
from trus.pki.profiles import ADMIN_AUTHORITY, CHANNEL_AUTHORITY, CRL_SIGNER, DEVICE_PROFILES, Profile
from trus.pki.revocation import ListKind
from trus.values import DeviceRole


class LintTests(SynchronousTestCase):
    """Every kind of document, made as the network makes it."""

    def setUp(self) -> None:
        self.pki = KeptPki()

    def authority(self, label: str, profile: Profile) -> Authority:
        pki = self.pki
        return Authority.create(pki.store, pki.store, label, profile, f"trus {label} CA", pki.clock, pki.entropy)

    def test_the_linter_is_awake(self) -> None:
        """A document that breaks the standard is found out: silence above means something."""
        crl = x509.load_der_x509_crl(self.lists()[0])
        builder = x509.CertificateRevocationListBuilder(crl.issuer, crl.last_update_utc, crl.next_update_utc)
        bare = builder.sign(self.pki.generations()[0].signer, hashes.SHA256()).public_bytes(Encoding.DER)
        self.assertNotEqual(lint.list_findings(bare), [])

    def test_individual_certificates(self) -> None:
        """The root, the issuing authority, the backend, a terminal, a virtual card, CRL and OCSP signers."""
        card = individual_names(DeviceRole.CARD, "CARD00000001")
        key = new_key().public_key()
        material = self.pki.service.material()
        issuing = self.pki.generations()[0]
        documents = {
            "root": self.pki.root.certificate.public_bytes(Encoding.DER),
            "issuing": issuing.certificate.public_bytes(Encoding.DER),
            "backend": material.chain[0],
            "terminal": self.pki.enrol("T0000001").public_bytes(Encoding.DER),
            "virtual card": issuing.issue(key, DEVICE_PROFILES[DeviceRole.CARD], card).public_bytes(Encoding.DER),
            "CRL signer": issuing.issue(key, CRL_SIGNER, Names("CRL signer")).public_bytes(Encoding.DER),
            "OCSP signer": self.pki.responder().signer_of(issuing).public_bytes(Encoding.DER),
        }
        for name, der in documents.items():
            self.assertEqual(lint.certificate_findings(der), [], name)

    def test_tls_certificates(self) -> None:
        """The channel's and the admins' authorities and all that they issue."""
        channel, admins = self.authority(CHANNEL, CHANNEL_AUTHORITY), self.authority(ADMIN, ADMIN_AUTHORITY)
        for authority, plans in ((channel, CHANNEL_BUNDLES), (admins, (ADMIN_SERVER_BUNDLE, admin_plan("ada")))):
            self.assertEqual(lint.certificate_findings(authority.certificate.public_bytes(Encoding.DER)), [])
            for plan in plans:
                bundle = make_bundle(authority, plan, self.pki.entropy)
                certificate = x509.load_pem_x509_certificate(bundle.certificate_pem)
                self.assertEqual(lint.certificate_findings(certificate.public_bytes(Encoding.DER)), [], plan.stem)

    def lists(self) -> list[bytes]:
        """Return full and delta lists with and without entries of every kind."""
        kept = []
        lists, [issuing, *_] = self.pki.lists(), self.pki.generations()
        leaves = [self.pki.enrol(f"T000000{number}") for number in range(5)]

        def sign() -> None:
            lists.keep()
            for kind in (ListKind.FULL, ListKind.DELTA):
                newest = lists.newest(issuing, kind)
                assert newest is not None
                kept.append(newest.der)

        sign()
        words = ("keyCompromise", "superseded", "unspecified", "privilegeWithdrawn")
        for leaf, reason in zip(leaves, words, strict=False):
            self.pki.change(leaf, CertificateState.REVOKED, reason)
        self.pki.change(leaves[4], CertificateState.HELD, "certificateHold")
        sign()
        self.pki.clock.advance(timedelta(days=1))
        lists.keep()
        self.pki.change(leaves[4], CertificateState.GOOD)
        sign()
        return kept

    def test_lists_of_individual_certificates(self) -> None:
        """Full and delta lists: empty, with every reason, with a release; and the root's list."""
        for number, der in enumerate(self.lists()):
            self.assertEqual(lint.list_findings(der), [], number)
        first = self.pki.root.revocation_list(None)
        second = self.pki.root.revocation_list(first, [self.pki.generations()[0].certificate.serial_number])
        for crl in (first, second):
            self.assertEqual(lint.list_findings(crl.public_bytes(Encoding.DER)), [])

    def test_lists_of_tls(self) -> None:
        """The lists that TLS servers check: the first, and one with an entry."""
        channel = self.authority(CHANNEL, CHANNEL_AUTHORITY)
        first = first_revocation_list(channel)
        second = next_list(channel, first, [RevokedSerial(0x5E1A, self.pki.clock.now())])
        for crl in (first, second):
            self.assertEqual(lint.list_findings(crl.public_bytes(Encoding.DER)), [])

    def test_ocsp_answers(self) -> None:
        """Answers about good, held, revoked and unknown certificates, with and without a nonce; and the stapled one."""
        good, held, revoked = (self.pki.enrol(f"T000000{number}") for number in range(3))
        self.pki.change(held, CertificateState.HELD, "certificateHold")
        self.pki.change(revoked, CertificateState.REVOKED, "keyCompromise")
        issuing = self.pki.generations()[0].certificate
        requests = []
        for leaf in (good, held, revoked):
            for nonce in (b"", b"n" * 32):
                builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuing, hashes.SHA1())
                if nonce:
                    builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
                requests.append(builder.build().public_bytes(Encoding.DER))
        known = ocsp.load_der_ocsp_request(requests[0])
        unknown = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            known.issuer_name_hash, known.issuer_key_hash, 0x5E1A, hashes.SHA1()
        )
        requests.append(unknown.build().public_bytes(Encoding.DER))
        answers = [each.der for each in self.pki.responder().answer(requests)]
        for number, der in enumerate((*answers, self.pki.service.material().staple)):
            self.assertEqual(lint.response_findings(der), [], number)


class IdentifierTests(SynchronousTestCase):
    """The private object identifiers."""

    def test_everybody_can_read_them(self) -> None:
        """RFC 5280 appendix B: at most 20 numbers, each below 2^28."""
        for usage in (*CHANNEL_USAGE.values(), *DEVICE_USAGE.values(), INDIVIDUAL_POLICY, CHANNEL_POLICY, ADMIN_POLICY):
            numbers = [int(number) for number in usage.dotted_string.split(".")]
            self.assertLessEqual(len(numbers), 20)
            self.assertLess(max(numbers), 1 << 28)
