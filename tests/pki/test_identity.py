"""The identity service as the core uses it: the backend itself, its peers, their enrolment."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import fresh_store
from tests.pki.registers import NOON, SmallPki, new_key, request_for
from trus.certificates.chains import serial_text
from trus.device.trust import DeviceTrust
from trus.errors import IdentityRefused, KeyNotFound, KeyStoreError
from trus.hsm.ports import KeyPurpose
from trus.pki.activation import make_code
from trus.pki.ports import CertificateState
from trus.pki.profiles import ACTIVATION_VALIDITY
from trus.values import DeviceRole

POS = DeviceRole.POS


class ServiceCase(SynchronousTestCase):
    """A small PKI in memory and its service."""

    def setUp(self) -> None:
        self.pki = SmallPki()
        self.service = self.pki.service
        self.key = new_key()

    def code(self, name: str = "T0000001") -> str:
        """Open an activation for a terminal."""
        return self.service.open_activation(POS, name, shop="CANTEEN1", model="VX")

    def refused(self, *arguments: object) -> str:
        """Return the reason for which an enrolment is refused."""
        return self.assertRaises(IdentityRefused, self.service.enrol, *arguments).reason


class MaterialTests(ServiceCase):
    """What the backend shows of itself."""

    def test_it_is_kept_for_half_a_day_and_then_made_anew(self) -> None:
        """The stapled answer is renewed when half of its day is gone; devices never see a stale one."""
        trust = DeviceTrust([self.service.anchor])
        first = self.service.material()
        self.pki.clock.advance(timedelta(hours=11, minutes=59))
        again = self.service.material()
        self.assertEqual((again.staple, again.valid_seconds), (first.staple, 12 * 3600 + 60))
        self.pki.clock.advance(timedelta(minutes=1))
        renewed = self.service.material()
        self.assertNotEqual(renewed.staple, first.staple)
        self.assertEqual(renewed.valid_seconds, 24 * 3600)
        trust.verify(renewed.chain, DeviceRole.BACKEND, renewed.staple, NOON + timedelta(hours=35))

    def test_a_clock_set_back_renews_too(self) -> None:
        """When the backend's clock is put right backwards, the answer is made for the right time."""
        self.service.material()
        self.pki.clock.advance(timedelta(days=-2))
        material = self.service.material()
        trust = DeviceTrust([self.service.anchor])
        error = self.assertRaises(
            IdentityRefused,
            trust.verify,
            material.chain,
            DeviceRole.BACKEND,
            material.staple,
            self.pki.clock.now(),
        )
        self.assertEqual(error.reason, "certificate-not-yet-valid")
        self.pki.clock.advance(timedelta(days=2))
        trust.verify(
            self.service.material().chain, DeviceRole.BACKEND, self.service.material().staple, self.pki.clock.now()
        )

    def test_the_certificate_is_renewed_ahead(self) -> None:
        """60 days before its end the backend's certificate is renewed, for the same key, without a restart."""
        before, issuer = self.service.material().chain
        self.pki.clock.advance(timedelta(days=306))
        material = self.service.material()
        after, _ = material.chain
        old, new = x509.load_der_x509_certificate(before), x509.load_der_x509_certificate(after)
        self.assertNotEqual(old.serial_number, new.serial_number)
        self.assertEqual(old.public_key(), new.public_key())
        DeviceTrust([self.service.anchor]).verify(
            material.chain, DeviceRole.BACKEND, material.staple, self.pki.clock.now()
        )
        self.assertEqual(self.pki.restart().material().chain, [after, issuer])
        self.assertEqual(len(self.pki.register.records), 2)

    def test_the_next_issuing_authority_is_taken_up(self) -> None:
        """After a roll-over and a restart the backend shows a certificate of the new issuer; terminals go on."""
        code = self.service.open_activation(POS, "T0000001")
        enrolled = self.service.enrol(POS, "T0000001", code, request_for(new_key()))
        before = self.service.material().chain
        self.pki.roll_over()
        self.assertEqual(self.service.material().chain, before)
        restarted = self.pki.restart()
        material = restarted.material()
        self.assertNotEqual(material.chain[1], before[1])
        trust = DeviceTrust([self.pki.root.certificate])
        now = self.pki.clock.now()
        self.assertEqual(trust.verify(material.chain, DeviceRole.BACKEND, material.staple, now).name, "backend")
        self.assertEqual(restarted.verify(enrolled.chain, POS), enrolled.peer)
        key = new_key()
        code = restarted.open_activation(POS, "T0000002")
        later = restarted.enrol(POS, "T0000002", code, request_for(key))
        self.assertEqual(later.chain[1], material.chain[1])
        self.assertEqual(self.pki.restart().enrol(POS, "T0000002", code, request_for(key)), later)

    def test_the_next_issuing_authority_is_taken_up_at_once(self) -> None:
        """TR-15: told to look again, a running backend issues under the new authority and shows its certificate."""
        code = self.service.open_activation(POS, "T0000001")
        enrolled = self.service.enrol(POS, "T0000001", code, request_for(new_key()))
        before = self.service.material().chain
        self.assertFalse(self.service.look_again(()))
        self.pki.roll_over()
        self.assertTrue(self.service.look_again(()))
        self.assertFalse(self.service.look_again(()))
        self.assertNotEqual(self.service.material().chain[1], before[1])
        self.assertEqual(self.service.verify(enrolled.chain, POS), enrolled.peer)
        code = self.service.open_activation(POS, "T0000002")
        later = self.service.enrol(POS, "T0000002", code, request_for(new_key()))
        self.assertEqual(later.chain[1], self.service.material().chain[1])

    def test_holders_of_a_revoked_authority_resume_nothing(self) -> None:
        """TR-15: once the root revoked an issuing authority, neither chains nor tickets of its holders count."""
        code = self.service.open_activation(POS, "T0000001")
        old = self.service.enrol(POS, "T0000001", code, request_for(new_key()))
        first = self.service.authorities[0].certificate.serial_number
        self.pki.roll_over()
        self.service.look_again(())
        code = self.service.open_activation(POS, "T0000002")
        new = self.service.enrol(POS, "T0000002", code, request_for(new_key()))
        self.service.standing(old.peer)
        self.service.look_again((first,))
        for refused in (lambda: self.service.standing(old.peer), lambda: self.service.verify(old.chain, POS)):
            self.assertEqual(self.assertRaises(IdentityRefused, refused).reason, "revoked-authority")
        self.service.standing(new.peer)
        self.assertEqual(self.service.verify(new.chain, POS), new.peer)
        self.service.look_again(())
        self.service.standing(old.peer)

    def test_signatures_are_the_backends(self) -> None:
        """A batch of handshakes is signed by the key that the backend's certificate bears."""
        der, _ = self.service.material().chain
        public = x509.load_der_x509_certificate(der).public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        for payload, signature in zip((b"a", b"b"), self.service.sign([b"a", b"b"]), strict=True):
            public.verify(signature, payload, ec.ECDSA(hashes.SHA256()))

    def test_a_revoked_backend_says_so(self) -> None:
        """When the backend's own certificate is revoked its next answer says so at once."""
        self.service.material()
        [serial] = self.pki.register.records
        self.pki.clock.advance(timedelta(hours=2))
        self.service.revoke(serial, "test")
        material = self.service.material()
        error = self.assertRaises(
            IdentityRefused,
            DeviceTrust([self.service.anchor]).verify,
            material.chain,
            DeviceRole.BACKEND,
            material.staple,
            self.pki.clock.now(),
        )
        self.assertEqual(error.reason, "revoked")

    def test_an_unregistered_backend_has_nothing_to_show(self) -> None:
        """A backend whose certificate the register lost refuses instead of calling itself good."""
        self.pki.register.records.clear()
        self.assertRaises(IdentityRefused, self.service.material)

    def test_a_store_without_identity_is_refused(self) -> None:
        """A key store that was never provisioned, or holds a foreign key, is refused at the start."""
        self.pki.store.generate("backend-identity", KeyPurpose.SIGN)
        self.assertRaises(KeyStoreError, self.pki.restart)
        self.pki.store.destroy(self.pki.store.find("individual-ca"))
        self.assertRaises(KeyNotFound, self.pki.restart)

    def test_a_foreign_root_is_refused(self) -> None:
        """An authority whose root certificate is not its key's is refused at the start."""
        other = SmallPki()
        self.pki.store.put_certificate("authority/individual/1", other.store.certificate("authority/individual/1"))
        self.assertRaises(KeyStoreError, self.pki.restart)


