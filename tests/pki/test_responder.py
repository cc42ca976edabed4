"""The OCSP responder, judged by OpenSSL's own client and by RFC 6960 and RFC 9654."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

from asn1crypto import core
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import fresh_store
from tests.pki.ledgered import KeptPki, OpenSslCase
from trus.errors import KeyStoreUnavailable
from trus.hsm.ports import KeyHandle
from trus.pki.ports import CertificateState
from trus.pki.profiles import OCSP_SIGNER
from trus.pki.responder import ANSWER_VALIDITY, MAX_ASKED, MAX_REQUEST_BYTES

GOOD, HELD, REVOKED = CertificateState.GOOD, CertificateState.HELD, CertificateState.REVOKED
STATUS = ocsp.OCSPResponseStatus
CERTIFICATE = ocsp.OCSPCertStatus


class ResponderTests(OpenSslCase):
    """Terminals in several states, asked about as cryptography and OpenSSL ask."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.pki.enrol("T0000001"), self.pki.enrol("T0000002")
        self.issuing = self.pki.generations()[0].certificate
        self.responder = self.pki.responder()

    def request(
        self, leaf: x509.Certificate, algorithm: hashes.SHA1 | hashes.SHA256 | None = None, nonce: bytes = b""
    ) -> bytes:
        builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, self.issuing, algorithm or hashes.SHA256())
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.build().public_bytes(Encoding.DER)

    def answer(self, request: bytes) -> ocsp.OCSPResponse:
        [answer] = self.responder.answer([request])
        return ocsp.load_der_ocsp_response(answer.der)

    def status(self, leaf: x509.Certificate) -> tuple[ocsp.OCSPCertStatus, x509.ReasonFlags | None]:
        response = self.answer(self.request(leaf))
        return response.certificate_status, response.revocation_reason

    def test_every_state_has_its_answer(self) -> None:
        """TR-15: good, revoked with its reason, suspended as certificateHold, good again after the release."""
        self.assertEqual(self.status(self.one), (CERTIFICATE.GOOD, None))
        self.pki.change(self.one, HELD, "certificateHold")
        self.assertEqual(self.status(self.one), (CERTIFICATE.REVOKED, x509.ReasonFlags.certificate_hold))
        self.pki.change(self.one, GOOD)
        self.assertEqual(self.status(self.one), (CERTIFICATE.GOOD, None))
        self.pki.change(self.one, REVOKED, "keyCompromise")
        at = self.pki.clock.now()
        self.assertEqual(self.status(self.one), (CERTIFICATE.REVOKED, x509.ReasonFlags.key_compromise))
        self.assertEqual(self.answer(self.request(self.one)).revocation_time_utc, at)
        self.pki.change(self.two, REVOKED, "unspecified")
        self.assertEqual(self.status(self.two), (CERTIFICATE.REVOKED, None))

    def test_a_renewed_certificate_is_good_before_its_first_use(self) -> None:
        """What was issued and not used yet is as good as what is in use."""
        self.pki.change(self.one, CertificateState.PENDING)
        self.assertEqual(self.status(self.one), (CERTIFICATE.GOOD, None))

    def test_what_was_never_issued_is_unknown(self) -> None:
        """A serial number that the authority never gave is neither good nor revoked."""
        names = ocsp.OCSPRequestBuilder().add_certificate(self.one, self.issuing, hashes.SHA1()).build()
        stranger = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            names.issuer_name_hash, names.issuer_key_hash, 0x5E1A, hashes.SHA1()
        )
        response = self.answer(stranger.build().public_bytes(Encoding.DER))
        self.assertEqual(response.certificate_status, CERTIFICATE.UNKNOWN)
        self.assertEqual(response.serial_number, 0x5E1A)

    def test_another_authority_is_none_of_its_business(self) -> None:
        """RFC 6960 section 2.3: asked about a foreign authority's certificate it says unauthorized, unsigned."""
        foreign = KeptPki().enrol("T0000001")
        request = ocsp.OCSPRequestBuilder().add_certificate(foreign, foreign, hashes.SHA1()).build()
        response = self.answer(request.public_bytes(Encoding.DER))
        self.assertEqual(response.response_status, STATUS.UNAUTHORIZED)

    def test_answers_are_signed_by_a_delegated_responder(self) -> None:
        """RFC 6960 section 4.2.2.2: the issuing authority certified the signer, for this purpose and no other."""
        response = self.answer(self.request(self.one))
        [signer] = response.certificates
        signer.verify_directly_issued_by(self.issuing)
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(usage), [ExtendedKeyUsageOID.OCSP_SIGNING])
        self.assertIsNotNone(signer.extensions.get_extension_for_class(x509.OCSPNoCheck))
        named = x509.SubjectKeyIdentifier.from_public_key(signer.public_key()).digest
        self.assertEqual(response.responder_key_hash, named)
        self.assertNotEqual(signer.public_key(), self.issuing.public_key())

    def test_how_long_it_holds(self) -> None:
        """An answer says until when it may be believed; one with a nonce is for one client alone."""
        plain, own = self.responder.answer([self.request(self.one), self.request(self.one, nonce=b"n" * 32)])
        response = ocsp.load_der_ocsp_response(plain.der)
        self.assertEqual(response.this_update_utc, self.pki.clock.now())
        self.assertEqual(response.next_update_utc, self.pki.clock.now() + ANSWER_VALIDITY)
        self.assertEqual((plain.seconds, own.seconds), (ANSWER_VALIDITY.seconds, 0))

    def test_nonces(self) -> None:
        """RFC 9654: a nonce of 1 to 128 octets comes back as it came; other lengths are malformed requests."""
        for length in (1, 16, 32, 128):
            response = self.answer(self.request(self.one, nonce=b"n" * length))
            self.assertEqual(response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce, b"n" * length)
        self.assertEqual(len(self.answer(self.request(self.one)).extensions), 0)
        for length in (129, 1000):
            response = self.answer(self.request(self.one, nonce=b"n" * length))
            self.assertEqual(response.response_status, STATUS.MALFORMED_REQUEST)

    def several(self, *leaves: x509.Certificate) -> bytes:
        parts = [asn1_ocsp.OCSPRequest.load(self.request(each, hashes.SHA1())) for each in leaves]
        asked = [{"req_cert": each["tbs_request"]["request_list"][0]["req_cert"].copy()} for each in parts]
        return bytes(asn1_ocsp.OCSPRequest({"tbs_request": {"request_list": asked}}).dump())

    def test_several_certificates_in_one_request(self) -> None:
        """RFC 6960 section 4.1: each certificate of a request gets its own answer, under one signature."""
        self.pki.change(self.two, REVOKED, "superseded")
        responses = list(self.answer(self.several(self.one, self.two)).responses)
        self.assertEqual(
            [(each.serial_number, each.certificate_status) for each in responses],
            [(self.one.serial_number, CERTIFICATE.GOOD), (self.two.serial_number, CERTIFICATE.REVOKED)],
        )
        too_many = self.several(*[self.one] * (MAX_ASKED + 1))
        self.assertEqual(self.answer(too_many).response_status, STATUS.MALFORMED_REQUEST)

    def test_each_generation_answers_for_itself(self) -> None:
        """After a roll-over what the old authority issued is answered by a signer that it certified."""
        self.pki.roll_over()
        self.pki.service = self.pki.restart()
        young = self.pki.enrol("T0000009")
        old, self.issuing = self.issuing, self.pki.generations()[0].certificate
        response = self.answer(self.request(young))
        response.certificates[0].verify_directly_issued_by(self.issuing)
        self.assertEqual(response.certificate_status, CERTIFICATE.GOOD)
        mixed = ocsp.load_der_ocsp_request(self.request(young))
        asked = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            mixed.issuer_name_hash, mixed.issuer_key_hash, self.one.serial_number, hashes.SHA256()
        )
        response = self.answer(asked.build().public_bytes(Encoding.DER))
        self.assertEqual(response.certificate_status, CERTIFICATE.UNKNOWN)
        self.issuing = old
        response = self.answer(self.request(self.one))
        response.certificates[0].verify_directly_issued_by(old)
        self.assertEqual(response.certificate_status, CERTIFICATE.GOOD)

    def test_the_signers_certificate_is_replaced_ahead_of_its_end(self) -> None:
        """An answer is never signed under a certificate in its last weeks, housekeeping or not."""
        self.assertEqual(self.responder.keep(), ["ocsp/individual/1"])
        self.assertEqual(self.responder.keep(), [])
        generation = self.pki.generations()[0]
        first = self.responder.signer_of(generation)
        self.pki.clock.advance(OCSP_SIGNER.lifetime - OCSP_SIGNER.renewal + timedelta(seconds=1))
        second = self.responder.signer_of(generation)
        self.assertGreater(second.not_valid_after_utc, first.not_valid_after_utc)
        self.assertEqual((second.public_key(), self.responder.keep()), (first.public_key(), []))

    def test_a_batch_is_one_call_of_the_token(self) -> None:
        """However many ask, the register is read once and the token signs once."""
        self.responder.keep()
        self.answer(self.request(self.one))
        calls: list[int] = []
        sign = self.pki.store.sign

        def counted(handle: KeyHandle, payloads: Sequence[bytes]) -> list[bytes]:
            calls.append(len(payloads))
            return sign(handle, payloads)

        self.patch(self.pki.store, "sign", counted)
        answers = self.responder.answer([self.request(self.one), b"nonsense", self.request(self.two)])
        loaded = [ocsp.load_der_ocsp_response(each.der) for each in answers]
        self.assertEqual(calls, [2])
        first, bad, second = loaded
        self.assertEqual(bad.response_status, STATUS.MALFORMED_REQUEST)
        self.assertEqual((first.serial_number, second.serial_number), (self.one.serial_number, self.two.serial_number))

    def test_a_token_that_does_not_answer_is_no_answer(self) -> None:
        """Nothing unsigned and nothing old is said in the place of an answer."""

        def gone(*_: object) -> list[bytes]:
            raise KeyStoreUnavailable("removed")

        self.responder.keep()
        self.patch(self.pki.store, "sign", gone)
        self.assertRaises(KeyStoreUnavailable, self.responder.answer, [self.request(self.one)])

    # ------------------------------------------------------------------------ bad requests

    def test_malformed_requests(self) -> None:
        """Whatever is no OCSP request is answered malformedRequest, and costs the token nothing."""
        good = self.request(self.one)
        critical = asn1_ocsp.OCSPRequest.load(good)
        critical["tbs_request"]["request_extensions"] = [
            {"extn_id": "1.2.3.4", "critical": True, "extn_value": core.ParsableOctetString(b"?")}
        ]
        wrong = (b"", b"\x30\x00", good[:-1], good + b"\x00", os.urandom(64), b"\x30" * 1000)
        for bad in (*wrong, critical.dump(force=True), b"\x30\x82" + bytes(MAX_REQUEST_BYTES)):
            self.assertEqual(self.answer(bad).response_status, STATUS.MALFORMED_REQUEST, bad[:8])

    def test_any_bytes(self) -> None:
        """TR-20: no bytes whatsoever make the responder fail, whole or mutated."""
        good = self.request(self.one, nonce=b"n" * 32)

        changes = st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=4)

        @settings(max_examples=300, deadline=None)
        @given(changes, st.binary(max_size=8))
        def mutated(changed: list[tuple[int, int]], tail: bytes) -> None:
            request = bytearray(good)
            for place, value in changed:
                request[place] = value
            [answer] = self.responder.answer([bytes(request) + tail])
            ocsp.load_der_ocsp_response(answer.der)

        mutated()

    # ------------------------------------------------------------------------ OpenSSL's word

    def test_openssl_agrees(self) -> None:
        """`openssl ocsp` makes the request, verifies the answer up to the root, and reads the same states."""
        self.write("chain.pem", (self.folder / "issuing.pem").read_bytes() + (self.folder / "root.pem").read_bytes())
        self.pki.change(self.two, REVOKED, "keyCompromise")
        for leaf, wanted in ((self.one, ": good"), (self.two, ": revoked")):
            self.write("leaf.pem", leaf.public_bytes(Encoding.PEM))
            for options in (("-no_nonce",), ("-nonce",), ("-sha256",)):
                asking = ["ocsp", "-issuer", "issuing.pem", *options, "-cert", "leaf.pem"]
                self.assertEqual(self.openssl(*asking, "-reqout", "request.der")[0], 0)
                [answer] = self.responder.answer([(self.folder / "request.der").read_bytes()])
                self.write("response.der", answer.der)
                checking = ["-reqin", "request.der", "-respin", "response.der", "-CAfile", "root.pem", "-verify_other"]
                status, said = self.openssl("ocsp", *checking, "issuing.pem", *self.at)
                self.assertEqual((status, "Response verify OK" in said), (0, True), said)
                algorithm = [option for option in options if option == "-sha256"]
                asking = ["ocsp", "-issuer", "issuing.pem", *algorithm, "-cert", "leaf.pem", "-CAfile", "chain.pem"]
                _, said = self.openssl(
                    *asking, "-no_nonce", "-respin", "response.der", *self.at, "-validity_period", "9999999"
                )
                self.assertIn(f"leaf.pem{wanted}", said)
        self.assertIn("Reason: keyCompromise", said)


class TokenResponderTests(SynchronousTestCase):
    """The same with keys in a real token."""

    def test_a_signer_of_the_token(self) -> None:
        """TR-17: the OCSP signer's key is born in the token, cannot leave it, and answers."""
        pki = KeptPki(fresh_store(self))
        leaf = pki.enrol("T0000001")
        issuing = pki.generations()[0].certificate
        request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuing, hashes.SHA1()).build()
        [answer] = pki.responder().answer([request.public_bytes(Encoding.DER)])
        self.assertEqual(ocsp.load_der_ocsp_response(answer.der).certificate_status, CERTIFICATE.GOOD)
        attributes = pki.store.attributes(pki.store.find("individual-ocsp"))
        self.assertEqual((attributes.extractable, attributes.sensitive, attributes.local), (False, True, True))


class LifetimeTests(SynchronousTestCase):
    """Figures that go together."""

    def test_an_answer_ends_before_its_signer(self) -> None:
        """No answer outlives the certificate that proves it."""
        self.assertGreater(OCSP_SIGNER.renewal, ANSWER_VALIDITY)
        self.assertGreater(OCSP_SIGNER.lifetime - OCSP_SIGNER.renewal, timedelta(days=1))
