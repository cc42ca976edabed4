"""The handshake: who gets a session, who does not, and that bytes never raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.network import (
    BACKEND,
    BINDING,
    CARD,
    POS,
    STAPLE,
    TERMS,
    Network,
    Party,
    Verifier,
    converse,
    lines_in,
    make_certificate,
    private_key,
    refusals_in,
    session_in,
)
from trus.protocol import proofs
from trus.protocol.effects import (
    Effect,
    Enrolled,
    Established,
    Mode,
    NeedEnrolment,
    NeedSignature,
    NeedStanding,
    NeedVerification,
    Refused,
    Send,
    Terms,
)
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.handshake import EnrolmentRequest, Expected, Initiator, Responder, Waiting, run
from trus.protocol.messages import Kind, Phase, Side, parse_line
from trus.protocol.tickets import StoredTicket
from trus.values import DeviceRole, PeerIdentity

OTHER_BINDING = bytes(32)
CODE = "K7QM2-XW4TR-9BNHC-6JDPF"


def certificate_request(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, name: str = "POS00001") -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    algorithm = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.DER)


class HandshakeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network("handshake")

    def refused(self, effects: list[Effect], code: ErrorCode, reason: str | None = None) -> None:
        """Check that a handshake ended, and said nothing but one code on the wire."""
        (refusal,) = refusals_in(effects)
        self.assertEqual(refusal.code, code)
        if reason is not None:
            self.assertEqual(refusal.reason, reason)
        self.assertFalse([effect for effect in effects if isinstance(effect, Established | Enrolled)])
        last = lines_in(effects)[-1:]
        if last and last[0].startswith(b"INFO ERROR"):
            message = parse_line(last[0][:-2], phase=Phase.OPENING, sender=Side.RESPONDER)
            self.assertEqual(message.fields, {"code": code.value})

    def fail_between(self, initiator: Initiator, responder: Responder, code: ErrorCode, reason: str) -> None:
        """Check that the responder refuses and that the initiator hears only the code."""
        left, right = converse(initiator, responder)
        self.refused(right, code, reason)
        self.assertEqual(refusals_in(left), [Refused(code, "peer")])

    def first_line(self, initiator: Initiator) -> bytes:
        return lines_in(initiator.start())[0][:-2]

    def ticket(self) -> StoredTicket:
        left, _ = converse(self.network.initiator(), self.network.responder())
        ticket = session_in(left).ticket
        assert ticket is not None
        return ticket


class FullTests(HandshakeCase):
    def test_both_are_authenticated(self) -> None:
        """TR-16: Terminal and backend prove their certificates to each other and hold the same keys."""
        left, right = converse(self.network.initiator(), self.network.responder())
        device, backend = session_in(left), session_in(right)
        self.assertEqual((device.peer.name, backend.peer.name), ("backend", "POS00001"))
        line = device.seal(Kind.COMMAND, "ECHO", {}, {}, dialogue="c1")
        self.assertEqual(backend.open(line[:-2]).verb, "ECHO")
        established = left[-1]
        assert isinstance(established, Established)
        self.assertEqual(established.terms, TERMS)
        self.assertEqual(established.ticket, device.ticket)
        self.assertNotIn("secret", repr(left) + repr(right))

    def test_what_the_verifier_gets(self) -> None:
        """The verifier is given the peer's chain, the OCSP answer, the role wanted and the mode."""
        initiator, responder = self.network.initiator(), self.network.responder()
        (need,) = responder.receive(self.first_line(initiator))
        assert isinstance(need, NeedSignature)
        (said,) = responder.provide_signature(BACKEND.sign(need.payload))
        assert isinstance(said, Send)
        self.assertEqual(
            initiator.receive(said.line[:-2]),
            [NeedVerification(BACKEND.chain, STAPLE, DeviceRole.BACKEND, Mode.FULL)],
        )
        self.assertEqual(initiator.waiting, Waiting.VERIFICATION)

    def test_certificates_are_not_seen(self) -> None:
        """TD-9: Neither certificate can be read by who watches the wire."""
        left, right = converse(self.network.initiator(), self.network.responder())
        wire = b"".join(lines_in(left) + lines_in(right))
        for party in (POS, BACKEND):
            self.assertNotIn(proofs.format_chain(party.chain).encode(), wire)
            self.assertNotIn(party.name.encode(), wire.replace(b"to=backend", b""))

    def test_two_handshakes_share_nothing(self) -> None:
        """Each handshake has its own label, shares and keys."""
        sessions = [session_in(converse(self.network.initiator(), self.network.responder())[0]) for _ in range(2)]
        self.assertNotEqual(sessions[0].label, sessions[1].label)
        self.assertNotEqual(sessions[0].pin_key, sessions[1].pin_key)

    def test_without_staple_and_tickets(self) -> None:
        """A responder without OCSP answer and ticket keys still makes a session."""
        responder = Responder(
            name="backend",
            chain=BACKEND.chain,
            staple=None,
            peer_role=DeviceRole.POS,
            clock=self.network.clock,
            entropy=self.network.backend_entropy,
            modes=frozenset({Mode.FULL}),
            channel_binding=BINDING,
        )
        left, _ = converse(self.network.initiator(), responder)
        self.assertIsNone(session_in(left).ticket)

    def test_policy_about_pins(self) -> None:
        """The device learns whether every purchase needs a PIN."""
        terms = Terms("2026-11-20", "", False, 8, 60)
        left, _ = converse(self.network.initiator(), self.network.responder(), terms=terms)
        established = left[-1]
        assert isinstance(established, Established)
        self.assertEqual(established.terms, terms)


