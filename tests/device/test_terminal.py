"""What a terminal says, repeats and takes back."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial import unittest

from tests.device.acting import (
    NUMBER,
    PIN,
    TERMS,
    TRACK2,
    KeptSession,
    SeededEntropy,
    Stage,
    SteppedClock,
    encode_pin,
    order,
    result,
)
from trus.device.journal import Asked, FileJournal, JournalFailed, MemoryJournal, Totals
from trus.device.orders import BalanceOrder, Reference, RefundOrder
from trus.device.requests import TRANSITIONS, Event, OutOfOrder, Phase, Request
from trus.device.terminal import Terminal
from trus.money import AmountError
from trus.protocol.messages import Kind, Message
from trus.values import Identity, Result, TerminalId


class Paying(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.stage = Stage()
        self.stage.connect()

    def test_approved(self) -> None:
        """TR-2: a purchase is asked for once, answered once, and its dialogue completed."""
        key, asked = self.stage.buy()
        self.assertEqual(asked.head, "COMMAND PROCESS")
        wanted = {"stan": "000001", "date": "2026-11-20", "amount": "12.50", "currency": "USD", "track2": TRACK2}
        self.assertEqual(wanted, {name: asked.fields[name] for name in wanted})
        self.assertNotIn("repeat", asked.fields)
        said = self.stage.hear(result(asked.dialogue, approval="A1B2C3", rrn="632500000042", text="THANK YOU"))
        self.assertEqual([(line.head, line.dialogue) for line in said], [("INFO COMPLETE", asked.dialogue)])
        [finished] = self.stage.finished
        self.assertEqual(finished.key, key)
        self.assertTrue(finished.answer.approved)
        self.assertEqual((finished.answer.amount, finished.answer.text), (1250, "THANK YOU"))
        self.assertEqual(self.stage.journal.memory.totals, Totals(1, 1250))
        self.assertEqual(self.stage.terminal.unfinished, 0)

    def test_declined(self) -> None:
        """A refusal is final: nothing is repeated, nothing is taken back."""
        _, asked = self.stage.buy()
        self.stage.hear(result(asked.dialogue, "declined", "51"))
        self.assertEqual(self.stage.finished[0].answer.code, "51")
        self.assertEqual(self.stage.wait(3600)[0].head, "COMMAND ECHO")
        self.assertEqual(self.stage.terminal.unfinished, 0)

    def test_partial(self) -> None:
        """A part is accepted only when the purchase welcomed one."""
        _, asked = self.stage.buy(partial=True)
        self.assertEqual(asked.fields["partial"], "yes")
        self.stage.hear(result(asked.dialogue, "partial", "10", amount="5.00", currency="USD"))
        answer = self.stage.finished[0].answer
        self.assertEqual((answer.result, answer.amount), (Result.PARTIAL, 500))

    def test_balance(self) -> None:
        """A balance enquiry shows what the purse holds, and moves nothing."""
        self.stage.terminal.balance(BalanceOrder(TRACK2, PIN))
        [asked] = self.stage.drain()
        self.assertEqual(asked.head, "COMMAND BALANCE")
        self.stage.hear(result(asked.dialogue, balance="87.50", currency="USD"))
        self.assertEqual(self.stage.finished[0].answer.balance, 8750)
        self.assertEqual(self.stage.journal.memory.totals, Totals())

    def test_nonsense_amounts(self) -> None:
        """A purchase of nothing, of too much or in an unknown currency is never asked for."""
        for amount, currency in ((0, "USD"), (-1, "USD"), (10**12, "USD"), (1, "XXX")):
            with self.assertRaises(AmountError):
                self.stage.terminal.purchase(type(order())(amount, currency, TRACK2))
        self.assertEqual(self.stage.drain(), [])

    def test_two_requests_never_share_an_identity(self) -> None:
        """Pipelined purchases have trace numbers and rids of their own."""
        for _ in range(3):
            self.stage.terminal.purchase(order())
        said = self.stage.drain()
        self.assertEqual([line.fields["stan"] for line in said], ["000001", "000002", "000003"])
        self.assertEqual(len({line.fields["rid"] for line in said}), 3)
        self.assertEqual(len({line.dialogue for line in said}), 3)

    def test_limit(self) -> None:
        """No more dialogues are open at once than the backend allows; the rest waits its turn."""
        for _ in range(10):
            self.stage.terminal.purchase(order())
        said = self.stage.drain()
        self.assertEqual(len(said), TERMS.max_dialogues)
        said = self.stage.hear(result(said[0].dialogue))
        self.assertEqual([line.head for line in said], ["INFO COMPLETE", "COMMAND PROCESS"])

    def test_business_date(self) -> None:
        """The date comes from the backend alone; a request keeps its own when it is repeated."""
        _, first = self.stage.buy()
        self.stage.hear(Message(Kind.INFO, "DAY", {"date": "2026-11-21"}))
        _, second = self.stage.buy()
        self.assertEqual(second.fields["date"], "2026-11-21")
        self.stage.disconnect()
        again = self.stage.connect(TERMS._replace(business_date="2026-11-22"))
        self.assertEqual([line.fields["date"] for line in again], ["2026-11-20", "2026-11-21"])
        self.assertEqual([line.fields["rid"] for line in again], [first.fields["rid"], second.fields["rid"]])

    def test_no_date(self) -> None:
        """A backend that announces no business date is not asked anything."""
        stage = Stage()
        stage.connect(TERMS._replace(business_date=""))
        stage.terminal.purchase(order())
        self.assertEqual(stage.drain(), [])
        self.assertEqual(stage.hung_up, ["no-date"])


class Pins(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.stage = Stage()
        self.stage.connect()

    def want_pin(self, dialogue: str, **fields: str) -> Message:
        return Message(Kind.COMMAND, "PRESENT-PIN", fields, None, dialogue)

    def test_known(self) -> None:
        """A PIN that was entered already goes with the purchase: one round trip."""
        _, asked = self.stage.buy()
        self.assertEqual(asked.fields["format"], "4")
        self.assertNotIn(PIN, asked.fields["pin"])

    def test_asked(self) -> None:
        """When the backend asks for the PIN, the cardholder is asked, then it is presented."""
        key, asked = self.stage.buy(pin=None)
        self.assertNotIn("pin", asked.fields)
        self.assertEqual(self.stage.hear(self.want_pin(asked.dialogue)), [])
        self.assertEqual(self.stage.asked[0], (key, None))
        self.stage.terminal.present_pin(key, PIN)
        [said] = self.stage.drain()
        self.assertEqual((said.head, said.dialogue), ("DATA PIN-BLOCK", asked.dialogue))
        self.stage.hear(result(asked.dialogue))
        self.assertTrue(self.stage.finished[0].answer.approved)

    def test_wrong_then_right(self) -> None:
        """After a wrong PIN the cardholder sees the tries left and may enter another."""
        key, asked = self.stage.buy()
        self.stage.hear(self.want_pin(asked.dialogue, tries="2"))
        self.assertEqual(self.stage.asked[0], (key, 2))
        self.stage.terminal.present_pin(key, "0815")
        self.assertEqual(self.stage.drain()[0].head, "DATA PIN-BLOCK")

    def test_cancelled(self) -> None:
        """A cardholder who gives up pays nothing: the purchase is taken back."""
        key, asked = self.stage.buy(pin=None)
        self.stage.hear(self.want_pin(asked.dialogue))
        self.stage.terminal.present_pin(key, None)
        said = self.stage.drain()
        self.assertEqual([line.head for line in said], ["INFO ERROR", "COMMAND REVERSE"])
        self.assertEqual(said[1].fields["original-rid"], asked.fields["rid"])
        self.assertFalse(self.stage.finished[0].answer.approved)

    def test_pinpad_deadline(self) -> None:
        """A cardholder who does not answer at the pinpad pays nothing."""
        _, asked = self.stage.buy(pin=None)
        self.stage.hear(self.want_pin(asked.dialogue))
        said = self.stage.wait(61)
        self.assertIn("COMMAND REVERSE", [line.head for line in said])

    def test_entered_while_away(self) -> None:
        """A PIN entered while the connection was lost is not asked for again."""
        key, asked = self.stage.buy(pin=None)
        self.stage.hear(self.want_pin(asked.dialogue))
        self.stage.disconnect()
        [again] = self.stage.connect()
        self.assertNotIn("pin", again.fields)
        self.stage.terminal.present_pin(key, PIN)
        self.assertEqual(self.stage.drain(), [])
        [said] = self.stage.hear(self.want_pin(again.dialogue))
        self.assertEqual(said.head, "DATA PIN-BLOCK")
        self.assertEqual(len(self.stage.asked), 1)

    def test_goes_with_the_repetition(self) -> None:
        """A PIN entered before the connection is back goes with the repeated purchase."""
        key, asked = self.stage.buy(pin=None)
        self.stage.hear(self.want_pin(asked.dialogue))
        self.stage.disconnect()
        self.stage.terminal.present_pin(key, PIN)
        [again] = self.stage.connect()
        self.assertIn("pin", again.fields)

    def test_stray(self) -> None:
        """A PIN asked for in no dialogue, or in one without a card, asks nobody."""
        reference = Reference(Identity(TerminalId("T0000001"), TERMS.business_date, 9), bytes(16), 5, "USD")  # type: ignore[arg-type]
        self.stage.terminal.reverse(reference)
        [asked] = self.stage.drain()
        self.stage.hear(self.want_pin(asked.dialogue))
        self.stage.hear(self.want_pin("c77"))
        self.stage.terminal.present_pin(4711, PIN)
        self.assertEqual(self.stage.asked, [])


class NotAnswered(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.stage = Stage()
        self.stage.connect()

    def test_repeated_with_the_same_identity(self) -> None:
        """A purchase without an answer is repeated with the same identity, rid and PIN."""
        _, first = self.stage.buy()
        [again] = self.stage.wait(9)
        self.assertEqual(again.fields.pop("repeat"), "yes")
        self.assertEqual(again.fields, first.fields)
        self.assertNotEqual(again.dialogue, first.dialogue)
        self.stage.hear(result(again.dialogue))
        self.assertEqual(self.stage.finished[0].answer.attempts, 2)

    def test_connection_suspected(self) -> None:
        """After the second silence the terminal hangs up and asks over another connection."""
        _, first = self.stage.buy()
        self.stage.wait(9)
        self.stage.wait(9)
        self.assertEqual(self.stage.hung_up, ["no-answer"])
        self.stage.disconnect()
        [again] = self.stage.connect()
        self.assertEqual(again.fields["rid"], first.fields["rid"])

    def test_given_up(self) -> None:
        """A purchase that gets no answer counts as declined and is taken back."""
        _, first = self.stage.buy()
        self.stage.disconnect()
        self.assertEqual(self.stage.wait(31), [])
        [finished] = self.stage.finished
        self.assertEqual(
            (finished.answer.result, finished.answer.code, finished.answer.reversing), (Result.DECLINED, "", True)
        )
        [reversal] = self.stage.connect()
        self.assertEqual(reversal.head, "COMMAND REVERSE")
        self.assertEqual(reversal.fields["original-stan"], first.fields["stan"])
        self.assertEqual(reversal.fields["original-rid"], first.fields["rid"])
        self.assertEqual(reversal.fields["amount"], "12.50")
        self.assertEqual(reversal.fields["reason"], "timeout")
        self.stage.hear(result(reversal.dialogue, "reversed"))
        self.assertEqual(self.stage.terminal.unfinished, 0)
        self.assertEqual(len(self.stage.finished), 1)

    def test_reversal_is_repeated(self) -> None:
        """A reversal is repeated, ever more slowly, until it is acknowledged."""
        self.stage.buy()
        self.stage.disconnect()
        self.stage.wait(31)
        [first] = self.stage.connect()
        gaps = []
        last = self.stage.clock.seconds
        while len(gaps) < 8:
            said = [line for line in self.stage.wait(1) if line.head == "COMMAND REVERSE"]
            if said:
                self.assertEqual(said[0].fields["rid"], first.fields["rid"])
                gaps.append(self.stage.clock.seconds - last)
                last = self.stage.clock.seconds
            if len(self.stage.session.said) % 7 == 6:
                self.stage.disconnect()
                self.stage.connect()
        self.assertEqual(gaps, sorted(gaps))
        self.assertLessEqual(max(gaps), 70)

    def test_late_answer(self) -> None:
        """An approval that comes after the purchase was given up approves nothing."""
        _, first = self.stage.buy()
        for _ in range(4):
            self.stage.wait(8)
        self.assertEqual(len(self.stage.finished), 1)
        said = self.stage.hear(result(first.dialogue))
        self.assertEqual([line.head for line in said], ["INFO COMPLETE"])
        self.assertEqual(len(self.stage.finished), 1)
        self.assertEqual(self.stage.journal.memory.totals, Totals())
        self.assertEqual(self.stage.terminal.unfinished, 1)

    def test_never_final(self) -> None:
        """91 and 96 are no answer: the cashier reads them, the purchase is taken back."""
        for code in ("91", "96"):
            _, asked = self.stage.buy()
            said = self.stage.hear(result(asked.dialogue, "declined", code))
            self.assertEqual([line.head for line in said], ["INFO COMPLETE", "COMMAND REVERSE"])
            answer = self.stage.finished[-1].answer
            self.assertEqual((answer.code, answer.answered, answer.reversing), (code, False, True))
            self.stage.hear(result(said[1].dialogue, "reversed"))

    def test_reversal_not_final(self) -> None:
        """A reversal that is answered 91 goes on."""
        _, asked = self.stage.buy()
        said = self.stage.hear(result(asked.dialogue, "declined", "96"))
        self.stage.hear(result(said[1].dialogue, "declined", "91"))
        self.assertEqual(self.stage.terminal.unfinished, 1)
        self.assertEqual(self.stage.wait(3)[0].head, "COMMAND REVERSE")

    def test_unknown_result(self) -> None:
        """An answer that nobody understands, or that contradicts itself, counts as declined."""
        for outcome, code, fields in (
            ("perhaps", "00", {}),
            ("approved", "51", {}),
            ("declined", "00", {}),
            ("approved", "00", {"amount": "99.00", "currency": "USD"}),
            ("approved", "00", {"amount": "12.50", "currency": "EUR"}),
            ("partial", "10", {"amount": "5.00", "currency": "USD"}),
            ("reversed", "00", {}),
            ("approved", "00", {"amount": "12.5", "currency": "USD"}),
        ):
            _, asked = self.stage.buy()
            said = self.stage.hear(result(asked.dialogue, outcome, code, **fields))
            self.assertEqual(said[-1].head, "COMMAND REVERSE", (outcome, code, fields))
            answer = self.stage.finished[-1].answer
            self.assertEqual((answer.result, answer.code), (Result.DECLINED, ""))
            self.stage.hear(result(said[-1].dialogue, "reversed"))
        self.assertEqual(self.stage.journal.memory.totals, Totals())

    def test_busy(self) -> None:
        """A busy backend is asked again, with the same identity; another refusal is taken back."""
        _, first = self.stage.buy()
        self.stage.hear(Message(Kind.INFO, "ERROR", {"code": "busy"}, None, first.dialogue))
        [again] = self.stage.wait(3)
        self.assertEqual(again.fields["rid"], first.fields["rid"])
        [reversal] = self.stage.hear(Message(Kind.INFO, "ERROR", {"code": "bad-field"}, None, again.dialogue))
        self.assertEqual(reversal.head, "COMMAND REVERSE")

    def test_never_connected(self) -> None:
        """A purchase that could never be asked is declined, and there is nothing to take back."""
        stage = Stage()
        stage.terminal.purchase(order())
        stage.wait(31)
        self.assertEqual((stage.finished[0].answer.attempts, stage.finished[0].answer.reversing), (0, False))
        self.assertEqual(stage.connect(), [])
        self.assertEqual(stage.journal.memory.stan, 0)

    def test_enquiry_given_up(self) -> None:
        """A balance enquiry without an answer is over; nothing is taken back."""
        self.stage.terminal.balance(BalanceOrder(TRACK2, PIN))
        self.stage.drain()
        self.stage.disconnect()
        self.stage.wait(31)
        self.assertEqual(self.stage.terminal.unfinished, 0)
        self.assertEqual(self.stage.connect(), [])

    def test_cashier_reverses(self) -> None:
        """A cashier takes back an approved purchase; without an answer it goes on in the background."""
        _, asked = self.stage.buy()
        self.stage.hear(result(asked.dialogue))
        reference = self.stage.finished[0].answer.reference
        assert reference is not None
        key = self.stage.terminal.reverse(reference)
        [reversal] = self.stage.drain()
        self.stage.disconnect()
        self.stage.wait(31)
        self.assertEqual(self.stage.finished[1].key, key)
        self.assertFalse(self.stage.finished[1].answer.answered)
        [again] = self.stage.connect()
        self.assertEqual(again.fields["rid"], reversal.fields["rid"])
        self.stage.hear(result(again.dialogue, "reversed", amount="12.50", currency="USD"))
        self.assertEqual(self.stage.journal.memory.totals, Totals(1, 1250, 1, 1250))
        self.assertEqual(len(self.stage.finished), 2)

    def test_silence(self) -> None:
        """A quiet connection is asked for a sign of life, and left when it gives none."""
        [echo] = self.stage.wait(151)
        self.assertEqual(echo.head, "COMMAND ECHO")
        self.stage.hear(Message(Kind.INFO, "ECHO", {}, None, echo.dialogue))
        self.stage.wait(151)
        self.assertEqual(self.stage.hung_up, [])
        self.stage.wait(9)
        self.assertEqual(self.stage.hung_up, ["silent"])

    def test_answers_echo(self) -> None:
        """The terminal answers when the backend asks for a sign of life."""
        [said] = self.stage.hear(Message(Kind.COMMAND, "ECHO", {}, None, "s1"))
        self.assertEqual((said.head, said.dialogue), ("INFO ECHO", "s1"))

    def test_deadline(self) -> None:
        """The terminal names the moment when it must look at the clock again."""
        self.assertEqual(self.stage.terminal.deadline(), self.stage.clock.seconds + 150)
        self.stage.buy()
        self.assertEqual(self.stage.terminal.deadline(), self.stage.clock.seconds + 8)
        self.stage.disconnect()
        self.assertEqual(self.stage.terminal.deadline(), self.stage.clock.seconds + 30)


class Restarting(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "journal"
        self.journal = FileJournal(self.path)
        self.addCleanup(lambda: self.journal.close())
        self.stage = Stage(self.journal)

    def restart(self) -> None:
        self.journal.close()
        self.journal = self.stage.journal = FileJournal(self.path)  # type: ignore[assignment]
        self.stage.start()

    def test_taken_back(self) -> None:
        """After a power cut an unanswered purchase is taken back and never resent."""
        self.stage.connect()
        _, asked = self.stage.buy()
        self.restart()
        [reversal] = self.stage.connect()
        self.assertEqual(reversal.head, "COMMAND REVERSE")
        self.assertEqual(reversal.fields["original-rid"], asked.fields["rid"])
        self.assertEqual(reversal.fields["stan"], "000002")
        self.assertNotIn("repeat", reversal.fields)
        self.restart()
        [again] = self.stage.connect()
        self.assertEqual(again.fields.pop("repeat"), "yes")
        self.assertEqual(again.fields, reversal.fields)
        self.stage.hear(result(again.dialogue, "reversed"))
        self.restart()
        self.assertEqual(self.stage.connect(), [])

    def test_answered_before(self) -> None:
        """What was answered before the power cut is neither taken back nor forgotten."""
        self.stage.connect()
        _, asked = self.stage.buy()
        self.stage.hear(result(asked.dialogue))
        self.restart()
        self.assertEqual(self.stage.connect(), [])
        self.assertEqual(self.journal.memory.totals, Totals(1, 1250))

    def test_closing(self) -> None:
        """A batch's closing without an answer is asked again with the same totals."""
        self.stage.connect()
        _, asked = self.stage.buy()
        self.stage.hear(result(asked.dialogue))
        self.stage.terminal.close_batch()
        [close] = self.stage.drain()
        self.assertEqual((close.fields["purchase-count"], close.fields["purchase-amount"]), ("1", "12.50"))
        self.restart()
        [again] = self.stage.connect()
        self.assertEqual(again.fields.pop("repeat"), "yes")
        self.assertEqual(again.fields, close.fields)
        self.stage.hear(result(again.dialogue, balanced="yes"))
        self.assertEqual(self.journal.memory.totals, Totals())

    def test_enquiry(self) -> None:
        """Of a balance enquiry nothing remains after a power cut."""
        self.stage.connect()
        self.stage.terminal.balance(BalanceOrder(TRACK2, PIN))
        self.stage.drain()
        self.restart()
        self.assertEqual(self.stage.connect(), [])

    def test_no_secret(self) -> None:
        """The journal holds no stripe, card number, PIN or PIN block, whatever happens."""
        self.stage.connect()
        _, first = self.stage.buy()
        self.stage.hear(result(first.dialogue))
        self.stage.buy()
        self.stage.wait(9)
        self.stage.terminal.balance(BalanceOrder(TRACK2, PIN))
        self.stage.drain()
        self.stage.disconnect()
        self.stage.wait(31)
        content = self.path.read_text()
        self.assertIn("000001", first.fields["stan"])
        self.assertGreater(len(content), 500)
        for secret in (TRACK2, NUMBER, f'"{PIN}"', first.fields["pin"], encode_pin(PIN, NUMBER, b"").decode()):
            self.assertNotIn(secret, content)

    def test_journal_first(self) -> None:
        """Nothing is said before the journal is durable; when the disk refuses, nothing is said."""
        moments: list[str] = []
        session = KeptSession()

        class Watching(MemoryJournal):
            def sync(self) -> None:
                moments.append(f"synced {len(self.memory.unfinished)}, said {len(session.said)}")

        stage = Stage(Watching())
        stage.session = session
        stage.terminal.opened(session.sealed(), TERMS)
        stage.terminal.purchase(order())
        stage.drain()
        self.assertEqual(moments, ["synced 1, said 0"])
        self.assertEqual(len(session.said), 1)

        class Full(MemoryJournal):
            def sync(self) -> None:
                raise JournalFailed("No space left on device")

        stage = Stage(Full())
        stage.session = KeptSession()
        stage.terminal.opened(stage.session.sealed(), TERMS)
        stage.terminal.purchase(order())
        with self.assertRaises(JournalFailed):
            stage.terminal.drain()
        self.assertEqual(stage.session.said, [])


