"""A sealed session: what it carries, what ends it, what it survives, and new keys in place."""

from __future__ import annotations

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.protocol import stranger
from tests.protocol.network import (
    CARD,
    NOON,
    POS,
    Network,
    converse,
    session_in,
)
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError, SessionEnded
from trus.protocol.handshake import Expected, Mode
from trus.protocol.messages import Kind, Message
from trus.protocol.records import MAX_RECORDS
from trus.protocol.session import MAX_KEY_AGE_SECONDS, OVERDUE_SECONDS, SealedSession
from trus.protocol.states import DialogueState
from trus.values import DeviceRole

CLEAR = {"stan": "000042", "amount": "12.50", "currency": "USD", "date": "2026-11-20"}
SEALED = {"rid": "A" * 22, "track2": "4000340000000506=2511111123400001230"}


class SessionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network("session")
        self.device, self.backend = self.network.sessions()

    def carry(
        self,
        speaker: SealedSession,
        hearer: SealedSession,
        kind: Kind,
        verb: str,
        clear: dict[str, str] | None = None,
        sealed: dict[str, str] | None = None,
        dialogue: str | None = None,
    ) -> Message:
        line = speaker.seal(kind, verb, clear or {}, sealed or {}, dialogue=dialogue)
        return hearer.open(line[:-2])

    def purchase(self) -> str:
        dialogue = self.device.open_dialogue()
        self.carry(self.device, self.backend, Kind.COMMAND, "PROCESS", CLEAR, SEALED, dialogue)
        return dialogue

    def foreign(self, session: SealedSession, clear: bytes, plaintext: bytes = b" " * 64) -> bytes:
        """Return a genuine line that this program would not say, without CR LF."""
        return session._send.seal(clear, plaintext)[:-2]

    def ended(self, session: SealedSession, line: bytes) -> str:
        error = self.assertRaises(SessionEnded, session.open, line)
        assert isinstance(error, SessionEnded)
        self.assertEqual(session.ended, error.reason)
        self.assertEqual(session.pin_key, b"")
        self.assertRaises(SessionEnded, session.open, line)
        self.assertRaises(SessionEnded, session.seal, Kind.COMMAND, "ECHO", {}, {}, dialogue=session.open_dialogue())
        return error.reason


class LineTests(SessionCase):
    def test_purchase(self) -> None:
        """TR-16, TR-19: A purchase goes through a session: asked, PIN, answered, completed."""
        dialogue = self.device.open_dialogue()
        message = self.carry(self.device, self.backend, Kind.COMMAND, "PROCESS", CLEAR, SEALED, dialogue)
        self.assertEqual(message.fields, {**CLEAR, **SEALED})
        self.assertEqual((message.session, message.dialogue, message.seal), (self.device.label, "c1", None))
        self.carry(self.backend, self.device, Kind.COMMAND, "PRESENT-PIN", {}, {"tries": "2"}, dialogue)
        self.assertEqual(self.device.dialogue_state(dialogue), DialogueState.PIN_WANTED)
        self.carry(self.device, self.backend, Kind.DATA, "PIN-BLOCK", {"format": "4"}, {"block": "A" * 22}, dialogue)
        result = {"result": "approved", "code": "00"}
        answer = self.carry(self.backend, self.device, Kind.INFO, "RESULT", result, {"balance": "87.50"}, dialogue)
        self.assertEqual(answer.fields["balance"], "87.50")
        self.carry(self.device, self.backend, Kind.INFO, "COMPLETE", dialogue=dialogue)
        self.assertEqual((self.device.open_dialogues, self.backend.open_dialogues), (0, 0))

    def test_nothing_secret_on_the_wire(self) -> None:
        """TR-16: Track and rid do not appear in the line, its length hides theirs, no repr shows a key."""
        lines = []
        for track in ("12345678=1", "4000340000000506=25111111234"):
            dialogue = self.device.open_dialogue()
            sealed = {**SEALED, "track2": track}
            lines.append(self.device.seal(Kind.COMMAND, "PROCESS", CLEAR, sealed, dialogue=dialogue))
            self.assertNotIn(track.encode(), lines[-1])
            self.assertNotIn(SEALED["rid"].encode(), lines[-1])
        self.assertEqual(len(lines[0]), len(lines[1]))
        self.assertEqual(repr(self.device), f"<SealedSession {self.device.label} with backend sealed>")

    def test_both_ends_agree(self) -> None:
        """Both ends name each other and hold the same PIN key of 256 bits."""
        self.assertEqual((self.device.peer.name, self.backend.peer.name), ("backend", "POS00001"))
        self.assertEqual(self.backend.peer.shop, "SHOP1")
        self.assertEqual(self.device.pin_key, self.backend.pin_key)
        self.assertEqual(len(self.device.pin_key), 32)

    def test_dialogues_are_pipelined(self) -> None:
        """Many requests may be open at once and be answered in any order."""
        names = [self.purchase() for _ in range(64)]
        for name in reversed(names):
            result = {"result": "declined", "code": "51"}
            self.carry(self.backend, self.device, Kind.INFO, "RESULT", result, {}, name)
        self.assertEqual(self.device.open_dialogues, 64)
        name = self.device.open_dialogue()
        self.assertRaises(LocalProtocolError, self.device.seal, Kind.COMMAND, "PROCESS", CLEAR, SEALED, dialogue=name)

    def test_backend_asks(self) -> None:
        """The backend may open dialogues of its own and announce the day."""
        name = self.backend.open_dialogue()
        self.assertEqual(name, "s1")
        self.carry(self.backend, self.device, Kind.COMMAND, "ECHO", dialogue=name)
        self.carry(self.device, self.backend, Kind.INFO, "ECHO", dialogue=name)
        message = self.carry(self.backend, self.device, Kind.INFO, "DAY", {}, {"date": "2026-11-21"})
        self.assertEqual(message.fields, {"date": "2026-11-21"})

    def test_what_a_side_does_not_say(self) -> None:
        """A side cannot say the other's lines, handshake lines, key changes, or answers nobody asked for."""
        for session, kind, verb, dialogue in (
            (self.device, Kind.INFO, "RESULT", "c1"),
            (self.backend, Kind.COMMAND, "PROCESS", "s1"),
            (self.device, Kind.COMMAND, "AUTHENTICATE", None),
            (self.device, Kind.COMMAND, "REKEY", None),
            (self.backend, Kind.COMMAND, "PRESENT-PIN", "c1"),
            (self.device, Kind.INFO, "COMPLETE", "c1"),
            (self.device, Kind.COMMAND, "ECHO", None),
        ):
            self.assertRaises(LocalProtocolError, session.seal, kind, verb, {}, {}, dialogue=dialogue)
        self.assertEqual((self.device.records, self.backend.records), (1, 1))