class NegotiationTests(HandshakeCase):
    def refuse_line(self, old: bytes, new: bytes, code: ErrorCode, reason: str | None = None) -> None:
        responder = self.network.responder()
        line = self.first_line(self.network.initiator())
        self.assertIn(old, line)
        effects = responder.receive(line.replace(old, new))
        self.refused(effects, code, reason)
        self.assertEqual(responder.waiting, Waiting.NOTHING)
        self.assertEqual(responder.receive(line), [])

    def test_offers(self) -> None:
        """TR-16: Message 1 is refused for versions, suites, addressee or mode that are not served."""
        for old, new, code in (
            (b"versions=1", b"versions=2,3", ErrorCode.VERSION),
            (b"suites=1", b"suites=2", ErrorCode.SUITE),
            (b"to=backend", b"to=POS00002", ErrorCode.UNREACHABLE),
            (b"mode=full", b"mode=other", ErrorCode.BAD_FIELD),
            (b"mode=full", b"mode=device", ErrorCode.REFUSED),
            (b"mode=full", b"mode=resume", ErrorCode.BAD_FIELD),
            (b"share=", b"shore=", ErrorCode.BAD_FIELD),
            (b"COMMAND", b"DATA", ErrorCode.UNSEALED),
            (b"COMMAND AUTHENTICATE", b"COMMAND PROCESS", ErrorCode.OUT_OF_ORDER),
            (b"COMMAND AUTHENTICATE", b"COMMAND REBOOT", ErrorCode.UNKNOWN_VERB),
            (b"COMMAND AUTHENTICATE", b"HELLO", ErrorCode.MALFORMED),
        ):
            if new == b"DATA":
                self.refuse_line(old, new, ErrorCode.OUT_OF_ORDER)
            else:
                self.refuse_line(old, new, code)

    def test_newer_client(self) -> None:
        """A newer client that also offers version 1 is answered in version 1."""
        line = self.first_line(self.network.initiator()).replace(b"versions=1", b"versions=2,1")
        (effect,) = self.network.responder().receive(line)
        self.assertIsInstance(effect, NeedSignature)

    def test_altered_offer(self) -> None:
        """An offer that was altered on the way is noticed: the responder's proof does not open."""
        initiator, responder = self.network.initiator(), self.network.responder()
        line = self.first_line(initiator).replace(b"versions=1", b"versions=2,1")
        (answer,) = lines_in(run(responder, responder.receive(line), BACKEND, Verifier()))
        self.refused(initiator.receive(answer[:-2]), ErrorCode.REFUSED, "tag")

    def test_zero_share(self) -> None:
        """TR-16: A share of small order is refused by either side."""
        network = Network("zero")
        line = self.first_line(network.initiator())
        start = line.index(b"share=") + 6
        self.refused(
            network.responder().receive(line[:start] + b"A" * 43 + line[start + 43 :]), ErrorCode.REFUSED, "share"
        )
        initiator, responder = network.initiator(), network.responder()
        (answer,) = lines_in(run(responder, responder.receive(self.first_line(initiator)), BACKEND, Verifier()))
        start = answer.index(b"share=") + 6
        zeroed = answer[:start] + b"A" * 43 + answer[start + 43 : -2]
        self.refused(initiator.receive(zeroed), ErrorCode.REFUSED, "share")

    def test_downgraded_answer(self) -> None:
        """An answer in another version or suite is refused by the initiator."""
        for old, new, code in (
            (b"version=1", b"version=2", ErrorCode.VERSION),
            (b"suite=1", b"suite=2", ErrorCode.SUITE),
        ):
            initiator, responder = self.network.initiator(), self.network.responder()
            (answer,) = lines_in(run(responder, responder.receive(self.first_line(initiator)), BACKEND, Verifier()))
            self.refused(initiator.receive(answer[:-2].replace(old, new)), code)


