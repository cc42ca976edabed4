"""The ledger of a writing process: units of work for batches, business dates, upkeep.

Implements trus.auth.ports.Ledger; says nothing of a request whose storage is in doubt. One
thread, one unit at a time (trus.ledger.writer says why).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, literal_column, select, update

from trus.auth.ports import CardNames, StoredRequest
from trus.clock import Entropy
from trus.errors import OutcomeUnknown, StorageFailed
from trus.ledger.days import microseconds, next_day
from trus.ledger.dialect import DATABASE_ERRORS, SQLITE_DONE, Direct, cause
from trus.ledger.facts import FactsReader
from trus.ledger.lookup import CardLookup, FieldCipher
from trus.ledger.prepared import Prepared
from trus.ledger.readers import Readers
from trus.ledger.statements import Statements
from trus.ledger.tables import business_day
from trus.ledger.unit import SqlUnit
from trus.ledger.writer import Writer
from trus.values import BusinessDate, Identity

#: A checkpoint is due after this many units: a unit dirties at most a few hundred pages.
UNITS_A_CHECKPOINT: Final = 256
_HOLDER_BYTES: Final = 16
_OPEN_DATE: Final = Prepared(select(business_day.c.date).where(business_day.c.state == literal_column("'open'")))


class SqlLedger:
    """Keeps cards, accounts and events in a SQL database. `fields` ciphers single columns."""

    def __init__(
        self,
        engine: Engine,
        lookup: CardLookup,
        fields: FieldCipher,
        entropy: Entropy,
        *,
        slot: int,
        now: datetime,
        release: Callable[[], None] = lambda: None,
        direct: Callable[[Connection], Direct] = Direct,
    ) -> None:
        """Lease `slot` and continue its chain; `release` is called at the end. Raises StorageFailed.

        `direct` makes the writing connection's way to the driver: the simulation's fails at times.
        """
        self.engine = engine
        self.fields = fields
        self._lookup = lookup
        self._entropy = entropy
        self._statements = Statements(engine.dialect)
        self._facts = FactsReader(self._statements)
        self._slot = slot
        self._holder = entropy.draw(_HOLDER_BYTES).hex()
        self._direct = direct
        self._writer = self._write_with(engine, now)
        self._readers = Readers(engine)
        self._release = release
        self._closed = False
        self._units_since_checkpoint = 0

    # ------------------------------------------------------------------ the port of trus.auth

    def begin(self, now: datetime) -> SqlUnit:
        """Start a unit of work at `now` (aware, UTC). Raises StorageFailed, Fenced."""
        day = self._writer.begin()
        self._units_since_checkpoint += 1
        return SqlUnit(
            self._writer.direct,
            self._statements,
            self._facts,
            self._entropy,
            self._writer.progress,
            at=microseconds(now),
            day=day,
            ending=self._writer,
        )

    @contextmanager
    def order(self, now: datetime) -> Iterator[SqlUnit]:
        """Run an order of an admin in one transaction: commit at the end, roll back on any error.

        The unit's `connection` takes registry changes; trus.ledger.posting moves money in it.
        Raises StorageFailed, OutcomeUnknown, and whatever the block raises.
        """
        unit = self.begin(now)
        try:
            yield unit
            unit.commit()
        except DATABASE_ERRORS as failure:
            raise self._writer.failed(failure) from None
        finally:
            unit.rollback()

    def reading(self) -> AbstractContextManager[Connection]:
        """Lend a connection that shows one snapshot. Raises StorageFailed, and whatever the block does."""
        return self._readers.snapshot()

    def due_holds(self, now: datetime, limit: int) -> Sequence[str]:
        """Return the reference numbers of open holds that have expired, the oldest first. Raises StorageFailed."""
        with self.reading() as reader:
            return self._facts.due_holds(Direct(reader), microseconds(now), limit)

    def watched_ranges(self) -> Sequence[tuple[bytes, int, int, bool]]:
        """Return what is kept of ranges of card numbers that were tried out, the latest last. Raises StorageFailed."""
        with self.reading() as reader:
            rows = Direct(reader).rows(self._statements.text("watched_ranges"), ())
            return [(row[0], row[1], row[2], bool(row[3])) for row in rows]

    def due_lots(self, limit: int, after: tuple[str, int] = ("", 0)) -> Sequence[tuple[str, int]]:
        """Return lots and account of purses whose credit has ended, in an order of their own, those after `after`.

        Raises StorageFailed.
        """
        with self.reading() as reader:
            day = _OPEN_DATE.only(reader)
            rows = Direct(reader).rows(self._statements.text("due_lots"), (day, *after, limit))
            return [(row[0], row[1]) for row in rows]

    def use_receipt_key(self, number: int, key: bytes) -> None:
        """Mark the answers from now on under the key that head `number` commits to."""
        self._writer.use_receipt_key(number, key)

    def card_key(self, pan: str) -> bytes:
        """Return the keyed hash (16 bytes) under which a new card is stored."""
        return self._lookup.card_key(pan)

    def card_names(self, pan: str) -> CardNames:
        """Return the keyed hashes (16 bytes each) under which a card number is looked up."""
        return self._lookup.card_names(pan)

    def stored(self, identities: Sequence[Identity]) -> Mapping[Identity, StoredRequest]:
        """Read identities back on a new connection.

        Raises OutcomeUnknown while the medium is in doubt: after a failed write the system may
        show a page that the medium does not hold, and only a restart settles which.
        Raises StorageFailed when the reading itself fails.
        """
        if self._writer.in_doubt:
            raise OutcomeUnknown(self._writer.stopped)
        with self.reading() as reader:
            return self._facts.requests(Direct(reader), identities)

    # ------------------------------------------------------------------------------- the day

    def business_date(self) -> BusinessDate:
        """Return the open business date. Raises StorageFailed."""
        with self.reading() as reader:
            found = _OPEN_DATE.value(reader)
        if found is None:
            raise StorageFailed("no business date is open")
        return BusinessDate(found)

    def advance_day(self, now: datetime, to: BusinessDate | None = None) -> BusinessDate:
        """Close the open business date and open `to`, the calendar day after it unless told.

        Returns the date now open. Raises StorageFailed; ValueError when `to` is not later.
        """
        with self.order(now) as unit:
            opened = next_day(unit.business_date) if to is None else to
            if opened <= unit.business_date:
                raise ValueError(f"business date {opened} is not after {unit.business_date}")
            closing = update(business_day).where(business_day.c.date == unit.business_date)
            unit.connection.execute(closing.values(state="closed", closed_at=unit.at))
            unit.connection.execute(
                insert(business_day).values(
                    date=opened, previous=unit.business_date, state="open", next_number=1, opened_at=unit.at
                )
            )
        return opened

    # -------------------------------------------------------------------- a change of keys

    def use_keys(self, lookup: CardLookup, fields: FieldCipher) -> None:
        """Find cards and cipher fields with other keys from now on; no unit may be open."""
        self._lookup = lookup
        self.fields = fields

    def copy_into(self, target: Any, pages: int, step: Callable[[int, int], None]) -> None:
        """Copy the whole database into `target`, a connection of the driver to another file, in steps of `pages`.

        `step(left, total)` is called after each but the last one, and may use this ledger as ever: what
        it commits reaches the copy too (sqlite.org, "Online Backup API"). What it raises ends the copying
        and is raised. Raises StorageFailed.
        """

        def progress(status: int, left: int, total: int) -> None:
            if status != SQLITE_DONE:
                step(left, total)

        try:
            self._writer.direct.copy_into(target, pages, progress)
        except DATABASE_ERRORS as failure:
            raise StorageFailed(f"the database cannot be copied: {cause(failure)}") from None

    def empty_log(self) -> None:
        """Move the whole log into the main file, if no other process reads it. Raises StorageFailed."""
        try:
            self._writer.direct.empty_log()
        except DATABASE_ERRORS as failure:
            raise self._writer.failed(failure) from None

    def exchange(self, replace: Callable[[], Engine], now: datetime) -> None:
        """Close every connection, have `replace` put another file in place, and go on with its engine.

        `replace` returns an engine in any case. The slot's chain and its event numbers go on. Raises
        StorageFailed when that file cannot be used; nothing can be stored then until a restart.
        """
        progress = self._writer.progress
        self._writer.close()
        self._readers.close()
        self.engine.dispose()
        self.engine = replace()
        self._readers = Readers(self.engine)
        self._writer = self._write_with(self.engine, now)
        if self._writer.progress.head != progress.head:
            self._writer.stopped = "the database that was put in place has another history: restart the ledger"
            raise StorageFailed(self._writer.stopped)
        self._writer.progress = progress

    def _write_with(self, engine: Engine, now: datetime) -> Writer:
        return Writer(
            engine,
            self._statements,
            slot=self._slot,
            holder=self._holder,
            at=microseconds(now),
            direct=self._direct,
        )

    # ------------------------------------------------------------------------------- upkeep

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough was written since the last checkpoint for another."""
        return self._units_since_checkpoint >= UNITS_A_CHECKPOINT

    def checkpoint(self, *, truncate: bool = False) -> tuple[int, int]:
        """Move the log's pages into the main file, between units, never inside a commit.

        Returns (pages in the log, pages moved). Raises StorageFailed: the log keeps everything.
        """
        try:
            moved = self._writer.direct.checkpoint(truncate=truncate)
        except DATABASE_ERRORS as failure:
            raise self._writer.failed(failure) from None
        self._units_since_checkpoint = 0
        return moved

    def health(self) -> str:
        """Return "ok", or the sentence that says why nothing is approved."""
        return self._writer.stopped or "ok"

    def close(self) -> None:
        """Close every connection; what is not committed is forgotten. Does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._readers.close()
        self.engine.dispose()
        self._release()
