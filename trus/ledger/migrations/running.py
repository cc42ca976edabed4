"""Runs the steps of the schema with Alembic, inside a transaction that is open already.

Opens no database and commits nothing. Loaded when a schema is made or upgraded, and at no other start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_HERE: Final = Path(__file__).resolve().parent


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's settings for these steps, with the connection that they are to run on."""
    settings = Config()
    settings.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    if connection is not None:
        settings.attributes["connection"] = connection
    return settings


def upgrade(connection: Connection) -> None:
    """Bring the schema to the last step."""
    command.upgrade(config(connection), "head")


def downgrade(connection: Connection) -> None:
    """Undo every step."""
    command.downgrade(config(connection), "base")


def steps() -> list[str]:
    """Return the names of all steps as Alembic links them, the first one first."""
    return [each.revision for each in ScriptDirectory.from_config(config()).walk_revisions()][::-1]
