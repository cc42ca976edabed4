"""Keeps what a terminal and its cashiers know for sure, in a file that outlives the terminal's process.

One JSON value a line, written in one call the moment it is known: a record once the journal's fsync has
returned, an answer once the cashier has read it. A process that is killed loses nothing that it had
written; a line that it did not finish was never known. Reading it back makes the papers that
trus.simulation.invariants judges.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from trus.device.journal import Asked, FileJournal, Memory, Opened, Record, Settled, Summary, decode
from trus.device.orders import Answer
from trus.simulation.papers import Ordered, Papers
from trus.values import Identity, TerminalId


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A terminal's process has read its journal: which incarnation it is, and what the journal says."""

    at: float
    incarnation: int
    summary: Summary


class Wrote(msgspec.Struct, frozen=True, tag="wrote"):
    """The journal holds this, durably."""

    at: float
    record: Opened | Settled


class Asking(msgspec.Struct, frozen=True, tag="asked", omit_defaults=True):
    """A cashier orders something; `number` names the order within its incarnation."""

    at: float
    number: int
    asked: Asked
    amount: int = 0
    original: Identity | None = None


class Told(msgspec.Struct, frozen=True, tag="told"):
    """A cashier reads the answer of an order."""

    at: float
    number: int
    answer: Answer


class Rested(msgspec.Struct, frozen=True, tag="rested"):
    """Nothing of this terminal is unfinished; `request` names the wish for rest that this answers."""

    at: float
    request: int


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """The journal's disk refused a record: the terminal is out of order."""

    at: float
    why: str


Line = Started | Wrote | Asking | Told | Rested | Broken
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Writer:
    """The file, from inside the terminal's process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(self._file, b"\n")  # ends what the process before this one did not finish

    def put(self, line: Line) -> None:
        """Write one line."""
        os.write(self._file, _encode(line) + b"\n")


class Reader:
    """The file, from the harness: each call returns what is new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._rest = b""

    def lines(self) -> Iterator[Line]:
        """Yield new whole lines; what a killed process did not finish is left out."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        for each in whole:
            try:
                line = _decode(each) if each else None
            except msgspec.MsgspecError:
                line = None
            if line is not None:
                yield line


class WatchedJournal(FileJournal):
    """The terminal's own journal, which puts down what has become durable."""

    def __init__(self, path: Path, compact_above: int, evidence: Writer, now: Callable[[], float]) -> None:
        """`now()` is the machine's monotonic clock, one for all processes."""
        self._evidence = evidence
        self._now = now
        self._durable_records: list[Record] = []
        super().__init__(path, compact_above=compact_above)

    def sync(self) -> None:
        """Make the records durable, and put them down."""
        self._durable_records = list(self._waiting)
        super().sync()
        self._put_down()

    def _compact(self) -> None:
        self._put_down()  # before the lines that hold them are gone
        super()._compact()

    def _put_down(self) -> None:
        records, self._durable_records = self._durable_records, []
        put_down(records, self._evidence, self._now())


def put_down(records: Sequence[Record], evidence: Writer, at: float) -> None:
    """Say that the journal holds these, durably."""
    for record in records:
        if isinstance(record, Opened | Settled):
            evidence.put(Wrote(at, record))


def last_records(journal: Path) -> Sequence[Record]:
    """Return the last line of a journal: the process before may have died before it could put that down."""
    if not journal.exists():
        return []
    *lines, unfinished = journal.read_bytes().split(b"\n")
    return [] if unfinished or not lines else decode(lines[-1]) or []


class Book:
    """What one terminal's evidence amounts to, written into the papers of the run."""

    def __init__(self, terminal: TerminalId, path: Path, papers: Papers, began: float) -> None:
        """`began` is the monotonic second of the run's beginning: a step is a millisecond since."""
        self.terminal = terminal
        self.reader = Reader(path)
        self.incarnation = 0
        self.rested = 0  #: the last wish for rest that was fulfilled
        self.broken = ""  #: why the terminal is out of order in this incarnation
        self.told: list[tuple[float, float, Asked, Answer]] = []  #: asked at, told at, what, answer
        self.differing: list[str] = []  #: batches that did not balance
        self._papers = papers
        self._began = began
        self._orders: dict[int, tuple[float, Ordered]] = {}

    def read(self) -> None:
        """Take in what is new."""
        for line in self.reader.lines():
            self._take(line, round(1000 * (line.at - self._began)))

    def reread(self, path: Path) -> None:
        """Take in what the journal itself says, as the terminal would after a restart."""
        journal = FileJournal(path)
        try:
            self._papers.reread(self.terminal, journal.memory, self.incarnation + 1, 0)
        finally:
            journal.close()

    def _take(self, line: Line, step: int) -> None:
        papers = self._papers
        match line:
            case Started():
                self.incarnation, self.broken = line.incarnation, ""
                self._orders.clear()
                memory = Memory()
                memory.apply(line.summary)
                papers.reread(self.terminal, memory, line.incarnation, step)
            case Wrote(record=Opened() as record):
                papers.opened(record, self.incarnation, step)
            case Wrote(record=Settled() as record):
                papers.settled(record, self.incarnation, step)
            case Asking():
                ordered = Ordered(self.terminal, line.asked, self.incarnation, step, line.amount)
                ordered.original = line.original
                papers.orders.append(ordered)
                self._orders[line.number] = (line.at, ordered)
            case Told():
                asked_at, ordered = self._orders.pop(line.number)
                ordered.answer, ordered.step = line.answer, step
                self.told.append((asked_at, line.at, ordered.asked, line.answer))
                if line.answer.balanced is False:
                    self.differing.append(f"the batch of {self.terminal} closed at {step} ms differs from the ledger's")
            case Rested():
                self.rested = line.request
            case Broken():
                self.broken = line.why