class ForgeryTests(SessionCase):
    def setUp(self) -> None:
        super().setUp()
        self.line = self.device.seal(Kind.COMMAND, "PROCESS", CLEAR, SEALED, dialogue="c1")[:-2]

    def test_changed_amount(self) -> None:
        """An amount that was changed on the way ends the session without a word."""
        self.assertEqual(self.ended(self.backend, self.line.replace(b"12.50", b"1.250")), "tag")

    def test_changed_seal(self) -> None:
        """A seal that was changed, cut or spelled differently ends the session."""
        for reason, line in (("tag", self.line[:-4]), ("seal", self.line[:-3]), ("seal", self.line + b"=")):
            _, backend = Network("session").sessions()
            self.assertEqual(self.ended(backend, line), reason)
        swapped = self.line[:-1] + (b"A" if self.line[-1:] != b"A" else b"E")
        self.assertEqual(self.ended(self.backend, swapped), "tag")

    def test_repeated_line(self) -> None:
        """A line that arrives twice ends the session."""
        self.backend.open(self.line)
        self.assertEqual(self.ended(self.backend, self.line), "tag")

    def test_lost_line(self) -> None:
        """A line that is lost ends the session with the next."""
        after = self.device.seal(Kind.COMMAND, "ECHO", {}, {}, dialogue="c2")[:-2]
        self.assertEqual(self.ended(self.backend, after), "tag")

    def test_reflected_line(self) -> None:
        """A line sent back to its sender ends the session."""
        self.assertEqual(self.ended(self.device, self.line), "tag")

    def test_other_session(self) -> None:
        """A line of another session does not open, even under this session's label."""
        other, _ = Network("other").sessions()
        line = other.seal(Kind.COMMAND, "ECHO", {}, {}, dialogue="c1")[:-2]
        relabelled = line.replace(other.label.encode(), self.device.label.encode())
        self.assertEqual(self.ended(self.backend, relabelled), "tag")

    def test_unsealed_line(self) -> None:
        """After authentication an unsealed line ends the session, also one that would be in order."""
        for line in (b"INFO BYE", b"INFO ERROR code=refused", b"", b"\xff", self.line.rpartition(b" seal=")[0]):
            _, backend = Network("session").sessions()
            self.assertEqual(self.ended(backend, line), "unsealed")

    def test_notice(self) -> None:
        """The gateway's notice reaches a device, moves nothing, and is refused by the backend."""
        notice = b'INFO NOTICE code=slow-down text="a seal=b"'
        self.assertEqual(self.device.open(notice).fields["code"], "slow-down")
        self.assertEqual(self.device.open(b"INFO NOTICE code=going-down").verb, "NOTICE")
        self.assertEqual(self.ended(self.backend, notice), "seal")
        self.assertEqual(self.ended(self.device, b"INFO NOTICE"), "notice")