class AlterationTests(HandshakeCase):
    def play(self, alter: Callable[[int, bytes], bytes]) -> tuple[list[Effect], list[Effect]]:
        """Carry the four messages, each through `alter` with its number."""
        initiator, responder = self.network.initiator(), self.network.responder()
        verifier = Verifier()
        left: list[Effect] = run(initiator, initiator.start(), POS, verifier)
        right: list[Effect] = []
        lines, number, to_right = lines_in(left), 1, True
        while lines:
            line = alter(number, lines.pop(0)[:-2])
            if to_right:
                effects = run(responder, responder.receive(line), BACKEND, verifier, TERMS)
                right += effects
            else:
                effects = run(initiator, initiator.receive(line), POS, verifier)
                left += effects
            lines = lines_in(effects)
            number, to_right = number + 1, not to_right
        return left, right

    def test_any_octet(self) -> None:
        """TR-16: A change of any octet of any of the four messages leaves at least one side without a session."""
        lines: list[bytes] = []

        def note(_: int, line: bytes) -> bytes:
            lines.append(line)
            return line

        self.play(note)
        for number, line in enumerate(lines, 1):
            for position in range(0, len(line), 37 if number in (2, 3) else 7):

                def alter(at: int, octets: bytes, number: int = number, position: int = position) -> bytes:
                    if at != number:
                        return octets
                    flipped = octets[position] ^ 1
                    return octets[:position] + bytes([flipped]) + octets[position + 1 :]

                left, right = self.play(alter)
                both = [effect for effect in left + right if isinstance(effect, Established)]
                self.assertLess(len(both), 2, (number, position))

    def test_messages_in_the_wrong_place(self) -> None:
        """A message that comes twice, or at the wrong side, is out of order."""
        initiator, responder = self.network.initiator(), self.network.responder()
        line1 = self.first_line(initiator)
        run(responder, responder.receive(line1), BACKEND, Verifier())
        self.refused(responder.receive(line1), ErrorCode.OUT_OF_ORDER)
        self.refused(initiator.receive(line1), ErrorCode.UNKNOWN_VERB)

        waiting = self.network.responder()
        waiting.receive(line1)
        self.refused(waiting.receive(line1), ErrorCode.OUT_OF_ORDER)

        early = self.network.initiator()
        early.start()
        self.refused(
            early.receive(b"INFO AUTHENTICATED s=" + early.label.encode() + b" seal=AAAA"), ErrorCode.OUT_OF_ORDER
        )

    def test_other_label(self) -> None:
        """A message under another session's label is refused."""

        def relabel(at: int) -> Callable[[int, bytes], bytes]:
            def alter(number: int, line: bytes) -> bytes:
                if number != at:
                    return line
                start = line.index(b" s=") + 3
                return line[:start] + b"A" * 16 + line[start + 16 :]

            return alter

        for at, code in ((2, ErrorCode.UNKNOWN_SESSION), (3, ErrorCode.UNKNOWN_SESSION), (4, ErrorCode.REFUSED)):
            left, right = self.play(relabel(at))
            self.refused(right if at == 3 else left, code)

    def test_unsealed_proofs(self) -> None:
        """A proof without its seal is refused."""
        for at in (2, 3, 4):

            def strip(number: int, line: bytes, at: int = at) -> bytes:
                return line.rpartition(b" seal=")[0] if number == at else line

            left, right = self.play(strip)
            self.refused(right if at == 3 else left, ErrorCode.UNSEALED)


