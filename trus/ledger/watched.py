"""Writes what terminals have tried, and blocks those that tried too much, within a unit of work.

Decides nothing (trus.auth.watching). A blocked terminal's standing changes with it, so that its live
session ends as after an admin's order.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, update

from trus.auth.model import State
from trus.ledger.registry_directory import note_change
from trus.ledger.tables import terminal
from trus.values import DeviceRole


def block_terminals(connection: Connection, names: Iterable[str], at: int) -> None:
    """Block terminals that are active; `at` is microseconds since 1970-01-01 UTC."""
    for name in names:
        active = (terminal.c.terminal == name) & (terminal.c.state == State.ACTIVE.value)
        connection.execute(update(terminal).where(active).values(state=State.BLOCKED.value))
        note_change(connection, DeviceRole.POS, name, at)