class EnrolmentTests(ServiceCase):
    """From an activation code to a certificate."""

    def test_a_code_brings_a_certificate(self) -> None:
        """TR-15: a device with a code gets a certificate that names what the operator opened, for its own key."""
        issued = self.service.enrol(POS, "T0000001", self.code(), request_for(self.key, "somebody else"))
        self.assertEqual(
            (issued.peer.name, issued.peer.shop, issued.peer.model, issued.peer.role),
            ("T0000001", "CANTEEN1", "VX", POS),
        )
        self.assertEqual(self.service.verify(issued.chain, POS), issued.peer)
        certificate = x509.load_der_x509_certificate(issued.chain[0])
        self.assertEqual(certificate.public_key(), self.key.public_key())
        self.assertEqual(serial_text(certificate), issued.peer.serial)

    def test_the_store_keeps_it_and_the_register_knows_where(self) -> None:
        """TR-17: the certificate lies in the key store; the database has its handle, digest and state."""
        issued = self.service.enrol(POS, "T0000001", self.code(), request_for(self.key))
        record = self.pki.register.records[issued.peer.serial]
        self.assertEqual(record.handle, f"pos/T0000001/{issued.peer.serial}")
        self.assertEqual(self.pki.store.certificate(record.handle), issued.chain[0])
        self.assertEqual(record.state, CertificateState.GOOD)
        self.assertEqual(self.pki.register.activations[POS, "T0000001"].serial, issued.peer.serial)

    def test_a_retry_gets_the_same_certificate(self) -> None:
        """The same code with the same key answers the same certificate, also after a restart of the backend."""
        code = self.code()
        first = self.service.enrol(POS, "T0000001", code, request_for(self.key))
        again = self.pki.restart().enrol(POS, "T0000001", code.lower(), request_for(self.key, "retry"))
        self.assertEqual(again, first)
        self.assertEqual(len(self.pki.register.records), 2)

    def test_a_used_code_serves_no_other_key(self) -> None:
        """A code that was used is worthless to whoever finds it."""
        code = self.code()
        self.service.enrol(POS, "T0000001", code, request_for(self.key))
        self.assertEqual(self.refused(POS, "T0000001", code, request_for(new_key())), "activation-used")

    def test_a_revoked_certificate_is_not_handed_out_again(self) -> None:
        """A retry after the certificate was revoked is refused."""
        code = self.code()
        issued = self.service.enrol(POS, "T0000001", code, request_for(self.key))
        self.service.revoke(issued.peer.serial, "stolen")
        self.assertEqual(self.refused(POS, "T0000001", code, request_for(self.key)), "revoked")

    def test_a_lost_row_is_a_fault(self) -> None:
        """An activation whose certificate the register lost is a fault to report, not a refusal to explain."""
        code = self.code()
        self.service.enrol(POS, "T0000001", code, request_for(self.key))
        self.pki.register.records.clear()
        self.assertRaises(KeyNotFound, self.service.enrol, POS, "T0000001", code, request_for(self.key))

    def test_five_wrong_codes_lock(self) -> None:
        """After 5 wrong codes the activation is locked, the right code included, until it is opened anew."""
        code = self.code()
        for _ in range(5):
            self.assertEqual(self.refused(POS, "T0000001", self.wrong(), request_for(self.key)), "wrong-code")
        self.assertEqual(self.refused(POS, "T0000001", code, request_for(self.key)), "activation-locked")
        self.assertEqual(self.refused(POS, "T0000001", self.wrong(), request_for(self.key)), "activation-locked")
        self.assertEqual(self.pki.register.activations[POS, "T0000001"].failures, 5)
        self.service.enrol(POS, "T0000001", self.code(), request_for(self.key))

    def test_four_wrong_codes_do_not(self) -> None:
        """Up to 4 wrong codes the right one still opens."""
        code = self.code()
        for _ in range(4):
            self.refused(POS, "T0000001", self.wrong(), request_for(self.key))
        self.service.enrol(POS, "T0000001", code, request_for(self.key))

    def test_a_mistyped_code_costs_nothing(self) -> None:
        """A code whose check symbol does not fit is refused without counting as an attempt."""
        code = self.code()
        for _ in range(9):
            self.assertEqual(self.refused(POS, "T0000001", code[:-1], request_for(self.key)), "malformed-code")
        self.assertEqual(self.pki.register.activations[POS, "T0000001"].failures, 0)

    def test_a_code_ends(self) -> None:
        """A code is good for 7 days unless the operator says otherwise, and not a moment longer."""
        code = self.code()
        self.pki.clock.advance(ACTIVATION_VALIDITY)
        self.assertEqual(self.refused(POS, "T0000001", code, request_for(self.key)), "activation-expired")
        brief = self.service.open_activation(POS, "T0000002", validity=timedelta(minutes=5))
        self.pki.clock.advance(timedelta(minutes=5))
        self.assertEqual(self.refused(POS, "T0000002", brief, request_for(self.key)), "activation-expired")

    def test_a_code_is_its_holders(self) -> None:
        """One terminal's code opens no other terminal, no other role and no holder that was never opened."""
        code = self.code()
        self.code("T0000002")
        self.assertEqual(self.refused(POS, "T0000002", code, request_for(self.key)), "wrong-code")
        self.assertEqual(self.refused(POS, "T0000003", code, request_for(self.key)), "no-activation")
        self.assertEqual(self.refused(DeviceRole.CARD, "T0000001", code, request_for(self.key)), "no-activation")

    def test_a_new_code_replaces_the_old(self) -> None:
        """Opening a holder again makes the earlier code worthless."""
        old = self.code()
        new = self.code()
        self.assertEqual(self.refused(POS, "T0000001", old, request_for(self.key)), "wrong-code")
        self.service.enrol(POS, "T0000001", new, request_for(self.key))

    def test_a_bad_request_wastes_no_code(self) -> None:
        """A request without proof of possession is refused, and the code can still be used."""
        code = self.code()
        self.assertEqual(self.refused(POS, "T0000001", code, b"garbage"), "bad-request")
        self.service.enrol(POS, "T0000001", code, request_for(self.key))

    def test_a_blocked_terminal_cannot_enrol(self) -> None:
        """A terminal that the issuer blocked gets no certificate, whatever its code."""
        code = self.code()
        self.pki.register.blocked_holders.add((POS, "T0000001"))
        self.assertEqual(self.refused(POS, "T0000001", code, request_for(self.key)), "blocked-holder")

    def test_nobody_enrols_as_the_backend(self) -> None:
        """No code makes a device the backend."""
        error = self.assertRaises(IdentityRefused, self.service.open_activation, DeviceRole.BACKEND, "backend")
        self.assertEqual(error.reason, "wrong-role")

    def test_impossible_names_are_refused_when_opened(self) -> None:
        """A name, shop or model that a certificate cannot bear is refused before a code is made."""
        self.assertRaises(ValueError, self.service.open_activation, POS, "T 1")
        self.assertRaises(ValueError, self.service.open_activation, POS, "T1", shop="a:b")
        self.assertRaises(ValueError, self.service.open_activation, POS, "T1", model="é")
        self.assertEqual(self.pki.register.activations, {})

    def wrong(self) -> str:
        """Return a well-formed code that opens nothing."""
        return make_code(self.pki.entropy)