class PeerTests(HandshakeCase):
    def test_stolen_certificate(self) -> None:
        """TR-16: Who shows a certificate without its key gets no session, on either side."""
        thief = Party(DeviceRole.POS, "POS09999")
        left, right = converse(self.network.initiator(), self.network.responder(), initiator_party=thief)
        self.refused(right, ErrorCode.REFUSED, "signature")
        self.assertEqual(refusals_in(left), [Refused(ErrorCode.REFUSED, "peer")])
        left, _ = converse(self.network.initiator(), self.network.responder(), responder_party=thief)
        self.refused(left, ErrorCode.REFUSED, "signature")

    def test_foreign_certificate(self) -> None:
        """A certificate of another authority is refused, on either side."""
        for role in (DeviceRole.POS, DeviceRole.BACKEND):
            foreign = Party(role, "POS00001" if role is DeviceRole.POS else "backend")
            uri = f"urn:trus:{role}:{foreign.name}::"
            key = private_key("another authority")
            foreign.chain = (make_certificate(foreign.name, uri, foreign.key, "trus test authority", key, 7),)
            if role is DeviceRole.POS:
                left, right = converse(self.network.initiator(party=foreign), self.network.responder(), foreign)
                self.refused(right, ErrorCode.REFUSED, "foreign")
            else:
                responder = self.network.responder(foreign)
                left, _ = converse(self.network.initiator(), responder, POS, foreign)
                self.refused(left, ErrorCode.REFUSED, "foreign")

    def test_wrong_role(self) -> None:
        """A POS cannot pass for the backend, nor a card for a POS."""
        left, _ = converse(self.network.initiator(), self.network.responder(POS), CARD, POS)
        self.refused(left, ErrorCode.REFUSED)
        left, right = converse(self.network.initiator(party=CARD), self.network.responder(), CARD)
        self.refused(right, ErrorCode.REFUSED, "role")

    def test_identity_of_another_role(self) -> None:
        """A verifier that names a holder of another role does not help it."""
        initiator, responder = self.network.initiator(), self.network.responder()
        (answer,) = lines_in(run(responder, responder.receive(self.first_line(initiator)), BACKEND, Verifier()))
        (line3,) = lines_in(run(initiator, initiator.receive(answer[:-2]), POS, Verifier()))
        responder.receive(line3[:-2])
        card = PeerIdentity(DeviceRole.CARD, "POS00001", "01")
        self.refused(responder.provide_verification(card, TERMS), ErrorCode.REFUSED, "role")

    def test_unexpected_name(self) -> None:
        """A device that wants one backend, or one shop's terminal, accepts no other."""
        for expected in (
            Expected(DeviceRole.BACKEND, "backend2"),
            Expected(DeviceRole.BACKEND, "backend", "SHOP1"),
        ):
            left, _ = converse(self.network.initiator(expected=expected), self.network.responder())
            self.refused(left, ErrorCode.REFUSED, "name")

    def test_mirror(self) -> None:
        """A side that is shown its own certificate refuses it."""
        pos = Party(DeviceRole.BACKEND, "backend")
        left, _ = converse(self.network.initiator(party=pos), self.network.responder(pos), pos, pos)
        self.refused(left, ErrorCode.REFUSED, "mirror")
        # A responder meets itself behind an initiator that does not look.
        initiator = self.network.initiator(party=pos)
        initiator._chain = ()
        responder = self.network.responder(pos, DeviceRole.BACKEND)
        (answer,) = lines_in(run(responder, responder.receive(self.first_line(initiator)), pos, Verifier()))
        effects = initiator.receive(answer[:-2])
        initiator._chain = pos.chain
        self.assertIsInstance(effects[0], NeedVerification)
        (line3,) = lines_in(run(initiator, effects, pos, Verifier()))
        self.refused(responder.receive(line3[:-2]), ErrorCode.REFUSED, "mirror")

    def test_possession(self) -> None:
        """Only an ECDSA P-256 key that signed the payload proves a certificate or a request."""
        payload, signature = b"payload", POS.sign(b"payload")
        proofs.check_possession(POS.chain[0], payload, signature)
        for certificate, said, proof in (
            (POS.chain[0], b"other", signature),
            (POS.chain[0], payload, b"\x30\x00"),
            (CARD.chain[0], payload, signature),
            (b"no certificate", payload, signature),
        ):
            error = self.assertRaises(RemoteProtocolError, proofs.check_possession, certificate, said, proof)
            self.assertEqual(error.code, ErrorCode.REFUSED)
        proofs.check_request(certificate_request(POS.key), payload, signature)
        edwards = ed25519.Ed25519PrivateKey.from_private_bytes(b"e" * 32)
        tampered = bytearray(certificate_request(POS.key))
        tampered[-1] ^= 1
        for request in (b"no request", certificate_request(CARD.key), certificate_request(edwards), bytes(tampered)):
            self.assertRaises(RemoteProtocolError, proofs.check_request, request, payload, signature)

    def test_chain_has_bounds(self) -> None:
        """A chain has one to four certificates; a longer line than the limit is never sent."""
        self.assertRaises(LocalProtocolError, proofs.format_chain, ())
        self.assertRaises(LocalProtocolError, proofs.format_chain, POS.chain * 5)
        fat = Party(DeviceRole.BACKEND, "backend")
        fat.chain = (fat.chain[0], *([bytes(900)] * 3))
        responder = self.network.responder(fat)
        effects = responder.receive(self.first_line(self.network.initiator()))
        assert isinstance(effects[0], NeedSignature)
        self.assertRaises(LocalProtocolError, responder.provide_signature, fat.sign(effects[0].payload))


