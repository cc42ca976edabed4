"""What a terminal repeats and takes back when no answer comes, also after a power cut."""

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
    Stage,
    encode_pin,
    order,
    result,
)
from trus.device.journal import FileJournal, JournalFailed, MemoryJournal, Totals
from trus.device.orders import BalanceOrder
from trus.protocol.messages import Kind, Message
from trus.values import Result


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
