"""Certificates for activation codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from tests.protocol.network import (
    BACKEND,
    BINDING,
    CARD,
    POS,
    TERMS,
    Party,
    Verifier,
    lines_in,
    make_certificate,
    private_key,
)
from tests.protocol.shaking import CODE, OTHER_BINDING, HandshakeCase, certificate_request
from trus.protocol.effects import (
    Delivered,
    Effect,
    Enrolled,
    Mode,
    NeedEnrolment,
    Refused,
    Send,
)
from trus.protocol.errors import ErrorCode, LocalProtocolError
from trus.protocol.handshake import EnrolmentRequest, Expected, Initiator, Responder, run
from trus.values import DeviceRole

PASSPHRASE = "abcdefghijklmnopqrstuvwxyz234567"
#: What the responder notes of a message 3 that mixes both births.
FAULTS = {"csr": "proof", "birth": "birth", "signature": "proof"}


class EnrolmentTests(HandshakeCase):
    def initiator(
        self, csr: bytes | None = None, binding: bytes | None = BINDING, role: DeviceRole = DeviceRole.POS
    ) -> Initiator:
        return Initiator(
            to="backend",
            mode=Mode.ENROL,
            expected=Expected(DeviceRole.BACKEND, "backend"),
            clock=self.network.clock,
            entropy=self.network.device_entropy,
            channel_binding=binding,
            enrolment=EnrolmentRequest(role, "POS00001", csr or certificate_request(POS.key), CODE),
        )

    def prove(self, initiator: Initiator, responder: Responder, party: Party = POS) -> list[Effect]:
        verifier = Verifier()
        (answer,) = lines_in(run(responder, responder.receive(self.first_line(initiator)), BACKEND, verifier))
        (line3,) = lines_in(run(initiator, initiator.receive(answer[:-2]), party, verifier))
        return run(responder, responder.receive(line3[:-2]), BACKEND, verifier)

    def test_certificate_is_handed_out(self) -> None:
        """TR-15: A device with an activation code gets its certificate; its key never leaves it."""
        initiator, responder = self.initiator(), self.network.responder()
        csr = initiator._enrolment.csr if initiator._enrolment else b""
        effects = self.prove(initiator, responder)
        self.assertEqual(effects, [NeedEnrolment(DeviceRole.POS, "POS00001", csr, CODE)])
        self.assertNotIn(CODE, repr(effects))
        said, enrolled = responder.provide_enrolment(POS.chain, TERMS)
        self.assertEqual(enrolled, Enrolled(POS.chain, TERMS))
        assert isinstance(said, Send)
        self.assertEqual(initiator.receive(said.line[:-2]), [Enrolled(POS.chain, TERMS)])

    def test_the_backend_may_make_the_pair(self) -> None:
        """TR-17: A terminal that has no pair of its own gets one, sealed, with its code as its only proof."""
        initiator, responder = self.without_pair(), self.network.responder()
        POS.signed = 0
        effects = self.prove(initiator, responder)
        self.assertEqual(effects, [NeedEnrolment(DeviceRole.POS, "POS00001", b"", CODE)])
        self.assertEqual(POS.signed, 0)
        said, delivered = responder.provide_pair(b"pkcs12", PASSPHRASE, TERMS)
        self.assertEqual(delivered, Delivered(b"pkcs12", PASSPHRASE, TERMS))
        self.assertNotIn(PASSPHRASE, repr(delivered))
        assert isinstance(said, Send)
        self.assertNotIn(b"pkcs12", said.line)
        self.assertEqual(initiator.receive(said.line[:-2]), [Delivered(b"pkcs12", PASSPHRASE, TERMS)])

    def without_pair(self) -> Initiator:
        """Return a terminal that asks the backend to make its pair."""
        return Initiator(
            to="backend",
            mode=Mode.ENROL,
            expected=Expected(DeviceRole.BACKEND, "backend"),
            clock=self.network.clock,
            entropy=self.network.device_entropy,
            channel_binding=BINDING,
            enrolment=EnrolmentRequest(DeviceRole.POS, "POS00001", b"", CODE),
        )

    def test_each_birth_gets_its_own_answer(self) -> None:
        """A terminal with a pair is given no other, one without no bare certificate: both ends see to it."""
        for asking, answer in (
            (self.initiator(), lambda responder: responder.provide_pair(b"p12", PASSPHRASE, TERMS)),
            (self.without_pair(), lambda responder: responder.provide_enrolment(POS.chain, TERMS)),
        ):
            responder = self.network.responder()
            self.prove(asking, responder)
            self.assertRaises(LocalProtocolError, answer, responder)
            responder._pair_wanted = not responder._pair_wanted
            (said, _) = answer(responder)
            self.refused(asking.receive(said.line[:-2]), ErrorCode.BAD_FIELD, "chain")

    def test_a_pair_that_is_too_long_is_not_sent(self) -> None:
        """What the terminal's buffer would not take before authentication is the backend's own fault, at once."""
        initiator, responder = self.without_pair(), self.network.responder()
        self.prove(initiator, responder)
        self.assertRaises(LocalProtocolError, responder.provide_pair, bytes(3_000), PASSPHRASE, TERMS)

    def test_half_a_birth(self) -> None:
        """A request beside the wish for a pair, another word for its place, or a signature of nobody: a bad field."""
        for change in (
            {"csr": "AAAA"},
            {"birth": "cloud"},
            {"signature": "AAAA"},
        ):
            initiator, responder = self.without_pair(), self.network.responder()
            real = initiator._send_proof

            def send(
                sealed: dict[str, str],
                signature: bytes,
                real: Callable[[dict[str, str], bytes], list[Effect]] = real,
                change: dict[str, str] = change,
            ) -> list[Effect]:
                return real({**sealed, **change}, signature)

            self.patch(initiator, "_send_proof", send)
            self.refused(self.prove(initiator, responder), ErrorCode.BAD_FIELD, FAULTS[next(iter(change))])

    def test_a_pair_needs_the_binding(self) -> None:
        """A request for a pair that was relayed over another connection gets nothing."""
        responder = self.network.responder(binding=OTHER_BINDING)
        self.refused(self.prove(self.without_pair(), responder), ErrorCode.REFUSED, "binding")

    def test_refused_code(self) -> None:
        """A code that cannot be used is refused with one word for every reason."""
        initiator, responder = self.initiator(), self.network.responder()
        self.prove(initiator, responder)
        effects = responder.refuse(ErrorCode.ENROLMENT, "expired")
        self.refused(effects, ErrorCode.ENROLMENT, "expired")
        self.assertNotIn(b"expired", lines_in(effects)[0])
        self.assertEqual(initiator.receive(lines_in(effects)[0][:-2]), [Refused(ErrorCode.ENROLMENT, "peer")])

    def test_no_proof_no_certificate(self) -> None:
        """A request whose key did not sign the handshake, or that is bound elsewhere, gets nothing."""
        self.refused(self.prove(self.initiator(), self.network.responder(), CARD), ErrorCode.REFUSED, "signature")
        other = self.initiator(certificate_request(CARD.key))
        self.refused(self.prove(other, self.network.responder()), ErrorCode.REFUSED, "signature")
        self.refused(self.prove(self.initiator(b"\x30\x00"), self.network.responder()), ErrorCode.REFUSED, "request")
        for device, gateway in ((BINDING, OTHER_BINDING), (None, BINDING), (BINDING, None)):
            responder = self.network.responder(binding=gateway, unbound_models=frozenset({"", "VX1"}))
            self.refused(self.prove(self.initiator(binding=device), responder), ErrorCode.REFUSED, "binding")

    def test_other_role(self) -> None:
        """A POS channel enrols no card."""
        card = self.initiator(role=DeviceRole.CARD)
        self.refused(self.prove(card, self.network.responder()), ErrorCode.REFUSED, "role")

    def test_unknown_role(self) -> None:
        """A role that does not exist is a bad field."""
        initiator, responder = self.initiator(), self.network.responder()
        (answer,) = lines_in(run(responder, responder.receive(self.first_line(initiator)), BACKEND, Verifier()))
        request = initiator._enrolment
        assert request is not None

        initiator._enrolment = EnrolmentRequest(cast("DeviceRole", "waiter"), request.name, request.csr, CODE)
        (line3,) = lines_in(run(initiator, initiator.receive(answer[:-2]), POS, Verifier()))
        self.refused(responder.receive(line3[:-2]), ErrorCode.BAD_FIELD, "role")

    def test_impostor_backend(self) -> None:
        """TR-15: The activation code is not shown to a backend that the installed authority did not certify."""
        impostor = Party(DeviceRole.BACKEND, "backend")
        key = private_key("another authority")
        uri = "urn:trus:backend:backend::"
        impostor.chain = (make_certificate("backend", uri, impostor.key, "trus test authority", key, 7),)
        initiator, responder = self.initiator(), self.network.responder(impostor)
        (answer,) = lines_in(run(responder, responder.receive(self.first_line(initiator)), impostor, Verifier()))
        effects = run(initiator, initiator.receive(answer[:-2]), POS, Verifier())
        self.refused(effects, ErrorCode.REFUSED, "foreign")