class BindingTests(HandshakeCase):
    def test_relayed_handshake(self) -> None:
        """TR-16: A device's proof relayed over another TLS connection is refused."""
        self.fail_between(
            self.network.initiator(),
            self.network.responder(binding=OTHER_BINDING),
            ErrorCode.REFUSED,
            "binding",
        )

    def test_missing_binding(self) -> None:
        """A missing binding is refused, on the device's or the gateway's side, unless the model is exempt."""
        exempt = frozenset({"VX1"})
        for device, gateway in ((None, BINDING), (BINDING, None), (None, None)):
            self.fail_between(
                self.network.initiator(binding=device),
                self.network.responder(binding=gateway),
                ErrorCode.REFUSED,
                "binding",
            )
            left, _ = converse(
                self.network.initiator(binding=device),
                self.network.responder(binding=gateway, unbound_models=exempt),
            )
            self.assertEqual(session_in(left).peer.name, "backend")

    def test_exempt_model_with_wrong_binding(self) -> None:
        """A binding that is there must be right, whatever the model."""
        responder = self.network.responder(binding=OTHER_BINDING, unbound_models=frozenset({"VX1"}))
        self.fail_between(self.network.initiator(), responder, ErrorCode.REFUSED, "binding")


class ResumptionTests(HandshakeCase):
    def resume(
        self, initiator: Initiator, responder: Responder, stands: bool = True
    ) -> tuple[list[Effect], list[Effect]]:
        verifier = Verifier()
        right = responder.receive(self.first_line(initiator))
        if right and isinstance(right[0], NeedStanding):
            self.assertEqual(right[0].peer.name, "POS00001")
            right = responder.provide_standing(TERMS) if stands else responder.refuse(ErrorCode.REFUSED, "revoked")
        left = initiator.receive(lines_in(right)[0][:-2])
        for line in lines_in(left):
            more = run(responder, responder.receive(line[:-2]), BACKEND, verifier, TERMS)
            right += more
            for answer in lines_in(more):
                left += initiator.receive(answer[:-2])
        return left, right

    def test_no_signatures(self) -> None:
        """TR-16: A ticket opens a new session without signatures and with fresh keys."""
        first = session_in(converse(self.network.initiator(), self.network.responder())[0])
        assert first.ticket is not None
        signed = (POS.signed, BACKEND.signed)
        self.network.clock.advance(3600)
        initiator = self.network.initiator(Mode.RESUME, ticket=first.ticket, binding=OTHER_BINDING)
        left, right = self.resume(initiator, self.network.responder(binding=OTHER_BINDING))
        device, backend = session_in(left), session_in(right)
        self.assertEqual((POS.signed, BACKEND.signed), signed)
        self.assertEqual((device.peer.name, backend.peer.name), ("backend", "POS00001"))
        self.assertNotEqual(device.pin_key, first.pin_key)
        self.assertEqual(device.pin_key, backend.pin_key)
        self.assertEqual(device.ends_at, first.ends_at)
        self.assertEqual(backend.ends_at, first.ends_at)

    def test_tickets_chain_until_the_end(self) -> None:
        """Resumption after resumption works for 24 hours after the full handshake and then no more."""
        ticket = self.ticket()
        for _ in range(5):
            self.network.clock.advance(4.5 * 3600)
            left, _ = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), self.network.responder())
            after = session_in(left).ticket
            assert after is not None
            ticket = after
        self.assertEqual(int(ticket.expires - self.network.clock.now().timestamp()), 5400)
        self.network.clock.advance(5400)
        left, right = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), self.network.responder())
        self.refused(right, ErrorCode.TICKET, "ticket")
        self.assertEqual(refusals_in(left), [Refused(ErrorCode.TICKET, "peer")])

    def test_revoked_meanwhile(self) -> None:
        """TR-15: A ticket whose holder was revoked opens nothing."""
        left, _ = self.resume(
            self.network.initiator(Mode.RESUME, ticket=self.ticket()), self.network.responder(), stands=False
        )
        self.assertEqual(refusals_in(left), [Refused(ErrorCode.REFUSED, "peer")])

    def test_stolen_ticket(self) -> None:
        """A ticket without its secret, and a message replayed over another connection, are refused."""
        ticket = self.ticket()
        stolen = StoredTicket(ticket.ticket, bytes(32), ticket.expires, ticket.ends, ticket.peer)
        _, right = self.resume(self.network.initiator(Mode.RESUME, ticket=stolen), self.network.responder())
        self.refused(right, ErrorCode.REFUSED, "binder")
        replayed = self.network.responder(binding=OTHER_BINDING)
        _, right = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), replayed)
        self.refused(right, ErrorCode.REFUSED, "binder")

    def test_ticket_of_another(self) -> None:
        """A ticket is refused by another backend, for another role, and where none are given."""
        ticket = self.ticket()
        for responder in (
            Network("another").responder(),
            self.network.responder(peer_role=DeviceRole.CARD),
        ):
            _, right = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), responder)
            self.refused(right, ErrorCode.TICKET)
        without = self.network.responder()
        without._tickets = None
        _, right = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), without)
        self.refused(right, ErrorCode.TICKET)

    def test_without_exporter(self) -> None:
        """Without a reported binding only exempt models resume."""
        ticket = self.ticket()
        _, right = self.resume(
            self.network.initiator(Mode.RESUME, ticket=ticket, binding=None), self.network.responder(binding=None)
        )
        self.refused(right, ErrorCode.REFUSED, "binding")
        responder = self.network.responder(binding=None, unbound_models=frozenset({"VX1"}))
        left, _ = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket, binding=None), responder)
        self.assertEqual(session_in(left).peer.name, "backend")

    def test_ticket_without_its_mode(self) -> None:
        """A ticket outside mode resume is refused."""
        line = self.first_line(self.network.initiator(Mode.RESUME, ticket=self.ticket()))
        self.refused(self.network.responder().receive(line.replace(b"mode=resume", b"mode=full")), ErrorCode.BAD_FIELD)

    def test_last_moment(self) -> None:
        """A session that is opened in the chain's last second gets no further ticket."""
        ticket = self.ticket()
        self.network.clock.advance(7 * 3600)
        left, _ = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), self.network.responder())
        ticket2 = session_in(left).ticket
        assert ticket2 is not None
        initiator, responder = self.network.initiator(Mode.RESUME, ticket=ticket2), self.network.responder()
        responder.receive(self.first_line(initiator))
        (answer,) = lines_in(responder.provide_standing(TERMS))
        (line3,) = lines_in(initiator.receive(answer[:-2]))
        self.network.clock.advance(17 * 3600)
        effects = responder.receive(line3[:-2])
        (established,) = initiator.receive(lines_in(effects)[0][:-2])
        assert isinstance(established, Established)
        self.assertIsNone(established.ticket)


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


