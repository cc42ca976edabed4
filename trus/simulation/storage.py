"""The disk under a simulated ledger: what a crash leaves of it, what a power cut leaves, how it fails.

Runs the ledger's own code on real files (in memory where the system has a place for that). A
killed process loses nothing that it wrote; a power cut keeps the main file as it was after the last
checkpoint and the write-ahead log up to the last commit, then any part of what followed, and
garbage. Source: sqlite.org, "WAL-mode File Format".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, cast

from trus.ledger.dialect import DATABASE_ERRORS, Direct
from trus.ledger.engine import PAGE_BYTES
from trus.ledger.reopening import OpenFile, open_again
from trus.simulation.chance import Chance
from trus.simulation.clockwork import Part

_LOG_HEADER_BYTES: Final = 32
_FRAME_BYTES: Final = 24 + PAGE_BYTES
#: Where the log's index keeps the number of its last valid frame, in the machine's byte order.
_LAST_FRAME_OFFSET: Final = 16
_FRAME_NUMBER_BYTES: Final = 4
#: The setting under which a commit waits for the medium.
_FULL: Final = 2
#: Result codes of SQLite.
IO_ERROR: Final = 10
FULL: Final = 13
_DRIVER_ERROR: Final = DATABASE_ERRORS[1]


def storage_error(code: int, words: str) -> Exception:
    """Return the error that the driver raises with this result code."""
    failure: Any = _DRIVER_ERROR(words)
    failure.sqlite_errorcode = code
    return cast("Exception", failure)


class Trouble:
    """What the disk will do next; the nemesis sets it, the disk forgets it once done.

    `commit` is "" or one of: refuse (full), lose (fails, nothing stored), keep (fails, stored),
    die-before, die-after. `statement` counts the statements until one fails with `code`.
    """

    def __init__(self) -> None:
        self.commit = ""
        self.statement = 0
        self.code = IO_ERROR
        #: Statements until the process dies in one; 0 for never.
        self.death = 0
        #: Whether it dies in the next checkpoint.
        self.checkpoint = False


class UnreliableDirect(Direct):
    """The ledger's way to the driver, with whatever trouble is set."""

    def __init__(self, connection: Any, part: Part, trouble: Trouble) -> None:
        """Stand between `part` and the driver's connection."""
        super().__init__(connection)
        self.part = part
        self.trouble = trouble
        self.on_commit: Callable[[], None] = lambda: None
        self.on_checkpoint: Callable[[], None] = lambda: None
        # Below FULL a commit returns before its frames are on the medium (sqlite.org, "PRAGMA synchronous").
        [[level]] = super().rows("PRAGMA synchronous", ())
        self._flushes = level >= _FULL

    def begin(self) -> None:
        """Open a writing transaction."""
        self._step()
        super().begin()

    def rows(self, text: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run one query."""
        self._step()
        return super().rows(text, parameters)

    def send(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row."""
        self._step()
        super().send(text, rows)

    def commit(self) -> None:
        """Make the transaction durable, or not, and say so, or not."""
        kind, self.trouble.commit = self.trouble.commit, ""
        if kind:
            self.part.work.say(self.part.name, "commit:", kind)
        match kind:
            case "refuse":
                raise storage_error(FULL, "database or disk is full")
            case "lose":
                super().rollback()
                raise storage_error(IO_ERROR, "disk I/O error")
            case "keep":
                super().commit()
                raise storage_error(IO_ERROR, "disk I/O error")
            case "die-before":
                raise self.part.crash()
            case "die-after":
                super().commit()
                raise self.part.crash()
        super().commit()
        if self._flushes:
            self.on_commit()

    def checkpoint(self, *, truncate: bool = False) -> tuple[int, int]:
        """Move the log into the main file; the power may fail meanwhile."""
        moved = super().checkpoint(truncate=truncate)
        if self.trouble.checkpoint:
            self.part.work.say(self.part.name, "dies in a checkpoint")
            raise self.part.crash()
        self.on_checkpoint()
        return moved

    def _step(self) -> None:
        trouble = self.trouble
        if trouble.death:
            trouble.death -= 1
            if not trouble.death:
                self.part.work.say(self.part.name, "dies in a statement")
                raise self.part.crash()
        if trouble.statement:
            trouble.statement -= 1
            if not trouble.statement:
                self.part.work.say(self.part.name, "a statement fails:", trouble.code)
                raise storage_error(trouble.code, "disk I/O error" if trouble.code == IO_ERROR else "disk full")


class Disk(Protocol):
    """Where the ledger lies from one incarnation of the core to the next."""

    trouble: Trouble
    open_file: OpenFile

    @property
    def heads(self) -> Path:
        """Where signed heads are exported: another disk."""
        ...

    def mount(self) -> Path:
        """Lay out what the last incarnation has left, for the next one; return the ledger's path."""
        ...

    def opened(self) -> None:
        """Take note that the ledger stands: its start was durable."""
        ...

    def committed(self) -> None:
        """Take note that a commit has reached the medium."""
        ...

    def checkpointed(self) -> None:
        """Take note that the main file has been brought up to date."""
        ...

    def kill(self) -> None:
        """Keep what a killed process leaves."""
        ...

    def cut_power(self, *, checkpointing: bool = False) -> str:
        """Keep what the medium is sure to hold, and any part of the rest; return what was lost, for the trace."""
        ...

    def leave(self) -> None:
        """Keep what an orderly end leaves."""
        ...

    def remaining(self) -> Path:
        """Lay out what is left, for an examiner; return the ledger's path."""
        ...

    def release(self, *, keep: bool) -> None:
        """End: nobody needs it any more, or only its files."""
        ...


class LedgerDisk:
    """The files of the ledger from one incarnation of the core to the next."""

    def __init__(self, folder: Path, content: bytes, chance: Chance) -> None:
        """Begin with a main file of `content` and no log."""
        self._folder = folder
        self._chance = chance
        self._generation = 0
        self._main = content
        self._log = b""
        self._index: int | None = None
        self._durable_frames = 0
        self.trouble = Trouble()
        #: Opens the ledger's file (trus.ledger.engine.open_engine).
        self.open_file: OpenFile = open_again

    @property
    def path(self) -> Path:
        """The main file of this incarnation."""
        return self._folder / f"{self._generation}" / "trus.db"

    @property
    def heads(self) -> Path:
        """Where signed heads are exported: another disk, which no power cut of this one reaches."""
        return self._folder / "heads"

    def mount(self) -> Path:
        """Lay out what the last incarnation has left, for the next one; return the main file."""
        self._generation += 1
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(self._main)
        if self._log:
            self._log_path.write_bytes(self._log)
        self.trouble = Trouble()
        return self.path

    def opened(self) -> None:
        """Take note that the ledger stands on these files: its start was durable."""
        self._close_index()
        self._index = os.open(self.path.with_name("trus.db-shm"), os.O_RDONLY)
        self._main = self.path.read_bytes()
        self._durable_frames = self._frames()

    def committed(self) -> None:
        """Take note that a commit has reached the medium."""
        self._durable_frames = self._frames()

    def checkpointed(self) -> None:
        """Take note that the main file has been brought up to date."""
        self._main = self.path.read_bytes()

    def kill(self) -> None:
        """Keep what a killed process leaves: everything that it wrote."""
        self._main = self.path.read_bytes()
        self._log = self._read_log()
        self._close_index()

    def cut_power(self, *, checkpointing: bool = False) -> str:
        """Keep what the medium is sure to hold, and any part of the rest; return what was lost, for the trace.

        While `checkpointing`, any page of the main file may be the old or the new one.
        """
        log, valid = self._read_log(), self._frames()
        durable = min(len(log), _end(self._durable_frames))
        written = max(durable, min(len(log), _end(valid)))
        kept = self._chance.between(durable, written)
        garbage = self._chance.octets(self._chance.between(0, 3 * _FRAME_BYTES)) if self._chance.below(2) else b""
        if self._chance.below(4) == 0:
            # The rest of an older round of the log, which lies behind the valid part.
            garbage = log[kept : kept + len(garbage)] or garbage
        self._log = log[:kept] + garbage
        if checkpointing:
            self._main = self._mixed(self._main, self.path.read_bytes())
        self._close_index()
        return f"log of {written} kept to {kept} of {durable} durable, {len(garbage)} of garbage"

    def leave(self) -> None:
        """Keep what an orderly end leaves."""
        self._main = self.path.read_bytes()
        self._log = self._read_log()
        self._close_index()

    def remaining(self) -> Path:
        """Lay out what is left, for an examiner; return the main file."""
        return self.mount()

    def release(self, *, keep: bool) -> None:
        """Do nothing: whoever made the folder removes it, or keeps it."""

    @property
    def _log_path(self) -> Path:
        return self.path.with_name("trus.db-wal")

    def _read_log(self) -> bytes:
        return self._log_path.read_bytes() if self._log_path.exists() else b""

    def _frames(self) -> int:
        """Return the number of valid frames in the log, as its index says."""
        if self._index is None:
            return 0
        raw = os.pread(self._index, _FRAME_NUMBER_BYTES, _LAST_FRAME_OFFSET)
        return int.from_bytes(raw, sys.byteorder)

    def _mixed(self, before: bytes, after: bytes) -> bytes:
        pages = []
        for start in range(0, len(after), PAGE_BYTES):
            old = before[start : start + PAGE_BYTES]
            pages.append(old if old and self._chance.below(2) else after[start : start + PAGE_BYTES])
        return b"".join(pages)

    def _close_index(self) -> None:
        if self._index is not None:
            os.close(self._index)
            self._index = None


def _end(frames: int) -> int:
    return _LOG_HEADER_BYTES + frames * _FRAME_BYTES if frames else 0
