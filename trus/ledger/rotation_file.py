"""Copies the database file under another key while it is in use, and puts the copy in its place.

Holds payments up for the exchange alone, not for the copying: the copy is made by the connection
that writes, page by page between batches, and what is committed meanwhile reaches both. There is
one whole file under the database's name at every moment: the rename is the change, and it comes
after the copy is durable and the old file's log is empty. So a kill at any moment leaves a file
that opens under the old key or under the new one, with everything that was committed.

`PRAGMA rekey` was passed over: it rewrites the file in place in one transaction, during which nothing
else can be stored, and a file half under each key lies on the disk until its log is played back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from trus.errors import LedgerError, StorageFailed
from trus.ledger.engine import create_file, open_connection, open_copy, open_engine
from trus.ledger.keyring import sync_folder
from trus.ledger.store import SqlLedger

#: What the copy's name adds to that of the database.
COPY_SUFFIX: Final = ".rekey"
#: Pages copied between two batches: 64 of 2 KiB take about a millisecond.
PAGES_A_STEP: Final = 64
#: Steps after which the system is asked to begin writing the copy to the disk: every 2 MiB.
_STEPS_A_FLUSH: Final = 16
#: Seconds between two looks whether another process still reads the old file.
_LOOK_AGAIN_SECONDS: Final = 0.2

#: Answers whatever waits, for at least that many seconds; what it raises ends the copying.
Serve = Callable[[float], object]
#: Hears of each named step; a test kills the process there.
At = Callable[[str], None]


class FileCopy:
    """One copying of one database."""

    def __init__(self, ledger: SqlLedger, path: Path, old_key: bytes, new_key: bytes, at: At) -> None:
        """Both keys are 32 bytes; `path` is the database's."""
        self._ledger = ledger
        self._path = path
        self._copy = path.with_name(path.name + COPY_SUFFIX)
        self._old_key = old_key
        self._new_key = new_key
        self._at = at
        self._steps = 0
        self.left = 0  #: pages of 2 KiB to copy yet
        self.total = 0  #: pages in all
        self._failure: OSError | LedgerError | None = None

    def make(self, serve: Serve) -> None:
        """Make the copy, serving between its pieces; when this returns it is whole and durable.

        Nothing may be stored between the return and `put_in_place`. Raises StorageFailed and whatever
        `serve` raises; no copy is left behind then.
        """
        discard_copy(self._path)
        create_file(self._copy)
        try:
            flusher = os.open(self._copy, os.O_RDWR)
            try:
                self._fill(flusher, serve)
                self._at("copied")
                os.fsync(flusher)
            finally:
                # Before the copy is the database: closing a descriptor of it later would drop SQLite's locks.
                os.close(flusher)
            open_connection(self._copy, lambda: self._new_key, read_only=True).close()
            _remove_logs(self._copy)
        except OSError as failure:
            discard_copy(self._path)
            raise StorageFailed(f"the database cannot be copied: {failure.strerror}") from None
        except BaseException:
            discard_copy(self._path)
            raise

    def put_in_place(self, now: datetime) -> None:
        """Let the copy be the database. Raises StorageFailed; the ledger goes on with the old file then."""
        self._ledger.exchange(self._exchange, now)
        if self._failure is not None:
            raise StorageFailed(f"the database cannot be exchanged: {self._failure}")

    def _fill(self, flusher: int, serve: Serve) -> None:
        self._wait_for_readers(serve)
        target = open_copy(self._copy, lambda: self._new_key)
        try:
            self._ledger.copy_into(
                target, PAGES_A_STEP, lambda left, total: self._step(flusher, serve, left=left, total=total)
            )
        finally:
            target.close()

    def _step(self, flusher: int, serve: Serve, *, left: int, total: int) -> None:
        self.left, self.total = left, total
        self._steps += 1
        self._at("copying")
        if self._steps % _STEPS_A_FLUSH == 0:
            # Begins the writing and does not wait for it, so that the last flush is short.
            os.posix_fadvise(flusher, 0, 0, os.POSIX_FADV_DONTNEED)
        serve(0.0)
        if left <= PAGES_A_STEP:
            # The next step may be the last one, and nobody is served between that and the exchange.
            self._wait_for_readers(serve)

    def _wait_for_readers(self, serve: Serve) -> None:
        """Empty the log; serve on while another process, such as the audit, reads the old file through it."""
        self._ledger.empty_log()
        while _size(self._log) > 0:
            serve(_LOOK_AGAIN_SECONDS)
            self._ledger.empty_log()

    @property
    def _log(self) -> Path:
        return self._path.with_name(self._path.name + "-wal")

    def _exchange(self) -> Engine:
        try:
            self._at("closed")
            if _size(self._log) > 0:
                raise StorageFailed("the log of the old file is not empty")
            # A log that stayed behind would be played into a file that it does not belong to.
            _remove_logs(self._path)
            self._copy.replace(self._path)
            self._at("renamed")
            sync_folder(self._path.parent)
            return open_engine(self._path, lambda: self._new_key)
        except (OSError, LedgerError) as failure:
            self._failure = failure
            return self._whatever_is_there()

    def _whatever_is_there(self) -> Engine:
        try:
            return open_engine(self._path, lambda: self._old_key)
        except LedgerError:
            return open_engine(self._path, lambda: self._new_key)


def discard_copy(path: Path) -> None:
    """Remove what is left of an unfinished copy of the database at `path`."""
    copy = path.with_name(path.name + COPY_SUFFIX)
    _remove_logs(copy)
    copy.unlink(missing_ok=True)


def _remove_logs(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
