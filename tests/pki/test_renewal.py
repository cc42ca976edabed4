"""Renewals: inside the window, with overlap, and never for somebody who does not stand."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import SmallPki, new_key, request_for
from trus.errors import IdentityRefused
from trus.pki.enrolment import Issued
from trus.pki.ports import CertificateState
from trus.pki.profiles import DEVICE_PROFILES
from trus.values import DeviceRole, PeerIdentity

POS = DeviceRole.POS
GOOD, PENDING, REVOKED = CertificateState.GOOD, CertificateState.PENDING, CertificateState.REVOKED
PROFILE = DEVICE_PROFILES[POS]


class RenewalTests(SynchronousTestCase):
    """A terminal whose certificate is about to end."""

    def setUp(self) -> None:
        self.pki = SmallPki()
        self.key = new_key()
        self.first = self.enrol("T0000001", self.key)
        self.until_window()

    def enrol(self, name: str, key: ec.EllipticCurvePrivateKey) -> Issued:
        code = self.pki.service.open_activation(POS, name, shop="CANTEEN1", model="VX")
        return self.pki.service.enrol(POS, name, code, request_for(key, name))

    def until_window(self) -> None:
        self.pki.clock.moment = self.first.not_after - PROFILE.renewal

    def renew(self, key: ec.EllipticCurvePrivateKey, peer: PeerIdentity | None = None) -> Issued:
        return self.pki.service.renew(peer or self.first.peer, request_for(key), "192.0.2.1:5")

    def refused(self, key: ec.EllipticCurvePrivateKey, peer: PeerIdentity | None = None) -> str:
        return self.assertRaises(IdentityRefused, self.renew, key, peer).reason

    def state(self, issued: Issued) -> CertificateState:
        return self.pki.register.records[issued.peer.serial].state

    def show(self, issued: Issued) -> object:
        """Authenticate with a certificate."""
        [verdict] = self.pki.service.verify_batch([(issued.chain, POS)])
        return verdict

    def test_a_new_key_gets_the_next_certificate(self) -> None:
        """TR-15: inside its window a device gets a certificate for its new key, with the names of the old one."""
        key = new_key()
        second = self.renew(key)
        leaf = x509.load_der_x509_certificate(second.chain[0])
        self.assertEqual(leaf.public_key(), key.public_key())
        self.assertEqual(second.not_after, self.pki.clock.now() + PROFILE.lifetime)
        first, peer = self.first.peer, second.peer
        self.assertEqual(
            (peer.role, peer.name, peer.shop, peer.model), (first.role, first.name, first.shop, first.model)
        )
        self.assertNotEqual(peer.serial, first.serial)

    def test_both_are_good_until_the_new_one_is_shown(self) -> None:
        """The old certificate works until the device has shown the new one; from then on it is superseded."""
        second = self.renew(new_key())
        self.assertEqual((self.state(self.first), self.state(second)), (GOOD, PENDING))
        self.assertEqual(self.show(self.first), self.first.peer)
        self.assertEqual(self.state(second), PENDING)
        epoch = self.pki.service.epoch()
        self.assertEqual(self.show(second), second.peer)
        self.assertEqual((self.state(self.first), self.state(second)), (REVOKED, GOOD))
        self.assertEqual(self.pki.register.records[self.first.peer.serial].reason, "superseded")
        self.assertIsInstance(self.show(self.first), IdentityRefused)
        self.assertGreater(self.pki.service.epoch(), epoch)
        self.assertEqual(self.show(second), second.peer)

    def test_the_same_key_may_go_on(self) -> None:
        """A renewal without re-keying is possible: a device whose key is in a chip keeps it."""
        second = self.renew(self.key)
        self.assertEqual(self.show(second), second.peer)
        self.assertEqual(self.state(self.first), REVOKED)

    def test_a_lost_answer_costs_nothing(self) -> None:
        """The same key again gets the same certificate; another key makes the one that was lost worthless."""
        key = new_key()
        second = self.renew(key)
        self.assertEqual(self.renew(key), second)
        third = self.renew(new_key())
        self.assertEqual((self.state(second), self.state(third)), (REVOKED, PENDING))
        self.assertIsInstance(self.show(second), IdentityRefused)
        self.assertEqual(self.state(self.first), GOOD)

    def test_not_before_the_window(self) -> None:
        """A stolen session cannot collect certificates: before its window a device gets none, which is on record."""
        self.pki.clock.advance(-timedelta(seconds=1))
        self.assertEqual(self.refused(new_key()), "too-early")
        self.assertEqual(self.pki.register.refusals[-1], ("pos", "T0000001", "window", "too-early", "192.0.2.1:5"))

    def test_not_after_the_end(self) -> None:
        """An ended certificate renews nothing: the device enrols again with a code."""
        self.pki.clock.moment = self.first.not_after + timedelta(seconds=1)
        self.assertEqual(self.refused(new_key()), "expired-certificate")

    def test_a_new_generation_opens_the_window(self) -> None:
        """After a roll-over of the issuing authority every device may move on at once."""
        self.pki.clock.advance(-timedelta(days=200))
        self.pki.roll_over()
        self.pki.service = self.pki.restart()
        second = self.renew(new_key())
        self.assertEqual(self.show(second), second.peer)
        self.pki.clock.advance(timedelta(days=1))
        self.assertEqual(self.refused(new_key(), second.peer), "too-early")

    def test_only_who_stands(self) -> None:
        """A held, revoked, blocked or unknown holder gets nothing, whatever the session said before."""
        serial = self.first.peer.serial
        self.pki.service.hold(serial, "certificateHold")
        self.assertEqual(self.refused(new_key()), "held")
        self.pki.service.release(serial, "")
        self.pki.register.blocked_holders.add((POS, "T0000001"))
        self.assertEqual(self.refused(new_key()), "blocked-holder")
        self.pki.register.blocked_holders.clear()
        self.assertEqual(self.refused(new_key(), PeerIdentity(POS, "T0000001", "5e1a")), "unknown-certificate")
        self.pki.service.revoke(serial, "keyCompromise")
        self.assertEqual(self.refused(new_key()), "revoked")

    def test_somebody_elses_key_or_name(self) -> None:
        """A key that another device uses, or a request that names somebody else, is refused."""
        other = new_key()
        self.enrol("T0000002", other)
        self.assertEqual(self.refused(other), "key-already-used")
        self.assertEqual(self.pki.register.refusals[-1][2], "key")
        with self.assertRaises(IdentityRefused) as caught:
            self.pki.service.renew(self.first.peer, b"no request")
        self.assertEqual(caught.exception.reason, "bad-request")

    def test_a_backend_does_not_renew_like_this(self) -> None:
        """The backend's own certificate is made at home; a peer of that role gets none over the wire."""
        [serial] = [each.serial for each in self.pki.register.records.values() if each.role is DeviceRole.BACKEND]
        self.pki.clock.moment = self.pki.register.records[serial].not_after - timedelta(days=1)
        self.assertEqual(self.refused(new_key(), PeerIdentity(DeviceRole.BACKEND, "backend", serial)), "wrong-role")
