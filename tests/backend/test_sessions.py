"""The front speaks with a device: handshakes, seals and dialogues, whatever the device says."""

from __future__ import annotations

from datetime import timedelta

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.parts import DAY, TERMINAL, Bench
from trus.backend.pinwaits import LOOK_SECONDS, PinPatience
from trus.core import messages as core
from trus.protocol.errors import SessionEnded
from trus.protocol.fields import format_octets
from trus.protocol.messages import Kind, Message
from trus.protocol.session import SealedSession
from trus.values import BusinessDate, Identity, PinMaterial, TerminalId, TrackTwo

TRACK = "9000340000000506=30127251234567"


def purchase(session: SealedSession, *, amount: str = "12.50", pin: bytes | None = None, **clear: str) -> bytes:
    sealed = {"rid": format_octets(bytes(range(16))), "track2": TRACK}
    if pin is not None:
        sealed |= {"pin": format_octets(pin), "format": "4"}
    fields = {"stan": "000042", "amount": amount, "currency": "USD", "date": DAY, **clear}
    return session.seal(Kind.COMMAND, "PROCESS", fields, sealed, dialogue=session.open_dialogue())


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()

    def hear(self, session: SealedSession) -> Message:
        (line,) = self.bench.heard()
        return session.open(line)

    def test_a_purchase_reaches_the_core_as_the_terminal_meant_it(self) -> None:
        """TR-2, TR-16: what was sealed by the terminal is what the core is asked, and nothing else."""
        session = self.bench.connect()
        self.bench.send(purchase(session, pin=b"\x11" * 16, partial="yes"))
        request = self.bench.core.answer(
            core.Outcome("partial", "10", "A1B2C3", "632500000042", 900, "USD", 0, None, "PARTIAL")
        )
        self.assertEqual(
            request,
            core.Purchase(
                TERMINAL,
                Identity(TerminalId("T0000001"), DAY, 42),
                bytes(range(16)),
                1250,
                "USD",
                TrackTwo(TRACK),
                PinMaterial(session.pin_key, b"\x11" * 16),
                True,
            ),
        )
        answer = self.hear(session)
        self.assertEqual((answer.kind, answer.verb, answer.dialogue), (Kind.INFO, "RESULT", "c1"))
        self.assertEqual(
            dict(answer.fields),
            {
                "result": "partial",
                "code": "10",
                "approval": "A1B2C3",
                "rrn": "632500000042",
                "amount": "9.00",
                "balance": "0.00",
                "currency": "USD",
                "text": "PARTIAL",
            },
        )

    def test_the_gateway_learns_when_a_device_is_authenticated(self) -> None:
        """The gateway is told once, so that it may raise the limit of a line."""
        self.bench.connect()
        self.assertEqual((self.bench.authenticated, self.bench.front.sessions), (1, 1))

    def test_a_pin_that_was_not_sent_is_asked_for(self) -> None:
        """A purchase without a PIN goes on, unchanged, with the PIN that the terminal presents."""
        session = self.bench.connect()
        self.bench.send(purchase(session))
        self.bench.core.answer(core.PinWanted(2))
        wanted = self.hear(session)
        self.assertEqual((wanted.verb, dict(wanted.fields)), ("PRESENT-PIN", {"tries": "2"}))
        block = {"block": format_octets(b"\x22" * 16)}
        self.bench.send(session.seal(Kind.DATA, "PIN-BLOCK", {"format": "4"}, block, dialogue="c1"))
        request = self.bench.core.answer(core.Outcome("declined", "55", tries_left=1))
        assert isinstance(request, core.Purchase)
        self.assertEqual(request.pin, PinMaterial(session.pin_key, b"\x22" * 16))
        self.assertEqual((request.amount, request.identity.stan), (1250, 42))
        self.assertEqual(dict(self.hear(session).fields), {"result": "declined", "code": "55", "tries": "1"})

    def test_who_waits_too_long_for_a_pin_is_told_and_forgotten(self) -> None:
        """A purchase that waits for its PIN for a minute is declined with 88; its PIN then changes nothing."""
        session = self.bench.connect()
        self.bench.send(purchase(session))
        self.bench.core.answer(core.PinWanted(None))
        self.hear(session)
        clock = self.bench.around.clock
        clock.moment += timedelta(seconds=59)
        self.bench.front.end_waits()
        self.assertEqual(self.bench.heard(), [])
        clock.moment += timedelta(seconds=1)
        self.bench.front.end_waits()
        self.assertEqual(dict(self.hear(session).fields), {"result": "declined", "code": "88"})
        block = {"block": format_octets(b"\x22" * 16)}
        self.bench.send(session.seal(Kind.DATA, "PIN-BLOCK", {"format": "4"}, block, dialogue="c1"))
        self.assertEqual((self.bench.heard(), self.bench.core.asked), ([], []))

    def test_a_keeper_looks_at_all_connections(self) -> None:
        """While the backend runs, and only then, waits are looked at every few seconds."""
        looks: list[int] = []

        class Connection:
            def end_waits(self) -> None:
                looks.append(1)

        reactor = Clock()
        keeper = PinPatience(lambda: [Connection(), Connection()], reactor)
        keeper.startService()
        reactor.advance(LOOK_SECONDS)
        self.assertEqual(len(looks), 2)
        keeper.stopService()
        reactor.advance(LOOK_SECONDS)
        self.assertEqual(len(looks), 2)

    def test_an_amount_with_other_decimals_is_a_format_error(self) -> None:
        """12.5 is never taken for 12.50 or 1.25: the dialogue ends with 30, the core is not asked."""
        session = self.bench.connect()
        for amount in ("12.5", "12", "12.500"):
            self.bench.send(purchase(session, amount=amount))
            answer = self.hear(session)
            self.assertEqual(dict(answer.fields), {"result": "declined", "code": "30"})
        self.bench.send(purchase(session, currency="XXX"))
        self.assertEqual(self.hear(session).fields["code"], "30")
        self.assertEqual(self.bench.core.asked, [])

    def test_a_core_that_is_gone_is_91_and_never_an_approval(self) -> None:
        """Without a core every purchase is declined with 91, which settles nothing."""
        session = self.bench.connect()
        self.bench.core.down = True
        self.bench.send(purchase(session))
        self.assertEqual(dict(self.hear(session).fields), {"result": "declined", "code": "91"})

    def test_an_answer_that_makes_no_sense_is_96(self) -> None:
        """Should the core answer a purchase with something else, the terminal hears 96."""
        session = self.bench.connect()
        self.bench.send(purchase(session))
        self.bench.core.answer(core.Signature(b""))
        self.assertEqual(self.hear(session).fields["code"], "96")

    def test_a_refund_reaches_the_core_with_what_it_names(self) -> None:
        """A refund comes to the core with its purchase's reference, and its identity where the terminal tells it."""
        session = self.bench.connect()
        fields = {"stan": "000001", "amount": "1.00", "currency": "USD", "date": DAY}
        sealed = {"rid": format_octets(bytes(16)), "original-rrn": "632500000042"}
        named = {"original-stan": "000007", "original-date": DAY, "original-rid": format_octets(bytes(15) + b"7")}
        for rest in ({}, named):
            line = session.seal(Kind.COMMAND, "REFUND", fields, {**sealed, **rest}, dialogue=session.open_dialogue())
            self.bench.send(line)
        bare, told = [request for request, _ in self.bench.core.asked]
        assert isinstance(bare, core.Refund) and isinstance(told, core.Refund)
        self.assertEqual((bare.reference, bare.amount, bare.original), ("632500000042", 100, None))
        assert told.original is not None
        self.assertEqual((told.original.stan, told.original_rid), (7, bytes(15) + b"7"))

    def test_signed_off(self) -> None:
        """A terminal that signed off is refused requests (58), not reversals, until the core lets it sign on."""
        session = self.bench.connect()
        self.bench.send(session.seal(Kind.COMMAND, "SIGN-OFF", {}, {}, dialogue=session.open_dialogue()))
        self.assertEqual(self.hear(session).verb, "SIGNED-OFF")
        self.bench.send(purchase(session))
        self.assertEqual(dict(self.hear(session).fields), {"result": "declined", "code": "58"})
        fields = {"stan": "000002", "amount": "12.50", "currency": "USD", "date": DAY}
        sealed = {"rid": format_octets(bytes(16)), "original-stan": "000001", "original-date": DAY}
        sealed |= {"original-rid": format_octets(bytes(15) + b"1"), "reason": "timeout"}
        self.bench.send(session.seal(Kind.COMMAND, "REVERSE", fields, sealed, dialogue=session.open_dialogue()))
        self.assertIsInstance(self.bench.core.asked[-1][0], core.Reverse)
        self.bench.core.standing = core.PeerVerified(TERMINAL, BusinessDate(DAY), "USD", pin_always=False)
        self.bench.send(session.seal(Kind.COMMAND, "SIGN-ON", {}, {}, dialogue=session.open_dialogue()))
        self.assertEqual(dict(self.hear(session).fields), {"date": DAY, "currency": "USD", "pin": "policy"})
        self.bench.send(purchase(session))
        self.assertIsInstance(self.bench.core.asked[-1][0], core.Purchase)

    def test_who_does_not_stand_does_not_sign_on(self) -> None:
        """A terminal that does not stand any more loses its session when it asks to sign on."""
        session = self.bench.connect()
        self.bench.core.standing = core.Refused("58", "blocked")
        self.bench.send(session.seal(Kind.COMMAND, "SIGN-ON", {}, {}, dialogue=session.open_dialogue()))
        self.assertEqual(self.bench.closed, ["session ended"])

    def test_signing_on_without_a_core(self) -> None:
        """Signing on while the core cannot answer is answered busy, and the session goes on."""
        session = self.bench.connect()
        self.bench.core.down = True
        self.bench.send(session.seal(Kind.COMMAND, "SIGN-ON", {}, {}, dialogue=session.open_dialogue()))
        self.assertEqual(self.hear(session).fields["code"], "busy")

    def test_a_void_reaches_the_core(self) -> None:
        """A void comes to the core with the purchase that it names."""
        session = self.bench.connect()
        fields = {"stan": "000002", "amount": "12.50", "currency": "USD", "date": DAY}
        sealed = {"rid": format_octets(bytes(16)), "original-stan": "000001", "original-date": DAY}
        sealed |= {"original-rid": format_octets(bytes(15) + b"1"), "reason": "cashier"}
        self.bench.send(session.seal(Kind.COMMAND, "VOID", fields, sealed, dialogue=session.open_dialogue()))
        [(asked, _)] = self.bench.core.asked
        assert isinstance(asked, core.Void)
        self.assertEqual((asked.original.stan, asked.amount, asked.reason), (1, 1250, "cashier"))

    def test_advices_and_changes_of_pin_reach_the_core(self) -> None:
        """An advice comes without PIN, a change of the PIN with both blocks under the session's key."""
        session = self.bench.connect()
        sealed = {"rid": format_octets(bytes(16)), "track2": "4000340000000506=2511111123400001230"}
        fields = {"stan": "000001", "amount": "12.50", "currency": "USD", "date": DAY}
        self.bench.send(session.seal(Kind.COMMAND, "ADVISE", fields, sealed, dialogue=session.open_dialogue()))
        blocks = {"pin": format_octets(bytes(16)), "new-pin": format_octets(bytes(15) + b"n"), "format": "4"}
        bare = {"stan": "000002", "date": DAY}
        line = session.seal(Kind.COMMAND, "CHANGE-PIN", bare, {**sealed, **blocks}, dialogue=session.open_dialogue())
        self.bench.send(line)
        advice, change = [request for request, _ in self.bench.core.asked]
        assert isinstance(advice, core.Advise) and isinstance(change, core.ChangePin)
        self.assertEqual(advice.amount, 1250)
        self.assertEqual((change.pin.block, change.new_pin.block), (bytes(16), bytes(15) + b"n"))

    def test_pre_authorizations_reach_the_core(self) -> None:
        """A pre-authorization may be asked for its PIN; completion and release come with what they name."""
        session = self.bench.connect()
        dialogue = session.open_dialogue()
        fields = {"stan": "000001", "amount": "12.50", "currency": "USD", "date": DAY}
        sealed = {"rid": format_octets(bytes(16)), "track2": "4000340000000506=2511111123400001230"}
        self.bench.send(session.seal(Kind.COMMAND, "PRE-AUTHORIZE", fields, sealed, dialogue=dialogue))
        self.bench.core.answer(core.PinWanted())
        self.assertEqual(self.hear(session).verb, "PRESENT-PIN")
        block = {"block": format_octets(bytes(16))}
        self.bench.send(session.seal(Kind.DATA, "PIN-BLOCK", {"format": "4"}, block, dialogue=dialogue))
        asked = self.bench.core.answer(core.Outcome("approved", "00", "A1B2C3", "632500000042", 1250, "USD"))
        assert isinstance(asked, core.PreAuthorize)
        self.assertIsNotNone(asked.pin)
        named = {"rid": format_octets(bytes(16)), "original-rrn": "632500000042"}
        self.bench.send(session.seal(Kind.COMMAND, "CAPTURE", fields, named, dialogue=session.open_dialogue()))
        bare = {"stan": "000002", "date": DAY}
        self.bench.send(session.seal(Kind.COMMAND, "RELEASE", bare, named, dialogue=session.open_dialogue()))
        capture, release = [request for request, _ in self.bench.core.asked]
        assert isinstance(capture, core.Capture) and isinstance(release, core.Release)
        self.assertEqual((capture.reference, capture.amount, release.reference), ("632500000042", 1250, "632500000042"))

    def test_a_forged_seal_ends_the_session_without_a_word(self) -> None:
        """A changed bit ends the session: nothing is said, nothing is asked, the connection closes."""
        session = self.bench.connect()
        line = bytearray(purchase(session))
        line[40] ^= 1
        self.bench.send(bytes(line))
        self.assertEqual(self.bench.heard(), [])
        self.assertEqual(self.bench.core.asked, [])
        self.assertEqual(self.bench.closed, ["session ended"])

    def test_a_replayed_line_ends_the_session(self) -> None:
        """A gateway that sends a line twice ends the session; the purchase is asked once."""
        session = self.bench.connect()
        line = purchase(session)
        self.bench.send(line)
        self.bench.send(line)
        self.assertEqual(len(self.bench.core.asked), 1)
        self.assertEqual(self.bench.closed, ["session ended"])

    def test_an_answer_for_a_lost_connection_is_dropped(self) -> None:
        """When the connection is gone the keys are forgotten and a late answer goes nowhere."""
        session = self.bench.connect()
        self.bench.send(purchase(session))
        self.bench.front.closed()
        self.bench.core.answer(core.Outcome("approved", "00"))
        self.assertEqual(self.bench.heard(), [])

    def test_an_unsealed_line_after_authentication_ends_the_connection(self) -> None:
        """A line that belongs to no session is not answered once a session stands."""
        self.bench.connect()
        self.bench.front.line_received(b"COMMAND PROCESS s=AAAAAAAAAAAAAAAA id=c1 amount=1.00")
        self.bench.front.line_received(b"COMMAND nonsense")
        self.assertEqual(self.bench.heard(), [])
        self.assertEqual(self.bench.closed, ["unsealed line", "unsealed line"])

    def test_lines_without_a_session_get_a_fixed_code(self) -> None:
        """Before authentication noise is answered with a code and none of its bytes."""
        self.bench.front.line_received(b"COMMAND PROCESS s=AAAAAAAAAAAAAAAA id=c1 amount=1.00")
        self.bench.front.line_received(b"INFO HELLO")
        self.bench.front.line_received(b"\xff\x00")
        self.assertEqual(
            self.bench.heard(),
            [
                b"INFO ERROR s=AAAAAAAAAAAAAAAA code=unknown-session",
                b"INFO ERROR code=unknown-session",
                b"INFO ERROR code=malformed",
            ],
        )

    def test_a_front_that_knows_no_identity_yet_is_busy(self) -> None:
        """Before the core has told chain and OCSP answer a device hears busy: try again."""
        self.bench.around.material = None
        self.bench.shake()
        self.assertEqual([refused.code.value for refused in self.bench.refused], ["busy"])

    def test_a_refused_chain_is_told_nothing_but_refused(self) -> None:
        """Whatever the core's reason was, the device hears that authentication failed."""
        self.bench.core.verified = core.Refused("63", "revoked")
        self.bench.shake()
        self.assertEqual([refused.code.value for refused in self.bench.refused], ["refused"])
        self.assertEqual(self.bench.front.sessions, 0)

    def test_a_relayed_connection_is_refused(self) -> None:
        """TR-16: a device whose TLS connection is not the one that the gateway reports is refused."""
        bench = Bench(exporter=b"\x08" * 32)
        bench.shake()
        self.assertEqual([refused.code.value for refused in bench.refused], ["refused"])
        self.assertEqual(bench.front.sessions, 0)

    def test_a_core_that_is_down_makes_handshakes_busy(self) -> None:
        """A handshake without a core is answered busy."""
        self.bench.core.down = True
        self.bench.shake()
        self.assertEqual([refused.code.value for refused in self.bench.refused], ["busy"])

    def test_a_connection_has_few_sessions(self) -> None:
        """The fifth session of one connection is refused."""
        for _ in range(4):
            self.bench.connect()
        self.bench.front.line_received(
            b"COMMAND AUTHENTICATE s=AAAAAAAAAAAAAAAA to=backend versions=1 suites=1 mode=full share=x nonce=x"
        )
        self.assertEqual(self.bench.closed, ["unsealed line"])
        self.assertEqual(self.bench.front.sessions, 4)

    def test_a_new_business_date_is_announced_inside_the_seal(self) -> None:
        """Every session of the connection hears of the new date."""
        session = self.bench.connect()
        self.bench.front.announce_day(BusinessDate("2026-11-21"))
        day = self.hear(session)
        self.assertEqual((day.verb, dict(day.fields)), ("DAY", {"date": "2026-11-21"}))

    def test_an_echo_is_answered(self) -> None:
        """A terminal may ask whether the backend is there."""
        session = self.bench.connect()
        self.bench.send(session.seal(Kind.COMMAND, "ECHO", {}, {}, dialogue=session.open_dialogue()))
        echo = self.hear(session)
        self.assertEqual((echo.kind, echo.verb, echo.dialogue), (Kind.INFO, "ECHO", "c1"))

    def test_a_completed_dialogue_is_forgotten(self) -> None:
        """INFO COMPLETE closes a dialogue and says nothing about money."""
        session = self.bench.connect()
        self.bench.send(purchase(session))
        self.bench.core.answer(core.Outcome("approved", "00"))
        self.hear(session)
        self.bench.send(session.seal(Kind.INFO, "COMPLETE", {}, {}, dialogue="c1"))
        self.assertEqual((self.bench.heard(), self.bench.core.asked), ([], []))

    def test_an_answer_after_the_terminal_gave_up(self) -> None:
        """A terminal that gave up a dialogue hears nothing more in it; its session goes on."""
        session = self.bench.connect()
        self.bench.send(purchase(session))
        self.bench.send(session.seal(Kind.INFO, "ERROR", {"code": "timeout"}, {}, dialogue="c1"))
        self.bench.core.answer(core.Outcome("approved", "00"))
        self.assertEqual(self.bench.heard(), [])
        self.bench.send(session.seal(Kind.COMMAND, "ECHO", {}, {}, dialogue=session.open_dialogue()))
        self.assertEqual(self.hear(session).verb, "ECHO")

    def test_a_wrong_line_is_answered_in_its_dialogue(self) -> None:
        """A genuine line out of order is answered under the seal, with its dialogue; the session goes on."""
        session = self.bench.connect()
        self.bench.send(purchase(session))
        self.bench.send(session._send.seal(f"INFO COMPLETE s={session.label} id=c9".encode(), b" " * 64))
        error = self.hear(session)
        self.assertEqual((error.verb, error.dialogue, error.fields["code"]), ("ERROR", "c9", "out-of-order"))

    def test_bye_ends_the_session(self) -> None:
        """After BYE the keys are forgotten and the connection is closed."""
        session = self.bench.connect()
        self.bench.send(session.seal(Kind.INFO, "BYE", {"reason": "done"}, {}))
        self.assertEqual((self.bench.front.sessions, self.bench.closed), (0, ["session ended"]))

    def test_old_keys_are_renewed_in_place(self) -> None:
        """After an hour the device renews the keys; its holder's standing is checked again."""
        session = self.bench.connect()
        self.bench.around.clock.moment += timedelta(hours=2)
        self.assertTrue(session.needs_rekey(self.bench.around.clock.now()))
        self.bench.send(session.start_rekey())
        self.assertEqual(self.hear(session).verb, "REKEY")
        self.bench.send(session.finish_rekey())
        self.bench.send(purchase(session))
        self.assertEqual(len(self.bench.core.asked), 1)
        self.assertFalse(session.needs_rekey(self.bench.around.clock.now()))

    def test_a_blocked_terminal_gets_no_new_keys(self) -> None:
        """A terminal that was blocked meanwhile loses its session when it asks for keys."""
        session = self.bench.connect()
        self.bench.core.standing = core.Refused("63", "blocked")
        self.bench.send(session.start_rekey())
        self.assertEqual((self.bench.heard(), self.bench.front.sessions), ([], 0))

    def test_a_reversal_names_its_original(self) -> None:
        """A reversal reaches the core with the identity and the rid of what it takes back."""
        session = self.bench.connect()
        fields = {"stan": "000043", "amount": "12.50", "currency": "USD", "date": DAY, "repeat": "yes"}
        sealed = {
            "rid": format_octets(b"\x01" * 16),
            "original-stan": "000042",
            "original-date": "2026-11-19",
            "original-rid": format_octets(b"\x02" * 16),
            "reason": "timeout",
        }
        self.bench.send(session.seal(Kind.COMMAND, "REVERSE", fields, sealed, dialogue=session.open_dialogue()))
        request = self.bench.core.answer(
            core.Outcome("reversed", "00", rrn="632500000043", amount=1250, currency="USD")
        )
        self.assertEqual(
            request,
            core.Reverse(
                TERMINAL,
                Identity(TerminalId("T0000001"), DAY, 43),
                b"\x01" * 16,
                Identity(TerminalId("T0000001"), BusinessDate("2026-11-19"), 42),
                b"\x02" * 16,
                1250,
                "USD",
                "timeout",
                True,
            ),
        )
        self.assertEqual(self.hear(session).fields["result"], "reversed")

    def test_a_session_that_was_dropped_cannot_be_used(self) -> None:
        """The device's side notices too: what it hears after a lost line does not open."""
        session = self.bench.connect()
        self.bench.send(purchase(session))
        self.bench.core.answer(core.Outcome("approved", "00"))
        self.bench.heard()  # lost on the way
        self.bench.send(purchase(session))
        self.bench.core.answer(core.Outcome("approved", "00"))
        (line,) = self.bench.heard()
        self.assertRaises(SessionEnded, session.open, line)