class GenuineButWrongTests(SessionCase):
    def refused(self, line: bytes) -> RemoteProtocolError:
        error = self.assertRaises(RemoteProtocolError, self.backend.open, line)
        assert isinstance(error, RemoteProtocolError)
        # The session goes on: the next line opens.
        name = self.device.open_dialogue()
        self.carry(self.device, self.backend, Kind.COMMAND, "ECHO", dialogue=name)
        return error

    def test_each_fault_has_its_code(self) -> None:
        """A genuine line that is wrong is refused with the code of the specification; the session goes on."""
        s = b" s=" + self.device.label.encode()
        good = stranger.pad(SEALED)
        process = b"COMMAND PROCESS" + s + b" id=c9 stan=000042 amount=12.50 currency=USD date=2026-11-20"
        for clear, plaintext, code in (
            (b"COMMAND REBOOT" + s, good, ErrorCode.UNKNOWN_VERB),
            (b"INFO RESULT" + s + b" id=c1 result=approved code=00", good, ErrorCode.UNKNOWN_VERB),
            (b"DATA AUTHENTICATE" + s, good, ErrorCode.OUT_OF_ORDER),
            (b"command process" + s, good, ErrorCode.MALFORMED),
            (process + b" \x00", good, ErrorCode.MALFORMED),
            (process.replace(b"stan=000042", b"stan=42"), good, ErrorCode.BAD_FIELD),
            (process + b" extra=1", good, ErrorCode.BAD_FIELD),
            (process, good[:-1], ErrorCode.BAD_FIELD),
            (process, b" " * 64, ErrorCode.BAD_FIELD),
            (process, stranger.pad({**SEALED, "stan": "000042"}), ErrorCode.BAD_FIELD),
            (process, stranger.pad({**SEALED, "pin": "A" * 22}), ErrorCode.BAD_FIELD),
            (process.replace(s, b" s=AAAAAAAAAAAAAAAA"), good, ErrorCode.BAD_FIELD),
            (b"INFO COMPLETE" + s + b" id=c9", b" " * 64, ErrorCode.OUT_OF_ORDER),
            (b"DATA PIN-BLOCK" + s + b" id=c9 format=4", stranger.pad({"block": "A" * 22}), ErrorCode.OUT_OF_ORDER),
            (b"INFO REKEYED" + s, b" " * 64, ErrorCode.OUT_OF_ORDER),
            (b"INFO ERROR code=refused", b" " * 64, ErrorCode.BAD_FIELD),
        ):
            error = self.refused(self.foreign(self.device, clear, plaintext))
            self.assertEqual(error.code, code, clear)
            self.assertEqual(error.dialogue, "c9" if b" id=c9" in clear and s in clear else error.dialogue)
            self.assertNotIn("4000340000000506", repr(error))

    def test_answer_names_the_dialogue(self) -> None:
        """The sealed INFO ERROR that answers a wrong line can name its dialogue, and is never answered itself."""
        clear = f"COMMAND PROCESS s={self.device.label} id=c1 stan=42".encode()
        error = self.assertRaises(RemoteProtocolError, self.backend.open, self.foreign(self.device, clear))
        assert isinstance(error, RemoteProtocolError)
        self.assertEqual(error.dialogue, "c1")
        message = self.carry(self.backend, self.device, Kind.INFO, "ERROR", {"code": error.code}, {}, error.dialogue)
        self.assertEqual((message.dialogue, message.fields), ("c1", {"code": "bad-field"}))

    def test_one_dialogue_too_many(self) -> None:
        """A peer that opens more dialogues than allowed is told so for each."""
        for _ in range(64):
            self.purchase()
        clear = f"COMMAND ECHO s={self.device.label} id=c65".encode()
        error = self.assertRaises(RemoteProtocolError, self.backend.open, self.foreign(self.device, clear))
        assert isinstance(error, RemoteProtocolError)
        self.assertEqual((error.code, error.dialogue), (ErrorCode.TOO_MANY, "c65"))