class PeerTests(ServiceCase):
    """Whether a peer may be believed now."""

    def setUp(self) -> None:
        super().setUp()
        self.issued = self.service.enrol(POS, "T0000001", self.code(), request_for(self.key))
        self.serial = self.issued.peer.serial

    def judged(self) -> str:
        """Return why chain and standing are refused, which must agree; empty when both are good."""
        reasons = []
        for judge, arguments in ((self.service.verify, (self.issued.chain, POS)), (self.service.standing, ())):
            try:
                judge(*(arguments or (self.issued.peer,)))  # type: ignore[operator]
                reasons.append("")
            except IdentityRefused as refusal:
                reasons.append(refusal.reason)
        self.assertEqual(reasons[0], reasons[1])
        return reasons[0]

    def test_a_good_peer_stands(self) -> None:
        """An enrolled terminal is believed by chain, and by ticket."""
        self.assertEqual(self.judged(), "")

    def test_a_revocation_takes_effect_at_once(self) -> None:
        """TR-15: the next handshake and the next resumption after a revocation are refused, for ever."""
        self.service.revoke(self.serial, "stolen")
        self.assertEqual(self.judged(), "revoked")
        for change in (self.service.release, self.service.hold, self.service.revoke):
            self.assertRaises(IdentityRefused, change, self.serial, "again")
        self.assertEqual(self.judged(), "revoked")

    def test_a_held_certificate_comes_back(self) -> None:
        """A suspended certificate is refused until it is released."""
        self.service.hold(self.serial, "missing")
        self.assertEqual(self.judged(), "held")
        self.service.release(self.serial, "found")
        self.assertEqual(self.judged(), "")

    def test_a_blocked_terminal_is_refused(self) -> None:
        """A terminal that the issuer blocked is refused although its certificate is good."""
        self.pki.register.blocked_holders.add((POS, "T0000001"))
        self.assertEqual(self.judged(), "blocked-holder")

    def test_an_expired_certificate_is_refused(self) -> None:
        """After its last moment a certificate is refused, on resumption as well."""
        self.pki.clock.moment = self.issued.not_after + timedelta(seconds=1)
        self.assertEqual(self.judged(), "expired-certificate")

    def test_a_certificate_that_nobody_registered_is_refused(self) -> None:
        """A certificate of the authority without a row in the register is not believed."""
        del self.pki.register.records[self.serial]
        self.assertEqual(self.judged(), "unknown-certificate")

    def test_a_ticket_that_names_another_shop_is_refused(self) -> None:
        """A holder described otherwise than the register does, does not stand."""
        for change in ({"shop": "OTHER"}, {"name": "T2"}, {"model": "x"}, {"role": DeviceRole.CARD}):
            peer = msgspec.structs.replace(self.issued.peer, **change)
            error = self.assertRaises(IdentityRefused, self.service.standing, peer)
            self.assertEqual(error.reason, "unknown-certificate")

    def test_a_batch_is_judged_peer_by_peer(self) -> None:
        """A batch of handshakes is answered in order, good and bad side by side, with one look at the register."""
        other = self.service.enrol(POS, "T0000002", self.code("T0000002"), request_for(new_key()))
        third = self.service.enrol(POS, "T0000003", self.code("T0000003"), request_for(new_key()))
        self.service.revoke(other.peer.serial, "stolen")
        self.pki.register.blocked_holders.add((POS, "T0000003"))
        reads = []
        real = self.pki.register.certificates
        self.pki.register.certificates = lambda serials: reads.append(serials) or real(serials)  # type: ignore[method-assign,func-returns-value]
        chains = [self.issued.chain, [b"garbage"], other.chain, third.chain, self.issued.chain]
        verdicts = self.service.verify_batch([(chain, POS) for chain in chains])
        self.assertEqual(
            [getattr(verdict, "reason", verdict) for verdict in verdicts],
            [self.issued.peer, "malformed-certificate", "revoked", "blocked-holder", self.issued.peer],
        )
        self.assertEqual(len(reads), 1)
        standing = self.service.standing_batch([third.peer, self.issued.peer])
        self.assertEqual(
            [getattr(verdict, "reason", verdict) for verdict in standing], ["blocked-holder", self.issued.peer]
        )
        self.assertEqual((self.service.verify_batch([]), self.service.standing_batch([])), ([], []))

    def test_states_of_unknown_certificates_cannot_be_changed(self) -> None:
        """Revoking a serial number that was never issued is refused, not swallowed."""
        error = self.assertRaises(IdentityRefused, self.service.revoke, "abc", "typo")
        self.assertEqual(error.reason, "unknown-certificate")


class TokenIdentityTests(SynchronousTestCase):
    """The same with every key in a real token."""

    def test_a_terminal_enrols_and_is_believed(self) -> None:
        """TR-15, TR-17: authority, backend identity and K_DB in the token; a terminal enrols and is believed."""
        pki = SmallPki(fresh_store(self))
        key = new_key()
        code = pki.service.open_activation(POS, "T0000001", shop="CANTEEN1")
        issued = pki.service.enrol(POS, "T0000001", code, request_for(key))
        restarted = pki.restart()
        self.assertEqual(restarted.verify(issued.chain, POS), issued.peer)
        self.assertEqual(restarted.enrol(POS, "T0000001", code, request_for(key)), issued)
        material = restarted.material()
        trust = DeviceTrust.from_pem(pki.authority.pem())
        self.assertEqual(trust.verify(material.chain, DeviceRole.BACKEND, material.staple, NOON).name, "backend")
        for label in ("individual-ca", "backend-identity", "K_DB"):
            said = pki.store.attributes(pki.store.find(label))
            self.assertEqual((said.extractable, said.sensitive, said.local), (False, True, True), label)
