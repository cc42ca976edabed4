"""Keeps everything in which database engines differ: how a transaction opens, what an error means.

Knows SQLCipher (one writing process). Another engine is another class here; no other module
of the ledger asks which engine it is on.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

#: SQLite result codes (sqlite.org, "Result and Error Codes"), primary code in the low byte.
_PRIMARY: Final = 0xFF
_FULL: Final = 13
_IOERR: Final = 10
_CORRUPT: Final = 11
_NOTADB: Final = 26
_CONSTRAINT: Final = 19


class Trouble(Enum):
    """What a database error means for the batch and for the store."""

    REFUSED = "refused"  #: a constraint: this batch cannot be stored, the store is well
    FULL = "full"  #: no room: this batch is not stored, the next may be
    BROKEN = "broken"  #: the medium failed or the file is damaged: no more approvals
    OTHER = "other"  #: anything else; before the commit nothing is stored


class SqlCipherDialect:
    """SQLCipher: one writer at a time, serialised by the write lock."""

    name: Final = "sqlcipher"

    def begin(self, connection: Connection) -> None:
        """Open a writing transaction: takes the write lock at once, so that no read goes stale."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def begin_reading(self, connection: Connection) -> None:
        """Open a reading transaction: one snapshot until its end."""
        connection.exec_driver_sql("BEGIN")

    def in_transaction(self, connection: Connection) -> bool:
        """Return whether a transaction is open: a full disk may have ended it already."""
        return bool(getattr(connection.connection.driver_connection, "in_transaction", False))

    def trouble(self, failure: SQLAlchemyError) -> Trouble:
        """Say what an error means."""
        original = failure.orig if isinstance(failure, DBAPIError) else None
        code = getattr(original, "sqlite_errorcode", None)
        if code is None:
            return Trouble.OTHER
        match code & _PRIMARY:
            case 13:
                return Trouble.FULL
            case 10 | 11 | 26:
                return Trouble.BROKEN
            case 19:
                return Trouble.REFUSED
            case _:
                return Trouble.OTHER

    def checkpoint(self, connection: Connection, *, truncate: bool = False) -> tuple[int, int]:
        """Move committed pages from the log into the main file; never called inside a commit.

        Returns (pages in the log, pages moved). With `truncate` the log is emptied when no
        reader holds it.
        """
        mode = "TRUNCATE" if truncate else "PASSIVE"
        row = connection.exec_driver_sql(f"PRAGMA wal_checkpoint({mode})").one()
        return int(row[1]), int(row[2])
