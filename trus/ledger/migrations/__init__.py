"""Brings a database's schema to this version's, step by step, with Alembic.

Refuses a database that a later version of trus has changed. Each step is one file in
versions/; a step that was released is never edited.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Select, column, inspect, select, table

_HERE: Final = Path(__file__).resolve().parent
#: Where Alembic keeps the name of the schema.
_VERSION_TABLE: Final = "alembic_version"
_VERSION: Final[Select[Any]] = select(column("version_num")).select_from(table(_VERSION_TABLE))


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


@cache
def head() -> str:
    """Return the name of this version's schema; the files are read once in a process."""
    name = ScriptDirectory.from_config(_config()).get_current_head()
    if name is None:
        raise LookupError("there are no migrations")
    return name


def current(connection: Connection) -> str | None:
    """Return the name of the database's schema; None when it has none.

    Asked directly: Alembic's own context costs ten times as much, and a core asks at every start.
    """
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    name: str | None = connection.execute(_VERSION).scalar()
    return name


def known(name: str) -> bool:
    """Return whether this version of trus knows a schema of that name."""
    return any(each.revision == name for each in ScriptDirectory.from_config(_config()).walk_revisions())


def upgrade(connection: Connection) -> None:
    """Bring the schema to `head()` inside the connection's open transaction."""
    command.upgrade(_config(connection), "head")


def downgrade(connection: Connection) -> None:
    """Undo every step: for tests of the steps, since money is never undone."""
    command.downgrade(_config(connection), "base")