class DeviceTests(HandshakeCase):
    def both(self, expected: Expected) -> tuple[Initiator, Responder]:
        initiator = self.network.initiator(Mode.DEVICE, CARD, expected, to="POS00001")
        responder = self.network.responder(POS, DeviceRole.CARD, None, frozenset({Mode.DEVICE}), name="POS00001")
        return initiator, responder

    def test_card_and_terminal(self) -> None:
        """TR-16: A card and a POS authenticate each other; there is no ticket and no binding."""
        left, right = converse(*self.both(Expected(DeviceRole.POS, "POS00001", "SHOP1")), CARD, POS)
        card, pos = session_in(left), session_in(right)
        self.assertEqual((card.peer.name, card.peer.shop, pos.peer.name), ("POS00001", "SHOP1", "CARD00000001"))
        self.assertIsNone(card.ticket)
        self.assertFalse(card.resumable or pos.resumable)

    def test_other_shop(self) -> None:
        """A card pays at the shop and the terminal that it chose and at no other."""
        for expected in (Expected(DeviceRole.POS, "POS00001", "SHOP2"), Expected(DeviceRole.POS, "POS00002", "SHOP1")):
            left, _ = converse(*self.both(expected), CARD, POS)
            self.refused(left, ErrorCode.REFUSED, "name")

    def test_binding_does_not_belong(self) -> None:
        """A binding between devices is refused: each end has a TLS connection of its own."""
        initiator, responder = self.both(Expected(DeviceRole.POS))
        initiator._binding = BINDING
        _, right = converse(initiator, responder, CARD, POS)
        self.refused(right, ErrorCode.BAD_FIELD, "proof")


