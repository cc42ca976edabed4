"""A client written from the specification alone talks to the real responder."""

from __future__ import annotations

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.network import (
    BACKEND,
    BINDING,
    POS,
    TERMS,
    Network,
    SeededEntropy,
    Verifier,
    authority_certificate,
    lines_in,
    session_in,
)
from tests.protocol.stranger import Client, b64, unb64
from trus.protocol.effects import Delivered, Effect, Enrolled, NeedEnrolment, NeedStanding
from trus.protocol.handshake import Responder, run
from trus.protocol.messages import Kind
from trus.protocol.session import SealedSession


class IndependentClientTests(SynchronousTestCase):
    """Every promise here is kept to somebody who has read nothing but docs/protocol.md."""

    def setUp(self) -> None:
        self.network = Network("stranger")
        self.draw: Callable[[int], bytes] = SeededEntropy("stranger").draw

    def client(self, **more: object) -> Client:
        authority = x509.load_der_x509_certificate(authority_certificate())
        arguments: dict[str, object] = {"chain": POS.chain, **more}
        return Client(self.draw, POS.key, BINDING, authority, **arguments)  # type: ignore[arg-type]

    def answer(self, responder: Responder, line: bytes) -> list[Effect]:
        return run(responder, responder.receive(line), BACKEND, Verifier(), TERMS)

    def open_session(self, client: Client) -> SealedSession:
        responder = self.network.responder()
        (line2,) = lines_in(self.answer(responder, client.message1()))
        effects = self.answer(responder, client.message3(line2[:-2]))
        self.greeting = client.hear(lines_in(effects)[0][:-2])
        return session_in(effects)

    def test_purchase_with_pin(self) -> None:
        """TR-16, TR-19: A stranger's terminal authenticates, pays, presents a PIN and completes."""
        client = self.client()
        session = self.open_session(client)
        self.assertEqual(self.greeting[0], "INFO AUTHENTICATED")
        self.assertEqual(self.greeting[1]["date"], "2026-11-20")
        self.assertEqual(session.peer.name, "POS00001")
        assert client.keys is not None
        self.assertEqual(client.keys.pin, session.pin_key)

        rid = b64(self.draw(16))
        line = client.say(
            "COMMAND PROCESS",
            {"id": "c1", "stan": "000042", "amount": "12.50", "currency": "USD", "date": "2026-11-20"},
            {"rid": rid, "track2": "4000340000000506=2511111123400001230"},
        )
        message = session.open(line)
        self.assertEqual((message.verb, message.dialogue, message.fields["rid"]), ("PROCESS", "c1", rid))
        asked = session.seal(Kind.COMMAND, "PRESENT-PIN", {}, {}, dialogue="c1")
        self.assertEqual(client.hear(asked[:-2])[0], "COMMAND PRESENT-PIN")
        block = b64(self.draw(16))
        message = session.open(client.say("DATA PIN-BLOCK", {"id": "c1", "format": "4"}, {"block": block}))
        self.assertEqual(message.fields, {"format": "4", "block": block})
        answer = session.seal(
            Kind.INFO,
            "RESULT",
            {"result": "approved", "code": "00"},
            {"balance": "87.50", "currency": "USD", "text": 'Caf\u00e9 "Zum L\u00f6wen"'},
            dialogue="c1",
        )
        head, fields = client.hear(answer[:-2])
        self.assertEqual((head, fields["result"], fields["code"]), ("INFO RESULT", "approved", "00"))
        self.assertEqual(fields["text"], 'Caf\u00e9 "Zum L\u00f6wen"')
        session.open(client.say("INFO COMPLETE", {"id": "c1"}, {}))
        self.assertEqual(session.open_dialogues, 0)

    def test_rekey(self) -> None:
        """A stranger's terminal replaces the keys in place and goes on."""
        client = self.client()
        session = self.open_session(client)
        session.open(client.rekey())
        head, fields = client.hear(session.answer_rekey(self.network.tickets)[:-2])
        self.assertEqual(head, "DATA REKEY")
        session.open(client.rekeyed(fields))
        session.open(client.say("COMMAND ECHO", {"id": "c1"}, {}))
        self.assertEqual(client.hear(session.seal(Kind.INFO, "ECHO", {}, {}, dialogue="c1")[:-2])[0], "INFO ECHO")
        assert client.keys is not None
        self.assertNotEqual(client.keys.pin, session.pin_key)

    def test_resumption(self) -> None:
        """A stranger's terminal comes back with its ticket and signs nothing."""
        first = self.client()
        self.open_session(first)
        assert first.keys is not None
        ticket = (unb64(self.greeting[1]["ticket"]), first.keys.resumption)
        signed = BACKEND.signed

        client = self.client(ticket=ticket)
        responder = self.network.responder()
        (effect,) = self.answer(responder, client.message1())
        assert isinstance(effect, NeedStanding)
        (line2,) = lines_in(responder.provide_standing(TERMS))
        effects = self.answer(responder, client.message3(line2[:-2]))
        self.assertEqual(client.hear(lines_in(effects)[0][:-2])[0], "INFO AUTHENTICATED")
        session = session_in(effects)
        session.open(client.say("COMMAND ECHO", {"id": "c1"}, {}))
        self.assertEqual(session.peer.name, "POS00001")
        self.assertEqual(BACKEND.signed, signed)

    def test_enrolment(self) -> None:
        """TR-15: A stranger's terminal gets its certificate with an activation code."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "POS00001")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(POS.key, hashes.SHA256())
        csr = request.public_bytes(serialization.Encoding.DER)
        code = "ABCDE-FGHJK-LMNPQ-RSTUV-WXYZ2"
        client = self.client(chain=(), enrol={"role": "pos", "name": "POS00001", "csr": b64(csr), "code": code})
        responder = self.network.responder()
        (line2,) = lines_in(self.answer(responder, client.message1()))
        (effect,) = self.answer(responder, client.message3(line2[:-2]))
        assert isinstance(effect, NeedEnrolment)
        self.assertEqual((effect.name, effect.csr, effect.code), ("POS00001", csr, code))
        effects = responder.provide_enrolment(POS.chain, TERMS)
        self.assertIsInstance(effects[1], Enrolled)
        head, fields = client.hear(lines_in(effects)[0][:-2])
        self.assertEqual((head, unb64(fields["chain"])), ("INFO AUTHENTICATED", POS.chain[0]))

    def test_enrolment_with_a_pair_of_the_backend(self) -> None:
        """TR-17: A stranger's terminal without a key gets pair and certificate, with nothing but its code."""
        code = "ABCDE-FGHJK-LMNPQ-RSTUV-WXYZ2"
        enrol = {"role": "pos", "name": "POS00001", "code": code, "birth": "backend"}
        client = self.client(chain=(), enrol=enrol)
        responder = self.network.responder()
        (line2,) = lines_in(self.answer(responder, client.message1()))
        (effect,) = self.answer(responder, client.message3(line2[:-2]))
        assert isinstance(effect, NeedEnrolment)
        self.assertEqual((effect.name, effect.csr, effect.code), ("POS00001", b"", code))
        effects = responder.provide_pair(b"\x30\x82", "abcdefghijklmnopqrstuvwxyz234567", TERMS)
        self.assertIsInstance(effects[1], Delivered)
        head, fields = client.hear(lines_in(effects)[0][:-2])
        self.assertEqual((head, unb64(fields["p12"])), ("INFO AUTHENTICATED", b"\x30\x82"))
        self.assertEqual(fields["passphrase"], "abcdefghijklmnopqrstuvwxyz234567")
        self.assertNotIn("chain", fields)

    def test_imports_nothing_of_trus(self) -> None:
        """The stranger's client is written with the standard library and `cryptography` alone."""
        with open(Client.__init__.__code__.co_filename, encoding="utf-8") as source:
            imports = [line for line in source if line.startswith(("import ", "from "))]
        self.assertTrue(imports)
        self.assertFalse([line for line in imports if "trus" in line or "tests" in line])
