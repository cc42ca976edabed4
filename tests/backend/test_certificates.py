"""A device asks about certificates inside its session: its next one, anybody's, and the lists."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.backend.parts import TERMINAL, Bench
from trus.core.messages import Answer, Failed, Refused
from trus.core.messages_directory import LookedUp, Lookup, Renew, Renewed
from trus.protocol.fields import format_octets, parse_octets
from trus.protocol.messages import Kind, Message
from trus.protocol.verbs_certificates import MAX_LIST_PART_BYTES


class QuestionTests(SynchronousTestCase):
    """One session, a scripted core behind it."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.session = self.bench.connect()

    def ask(self, verb: str, **sealed: str) -> None:
        dialogue = self.session.open_dialogue()
        self.bench.send(self.session.seal(Kind.COMMAND, verb, {}, sealed, dialogue=dialogue))

    def answered(self, answer: Answer) -> tuple[object, Message]:
        request = self.bench.core.answer(answer)
        [line] = self.bench.heard()
        message = self.session.open(line)
        self.bench.send(self.session.seal(Kind.INFO, "COMPLETE", {}, {}, dialogue=message.dialogue))
        return request, message

    def test_a_renewal(self) -> None:
        """TR-15: the core hears who asks and from where; the device gets the chain inside the seal."""
        self.ask("RENEW", csr=format_octets(b"request"))
        request, message = self.answered(Renewed([b"leaf", b"issuer"]))
        self.assertEqual(request, Renew(TERMINAL, b"request", "192.0.2.1:4711"))
        self.assertEqual((message.kind, message.verb), (Kind.DATA, "CERTIFICATE"))
        self.assertEqual([parse_octets(each) for each in message.fields["chain"].split(",")], [b"leaf", b"issuer"])

    def test_a_refused_renewal(self) -> None:
        """A refusal is a code and nothing more, whatever the reason was."""
        for answer, code in (
            (Refused("12", "too-early"), "12"),
            (Refused("63", "held"), "63"),
            (Failed("91", "x"), "91"),
        ):
            self.ask("RENEW", csr=format_octets(b"request"))
            _, message = self.answered(answer)
            self.assertEqual((message.verb, message.fields["code"]), ("RESULT", code))
            self.assertNotIn("text", message.fields)

    def test_a_certificate(self) -> None:
        """DATA CERTIFICATE brings what the directory finds by a key; nothing found is code 25."""
        key = format_octets(b"k" * 20)
        self.ask("LOOKUP", what="certificate", by="subject", key=key)
        request, message = self.answered(LookedUp([b"one", b"two"], 60))
        self.assertEqual(request, Lookup("certificate", "subject", b"k" * 20))
        self.assertEqual(message.fields["chain"], f"{format_octets(b'one')},{format_octets(b'two')}")
        self.ask("LOOKUP", what="certificate", by="subject", key=key)
        _, message = self.answered(LookedUp([], 60))
        self.assertEqual((message.verb, message.fields["code"]), ("RESULT", "25"))

    def test_a_list_in_parts(self) -> None:
        """DATA CRL brings a list of any length, a part for each question, and says how long the whole is."""
        crl = bytes(range(251)) * 40
        got = b""
        while True:
            self.ask("LOOKUP", what="list", by="path", key=format_octets(b"individual/1/full"), offset=str(len(got)))
            _, message = self.answered(LookedUp([crl], 60))
            self.assertEqual((message.kind, message.verb), (Kind.DATA, "CRL"))
            self.assertEqual((message.fields["offset"], message.fields["total"]), (str(len(got)), str(len(crl))))
            part = parse_octets(message.fields["part"])
            self.assertLessEqual(len(part), MAX_LIST_PART_BYTES)
            got += part
            if len(got) == int(message.fields["total"]):
                break
        self.assertEqual(got, crl)
        self.ask("LOOKUP", what="list", by="path", key=format_octets(b"x"), offset=str(len(crl)))
        self.assertEqual(self.answered(LookedUp([crl], 60))[1].fields["code"], "25")

    def test_nothing_else_can_be_asked(self) -> None:
        """A device cannot reach the OCSP responder or anything else by a word of its own."""
        self.ask("LOOKUP", what="ocsp", by="request", key=format_octets(b"0\x00"))
        request, _ = self.answered(LookedUp([], 0))
        self.assertEqual(request, Lookup("nothing", "request", b"0\x00"))

    def test_an_answer_for_a_lost_connection_is_dropped(self) -> None:
        """What is found after the device has gone is said to nobody."""
        self.ask("RENEW", csr=format_octets(b"request"))
        self.bench.front.closed()
        self.bench.core.answer(Renewed([b"leaf"]))
        self.assertEqual(self.bench.heard(), [])
