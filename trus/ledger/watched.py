"""Writes what was tried out, by terminal and by range of card numbers, and blocks terminals that tried too much.

Within a unit of work; decides nothing (trus.auth.watching, trus.core.ranges). A blocked terminal's standing changes
with it, so that its live session ends as after an admin's order. A range that was quiet for a month is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, update

from trus.auth.model import State
from trus.ledger.dialect import Direct
from trus.ledger.registry_directory import note_change
from trus.ledger.statements import Statements
from trus.ledger.tables import terminal
from trus.values import DeviceRole

#: Longer than any setting needs to forget what it counted.
FORGOTTEN_SECONDS: Final = 30 * 86_400


def keep_ranges(direct: Direct, statements: Statements, rows: Sequence[Sequence[Any]], at: int) -> None:
    """Replace the rows of ranges (name, count, since, swept); `at` is microseconds since 1970-01-01 UTC."""
    direct.send(statements.text("forget_ranges"), [(at // 1_000_000 - FORGOTTEN_SECONDS,)])
    direct.send(statements.text("delete_ranges"), [(row[0],) for row in rows])
    direct.send(statements.text("insert_ranges"), rows)


def block_terminals(connection: Connection, names: Iterable[str], at: int) -> None:
    """Block terminals that are active; `at` is microseconds since 1970-01-01 UTC."""
    for name in names:
        active = (terminal.c.terminal == name) & (terminal.c.state == State.ACTIVE.value)
        connection.execute(update(terminal).where(active).values(state=State.BLOCKED.value))
        note_change(connection, DeviceRole.POS, name, at)
