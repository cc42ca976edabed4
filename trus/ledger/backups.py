"""Keeps account of the backups that were made: which versions of K_DB each needs, and until when.

Makes no backup. Whoever makes one writes a note beside the database, since another process may be
the one that writes to it; that process takes the note into the ledger, with an event.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, insert, select

from trus.errors import StorageFailed
from trus.ledger.days import microseconds
from trus.ledger.keyring import sync_folder
from trus.ledger.posting import post
from trus.ledger.store import SqlLedger
from trus.ledger.tables import backup
from trus.values import Frozen

#: The folder of notes, beside the database.
NOTES: Final = "backups"
_NAME: Final = re.compile(r"[0-9a-f]{32}\Z")
_KIND: Final = "admin"


class BackupRow(Frozen, frozen=True):
    """A backup: moments are microseconds since 1970-01-01 UTC, digests and officers hexadecimal SHA-256."""

    backup: str
    at: int
    expires_at: int
    versions: tuple[int, ...]
    head: int
    digest: str
    officers: tuple[str, ...]


def write_note(database: Path, row: BackupRow) -> None:
    """Leave word of a backup beside the database at that path, durably. Raises StorageFailed."""
    folder = database.with_name(NOTES)
    unfinished = folder / f".{row.backup}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(row))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / row.backup)
        sync_folder(folder)
    except OSError as failure:
        raise StorageFailed(f"the backup cannot be noted in {folder}: {failure.strerror}") from None


def read_notes(database: Path) -> list[BackupRow]:
    """Return the notes that wait beside the database. Raises StorageFailed for one that cannot be read."""
    folder = database.with_name(NOTES)
    notes = []
    try:
        names = sorted(each.name for each in folder.iterdir() if _NAME.match(each.name)) if folder.exists() else []
        for name in names:
            with suppress(FileNotFoundError):  # taken into the ledger meanwhile
                notes.append(msgspec.json.decode((folder / name).read_bytes(), type=BackupRow))
    except (OSError, msgspec.DecodeError):
        raise StorageFailed(f"a note of a backup in {folder} cannot be read") from None
    return notes


def take_notes(ledger: SqlLedger, database: Path, now: datetime) -> int:
    """Take the notes into the ledger, each with an event, and remove them; return how many.

    Raises StorageFailed, OutcomeUnknown.
    """
    notes = read_notes(database)
    for note in notes:
        with ledger.order(now) as unit:
            if note.backup not in {row.backup for row in backups(unit.connection)}:
                _add(unit.connection, note)
                figures: dict[str, int | str] = {"backup": note.backup, "head": note.head, "archive": note.digest}
                post(unit, kind=_KIND, postings=(), actor="backup", rule="BACKUP", figures=figures)
        (database.with_name(NOTES) / note.backup).unlink(missing_ok=True)
    return len(notes)


def backups(connection: Connection) -> list[BackupRow]:
    """Return every backup that is on record, oldest first."""
    rows = connection.execute(select(*backup.columns).order_by(backup.c.at, backup.c.backup))
    return [_row(row) for row in rows]


def needing(connection: Connection, database: Path, version: int, now: datetime) -> list[BackupRow]:
    """Return the backups that need a version of K_DB and have not expired, on record or noted only."""
    known = {row.backup: row for row in (*read_notes(database), *backups(connection))}
    return [row for row in known.values() if version in row.versions and row.expires_at > microseconds(now)]


def _add(connection: Connection, row: BackupRow) -> None:
    connection.execute(
        insert(backup).values(
            backup=row.backup,
            at=row.at,
            expires_at=row.expires_at,
            versions=" ".join(str(version) for version in row.versions),
            head=row.head,
            digest=bytes.fromhex(row.digest),
            officers=" ".join(row.officers),
        )
    )


def _row(row: Sequence[object]) -> BackupRow:
    name, at, expires_at, versions, head, digest, officers = row
    return msgspec.convert(
        [
            name,
            at,
            expires_at,
            [int(each) for each in str(versions).split()],
            head,
            _hex(digest),
            str(officers).split(),
        ],
        BackupRow,
    )


def _hex(digest: object) -> str:
    return digest.hex() if isinstance(digest, bytes) else str(digest)
