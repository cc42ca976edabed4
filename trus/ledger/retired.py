"""Says what still needs an older version of K_DB: rows, requests that may be repeated, codes, backups.

Destroys nothing. Each need is looked for in what is stored, not taken from how far a rotation
says it is: a version is free when nothing that was found names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select

from trus.ledger.backups import needing
from trus.ledger.days import microseconds, moment
from trus.ledger.rotation_state import RotationRow, repeatable_until
from trus.ledger.tables import activation, business_day, card, employee
from trus.values import Frozen


class Need(Frozen, frozen=True):
    """Something that needs a version: what, and until when (a date or moment as text, "" for no end in sight)."""

    what: str
    until: str = ""

    @property
    def told(self) -> str:
        """The need as half a sentence."""
        return f"by {self.what} until {self.until}" if self.until else f"by {self.what}"


def needs_of(
    connection: Connection, version: int, known: Sequence[RotationRow], database: Path, now: datetime
) -> tuple[Need, ...]:
    """Return what needs a version other than the one in use."""
    return (*stored_needs(connection, version, known, now), *_backups(connection, version, database, now))


def stored_needs(connection: Connection, version: int, known: Sequence[RotationRow], now: datetime) -> tuple[Need, ...]:
    """Return what in the database itself needs a version other than the one in use."""
    return (
        *_fields(connection, version),
        *_repeats(connection, version, known),
        *_codes(connection, version, known, now),
    )


def _fields(connection: Connection, version: int) -> Iterator[Need]:
    for what, column in (("card numbers", card.c.pan), ("names", employee.c.name)):
        sealed = select(func.count()).where(func.substr(column, 1, 1) == bytes((version,)))
        count = int(connection.execute(sealed).scalar_one())
        if count:
            yield Need(f"{what} in the database ({count})")


def _repeats(connection: Connection, version: int, known: Sequence[RotationRow]) -> Iterator[Need]:
    today = connection.execute(select(business_day.c.date).where(business_day.c.state == "open")).scalar()
    for row in known:
        until = repeatable_until(row)
        if row.from_version == version and (today is None or today <= until):
            yield Need("requests that may be repeated", f"the end of business date {until}")


def _codes(connection: Connection, version: int, known: Sequence[RotationRow], now: datetime) -> Iterator[Need]:
    begun = max((row.begun_at for row in known if row.from_version == version), default=None)
    if begun is None:
        return
    query = select(func.max(activation.c.expires_at)).where(
        activation.c.created_at <= begun, activation.c.expires_at > microseconds(now)
    )
    last = connection.execute(query).scalar()
    if last is not None:
        yield Need("activation codes", _told(last))


def _backups(connection: Connection, version: int, database: Path, now: datetime) -> Iterator[Need]:
    for backup in needing(connection, database, version, now):
        yield Need(f"backup {backup.backup}", _told(backup.expires_at))


def _told(at: int) -> str:
    return moment(at).strftime("%Y-%m-%d %H:%M UTC")
