"""The ledger of a run in memory: the same code on the same database engine, without a file, its cipher and its log.

For most runs, which care for what is said and decided and not for what a power cut leaves of a file: that is
trus.simulation.storage's, in the other runs. What is committed survives everything here, what is not nothing.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from trus.ledger.memory import MemoryDatabase
from trus.ledger.reopening import OpenFile
from trus.simulation.storage import Trouble
from trus.simulation.town import Town


@lru_cache(maxsize=4)
def _resting(content: bytes, key: bytes) -> list[MemoryDatabase]:
    """Return the databases that no run uses now, of those that began as the ciphered file of this content."""
    return []


class MemoryDisk:
    """trus.simulation.storage.LedgerDisk without files."""

    def __init__(self, folder: Path, town: Town) -> None:
        """`folder` takes the writer's lock and the exported heads."""
        self._folder = folder
        self._resting = _resting(town.ledger, town.db_key)
        self._database = self._resting.pop() if self._resting else MemoryDatabase(town.ledger, town.db_key)
        self.trouble = Trouble()
        self.open_file: OpenFile = lambda path, key, *, read_only=False: self._database.engine

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
