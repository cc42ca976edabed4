"""Opens the ciphered database: every connection is keyed before its first read.

Refuses a file that does not open under the key (WrongDatabaseKey), and one that is not there:
only `create_file` makes a database. The key comes from a callable at connection time and is
in no URL, no log and no repr. Source: SQLCipher API, raw key data and cipher_* settings.

SQLAlchemy's own `pysqlcipher` dialect is passed over on purpose: it sends `PRAGMA key` with the
URL's password after `creator` has keyed the connection, and the second key would win.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool
from sqlcipher3 import dbapi2

from trus.errors import StorageFailed, WrongDatabaseKey

KEY_BYTES: Final = 32
#: Small pages: a purchase dirties a few rows far apart, and every dirty page is ciphered whole.
PAGE_BYTES: Final = 2048
#: HMAC-SHA256 costs half of the default HMAC-SHA512 on pages of this size.
HMAC_ALGORITHM: Final = "HMAC_SHA256"
#: How long a connection waits for another process's write lock.
BUSY_MILLISECONDS: Final = 5_000
#: Pages that a connection keeps deciphered: 64 MiB.
CACHE_KIBIBYTES: Final = 64 * 1024
#: The same while a database is copied: what is ciphered shall go to the file soon, not at the end.
COPY_CACHE_KIBIBYTES: Final = 1024
#: The log file is cut back to this size when a checkpoint empties it: 64 MiB.
LOG_LIMIT_BYTES: Final = 64 * 1024 * 1024
#: Compiled statements that the driver keeps for a connection; the hot path uses about 60.
CACHED_STATEMENTS: Final = 256

KeyProvider = Callable[[], bytes]


def create_file(path: Path) -> None:
    """Make an empty file that its owner alone may read. Raises StorageFailed when it exists."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        raise StorageFailed(f"the database {path} exists already") from None
    except OSError as failure:
        raise StorageFailed(f"the database {path} cannot be created: {failure.strerror}") from None


class WriterLock:
    """Holds PATH.lock while one process writes the database.

    Without it a backend started twice by mistake would fence the first one off and stop every
    payment. The kernel lets go of the lock when the process ends, however it ends. The lock is on a
    file of its own: closing a second descriptor of the database would drop SQLite's own locks.
    """

    def __init__(self, path: Path) -> None:
        """Raises StorageFailed when another process holds it."""
        try:
            self._descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as failure:
            raise StorageFailed(f"the database {path} cannot be locked: {failure.strerror}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise StorageFailed(f"the database {path} is in use by another process") from None

    def release(self) -> None:
        """Let the next writer in; does nothing the second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_engine(path: Path, key: KeyProvider, *, read_only: bool = False) -> Engine:
    """Return an engine whose connections to the file at `path` are keyed with `key()` (32 bytes).

    Raises WrongDatabaseKey, or StorageFailed when the file cannot be opened.
    """
    if not path.is_file():
        raise StorageFailed(f"there is no database at {path}")

    def connect() -> Any:
        return open_connection(path, key, read_only=read_only)

    engine = engine_on(connect)
    with engine.connect():
        return engine


def engine_on(connect: Callable[[], Any]) -> Engine:
    """Return an engine that makes its connections with `connect`; it has none yet."""
    return create_engine(
        "sqlite://",
        module=dbapi2,
        creator=connect,
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=2,
        pool_reset_on_return="rollback",
        # Parameters are card keys, balances and answers: never in an error's text.
        hide_parameters=True,
    )


def open_connection(path: Path, key: KeyProvider, *, read_only: bool = False) -> Any:
    """Return a keyed connection of the driver to the file at `path`; engines make theirs with this.

    Raises WrongDatabaseKey, or StorageFailed when the file cannot be opened.
    """
    connection = _keyed(path, key, "ro" if read_only else "rw")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        return connection
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # A checkpoint inside a commit would make one unlucky cardholder wait for everybody's pages.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
    return connection


def open_copy(path: Path, key: KeyProvider) -> Any:
    """Return a connection to the empty file at `path` that a whole database is copied into.

    It keeps no journal and few pages: what is half done is thrown away, and whoever copies makes the
    file durable at the end. Raises StorageFailed.
    """
    connection = _keyed(path, key, "rw")
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(f"PRAGMA cache_size = -{COPY_CACHE_KIBIBYTES}")
    return connection


def _keyed(path: Path, key: KeyProvider, mode: str) -> Any:
    raw = key()
    if len(raw) != KEY_BYTES:
        raise ValueError(f"the database key has {KEY_BYTES} bytes")
    try:
        connection = dbapi2.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
    except dbapi2.Error:
        raise StorageFailed(f"the database {path} cannot be opened") from None
    try:
        # A wrong key is told in one sentence, not by the library on standard error.
        connection.execute("PRAGMA cipher_log_level = NONE")
        connection.execute(f"PRAGMA key = \"x'{raw.hex()}'\"")
        connection.execute(f"PRAGMA cipher_page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA cipher_hmac_algorithm = {HMAC_ALGORITHM}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except dbapi2.DatabaseError as failure:
        connection.close()
        if getattr(failure, "sqlite_errorcode", None) == dbapi2.SQLITE_NOTADB:
            raise WrongDatabaseKey(f"the database {path} does not open under this key") from None
        raise StorageFailed(f"the database {path} cannot be read: {failure}") from None
    return connection
