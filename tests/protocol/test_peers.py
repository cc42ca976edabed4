"""Who gets a session and who does not."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.protocol.network import (
    BACKEND,
    BINDING,
    CARD,
    POS,
    TERMS,
    Party,
    Verifier,
    converse,
    lines_in,
    make_certificate,
    private_key,
    refusals_in,
    session_in,
)
from tests.protocol.shaking import OTHER_BINDING, HandshakeCase, certificate_request
from trus.protocol import proofs
from trus.protocol.effects import (
    Mode,
    NeedSignature,
    NeedVerification,
    Refused,
)
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.handshake import Expected, Initiator, Responder, run
from trus.values import DeviceRole, PeerIdentity


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