class OwnerTests(HandshakeCase):
    def test_missing_material(self) -> None:
        """A handshake whose mode lacks its material is not even begun."""
        for mode in Mode:
            self.assertRaises(
                LocalProtocolError,
                Initiator,
                to="backend",
                mode=mode,
                expected=Expected(DeviceRole.BACKEND),
                clock=self.network.clock,
                entropy=self.network.device_entropy,
            )

    def test_answers_nobody_asked_for(self) -> None:
        """An owner that answers what was not asked is told so."""
        initiator, responder = self.network.initiator(), self.network.responder()
        initiator.start()
        self.assertRaises(LocalProtocolError, initiator.start)
        self.assertRaises(LocalProtocolError, initiator.provide_signature, b"")
        self.assertRaises(LocalProtocolError, initiator.provide_verification, None)
        for call in (
            lambda: responder.provide_signature(b""),
            lambda: responder.provide_verification(PeerIdentity(DeviceRole.POS, "", ""), TERMS),
            lambda: responder.provide_standing(TERMS),
            lambda: responder.provide_enrolment((), TERMS),
        ):
            self.assertRaises(LocalProtocolError, call)

    def test_answers_that_come_too_late(self) -> None:
        """TR-16: A token that answers after the peer has given up changes nothing and harms nothing."""
        responder = self.network.responder()
        effects = responder.receive(self.first_line(self.network.initiator()))
        assert isinstance(effects[0], NeedSignature)
        responder.receive(b"INFO BYE")
        self.assertEqual(responder.provide_signature(BACKEND.sign(effects[0].payload)), [])
        self.assertEqual(responder.provide_standing(TERMS), [])
        self.assertEqual(responder.provide_verification(PeerIdentity(DeviceRole.POS, "", ""), TERMS), [])
        self.assertEqual(responder.provide_enrolment(POS.chain, TERMS), [])
        initiator = self.network.initiator()
        initiator.refuse(ErrorCode.TIMEOUT, "owner")
        self.assertEqual(initiator.start() + initiator.provide_signature(b""), [])
        self.assertEqual(initiator.provide_verification(PeerIdentity(DeviceRole.BACKEND, "", "")), [])

    def test_ticket_of_another_backend(self) -> None:
        """A ticket is not used towards another peer than the one expected."""
        other = Expected(DeviceRole.BACKEND, "backend2")
        ticket = self.ticket()
        self.assertRaises(LocalProtocolError, self.network.initiator, Mode.RESUME, POS, other, BINDING, ticket)

    def test_giving_up(self) -> None:
        """Either owner may end a handshake at any time; the other side hears the code, once."""
        initiator, responder = self.network.initiator(), self.network.responder()
        responder.receive(self.first_line(initiator))
        effects = responder.refuse(ErrorCode.TIMEOUT, "token")
        self.refused(effects, ErrorCode.TIMEOUT, "token")
        self.assertEqual(responder.refuse(ErrorCode.TIMEOUT, "again"), [])
        self.assertEqual(initiator.receive(lines_in(effects)[0][:-2]), [Refused(ErrorCode.TIMEOUT, "peer")])
        self.assertEqual(initiator.receive(b"INFO BYE"), [])

    def test_before_the_label_is_known(self) -> None:
        """An error before any label was heard names none."""
        effects = self.network.responder().receive(b"HELLO")
        self.assertEqual(lines_in(effects), [b"INFO ERROR code=malformed\r\n"])

    def test_peer_gives_up(self) -> None:
        """INFO ERROR and INFO BYE of the peer end the handshake; an unknown code counts as refused."""
        for line, code in (
            (b"INFO ERROR code=busy", ErrorCode.BUSY),
            (b"INFO ERROR code=brand-new", ErrorCode.REFUSED),
            (b"INFO BYE reason=restart", ErrorCode.REFUSED),
        ):
            initiator = self.network.initiator()
            initiator.start()
            self.assertEqual(initiator.receive(line), [Refused(code, "peer")])
        initiator = self.network.initiator()
        initiator.start()
        self.refused(initiator.receive(b"INFO ERROR s=AAAAAAAAAAAAAAAA code=busy"), ErrorCode.UNKNOWN_SESSION)
        initiator = self.network.initiator()
        initiator.start()
        self.refused(initiator.receive(b"INFO ERROR code=BUSY"), ErrorCode.BAD_FIELD)
