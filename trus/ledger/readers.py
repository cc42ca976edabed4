"""Lends connections that show one snapshot, and keeps one at rest: their making costs more than most of what is read.

Writes nothing. A connection at rest is in no transaction, so that it holds back no checkpoint; one that has
failed, or whose look ended in an error, is not lent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from trus.errors import StorageFailed
from trus.ledger.dialect import DATABASE_ERRORS, Direct, cause


class Readers:
    """The reading connections of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._resting: Direct | None = None
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Lend a connection that shows one snapshot. Raises StorageFailed, and whatever the block does."""
        try:
            direct, self._resting = self._resting or Direct(self._engine.connect()), None
            try:
                direct.begin_reading()
                yield direct.connection
                direct.rollback()
            except BaseException:
                direct.close()
                raise
            self._rest(direct)
        except DATABASE_ERRORS as failure:
            raise StorageFailed(f"the ledger cannot be read: {cause(failure)}") from None

    def close(self) -> None:
        """Close the connection at rest, and others when they come back."""
        self._closed = True
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.close()

    def _rest(self, direct: Direct) -> None:
        if self._closed or self._resting is not None:
            direct.close()
        else:
            self._resting = direct