class Phases(unittest.SynchronousTestCase):
    def test_every_transition(self) -> None:
        """Every step that is not in the table is refused and changes nothing."""
        for phase in Phase:
            for event in Event:
                request = Request(1, Asked.PURCHASE, 0.0, order=order(), pin=PIN, phase=phase)
                following = TRANSITIONS.get((phase, event))
                if following is None:
                    with self.assertRaises(OutOfOrder):
                        request.happen(event)
                    self.assertIs(request.phase, phase)
                else:
                    request.happen(event)
                    self.assertIs(request.phase, following)

    def test_forgets(self) -> None:
        """A settled request holds no stripe and no PIN any more, and never shows them."""
        request = Request(1, Asked.PURCHASE, 0.0, order=order(), pin=PIN)
        self.assertNotIn(PIN, repr(request).replace("1250", ""))
        self.assertNotIn(NUMBER, repr(request))
        request.happen(Event.SETTLE)
        self.assertIsNone(request.order)
        self.assertIsNone(request.pin)

    def test_redacted(self) -> None:
        """An order shows neither stripe nor PIN."""
        for shown in (repr(order()), str(order()), repr(BalanceOrder(TRACK2, PIN))):
            self.assertNotIn(NUMBER, shown)
            self.assertNotIn(PIN, shown)

    def test_jitter(self) -> None:
        """Two terminals that lost the network together do not come back together."""
        moments = set()
        for seed in range(20):
            terminal = Terminal(
                TerminalId("T0000001"),
                journal=MemoryJournal(),
                clock=SteppedClock(),
                entropy=SeededEntropy(seed),
                encode_pin=encode_pin,
            )
            terminal.purchase(order())
            moments.add(terminal.deadline())
        self.assertGreater(len(moments), 15)
        self.assertTrue(all(1030 <= (moment or 0) <= 1037.5 for moment in moments))


class Refunding(unittest.SynchronousTestCase):
    def test_refund(self) -> None:
        """A refund names its purchase and no card; unanswered, it is taken back like a purchase."""
        stage = Stage()
        stage.connect()
        stage.terminal.refund(RefundOrder(500, "USD", "632500000042"))
        [asked] = stage.drain()
        self.assertEqual((asked.head, asked.fields["original-rrn"]), ("COMMAND REFUND", "632500000042"))
        self.assertNotIn("track2", asked.fields)
        stage.hear(result(asked.dialogue, "declined", "40"))
        self.assertEqual(stage.finished[0].answer.code, "40")
        stage.terminal.refund(RefundOrder(500, "USD", "632500000042"))
        [asked] = stage.drain()
        said = stage.hear(result(asked.dialogue, "declined", "96"))
        self.assertEqual(said[-1].head, "COMMAND REVERSE")
