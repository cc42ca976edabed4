"""Keeps everything in which database engines differ: how a transaction opens, what an error means.

Knows SQLCipher (one writing process). Another engine is another pair of classes here; no other
module of the ledger asks which engine it is on.

SQLAlchemy owns the connection and has compiled the text; the hot path hands that text straight to
the driver's cursor. Measured: 2 us a statement instead of 40 through Connection.exec_driver_sql,
and a batch has ten statements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlcipher3 import dbapi2

from trus.errors import StorageFailed

#: Everything that a database call can raise.
DATABASE_ERRORS: Final = (SQLAlchemyError, dbapi2.Error)

#: The result code that ends a copy (sqlite.org, "Result and Error Codes").
SQLITE_DONE: Final = 101
#: The low byte of a SQLite result code (sqlite.org, "Result and Error Codes").
_PRIMARY: Final = 0xFF


class Trouble(Enum):
    """What a database error means for the batch and for the store."""

    REFUSED = "refused"  #: a constraint: this batch cannot be stored, the store is well
    FULL = "full"  #: no room: this batch is not stored, the next may be
    BROKEN = "broken"  #: the medium failed or the file is damaged: no more approvals
    OTHER = "other"  #: anything else; before the commit nothing is stored


def trouble(failure: Exception) -> Trouble:
    """Say what a database error means."""
    original = failure.orig if isinstance(failure, DBAPIError) else failure
    code = getattr(original, "sqlite_errorcode", None)
    if code is None:
        return Trouble.OTHER
    match code & _PRIMARY:
        case dbapi2.SQLITE_FULL:
            return Trouble.FULL
        case dbapi2.SQLITE_IOERR | dbapi2.SQLITE_CORRUPT | dbapi2.SQLITE_NOTADB:
            return Trouble.BROKEN
        case dbapi2.SQLITE_CONSTRAINT:
            return Trouble.REFUSED
        case _:
            return Trouble.OTHER


def cause(failure: Exception) -> str:
    """Return the engine's own words, which hold no value of a statement."""
    return str(getattr(failure, "orig", None) or failure)


class Direct:
    """A connection as the hot path sees it: the driver's cursor under SQLAlchemy's connection.

    Both may be used in one transaction. Every method raises the driver's own errors.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection
        self._driver: Final = connection.connection
        self._cursor: Final = self._driver.cursor()

    def begin(self) -> None:
        """Open a writing transaction: takes the write lock at once, so that no read goes stale."""
        self._cursor.execute("BEGIN IMMEDIATE")

    def begin_reading(self) -> None:
        """Open a reading transaction: one snapshot until its end."""
        self._cursor.execute("BEGIN")

    def rows(self, text: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run one query; return all its rows."""
        self._cursor.execute(text, parameters)
        return cast("list[tuple[Any, ...]]", self._cursor.fetchall())

    def send(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row of parameters.

        One prepared statement stepped over the rows: measured at half the cost of one statement
        with many VALUES, whose long program SQLite runs as a co-routine.
        """
        self._cursor.executemany(text, rows)

    def commit(self) -> None:
        """Make the transaction durable."""
        self._driver.commit()
        if self.connection.in_transaction():
            # SQLAlchemy was used too: let it know. Its own commit finds nothing left to do.
            self.connection.commit()

    def rollback(self) -> None:
        """Forget the transaction; a full disk may have ended it already."""
        self._driver.rollback()
        if self.connection.in_transaction():
            self.connection.rollback()

    def checkpoint(self, *, truncate: bool = False) -> tuple[int, int]:
        """Move committed pages from the log into the main file; never called inside a commit.

        Returns (pages in the log, pages moved since it began); both are 0 after `truncate`, which
        empties the log when no reader holds it.
        """
        [row] = self.rows(f"PRAGMA wal_checkpoint({'TRUNCATE' if truncate else 'PASSIVE'})", ())
        return int(row[1]), int(row[2])

    def empty_log(self) -> None:
        """Move the whole log into the main file and cut it off; does less while another process reads it.

        Waits for no reader: whoever is answered here must not.
        """
        [patience] = self.rows("PRAGMA busy_timeout", ())
        self.rows("PRAGMA busy_timeout = 0", ())
        try:
            self.checkpoint(truncate=True)
        finally:
            self.rows(f"PRAGMA busy_timeout = {int(patience[0])}", ())

    def copy_into(self, target: Any, pages: int, progress: Callable[[int, int, int], None]) -> None:
        """Copy the whole database into another connection of the driver (sqlite.org, "Online Backup API").

        `progress(status, left, total)` is called after each step of `pages`; what it raises is raised.
        Raises StorageFailed once this connection was given back.
        """
        source = self._driver.driver_connection
        if source is None:
            raise StorageFailed("the ledger is closed")
        source.backup(target, pages=pages, progress=progress)

    def structure(self) -> tuple[int, list[str]]:
        """Check every page's seal, every table and every index. Returns (pages, what is wrong)."""
        [pages] = self.rows("PRAGMA page_count", ())
        unsealed = [str(row[0]) for row in self.rows("PRAGMA cipher_integrity_check", ())]
        told = [str(row[0]) for row in self.rows("PRAGMA integrity_check", ())]
        return int(pages[0]), unsealed + [line for line in told if line != "ok"]

    def close(self) -> None:
        """Give the connection back."""
        self._cursor.close()
        self.connection.close()