class EndTests(SessionCase):
    def test_bye(self) -> None:
        """After INFO BYE neither end says or hears anything more."""
        line = self.device.seal(Kind.INFO, "BYE", {"reason": "done"}, {})
        self.assertEqual(self.device.ended, "bye")
        self.assertEqual(self.backend.open(line[:-2]).verb, "BYE")
        self.assertEqual(self.backend.ended, "bye")
        for session in (self.device, self.backend):
            self.assertRaises(SessionEnded, session.seal, Kind.INFO, "BYE", {}, {})
            self.assertRaises(SessionEnded, session.open, line[:-2])

    def test_end_forgets_the_keys(self) -> None:
        """A session that its owner ends holds no key; the first reason stands."""
        self.device.end("idle")
        self.device.end("other")
        self.assertEqual((self.device.ended, self.device.pin_key), ("idle", b""))
        self.assertRaises(SessionEnded, self.device.start_rekey)


class RekeyTests(SessionCase):
    def rekey(self) -> None:
        self.backend.open(self.device.start_rekey()[:-2])
        self.device.open(self.backend.answer_rekey(self.network.tickets)[:-2])
        self.backend.open(self.device.finish_rekey()[:-2])

    def test_when(self) -> None:
        """New keys are due after an hour, or after 2^20 records in one direction."""
        self.assertFalse(self.device.needs_rekey(NOON))
        self.assertTrue(self.device.needs_rekey(NOON + timedelta(seconds=MAX_KEY_AGE_SECONDS)))
        self.device._send.sequence = MAX_RECORDS
        self.assertTrue(self.device.needs_rekey(NOON))

    def test_in_place(self) -> None:
        """TR-16: Keys change in place: numbers begin anew, the PIN key stays, a new ticket comes."""
        pin, ticket = self.device.pin_key, self.device.ticket
        self.network.clock.advance(MAX_KEY_AGE_SECONDS)
        before = (self.device._secrets, self.backend._secrets)
        self.rekey()
        self.assertNotEqual((self.device._secrets, self.backend._secrets), before)
        self.assertEqual((self.device.records, self.backend.records), (0, 0))
        self.assertFalse(self.device.needs_rekey(self.network.clock.now()))
        self.assertEqual((self.device.pin_key, self.backend.pin_key), (pin, pin))
        self.assertNotEqual(self.device.ticket, ticket)
        self.purchase()
        self.rekey()
        self.purchase()

    def test_other_lines_between(self) -> None:
        """Lines in flight while keys change still open: each direction changes at one line."""
        first = self.purchase()
        self.backend.open(self.device.start_rekey()[:-2])
        second = self.device.open_dialogue()
        crossing = self.device.seal(Kind.COMMAND, "PROCESS", CLEAR, SEALED, dialogue=second)
        answer = self.backend.answer_rekey(self.network.tickets)
        result = {"result": "approved", "code": "00"}
        under_new = self.backend.seal(Kind.INFO, "RESULT", result, {}, dialogue=first)
        self.backend.open(crossing[:-2])
        self.device.open(answer[:-2])
        self.device.open(under_new[:-2])
        late = self.device.seal(Kind.INFO, "COMPLETE", {}, {}, dialogue=first)
        last = self.device.finish_rekey()
        self.backend.open(late[:-2])
        self.backend.open(last[:-2])
        self.purchase()

    def test_ticket_resumes(self) -> None:
        """The ticket of a rekey opens a session later."""
        self.rekey()
        ticket = self.device.ticket
        assert ticket is not None
        content = self.network.tickets.open(ticket.ticket)
        assert content is not None and self.backend._secrets is not None
        self.assertEqual(content.secret, ticket.secret)
        self.assertEqual(content.secret, self.backend._secrets.resumption)

    def test_without_tickets(self) -> None:
        """A backend that gives no tickets still changes keys."""
        ticket = self.device.ticket
        self.backend.open(self.device.start_rekey()[:-2])
        self.device.open(self.backend.answer_rekey()[:-2])
        self.backend.open(self.device.finish_rekey()[:-2])
        self.assertEqual(self.device.ticket, ticket)
        self.purchase()

    def test_out_of_order(self) -> None:
        """No side answers, finishes or starts a rekey out of order."""
        self.assertRaises(LocalProtocolError, self.device.finish_rekey)
        self.assertRaises(LocalProtocolError, self.backend.finish_rekey)
        self.assertRaises(LocalProtocolError, self.backend.start_rekey)
        self.assertRaises(LocalProtocolError, self.backend.answer_rekey)
        self.assertRaises(LocalProtocolError, self.device.answer_rekey)
        self.device.start_rekey()
        self.assertRaises(LocalProtocolError, self.device.start_rekey)
        clear = f"COMMAND REKEY s={self.device.label}".encode()
        _, backend = Network("session").sessions()
        plaintext = stranger.pad({"share": "A" * 43, "nonce": "A" * 22})
        device, backend = Network("session").sessions()
        backend.open(self.foreign(device, clear, plaintext))
        self.assertRaises(RemoteProtocolError, backend.open, self.foreign(device, clear, plaintext))

    def test_zero_share(self) -> None:
        """A rekey with a share of small order ends the session, on either side."""
        clear = f"COMMAND REKEY s={self.device.label}".encode()
        plaintext = stranger.pad({"share": "A" * 43, "nonce": "A" * 22})
        self.backend.open(self.foreign(self.device, clear, plaintext))
        self.assertRaises(SessionEnded, self.backend.answer_rekey)
        self.assertEqual(self.backend.ended, "share")

        device, backend = Network("session").sessions()
        device.start_rekey()
        line = self.foreign(backend, f"DATA REKEY s={device.label}".encode(), plaintext)
        self.assertEqual(self.assertRaises(SessionEnded, device.open, line).reason, "share")
        self.assertRaises(LocalProtocolError, device.finish_rekey)

    def test_chain_ends(self) -> None:
        """24 hours after the full handshake no new keys are given."""
        self.network.clock.advance(24 * 3600)
        self.assertEqual(self.backend.ends_at, NOON + timedelta(hours=24))
        self.backend.open(self.device.start_rekey()[:-2])
        self.assertEqual(self.assertRaises(SessionEnded, self.backend.answer_rekey).reason, "chain")

    def echo(self) -> bytes:
        return self.device.seal(Kind.COMMAND, "ECHO", {}, {}, dialogue=self.device.open_dialogue())[:-2]

    def test_overdue(self) -> None:
        """TR-15: A device that avoids new keys, by which its standing is looked at again, is cut off."""
        self.network.clock.advance(OVERDUE_SECONDS - 1)
        self.backend.open(self.echo())
        self.network.clock.advance(1)
        self.assertEqual(self.ended(self.backend, self.echo()), "age")

    def test_overdue_but_asking(self) -> None:
        """A device that was long silent may still ask for new keys first, and then goes on."""
        self.network.clock.advance(OVERDUE_SECONDS)
        self.backend.open(self.device.start_rekey()[:-2])
        crossing = self.echo()
        self.backend.open(crossing)
        self.device.open(self.backend.answer_rekey(self.network.tickets)[:-2])
        self.backend.open(self.device.finish_rekey()[:-2])
        self.purchase()

    def test_half_a_rekey(self) -> None:
        """A device that asks for new keys and never takes them is cut off too."""
        self.backend.open(self.device.start_rekey()[:-2])
        self.backend.answer_rekey(self.network.tickets)
        self.network.clock.advance(OVERDUE_SECONDS)
        self.assertEqual(self.ended(self.backend, self.echo()), "age")

    def test_day_is_over(self) -> None:
        """24 hours after the full handshake any line ends the session; the device hears no excuse."""
        for _ in range(24):
            self.network.clock.advance(3599)
            self.rekey()
        self.network.clock.advance(24)
        self.assertEqual(self.ended(self.backend, self.echo()), "chain")

    def test_backend_is_not_cut_off(self) -> None:
        """A device hears the backend out however old the keys are: it is the device that asks for new ones."""
        self.network.clock.advance(OVERDUE_SECONDS)
        self.carry(self.backend, self.device, Kind.INFO, "DAY", {}, {"date": "2026-11-21"})

    def test_not_between_devices(self) -> None:
        """A session between a card and a POS has neither rekey nor tickets."""
        network = Network("devices")
        left, right = converse(
            network.initiator(Mode.DEVICE, CARD, Expected(DeviceRole.POS, "POS00001", "SHOP1"), to="POS00001"),
            network.responder(POS, DeviceRole.CARD, None, frozenset({Mode.DEVICE}), name="POS00001"),
            CARD,
            POS,
        )
        card, pos = session_in(left), session_in(right)
        self.assertRaises(LocalProtocolError, card.start_rekey)
        clear = f"COMMAND REKEY s={card.label}".encode()
        plaintext = stranger.pad({"share": "A" * 43, "nonce": "A" * 22})
        error = self.assertRaises(RemoteProtocolError, pos.open, self.foreign(card, clear, plaintext))
        self.assertEqual(error.code, ErrorCode.OUT_OF_ORDER)
        self.assertIsNone(card.ticket)
        self.assertEqual(pos.open(b"INFO NOTICE code=going-down").verb, "NOTICE")
