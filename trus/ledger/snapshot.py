"""Copies a whole ledger into another ciphered file as it stands at one moment, and tells what the copy holds.

Changes nothing in the original and holds up no payment: the copy is made from one snapshot, in one
step, by a connection that only reads. What is told is read from the copy, so that it is of that moment.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlcipher3 import dbapi2

from trus.errors import StorageFailed
from trus.ledger import migrations
from trus.ledger.dialect import DATABASE_ERRORS, cause
from trus.ledger.engine import create_file, open_connection, open_copy, open_engine
from trus.ledger.heads import last_head
from trus.ledger.restoring import restore_epoch
from trus.ledger.retired import stored_needs
from trus.ledger.rotation_state import current_version, rotations
from trus.ledger.tables import business_day, event
from trus.ledger.writer import ledger_id
from trus.values import Frozen


class LedgerFacts(Frozen, frozen=True):
    """What a ledger is at one moment.

    `head` is the number of the last signed head and `digest` its document's SHA-256 (0 and empty when
    there is none); `slots` are (slot, last sequence); `versions` those of K_DB that its rows and its file need.
    """

    ledger: str
    schema: str
    epoch: int
    business_date: str
    head: int
    digest: bytes
    slots: tuple[tuple[int, int], ...]
    versions: tuple[int, ...]

    @property
    def events(self) -> int:
        """How many events there are, since the first."""
        return sum(sequence for _, sequence in self.slots)


def copy_database(source: Path, source_key: bytes, target: Path, target_key: bytes) -> None:
    """Copy the database at `source` into a new file under another key (32 bytes each), durably.

    Raises WrongDatabaseKey for the source's key; StorageFailed, and nothing is left at `target` then.
    """
    reader = open_connection(source, lambda: source_key, read_only=True)
    try:
        create_file(target)
        try:
            writer = open_copy(target, lambda: target_key)
            try:
                reader.backup(writer)
            finally:
                writer.close()
            _flush(target)
        except BaseException as failure:
            target.unlink(missing_ok=True)
            if isinstance(failure, (dbapi2.Error, OSError)):
                raise StorageFailed(f"the database {source} cannot be copied: {failure}") from None
            raise
    finally:
        reader.close()


def facts_of(path: Path, key: bytes, held: Sequence[int], file_version: int, now: datetime) -> LedgerFacts:
    """Return what the database at `path` holds. `held` are the versions of K_DB that exist.

    Raises WrongDatabaseKey, StorageFailed.
    """
    engine = open_engine(path, lambda: key, read_only=True)
    try:
        with engine.connect() as connection:
            return _facts(connection, held, file_version, now)
    except DATABASE_ERRORS as failure:
        raise StorageFailed(f"the database {path} cannot be read: {cause(failure)}") from None
    finally:
        engine.dispose()


def _facts(connection: Connection, held: Sequence[int], file_version: int, now: datetime) -> LedgerFacts:
    known = rotations(connection)
    in_use = {file_version, current_version(known, file_version)}
    if known and known[-1].under_way:
        in_use.add(known[-1].from_version)
    needed = {version for version in held if version in in_use or stored_needs(connection, version, known, now)}
    head = last_head(connection)
    slots = connection.execute(select(event.c.slot, func.max(event.c.sequence)).group_by(event.c.slot))
    day = connection.execute(select(business_day.c.date).where(business_day.c.state == "open")).scalar()
    return LedgerFacts(
        ledger=ledger_id(connection),
        schema=migrations.current(connection) or "",
        epoch=restore_epoch(connection),
        business_date=day or "",
        head=0 if head is None else head.number,
        digest=b"" if head is None else head.digest,
        slots=tuple((slot, sequence) for slot, sequence in sorted(tuple(row) for row in slots)),
        versions=tuple(sorted(needed | in_use)),
    )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
