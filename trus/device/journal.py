"""Remembers across power cuts what this terminal asked, so that nothing asked is forgotten.

Refuses to hold a track, a PIN or a PIN block: its records have no place for one. What is
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
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec.structs import astuple

from trus.device.orders import Reference
from trus.errors import TrusError
from trus.values import MAX_STAN, BusinessDate, Identity, Result, TerminalId

#: The file is rewritten when it is longer than this and than four times its summary.
COMPACT_ABOVE_BYTES: Final = 256 * 1024
#: Approved purchases remembered for a later reversal by the cashier: a busy day of a shop.
KEPT_PURCHASES: Final = 1024


class JournalError(TrusError):
    """The journal cannot be used; the terminal must not ask anything."""


class JournalDamaged(JournalError):
    """A line that is not the last one is unreadable: somebody must look at the file."""


class JournalFailed(JournalError):
    """The disk refused a record: what was about to be said must not be said."""


class Asked(StrEnum):
    """What a request asks for."""

    PURCHASE = "purchase"
    BALANCE = "balance"
    REFUND = "refund"
    REVERSE = "reverse"
    VOID = "void"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    ADVICE = "advice"
    PIN = "pin"
    CLOSE = "close"


class Totals(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the batch holds since it was last closed, in minor units."""

    purchase_count: int = 0
    purchase_amount: int = 0
    reversal_count: int = 0
    reversal_amount: int = 0
    refund_count: int = 0
    refund_amount: int = 0
    void_count: int = 0
    void_amount: int = 0
    completion_count: int = 0
    completion_amount: int = 0

    def plus(self, kind: str, amount: int) -> Totals:
        """Return the totals with one more purchase, reversal, refund or void of `amount`."""
        count, sum_ = f"{kind}_count", f"{kind}_amount"
        return msgspec.structs.replace(self, **{count: getattr(self, count) + 1, sum_: getattr(self, sum_) + amount})

    def minus(self, other: Totals) -> Totals:
        """Return what is left when a part of the totals was closed."""
        return Totals(*(mine - its for mine, its in zip(astuple(self), astuple(other), strict=True)))


class Opened(msgspec.Struct, frozen=True, omit_defaults=True, tag="opened"):
    """A request that is about to be said for the first time.

    `rid` is 32 hexadecimal digits. `original` and `original_rid` name what a reversal takes
    back, or what a request is about; `rrn` is the reference number of that, and `reason` says
    why. `totals` is what the batch held when its closing was asked for.
    """

    identity: Identity
    asked: Asked
    rid: str
    amount: int = 0
    currency: str = ""
    original: Identity | None = None
    original_rid: str = ""
    reason: str = ""
    totals: Totals | None = None
    rrn: str = ""

    @property
    def reference(self) -> Reference:
        """The name under which it can be taken back."""
        return Reference(self.identity, bytes.fromhex(self.rid), self.amount, self.currency)


class Settled(msgspec.Struct, frozen=True, omit_defaults=True, tag="settled"):
    """A request's final answer; `amount` is what was authorized, in minor units."""

    identity: Identity
    result: Result
    code: str
    amount: int = 0
    approval: str = ""
    rrn: str = ""


class Purchased(msgspec.Struct, frozen=True):
    """An approved purchase that can still be taken back."""

    opened: Opened
    settled: Settled

    @property
    def reference(self) -> Reference:
        """The name under which it can be taken back."""
        return self.opened.reference


class Summary(msgspec.Struct, frozen=True, omit_defaults=True, tag="summary"):
    """Everything that the records before it amount to; the first line after a compaction."""

    stan: int
    date: BusinessDate
    used: int
    totals: Totals
    unfinished: list[Opened]
    purchases: list[Purchased]


Record = Opened | Settled | Summary

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

    def next_identity(self, terminal: TerminalId, date: BusinessDate) -> Identity:
        """Return the identity after the last one; it is used once a record of it is applied.

        Raises JournalFailed when the business date has no number left.
        """
        if date == self.date and self.used >= MAX_STAN:
            raise JournalFailed("every trace number of this business date has been used")
        return Identity(terminal, date, self.stan % MAX_STAN + 1)

    def apply(self, record: Record) -> None:
        """Take a record into account."""
        match record:
            case Opened():
                self._open(record)
            case Settled():
                self._settle(record)
            case Summary():
                self.stan, self.date, self.used = record.stan, record.date, record.used
                self.totals = record.totals
                self.unfinished = {opened.identity: opened for opened in record.unfinished}
                self.purchases = {purchased.opened.identity: purchased for purchased in record.purchases}

    def summary(self) -> Summary:
        """Return one record that amounts to all of them."""
        return Summary(
            stan=self.stan,
            date=self.date,
            used=self.used,
            totals=self.totals,
            unfinished=list(self.unfinished.values()),
            purchases=list(self.purchases.values()),
        )

    def _open(self, opened: Opened) -> None:
        identity = opened.identity
        self.used = self.used + 1 if identity.business_date == self.date else 1
        self.date, self.stan = identity.business_date, identity.stan
        self.unfinished[identity] = opened
        if opened.original is not None and opened.asked is Asked.REVERSE:
            # The reversal takes over: nothing that is said about the original counts any more.
            self.unfinished.pop(opened.original, None)

    def _settle(self, settled: Settled) -> None:
        opened = self.unfinished.pop(settled.identity, None)
        if opened is None:
            return
        match opened.asked:
            case Asked.PURCHASE | Asked.ADVICE if settled.result in (Result.APPROVED, Result.PARTIAL):
                self.purchases[opened.identity] = Purchased(opened, settled)
                if len(self.purchases) > KEPT_PURCHASES:
                    del self.purchases[next(iter(self.purchases))]
                self.totals = self.totals.plus("purchase", settled.amount)
            case Asked.REVERSE if settled.result is Result.REVERSED and opened.original is not None:
                # What was never known to be approved was never counted either; and of a purchase that was
                # refunded whole nothing is left to give back, so that the ledger counts no reversal.
                if self.purchases.pop(opened.original, None) is not None and settled.amount:
                    self.totals = self.totals.plus("reversal", settled.amount)
            case Asked.VOID if settled.result is Result.APPROVED and opened.original is not None:
                self.purchases.pop(opened.original, None)
                self.totals = self.totals.plus("void", settled.amount)
            case Asked.CAPTURE if settled.result is Result.APPROVED:
                self.purchases[opened.identity] = Purchased(opened, settled)
                self.totals = self.totals.plus("completion", settled.amount)
            case Asked.REFUND if settled.result is Result.APPROVED:
                self.totals = self.totals.plus("refund", settled.amount)
            case Asked.CLOSE if settled.result is Result.APPROVED and opened.totals is not None:
                # Purchases may have been answered since the closing was asked for: they stay.
                self.totals = self.totals.minus(opened.totals)
            case _:
                pass


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
        self._compact_above = compact_above
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
        if self._durable > self._compact_above:
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
