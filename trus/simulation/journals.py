"""The disk under a simulated terminal's journal, and the journal as the run watches it.

Runs the terminal's own journal on a real file. What was synced survives everything; of what was
written after that a power cut leaves any part, a kill leaves all. A disk can also refuse to sync.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from trus.device.journal import FileJournal, JournalError, Memory, Opened, Record, Settled
from trus.simulation.chance import Chance
from trus.simulation.clockwork import Part
from trus.simulation.papers import Papers
from trus.values import TerminalId

_SECTOR_BYTES: Final = 512
_NO_INPUT_OUTPUT: Final = 5


class JournalDisk:
    """One terminal's disk, from one incarnation to the next."""

    def __init__(self, folder: Path, chance: Chance) -> None:
        self.path = folder / "journal"
        self._chance = chance
        #: The file that bears the journal's name on the medium, and how many of its bytes are there.
        self._inode = 0
        self._durable = 0
        #: Size of a rewritten journal that is on the medium without a name, and what it replaces.
        self._fresh = 0
        self._before = b""
        #: The part of the file that the medium lacks although the system shows it: after a sync that failed,
        #: a later one that succeeds does not bring it (the pages count as clean).
        self._rotten = (0, 0)
        self.part: Part | None = None
        #: What the next sync does: "" or one of fail, die-before, die-after.
        self.trouble = ""
        self.syncs = 0

    def fsync(self, file: int) -> None:
        """Make a file or a folder durable: what the journal calls instead of the system."""
        self.syncs += 1
        trouble, self.trouble = self.trouble, ""
        if trouble and self.part is not None:
            self.part.work.say(self.part.name, "journal:", trouble)
            if trouble == "fail":
                self._rotten = (self._durable, os.fstat(file).st_size)
                raise OSError(_NO_INPUT_OUTPUT, "Input/output error")
            if trouble == "die-before":
                raise self.part.crash()
        self._sync(os.fstat(file))
        if trouble == "die-after" and self.part is not None:
            raise self.part.crash()

    def _sync(self, status: os.stat_result) -> None:
        if stat.S_ISDIR(status.st_mode):
            named = self.path.stat()
            if named.st_ino != self._inode:
                self._inode, self._durable = named.st_ino, self._fresh or named.st_size
            self._fresh = 0
        elif status.st_ino == self._inode:
            self._durable = status.st_size
        else:
            self._fresh = status.st_size
            self._before = self.path.read_bytes()[: self._durable]

    def cut_power(self) -> str:
        """Leave what the medium is sure to hold and any part of the rest; return what was lost."""
        if not self.path.exists():
            return "no journal yet"
        durable = self._durable
        if self.path.stat().st_ino != self._inode and self._fresh:
            if self._chance.below(2):
                self.path.unlink()
                self.path.write_bytes(self._before)
                return "the rewritten journal never got its name"
            durable = self._fresh
        data = self.path.read_bytes()
        durable = min(durable, len(data))
        kept = self._chance.between(durable, len(data))
        left = bytearray(data[:kept])
        first, last = self._rotten
        left[first:last] = bytes(len(left[first:last]))
        self._rotten = (0, 0)
        if self._chance.below(3) == 0:
            # The file has grown, its last sectors never came.
            left += bytes(min(_SECTOR_BYTES, len(data) - kept))
        self.path.write_bytes(bytes(left))
        return f"journal of {len(data)} kept to {kept}, {durable} durable"

    def mount(self, part: Part, compact_above: int) -> FileJournal:
        """Open the journal for an incarnation of the terminal. Raises JournalError."""
        self.part = part
        self.trouble = ""
        self._fresh = 0
        if self.path.exists():
            status = self.path.stat()
            if status.st_ino != self._inode or status.st_size <= self._rotten[0]:
                self._rotten = (0, 0)
            else:
                self._rotten = (self._rotten[0], min(self._rotten[1], status.st_size))
            self._inode = status.st_ino
            self._durable = min(self._durable, status.st_size)
        return FileJournal(self.path, compact_above=compact_above, fsync=self.fsync)


class WatchedJournal:
    """trus.device.journal.Journal that tells the papers what has become durable."""

    def __init__(self, journal: FileJournal, papers: Papers, part: Part) -> None:
        self._journal = journal
        self._papers = papers
        self._part = part
        self._waiting: list[Record] = []
        self.failed = False  #: the disk has refused a record: the terminal is out of order
        papers.reread(TerminalId(part.name), journal.memory, part.incarnation, part.work.step)

    @property
    def memory(self) -> Memory:
        """What the records amount to."""
        return self._journal.memory

    def append(self, record: Record) -> None:
        """Add a record."""
        self._journal.append(record)
        self._waiting.append(record)

    def sync(self) -> None:
        """Make the records durable, and put them on paper."""
        try:
            self._journal.sync()
        except JournalError:
            self.failed = True
            raise
        waiting, self._waiting = self._waiting, []
        step = self._part.work.step
        for record in waiting:
            if isinstance(record, Opened):
                self._papers.opened(record, self._part.incarnation, step)
            elif isinstance(record, Settled):
                self._papers.settled(record, self._part.incarnation, step)

    def close(self) -> None:
        """Close the file."""
        self._journal.close()
