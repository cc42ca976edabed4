"""The one writing connection: leases a slot, opens and ends transactions, says what an error means.

Refuses to go on after a commit whose outcome it cannot know, and after another process has
taken its slot: both need a restart, and until then nothing is approved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, bindparam, insert, select, update

from trus.errors import LedgerError, OutcomeUnknown, StorageFailed
from trus.ledger.chain import ChainHead, genesis
from trus.ledger.dialect import DATABASE_ERRORS, Direct, Trouble, cause, trouble
from trus.ledger.prepared import Prepared
from trus.ledger.statements import Statements
from trus.ledger.tables import event, meta, signed_head, writer_slot
from trus.ledger.tree import tail_of
from trus.ledger.unit import Numbering, Progress
from trus.receipts.links import HEAD_BYTES, NO_KEY

_LEASED: Final = Prepared(select(writer_slot.c.epoch).where(writer_slot.c.slot == bindparam("slot")))
_NEWEST_KEY: Final = Prepared(
    select(signed_head.c.number, signed_head.c.receipt_key).order_by(signed_head.c.number.desc()).limit(1)
)
_LAST_LINK: Final = Prepared(
    select(event.c.sequence, event.c.link)
    .where(event.c.slot == bindparam("slot"))
    .order_by(event.c.sequence.desc())
    .limit(1)
)
_LEDGER_ID: Final = Prepared(select(meta.c.value).where(meta.c.name == "ledger_id"))


class Fenced(StorageFailed):
    """Another process has leased this writer's slot: this one must stop writing for good."""


class Writer:
    """Holds the slot and its progress from one transaction to the next."""

    def __init__(
        self,
        engine: Engine,
        statements: Statements,
        *,
        slot: int,
        holder: str,
        at: int,
        direct: Callable[[Connection], Direct] = Direct,
    ) -> None:
        """Lease `slot` at `at` (microseconds) and continue its chain. Raises StorageFailed.

        `direct` makes what stands between the hot path and the driver.
        """
        self._statements: Final = statements
        self._slot: Final = slot
        self._running = False
        self.stopped = ""  #: why nothing is written any more, "" while all is well
        self.in_doubt = False  #: the medium may hold more or less than the system shows
        try:
            self.direct: Final = direct(engine.connect())
            # Frames that a crashed process left in the log are made durable before anything is said.
            self.direct.checkpoint(truncate=True)
            self._epoch, self.progress = self._lease(holder, at)
        except DATABASE_ERRORS as failure:
            engine.dispose()
            raise StorageFailed(f"the ledger cannot be opened for writing: {cause(failure)}") from None

    def begin(self) -> tuple[str, str, int]:
        """Open a transaction; return (open date, the date before, first event number not leased).

        Raises StorageFailed, Fenced; LedgerError when a transaction is open.
        """
        if self.stopped:
            raise StorageFailed(self.stopped)
        if self._running:
            raise LedgerError("a unit of work is open already")
        try:
            self.direct.begin()
            self._running = True
            rows = self.direct.rows(self._statements.text("day"), (self._slot,))
        except DATABASE_ERRORS as failure:
            raise self.failed(failure) from None
        if not rows:
            self.abandon()
            raise StorageFailed("no business date is open")
        [row] = rows
        if row[3] != self._epoch:
            self.abandon()
            self.stopped = f"another process has taken slot {self._slot} of the ledger"
            raise Fenced(self.stopped)
        return row[0], row[1], row[2]

    def commit(self, progress: Progress) -> None:
        """Commit, and keep what the next batch starts from. Raises StorageFailed, OutcomeUnknown."""
        try:
            self.direct.commit()
        except DATABASE_ERRORS as failure:
            meaning = trouble(failure)
            self.abandon()
            if meaning in {Trouble.FULL, Trouble.REFUSED}:
                raise StorageFailed(f"the batch was not stored: {cause(failure)}") from None
            self.in_doubt = True
            self.stopped = f"a commit failed and its outcome is not known ({cause(failure)}): restart the ledger"
            raise OutcomeUnknown(self.stopped) from None
        self._running = False
        self.progress = progress

    def abandon(self) -> None:
        """Roll back. A rollback that fails stops the writer."""
        self._running = False
        try:
            self.direct.rollback()
        except DATABASE_ERRORS as failure:
            self.stopped = f"a rollback failed ({cause(failure)}): restart the ledger"

    def failed(self, failure: Exception) -> StorageFailed:
        """Roll back after an error before the commit, and return what it means."""
        self.abandon()
        if trouble(failure) is Trouble.BROKEN:
            self.stopped = f"the database failed ({cause(failure)}): restart the ledger"
            return StorageFailed(self.stopped)
        return StorageFailed(f"the batch was not stored: {cause(failure)}")

    def close(self) -> None:
        """Close the connection; what is not committed is forgotten."""
        self.direct.close()

    def _lease(self, holder: str, at: int) -> tuple[int, Progress]:
        """Take the slot over from whoever held it, and find the end of its chain."""
        connection = self.direct.connection
        self.direct.begin()
        held = _LEASED.value(connection, slot=self._slot)
        epoch: int = 1 if held is None else held + 1
        if held is None:
            connection.execute(insert(writer_slot).values(slot=self._slot, epoch=epoch, holder=holder, leased_at=at))
        else:
            mine = update(writer_slot).where(writer_slot.c.slot == self._slot)
            connection.execute(mine.values(epoch=epoch, holder=holder, leased_at=at))
        head = slot_head(connection, self._slot)
        tail = tail_of(connection, self._slot, head.sequence)
        signing = _signing(connection)
        self.direct.commit()
        return epoch, Progress(head, Numbering("", 0, 0), tail, signing)

    def use_receipt_key(self, number: int, key: bytes) -> None:
        """Mark the answers from now on under the key that head `number` commits to."""
        self.progress = msgspec.structs.replace(self.progress, signing=(number.to_bytes(HEAD_BYTES, "big"), key))


def _signing(connection: Connection) -> tuple[bytes, bytes]:
    """Return the number of the newest head and its key; a head of an earlier version commits to none."""
    row = _NEWEST_KEY.first(connection)
    if row is None or row[1] is None:
        return bytes(HEAD_BYTES), NO_KEY
    return row[0].to_bytes(HEAD_BYTES, "big"), row[1]


def slot_head(connection: Connection, slot: int) -> ChainHead:
    """Return the last link of a slot; the beginning of the chain when it holds no event."""
    row = _LAST_LINK.first(connection, slot=slot)
    return genesis(ledger_id(connection), slot) if row is None else ChainHead(slot, row[0], row[1])


def ledger_id(connection: Connection) -> str:
    """Return the name that this ledger was born with."""
    name: str = _LEDGER_ID.only(connection)
    return name
