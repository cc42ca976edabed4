"""The backend's OCSP answer, as a device judges it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import NOON, SmallPki, new_key
from trus.certificates.staples import verify_staple
from trus.device.trust import DeviceTrust
from trus.errors import IdentityRefused
from trus.pki.authority import individual_names
from trus.pki.ocsp import answer
from trus.pki.ports import CertificateState
from trus.pki.profiles import DEVICE_PROFILES
from trus.values import DeviceRole


class StapleTests(SynchronousTestCase):
    """Answers about the backend's certificate."""

    def setUp(self) -> None:
        self.pki = SmallPki()
        self.issuer = self.pki.authority.certificate
        [self.record] = self.pki.register.records.values()
        self.leaf = x509.load_der_x509_certificate(self.pki.store.certificate(self.record.handle))
        self.staple = answer(self.pki.authority, self.leaf, self.record, NOON)

    def refused(self, staple: bytes | None, after: timedelta = timedelta(0)) -> str:
        """Return the reason for which an answer is refused."""
        error = self.assertRaises(IdentityRefused, verify_staple, staple, self.leaf, self.issuer, NOON + after)
        return error.reason

    def test_a_fresh_answer_is_believed_for_a_day(self) -> None:
        """An answer holds for 24 hours, and a clock that is 10 minutes slow still believes it."""
        for after in (timedelta(minutes=-10), timedelta(0), timedelta(hours=23, minutes=59)):
            verify_staple(self.staple, self.leaf, self.issuer, NOON + after)
        self.assertEqual(self.refused(self.staple, timedelta(hours=24)), "stale-ocsp-answer")
        self.assertEqual(self.refused(self.staple, timedelta(minutes=-11)), "stale-ocsp-answer")

    def test_a_revoked_backend_is_refused(self) -> None:
        """TR-15: an answer that says revoked, or held, ends the handshake."""
        for state in (CertificateState.REVOKED, CertificateState.HELD):
            record = msgspec.structs.replace(self.record, state=state, changed=NOON)
            self.assertEqual(self.refused(answer(self.pki.authority, self.leaf, record, NOON)), "revoked")
            record = msgspec.structs.replace(record, changed=None)
            self.assertEqual(self.refused(answer(self.pki.authority, self.leaf, record, NOON)), "revoked")

    def test_a_missing_answer_is_refused(self) -> None:
        """A backend that brings no answer is refused."""
        self.assertEqual(self.refused(None), "no-ocsp-answer")
        self.assertEqual(self.refused(b""), "no-ocsp-answer")

    def test_an_answer_about_another_certificate_is_refused(self) -> None:
        """An answer about another certificate of the same authority does not help."""
        other = self.pki.authority.issue(
            new_key().public_key(), DEVICE_PROFILES[DeviceRole.POS], individual_names(DeviceRole.POS, "T1")
        )
        self.assertEqual(self.refused(answer(self.pki.authority, other, self.record, NOON)), "bad-ocsp-answer")

    def test_an_answer_of_another_authority_is_refused(self) -> None:
        """An answer signed by another authority is refused, also when it names this one's certificate."""
        other = SmallPki()
        self.assertEqual(self.refused(answer(other.authority, self.leaf, self.record, NOON)), "bad-ocsp-answer")

    def test_a_delegated_answer_is_refused(self) -> None:
        """An answer signed by a certificate of the authority, and not by the authority, is refused."""
        key = new_key()
        holder = self.pki.authority.issue(
            key.public_key(), DEVICE_PROFILES[DeviceRole.POS], individual_names(DeviceRole.POS, "T1")
        )
        builder = ocsp.OCSPResponseBuilder().add_response(
            self.leaf,
            self.issuer,
            hashes.SHA256(),
            ocsp.OCSPCertStatus.GOOD,
            NOON,
            NOON + timedelta(days=1),
            None,
            None,
        )
        builder = builder.certificates([holder]).responder_id(ocsp.OCSPResponderEncoding.HASH, holder)
        forged = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        self.assertEqual(self.refused(forged), "bad-ocsp-answer")

    def test_an_error_answer_is_refused(self) -> None:
        """A responder's 'try later' is no answer."""
        later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        self.assertEqual(self.refused(later.public_bytes(Encoding.DER)), "bad-ocsp-answer")

    def test_an_answer_without_end_is_refused(self) -> None:
        """An answer that names no next update would be believed for ever: refused."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            self.leaf, self.issuer, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, NOON, None, None, None
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.issuer)
        endless = builder.sign(self.pki.authority.signer, hashes.SHA256()).public_bytes(Encoding.DER)
        self.assertEqual(self.refused(endless), "bad-ocsp-answer")

    def test_every_changed_byte_is_refused(self) -> None:
        """No byte of an answer can be changed unnoticed, and none raises anything but the refusal."""
        for place in range(len(self.staple)):
            changed = self.staple[:place] + bytes([self.staple[place] ^ 0x55]) + self.staple[place + 1 :]
            self.refused(changed)
        for end in range(0, len(self.staple), 7):
            self.refused(self.staple[:end])
        self.refused(self.staple + bytes(5_000))


class DeviceTrustTests(SynchronousTestCase):
    """What a device believes, with nothing but its anchors."""

    def setUp(self) -> None:
        self.pki = SmallPki()
        self.material = self.pki.service.material()
        self.trust = DeviceTrust.from_pem(self.pki.authority.pem())

    def test_the_backend_is_believed(self) -> None:
        """TR-16: a device believes the backend by chain, role and stapled answer."""
        peer = self.trust.verify(self.material.chain, DeviceRole.BACKEND, self.material.staple, NOON)
        self.assertEqual((peer.role, peer.name), (DeviceRole.BACKEND, "backend"))

    def test_a_backend_needs_an_answer(self) -> None:
        """A backend's good chain without a good answer is refused."""
        error = self.assertRaises(
            IdentityRefused, self.trust.verify, self.material.chain, DeviceRole.BACKEND, None, NOON
        )
        self.assertEqual(error.reason, "no-ocsp-answer")

    def test_another_device_needs_none(self) -> None:
        """A terminal proves itself to a card by its chain alone; a bad answer that it brings is refused."""
        names = individual_names(DeviceRole.POS, "T1")
        leaf = self.pki.authority.issue(new_key().public_key(), DEVICE_PROFILES[DeviceRole.POS], names)
        chain = [each.public_bytes(Encoding.DER) for each in (leaf, self.pki.authority.certificate)]
        self.assertEqual(self.trust.verify(chain, DeviceRole.POS, None, NOON).name, "T1")
        self.assertRaises(IdentityRefused, self.trust.verify, chain, DeviceRole.POS, self.material.staple, NOON)
