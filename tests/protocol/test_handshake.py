"""The handshake: what it gives, and that bytes never raise."""

from __future__ import annotations

from collections.abc import Callable

from tests.protocol.network import (
    BACKEND,
    BINDING,
    POS,
    STAPLE,
    TERMS,
    Network,
    Verifier,
    converse,
    lines_in,
    session_in,
)
from tests.protocol.shaking import HandshakeCase
from trus.protocol import proofs
from trus.protocol.effects import (
    Effect,
    Established,
    Mode,
    NeedSignature,
    NeedVerification,
    Refused,
    Send,
    Terms,
)
from trus.protocol.errors import ErrorCode, LocalProtocolError
from trus.protocol.handshake import Expected, Initiator, Responder, Waiting, run
from trus.protocol.messages import Kind
from trus.values import DeviceRole, PeerIdentity


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

    def test_ledger_that_was_restored(self) -> None:
        """Both ends count alike how often the ledger was restored; one that never was is not spoken of."""
        for epoch in (0, 3):
            terms = Terms("2026-11-20", "USD", epoch=epoch)
            self.assertEqual(proofs.terms_fields(terms).get("epoch"), "3" if epoch else None)
            left, right = converse(self.network.initiator(), self.network.responder(), terms=terms)
            for established in (left[-1], right[-1]):
                assert isinstance(established, Established)
                self.assertEqual(established.terms, terms)

    def test_key_for_sales_off_line(self) -> None:
        """A terminal learns which public key to seal a sale off-line to; where there is none, none is spoken of."""
        for key in (b"", bytes(range(32))):
            terms = Terms("2026-11-20", "USD", advice_key=key)
            self.assertEqual("advice-key" in proofs.terms_fields(terms), bool(key))
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
            lambda: responder.provide_pair(b"", "", TERMS),
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
        self.assertEqual(responder.provide_pair(b"pkcs12", "passphrase", TERMS), [])
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
