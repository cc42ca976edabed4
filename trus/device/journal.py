"""Remembers across power cuts what this terminal asked, so that nothing asked is forgotten.

Refuses to hold a readable track, a PIN or a PIN block: its records have no place for one. What is
appended reaches the disk with `sync`, and nothing may be said to the backend before that;
a torn last line was therefore never said and is dropped, any other damage stops the
terminal. The file is bounded: it is rewritten from its own summary when it has grown.

One line a `sync`, so that a torn write can only damage the last line: CRC-32 of the rest in
8 hexadecimal digits, a space, a JSON array of records.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from trus.device.records import Asked, Keyed, Opened, Purchased, Record, Settled, Summary, Totals
from trus.errors import TrusError
from trus.values import MAX_STAN, BatchItem, BusinessDate, Identity, ItemKind, ItemState, Result, TerminalId

#: The file is rewritten when it is longer than this and than four times its summary.
COMPACT_ABOVE_BYTES: Final = 256 * 1024
#: Approved purchases remembered for a later reversal by the cashier: a busy day of a shop.
KEPT_PURCHASES: Final = 1024
#: Items of a batch that can be compared one by one; a terminal that sells more closes more often.
KEPT_ITEMS: Final = 4096
#: The field has 15 digits.
MAX_READING: Final = 10**15 - 1
#: Stands for a retrieval reference that no answer told.
NO_REFERENCE: Final = "0" * 12


class JournalError(TrusError):
    """The journal cannot be used; the terminal must not ask anything."""


class JournalDamaged(JournalError):
    """A line that is not the last one is unreadable: somebody must look at the file."""


class JournalFailed(JournalError):
    """The disk refused a record: what was about to be said must not be said."""


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(list[Record])


class Memory:
    """What the records amount to: counters, unfinished requests, purchases, totals."""

    def __init__(self) -> None:
        """Start as a terminal that has never asked anything."""
        self.stan = 0
        self.date = BusinessDate("")
        self.used = 0
        self.totals = Totals()
        self.unfinished: dict[Identity, Opened] = {}
        self.purchases: dict[Identity, Purchased] = {}
        self.items: dict[tuple[str, int], BatchItem] = {}
        #: The number of the last reading of a stripe.
        self.reads = 0
        #: The backend's public key for stripes of advices, 64 hexadecimal digits; "" before it was announced.
        self.advice_key = ""

    def next_identity(self, terminal: TerminalId, date: BusinessDate) -> Identity:
        """Return the identity after the last one; it is used once a record of it is applied.

        Raises JournalFailed when the business date has no number left.
        """
        if date == self.date and self.used >= MAX_STAN:
            raise JournalFailed("every trace number of this business date has been used")
        return Identity(terminal, date, self.stan % MAX_STAN + 1)

    def reading(self) -> int:
        """Return the number of the next reading of a stripe.

        It is durable with its request, before that is said: what the backend never saw may be given again.
        """
        self.reads = min(self.reads + 1, MAX_READING)
        return self.reads

    def apply(self, record: Record) -> None:
        """Take a record into account."""
        match record:
            case Opened():
                self._open(record)
            case Settled():
                self._settle(record)
            case Keyed():
                self.advice_key = record.advice_key
            case Summary():
                self.stan, self.date, self.used = record.stan, record.date, record.used
                self.totals = record.totals
                self.unfinished = {opened.identity: opened for opened in record.unfinished}
                self.purchases = {purchased.opened.identity: purchased for purchased in record.purchases}
                self.items = {each.name: each for each in record.items}
                self.reads = max(self.reads, record.reads)
                self.advice_key = record.advice_key

    def summary(self) -> Summary:
        """Return one record that amounts to all of them."""
        return Summary(
            stan=self.stan,
            date=self.date,
            used=self.used,
            totals=self.totals,
            unfinished=list(self.unfinished.values()),
            purchases=list(self.purchases.values()),
            items=list(self.items.values()),
            reads=self.reads,
            advice_key=self.advice_key,
        )

    def _open(self, opened: Opened) -> None:
        identity = opened.identity
        self.used = self.used + 1 if identity.business_date == self.date else 1
        self.date, self.stan = identity.business_date, identity.stan
        self.reads = max(self.reads, opened.read)
        if opened.asked in (Asked.CLOSE, Asked.RECONCILE) and opened.items is None:
            # Kept here as they are now, and on the disk only if a summary is written before the answer.
            opened = msgspec.structs.replace(opened, items=list(self.items.values()))
        self.unfinished[identity] = opened
        if opened.original is not None and opened.asked is Asked.REVERSE:
            # The reversal takes over: nothing that is said about the original counts any more.
            self.unfinished.pop(opened.original, None)

    def _settle(self, settled: Settled) -> None:
        opened = self.unfinished.pop(settled.identity, None)
        if opened is None:
            return
        if settled.result is Result.DECLINED:
            return
        match opened.asked:
            case Asked.PURCHASE | Asked.ADVICE:
                self._sold(opened, settled, ItemKind.PURCHASE)
            case Asked.CAPTURE:
                self._sold(opened, settled, ItemKind.COMPLETION)
            case Asked.REVERSE if opened.original is not None:
                # What was never known to be approved was never counted either.
                self._taken_back(opened.original, settled, "reversal", ItemState.REVERSED)
            case Asked.VOID if opened.original is not None:
                self._taken_back(opened.original, settled, "void", ItemState.VOIDED)
            case Asked.REFUND:
                self.totals = self.totals.plus("refund", settled.amount)
                self._write_down(opened.identity, ItemKind.REFUND, settled)
            case Asked.CLOSE | Asked.RECONCILE if opened.totals is not None:
                # Purchases may have been answered since the closing was asked for: they stay.
                for item in opened.items or ():
                    if self.items.get(item.name) == item:
                        del self.items[item.name]
                    elif _is_refund(item) and item.name in self.items:
                        # Taken back while the batch was being closed: it counts there, and must not leave twice.
                        self.totals = self.totals.plus("refund", item.amount)
                self.totals = self.totals.minus(opened.totals)
            case _:
                pass

    def _sold(self, opened: Opened, settled: Settled, kind: ItemKind) -> None:
        self.purchases[opened.identity] = Purchased(opened, settled)
        if len(self.purchases) > KEPT_PURCHASES:
            del self.purchases[next(iter(self.purchases))]
        self.totals = self.totals.plus(kind.value, settled.amount)
        self._write_down(opened.identity, kind, settled)

    def _taken_back(self, original: Identity, settled: Settled, counted: str, state: ItemState) -> None:
        known = self.purchases.pop(original, None)
        name = (original.business_date, original.stan)
        item = self.items.get(name)
        if item is not None and _is_refund(item):
            # A batch counts neither a refund that was taken back in it nor that.
            self.totals = self.totals.without_refund(item.amount)
        elif known is None and counted == "reversal":
            return
        elif settled.amount:
            # Of a purchase that was refunded whole nothing is left to give back: the ledger counts no reversal.
            self.totals = self.totals.plus(counted, settled.amount)
        if item is None and known is not None:
            # Of a batch that is closed: it is an item of this one because it came back in it.
            kind = ItemKind.COMPLETION if known.opened.asked is Asked.CAPTURE else ItemKind.PURCHASE
            item = _item(original, kind, known.settled)
        if item is not None:
            self.items[name] = msgspec.structs.replace(item, state=state)

    def _write_down(self, identity: Identity, kind: ItemKind, settled: Settled) -> None:
        item = _item(identity, kind, settled)
        self.items[item.name] = item
        if len(self.items) > KEPT_ITEMS:
            del self.items[next(iter(self.items))]


def _item(identity: Identity, kind: ItemKind, settled: Settled) -> BatchItem:
    amount, rrn = settled.amount, settled.rrn or NO_REFERENCE
    return BatchItem(identity.business_date, identity.stan, kind, ItemState.STANDS, amount, rrn)


def _is_refund(item: BatchItem) -> bool:
    """Return whether an item is a refund that stands."""
    return item.kind is ItemKind.REFUND and item.state is ItemState.STANDS


class Journal(Protocol):
    """Where a terminal keeps its records."""

    @property
    def memory(self) -> Memory:
        """What the records amount to so far, those not yet synced included."""
        ...

    def append(self, record: Record) -> None:
        """Add a record; it counts at once and is durable after `sync`. Raises JournalFailed."""
        ...

    def sync(self) -> None:
        """Make every appended record durable. Raises JournalFailed."""
        ...


class MemoryJournal:
    """A journal that a power cut erases: for load generators and tests, never for a shop."""

    def __init__(self) -> None:
        """Start empty."""
        self.memory = Memory()

    def append(self, record: Record) -> None:
        """Take the record into account."""
        self.memory.apply(record)

    def sync(self) -> None:
        """Do nothing: there is no disk."""


class FileJournal:
    """An append-only file, private to the terminal's user."""

    def __init__(
        self,
        path: Path,
        *,
        compact_above: int = COMPACT_ABOVE_BYTES,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        """Open `path`, or create it with mode 0600, and read what it says.

        Raises JournalDamaged for an unreadable line that is not the last one, JournalFailed
        when the file cannot be opened or repaired.
        """
        self.memory = Memory()
        self._path = path
        self._compact_above = self._compact_at = compact_above
        self._fsync = fsync
        self._waiting: list[Record] = []
        self._broken = False
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise JournalFailed(f"the journal {path} cannot be opened: {problem.strerror}") from problem
        try:
            self._durable = self._read()
            if os.fstat(self._file).st_size != self._durable:
                os.ftruncate(self._file, self._durable)
            # What a killed process wrote may not have reached the medium: it does before it counts.
            self._fsync(self._file)
            self._sync_directory()
        except OSError as problem:
            os.close(self._file)
            raise JournalFailed(f"the journal {path} cannot be used: {problem.strerror}") from problem
        except JournalDamaged:
            os.close(self._file)
            raise

    def append(self, record: Record) -> None:
        """Take the record into account and keep it for the next `sync`. Raises JournalFailed."""
        if self._broken:
            raise JournalFailed("the journal is out of order since the disk refused a record")
        self.memory.apply(record)
        self._waiting.append(record)

    def sync(self) -> None:
        """Write and fsync what was appended; compact when due. Raises JournalFailed.

        After a failure the journal stays out of order: what the disk holds is then unknown,
        and only reading it again, at a restart, tells.
        """
        if self._broken:
            raise JournalFailed("the journal is out of order since the disk refused a record")
        if not self._waiting:
            return
        line = encode(self._waiting)
        try:
            _write_all(self._file, line)
            self._fsync(self._file)
        except OSError as problem:
            self._broken = True
            # Nothing of these records was said. The system may show them although the medium lacks them, even
            # after a later fsync that succeeds: whoever reads the file next must not find them.
            with suppress(OSError):
                os.ftruncate(self._file, self._durable)
            raise JournalFailed(f"the disk refused the journal's record: {problem.strerror}") from problem
        self._durable += len(line)
        self._waiting.clear()
        if self._durable > self._compact_at:
            self._compact()

    def close(self) -> None:
        """Close the file; records that were never synced are forgotten, as they were never said."""
        self._broken = True
        os.close(self._file)

    def _read(self) -> int:
        data = self._path.read_bytes()
        good = 0
        for number, line, whole in _lines(data):
            records = decode(line) if whole else None
            if records is None:
                if good + len(line) + whole < len(data):
                    raise JournalDamaged(f"line {number} of the journal {self._path} is damaged")
                break
            for record in records:
                self.memory.apply(record)
            good += len(line) + 1
        return good

    def _compact(self) -> None:
        summary = encode([self.memory.summary()])
        if 4 * len(summary) > self._durable:
            # Most of the file is still of use. To ask again with every record would cost more than the records.
            self._compact_at = 4 * len(summary)
            return
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                _write_all(file, summary)
                self._fsync(file)
                fresh.replace(self._path)
            except OSError:
                os.close(file)
                raise
            os.close(self._file)
            self._file = file
            self._sync_directory()
        except OSError as problem:
            self._broken = True
            raise JournalFailed(f"the journal could not be rewritten: {problem.strerror}") from problem
        self._durable = len(summary)
        self._compact_at = self._compact_above

    def _sync_directory(self) -> None:
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._fsync(directory)
        finally:
            os.close(directory)


def encode(records: Sequence[Record]) -> bytes:
    """Return the line of records that become durable together, line end included."""
    body = _ENCODER.encode(records)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> list[Record] | None:
    """Return what a line without its end says, None when it is damaged."""
    head, _, body = line.partition(b" ")
    if head != b"%08x" % zlib.crc32(body):
        return None
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError:
        return None


def _lines(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Yield number, line without end, and whether its end is there."""
    pieces = data.split(b"\n")
    for number, piece in enumerate(pieces[:-1], 1):
        yield number, piece, True
    if pieces[-1]:
        yield len(pieces), pieces[-1], False


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


__all__ = [
    "Asked",
    "FileJournal",
    "Journal",
    "JournalDamaged",
    "JournalError",
    "JournalFailed",
    "Keyed",
    "Memory",
    "MemoryJournal",
    "Opened",
    "Purchased",
    "Record",
    "Settled",
    "Summary",
    "Totals",
    "decode",
    "encode",
]
