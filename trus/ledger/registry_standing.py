"""Notes that the standing of every holder may have changed: whoever has a session is looked at again.

Changes nobody's state. Such a change has a number, as each holder's has, and no row: what changed since
a number before it is "perhaps anybody".
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from trus.ledger.registry_directory import MAX_CHANGES, REVOCATION_EPOCH
from trus.ledger.tables import meta


def concern_everybody(connection: Connection) -> int:
    """Let everybody's standing be looked at again; return the number of the change."""
    mine = meta.c.name == REVOCATION_EPOCH
    value = connection.execute(select(meta.c.value).where(mine).with_for_update()).scalar_one()
    # Further on than anybody follows change by change.
    epoch = int(value) + MAX_CHANGES + 1
    connection.execute(update(meta).where(mine).values(value=str(epoch)))
    return epoch
