"""A ledger in memory: the same code on the same database engine, without a file, its cipher and its log.

For most runs, which care for what is said and decided and not for what a power cut leaves of a file: that is
trus.simulation.storage's, in the other runs. One connection of the driver lives as long as the process and keeps
the schema and its prepared statements; a run is one transaction on it that is rolled back at the end, and a unit
of work is a savepoint in that (sqlite.org, "Savepoints"). Whoever reads while a unit is open would see what is not
committed; the core never does, which `peeked` counts and a test asserts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Engine
from sqlcipher3 import dbapi2

from trus.ledger.engine import CACHED_STATEMENTS, engine_on, open_connection
from trus.simulation.storage import Trouble
from trus.simulation.town import Town

_BEGIN: Final = "BEGIN IMMEDIATE"
_LOOK: Final = "BEGIN"
#: There is no log to be moved into a file.
_CHECKPOINT: Final = "PRAGMA wal_checkpoint"
_NO_LOG: Final = "SELECT 0, 0, 0"


class MemoryDatabase:
    """The database of one run at a time, and the engine on it."""

    def __init__(self, content: Path) -> None:
        """Take over the plain database file `content`."""
        self._driver: Final = dbapi2.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=2 * CACHED_STATEMENTS
        )
        source = dbapi2.connect(f"{content.as_uri()}?mode=ro", uri=True)
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


@lru_cache(maxsize=4)
def _resting(content: bytes, key: bytes) -> list[MemoryDatabase]:
    """Return the databases that no run uses now, of those that began as the ciphered file of this content."""
    return []


def _database(content: bytes, key: bytes) -> MemoryDatabase:
    resting = _resting(content, key)
    if resting:
        return resting.pop()
    with tempfile.TemporaryDirectory(prefix="trus-town-") as folder:
        ciphered, plain = Path(folder, "trus.db"), Path(folder, "plain.db")
        ciphered.write_bytes(content)
        connection = open_connection(ciphered, lambda: key)
        connection.execute("ATTACH DATABASE ? AS plain KEY ''", (str(plain),))
        connection.execute("SELECT sqlcipher_export('plain')")
        connection.execute("DETACH DATABASE plain")
        connection.close()
        return MemoryDatabase(plain)


class MemoryDisk:
    """trus.simulation.storage.LedgerDisk without files: what is committed survives everything, what is not nothing."""

    def __init__(self, folder: Path, town: Town) -> None:
        """`folder` takes the writer's lock and the exported heads."""
        self._folder = folder
        self._database = _database(town.ledger, town.db_key)
        self._resting = _resting(town.ledger, town.db_key)
        self.trouble = Trouble()
        self.open_file: Callable[..., Engine] = lambda path, key, *, read_only=False: self._database.engine

    @property
    def path(self) -> Path:
        """The name under which the ledger is opened; there is no such file."""
        return self._folder / "trus.db"

    @property
    def heads(self) -> Path:
        """Where signed heads are exported."""
        return self._folder / "heads"

    @property
    def peeked(self) -> int:
        """How often somebody began to read while a unit of work was open."""
        return self._database.peeked

    def mount(self) -> Path:
        """Give the database to the next incarnation of the core; return its name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.trouble = Trouble()
        return self.path

    def opened(self) -> None:
        """Do nothing: what is committed is durable here."""

    def committed(self) -> None:
        """Do nothing."""

    def checkpointed(self) -> None:
        """Do nothing: there is no log."""

    def kill(self) -> None:
        """Do nothing: a connection that is closed forgets what it has not committed."""

    def leave(self) -> None:
        """Do nothing."""

    def cut_power(self, *, checkpointing: bool = False) -> str:
        """Keep what is committed; say so, for the trace."""
        return "all that was committed is there"

    def remaining(self) -> Path:
        """Return the name under which an examiner opens what is left."""
        return self.path

    def release(self, *, keep: bool) -> None:
        """Give the database back; with `keep` leave a copy, which is not ciphered."""
        if keep:
            self._database.save(self.path)
        else:
            self._database.set_back()
            self._resting.append(self._database)
