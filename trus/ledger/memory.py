"""A ledger's database in memory, from a ciphered file's content: without a file, without its cipher and its log.

For a process that begins anew a hundred times a second from the same rows (trus.simulation); no deployment opens
one: what is in it is gone with the process. One connection of the driver keeps the schema and the prepared
statements; all that happens between two `set_back`s is one transaction on it, and a unit of work is a savepoint in
that (sqlite.org, "Savepoints"). Whoever reads while a unit is open would see what is not committed: `peeked` counts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final, cast

from sqlcipher3 import dbapi2

from trus.ledger.engine import CACHED_STATEMENTS, engine_on, open_connection

_BEGIN: Final = "BEGIN IMMEDIATE"
_LOOK: Final = "BEGIN"
#: There is no log to be moved into a file.
_CHECKPOINT: Final = "PRAGMA wal_checkpoint"
_NO_LOG: Final = "SELECT 0, 0, 0"


class MemoryDatabase:
    """The database of one run at a time, and the engine on it."""

    def __init__(self, content: bytes, key: bytes) -> None:
        """Begin with what a ciphered file of this content holds under `key` (32 bytes)."""
        self._driver: Final = dbapi2.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=2 * CACHED_STATEMENTS
        )
        with tempfile.TemporaryDirectory(prefix="trus-memory-") as folder:
            ciphered, plain = Path(folder, "ciphered.db"), Path(folder, "plain.db")
            ciphered.write_bytes(content)
            source = open_connection(ciphered, lambda: key)
            # The engine copies between files of one kind alone (SQLCipher, "sqlcipher_export").
            source.execute("ATTACH DATABASE ? AS plain KEY ''", (str(plain),))
            source.execute("SELECT sqlcipher_export('plain')")
            source.close()
            source = dbapi2.connect(str(plain))
            source.backup(self._driver)
            source.close()
        self._driver.execute("PRAGMA foreign_keys = ON")
        self._driver.execute("PRAGMA trusted_schema = OFF")
        self.engine: Final = engine_on(lambda: MemoryConnection(self))
        #: The connection whose unit of work is open.
        self.writing: MemoryConnection | None = None
        #: How often somebody began to read while a unit was open.
        self.peeked = 0
        self._driver.execute(_LOOK)

    def cursor(self, owner: MemoryConnection) -> _Cursor:
        """Return a cursor for one of the connections."""
        cursor = cast("_Cursor", self._driver.cursor(_Cursor))
        cursor.owner = owner
        return cursor

    def run(self, text: str) -> None:
        """Run a statement that returns nothing."""
        self._driver.execute(text)

    def set_back(self) -> None:
        """Forget what the run has written."""
        self.engine.dispose()
        self.writing = None
        self._driver.rollback()
        self._driver.execute(_LOOK)

    def save(self, path: Path) -> None:
        """Write what is there now to a new file, which is not ciphered; the database is of no use afterwards."""
        self.engine.dispose()
        self._driver.commit()
        target = dbapi2.connect(str(path))
        self._driver.backup(target)
        target.close()
        self._driver.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)


class MemoryConnection:
    """What stands where a connection of the driver stands: its transactions are savepoints of the run's."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def cursor(self) -> _Cursor:
        """Return a cursor."""
        return self._database.cursor(self)

    def begin(self, text: str) -> None:
        """Begin to write, or to read."""
        if text != _BEGIN:
            self._database.peeked += self._database.writing is not None
            return
        if self._database.writing is not None:
            raise dbapi2.OperationalError("database is locked")
        self._database.run("SAVEPOINT unit")
        self._database.writing = self

    def commit(self) -> None:
        """Keep what this connection has written."""
        if self._database.writing is self:
            self._database.run("RELEASE unit")
            self._database.writing = None

    def rollback(self) -> None:
        """Forget what this connection has written since it began."""
        if self._database.writing is self:
            self._database.run("ROLLBACK TO unit")
            self._database.run("RELEASE unit")
            self._database.writing = None

    def close(self) -> None:
        """Forget what is not committed."""
        self.rollback()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class _Cursor(dbapi2.Cursor):  # type: ignore[misc]
    """The driver's cursor, which leaves the beginning of transactions to its connection."""

    owner: MemoryConnection

    def execute(self, text: str, parameters: Any = ()) -> _Cursor:
        if text in (_BEGIN, _LOOK):
            self.owner.begin(text)
            return self
        if text.startswith(_CHECKPOINT):
            text = _NO_LOG
        return cast("_Cursor", super().execute(text, parameters))
