"""Brings a database's schema to this version's, step by step, with Alembic.

Refuses a database that a later version of trus has changed. Each step is one file in
versions/, named by its number; a step that was released is never edited.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select
from sqlalchemy.schema import CreateTable

from trus.ledger.dialect import DATABASE_ERRORS
from trus.ledger.prepared import Prepared

_VERSIONS: Final = Path(__file__).resolve().parent / "versions"
#: Where Alembic keeps the name of the schema, as Alembic itself makes it.
_VERSION_TABLE: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_VERSION: Final = Prepared(select(_VERSION_TABLE.c.version_num))


@cache
def _steps() -> tuple[str, ...]:
    return tuple(sorted(file.name.partition("_")[0] for file in _VERSIONS.glob("[0-9]*_*.py")))


def head() -> str:
    """Return the name of this version's schema: the number of its last step."""
    return _steps()[-1]


def current(connection: Connection) -> str | None:
    """Return the name of the database's schema; None when it has none.

    Asked directly: Alembic's own context costs ten times as much, and a core asks at every start. Whether the
    table is there is asked only when it cannot be read. Raises the driver's own errors.
    """
    try:
        name: str | None = _VERSION.value(connection)
    except DATABASE_ERRORS:
        connection.rollback()
        if inspect(connection).has_table(_VERSION_TABLE.name):
            raise
        return None
    return name


def known(name: str) -> bool:
    """Return whether this version of trus knows a schema of that name."""
    return name in _steps()


def stamp(connection: Connection) -> None:
    """Say of a database whose tables were made for this version's code that it has this version's schema.

    A new database takes no steps: that these lead to the very same tables is a test's business.
    """
    connection.execute(CreateTable(_VERSION_TABLE))
    connection.execute(insert(_VERSION_TABLE).values(version_num=head()))


def upgrade(connection: Connection) -> None:
    """Bring the schema to `head()` inside the connection's open transaction."""
    # Alembic costs a sixth of what a process needs to start, and nearly every start has nothing to upgrade.
    import_module("trus.ledger.migrations.running").upgrade(connection)


def downgrade(connection: Connection) -> None:
    """Undo every step: for tests of the steps, since money is never undone."""
    import_module("trus.ledger.migrations.running").downgrade(connection)
