"""A sealed session: what it carries, what ends it, what it survives."""

from __future__ import annotations

from tests.protocol import stranger
from tests.protocol.network import (
    Network,
)
from tests.protocol.sealed import CLEAR, SEALED, SessionCase
from trus.protocol import grammar
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError, SessionEnded
from trus.protocol.messages import Kind
from trus.protocol.states import DialogueState


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

    def test_record_layer_alone(self) -> None:
        """A measuring instrument may take over where the session is, in both directions."""
        self.purchase()
        say, hear = self.device.directions()
        clear = b"COMMAND ECHO s=%b id=c2" % self.device.label.encode()
        message = self.backend.open(say.seal(clear, b" " * 64)[:-2])
        self.assertEqual((message.verb, message.dialogue), ("ECHO", "c2"))
        answer = self.backend.seal(Kind.INFO, "ECHO", {}, {}, dialogue="c2")
        clear, _, seal = answer[:-2].rpartition(grammar.SEAL_MARK)
        self.assertEqual(hear.open(clear, grammar.decode_base64url(seal)).strip(), b"")


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
