"""Statements that are asked often outside of the hot path: written in SQLAlchemy Core, compiled once, sent as text.

Decides nothing and keeps no connection. What a look-up costs through SQLAlchemy is mostly the making of the
statement and of its result, 100 to 200 us; as text it is 5 to 10, and a core answers its front, verifies
handshakes and starts with dozens of them. Rows are the driver's own: whoever reads a column that somebody may
have altered must not trust its type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import NoResultFound

from trus.ledger.statements import MAX_KEYS, padded


class _Text(NamedTuple):
    """A statement of one dialect: its text, and for each place the name, whether it is asked for, the value if not."""

    sql: str
    places: tuple[tuple[str, bool, Any], ...]


class Prepared:
    """One statement; the names of its `bindparam`s are the keywords under which values are given."""

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None) -> None:
        """`columns` are the ones that an INSERT fills; each is a keyword then."""
        self._statement: Final = statement
        self._columns: Final = None if columns is None else list(columns)
        self._texts: Final[dict[str, _Text]] = {}

    def rows(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """Return all rows. Raises the driver's own errors."""
        known = self._texts.get(connection.dialect.name) or self._compiled(connection.dialect)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(known.sql, [values[name] if asked else usual for name, asked, usual in known.places])
            return cast("list[tuple[Any, ...]]", cursor.fetchall())
        finally:
            cursor.close()

    def send(self, connection: Connection, **values: Any) -> None:
        """Run what returns nothing. Raises the driver's own errors."""
        self.rows(connection, **values)

    def first(self, connection: Connection, **values: Any) -> tuple[Any, ...] | None:
        """Return the first row, None when there is none."""
        found = self.rows(connection, **values)
        return found[0] if found else None

    def value(self, connection: Connection, **values: Any) -> Any:
        """Return the first column of the first row, None when there is none."""
        found = self.rows(connection, **values)
        return found[0][0] if found else None

    def only(self, connection: Connection, **values: Any) -> Any:
        """Return the first column of the row that must be there. Raises NoResultFound."""
        found = self.rows(connection, **values)
        if not found:
            raise NoResultFound("a row that every ledger has is not there")
        return found[0][0]

    def pairs(self, connection: Connection, **values: Any) -> dict[Any, Any]:
        """Return the second column of all rows by the first."""
        return {row[0]: row[1] for row in self.rows(connection, **values)}

    def column(self, connection: Connection, **values: Any) -> list[Any]:
        """Return the first column of all rows."""
        return [row[0] for row in self.rows(connection, **values)]

    def _compiled(self, dialect: Dialect) -> _Text:
        statement: Any = self._statement
        compiled = statement.compile(
            dialect=dialect, column_keys=self._columns, compile_kwargs={"render_postcompile": True}
        )
        places = ((name, compiled.binds[name]) for name in compiled.positiontup or ())
        known = _Text(str(compiled), tuple((name, each.required, each.effective_value) for name, each in places))
        self._texts[dialect.name] = known
        return known


class PreparedSets:
    """One statement for each size of a set of keys, in powers of two: a short set repeats its last key."""

    def __init__(self, make: Callable[[list[str]], Executable]) -> None:
        """`make(names)` returns the statement with a `bindparam` of each of these names."""
        self._sized: Final = cache(lambda size: Prepared(make([f"key_{place}" for place in range(size)])))

    def rows(self, connection: Connection, keys: Sequence[Any], **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows for all keys, of which there may be any number; a key twice may be found twice."""
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(keys), MAX_KEYS):
            size, filled = padded(keys[start : start + MAX_KEYS])
            sized: dict[str, Any] = {f"key_{place}": key for place, key in enumerate(filled)}
            found += self._sized(size).rows(connection, **sized, **values)
        return found
