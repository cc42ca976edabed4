"""Reads and writes the rows that say how far a rotation of K_DB has come, and what follows for the keys in use.

Begins and ends no transaction. The row of a rotation is written in the same transaction as the
work it tells of, so that a kill at any moment leaves both or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from trus.clock import Entropy
from trus.ledger.facts import OLDEST_REQUEST_DAYS
from trus.ledger.keyring import KeySource
from trus.ledger.lookup import CardLookup, FieldCipher
from trus.ledger.tables import card, employee, key_rotation
from trus.values import Frozen


class Phase(StrEnum):
    """How far a rotation is."""

    ROWS = "rows"  #: fields and look-up columns are re-ciphered, row by row
    FILE = "file"  #: the file is copied under the new key
    DONE = "done"


class RotationRow(Frozen, frozen=True):
    """A rotation as stored; moments are microseconds since 1970-01-01 UTC, `begun_on` a business date."""

    number: int
    from_version: int
    to_version: int
    phase: str
    actor: str
    begun_at: int
    begun_on: str
    ended_at: int | None
    employee_done: int
    card_done: int
    rows: int
    total: int

    @property
    def under_way(self) -> bool:
        """Whether it is not done."""
        return self.phase != Phase.DONE


_COLUMNS: Final = tuple(key_rotation.columns)


def rotations(connection: Connection) -> list[RotationRow]:
    """Return every rotation, oldest first."""
    return [RotationRow(*row) for row in connection.execute(select(*_COLUMNS).order_by(key_rotation.c.id))]


def add_rotation(
    connection: Connection, from_version: int, to_version: int, actor: str, *, at: int, on: str
) -> RotationRow:
    """Store the beginning of a rotation, at a moment on a business date, and return its row."""
    total = 0
    for table in (employee, card):
        total += int(connection.execute(select(func.count()).select_from(table)).scalar_one())
    done = connection.execute(
        insert(key_rotation).values(
            from_version=from_version,
            to_version=to_version,
            phase=Phase.ROWS.value,
            actor=actor,
            begun_at=at,
            begun_on=on,
            total=total,
        )
    )
    [number] = done.inserted_primary_key or (0,)
    return RotationRow(int(number), from_version, to_version, Phase.ROWS.value, actor, at, on, None, 0, 0, 0, total)


def save(connection: Connection, row: RotationRow) -> None:
    """Store how far a rotation is."""
    connection.execute(
        update(key_rotation)
        .where(key_rotation.c.id == row.number)
        .values(
            phase=row.phase,
            ended_at=row.ended_at,
            employee_done=row.employee_done,
            card_done=row.card_done,
            rows=row.rows,
        )
    )


def current_version(known: Sequence[RotationRow], file_version: int) -> int:
    """Return the version under which fields are sealed and cards hashed now."""
    return known[-1].to_version if known else file_version


def repeatable_until(row: RotationRow) -> str:
    """Return the last business date on which a request from before this rotation may come again."""
    return (date.fromisoformat(row.begun_on) + timedelta(days=OLDEST_REQUEST_DAYS)).isoformat()


def keys_in_use(
    known: Sequence[RotationRow], source: KeySource, file_version: int, entropy: Entropy, today: str
) -> tuple[CardLookup, FieldCipher]:
    """Return what finds cards and ciphers fields, by how far the rotations are; `today` is the open business date.

    Fields open under every version that exists. Raises KeyNotFound when the version in use does not,
    KeyStoreUnavailable.
    """
    current = current_version(known, file_version)
    held = {version: source.keys(version) for version in sorted({*source.versions(), current})}
    former: list[int] = []
    repeated: list[int] = []
    for row in known:
        if row.from_version == current or row.from_version not in held:
            continue
        if row.phase == Phase.ROWS:
            former.append(row.from_version)
        elif today <= repeatable_until(row):
            repeated.append(row.from_version)
    lookup = CardLookup(
        held[current].lookup,
        [held[version].lookup for version in former],
        [held[version].lookup for version in repeated],
    )
    # The token may hold a version that no rotation has begun to use: it opens nothing, and seals nothing.
    return lookup, FieldCipher({version: keys.fields for version, keys in held.items()}, entropy, current)
