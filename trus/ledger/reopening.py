"""Opens one ledger file after the other with one engine, for a process that does so ten times a second.

What an engine has compiled is worth keeping: a simulated core starts that often (trus.simulation).
Serves one file at a time: whoever opens the next has closed the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from trus.errors import StorageFailed
from trus.ledger.engine import engine_on, open_connection

KeyProvider = Callable[[], bytes]
#: Opens the ledger at a path as trus.ledger.engine.open_engine does.
OpenFile = Callable[..., Engine]


class Reopened:
    """trus.ledger.engine.open_engine for one file at a time: the same engine, on another file."""

    def __init__(self, *, read_only: bool) -> None:
        """Make the engine; it connects to nothing yet."""
        self._read_only = read_only
        self._path = Path()
        self._key: KeyProvider = bytes
        self.engine: Final = engine_on(self._connect)

    def open(self, path: Path, key: KeyProvider) -> Engine:
        """Return the engine on the file at `path`. Raises as open_engine does."""
        if not path.is_file():
            raise StorageFailed(f"there is no database at {path}")
        self.engine.dispose()
        self._path, self._key = path, key
        with self.engine.connect():
            return self.engine

    def _connect(self) -> Any:
        return open_connection(self._path, self._key, read_only=self._read_only)


_WRITING: Final = Reopened(read_only=False)
_READING: Final = Reopened(read_only=True)


def open_again(path: Path, key: KeyProvider, *, read_only: bool = False) -> Engine:
    """Open the file at `path` as trus.ledger.engine.open_engine does, on this process's engine for it."""
    return (_READING if read_only else _WRITING).open(path, key)
