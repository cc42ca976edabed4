"""What a terminal's process knew when it was killed is what the judge reads."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.faults.evidence import (
    Asking,
    Book,
    Broken,
    Reader,
    Rested,
    Started,
    Told,
    Writer,
    Wrote,
    last_records,
    put_down,
)
from trus.device.journal import Asked, Memory, Opened, Settled, encode
from trus.device.orders import Answer
from trus.simulation.papers import Papers
from trus.values import BusinessDate, Identity, Result, TerminalId

TERMINAL = TerminalId("T0000001")
IDENTITY = Identity(TERMINAL, BusinessDate("2026-11-21"), 7)
OPENED = Opened(IDENTITY, Asked.PURCHASE, "ab" * 16, 100, "USD")
SETTLED = Settled(IDENTITY, Result.APPROVED, "00", 100, "A1B2C3", "632500000042")


class EvidenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.papers = Papers()
        self.book = Book(TERMINAL, self.path, self.papers, began=10.0)

    def start(self, incarnation: int, memory: Memory | None = None) -> Writer:
        writer = Writer(self.path)
        writer.put(Started(10.0, incarnation, (memory or Memory()).summary()))
        return writer

    def test_an_answer_that_was_read(self) -> None:
        """What was written, settled and told reaches the papers with its moment in milliseconds."""
        writer = self.start(1)
        writer.put(Asking(10.5, 1, Asked.PURCHASE, 100))
        writer.put(Wrote(10.6, OPENED))
        writer.put(Wrote(10.7, SETTLED))
        writer.put(Told(10.8, 1, Answer(Result.APPROVED, "00", OPENED.reference, amount=100)))
        self.book.read()
        [ordered] = self.papers.orders
        self.assertEqual((ordered.step, ordered.amount, ordered.incarnation), (800, 100, 1))
        self.assertTrue(ordered.answer is not None and ordered.answer.approved)
        self.assertEqual(self.papers.written[IDENTITY].settled, SETTLED)
        self.assertEqual([(asked_at, told_at) for asked_at, told_at, *_ in self.book.told], [(10.5, 10.8)])

    def test_a_line_that_was_not_finished(self) -> None:
        """Half a line of a killed process counts as never known, and does not spoil the next process's first line."""
        self.start(1)
        with self.path.open("ab") as file:
            file.write(b'{"type":"told","at":1')
        self.start(2)
        self.book.read()
        self.assertEqual(self.book.incarnation, 2)

    def test_lines_that_come_in_pieces(self) -> None:
        """A line is read once it is whole."""
        self.start(1)
        reader = Reader(self.path)
        self.assertEqual(len(list(reader.lines())), 1)
        whole = b'{"type":"rested","at":1.0,"request":3}\n'
        found: list[object] = []
        for piece in (whole[:9], whole[9:]):
            with self.path.open("ab") as file:
                file.write(piece)
            found = list(reader.lines())
        self.assertEqual(found, [Rested(1.0, 3)])

    def test_what_the_journal_says_after_a_restart(self) -> None:
        """A request that was durable when the process died counts, though nobody could put it down."""
        self.start(1)
        memory = Memory()
        memory.apply(OPENED)
        self.start(2, memory)
        self.book.read()
        self.assertEqual(self.papers.written[IDENTITY].opened_in, 1)

    def test_the_last_line_of_a_journal(self) -> None:
        """What a process had made durable and could not put down any more is put down by the next one."""
        journal = Path(self.mktemp())
        self.assertEqual(list(last_records(journal)), [])
        with journal.open("wb") as file:
            file.write(encode([OPENED]) + encode([SETTLED]))
        self.assertEqual(list(last_records(journal)), [SETTLED])
        self.start(1).put(Wrote(10.6, OPENED))
        writer = Writer(self.path)
        put_down(last_records(journal), writer, 10.7)
        writer.put(Started(10.8, 2, Memory().summary()))
        self.book.read()
        written = self.papers.written[IDENTITY]
        self.assertEqual((written.settled, written.settled_in, written.ended), (SETTLED, 1, False))

    def test_a_last_line_that_is_torn(self) -> None:
        """A line of the journal that was never whole was never durable."""
        journal = Path(self.mktemp())
        journal.write_bytes(encode([OPENED]) + encode([SETTLED])[:-1])
        self.assertEqual(list(last_records(journal)), [])

    def test_out_of_order(self) -> None:
        """A terminal whose journal failed is out of order until it is started again."""
        self.start(1).put(Broken(11.0, "the disk refused"))
        self.book.read()
        self.assertEqual(self.book.broken, "the disk refused")
        self.start(2)
        self.book.read()
        self.assertEqual(self.book.broken, "")
