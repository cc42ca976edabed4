"""Keeps orders that wait for others' approval, who approved them, and which ceremonies are on record.

Decides nothing: who may approve is trus.issuing.approvals'. Begins and ends no transaction: the
caller's connection is in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from trus.ledger.tables import ceremony, order_approval, pending_order
from trus.values import Frozen

_COLUMNS: Final = (
    pending_order.c.id,
    pending_order.c.kind,
    pending_order.c.subject,
    pending_order.c.verb,
    pending_order.c.arguments,
    pending_order.c.ordered_by,
    pending_order.c.needed,
    pending_order.c.state,
    pending_order.c.created_at,
    pending_order.c.expires_at,
)


class PendingOrderRow(Frozen, frozen=True):
    """An order that others must approve; moments are microseconds since 1970-01-01 UTC.

    `arguments` is a JSON object; `approved_by` names those who agreed, in the order in which they did.
    """

    id: str
    kind: str
    subject: str
    verb: str
    arguments: str
    ordered_by: str
    needed: int
    state: str
    created_at: int
    expires_at: int
    approved_by: tuple[str, ...] = ()


class ApprovalRegistry:
    """Pending orders on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, order: PendingOrderRow) -> None:
        """Store an order that nobody has approved yet."""
        values = {column.name: getattr(order, column.name) for column in _COLUMNS}
        self._connection.execute(insert(pending_order), {**values, "closed_at": None})

    def order(self, order_id: str) -> PendingOrderRow | None:
        """Return an order, None when there is none of that id."""
        row = self._connection.execute(select(*_COLUMNS).where(pending_order.c.id == order_id)).one_or_none()
        return None if row is None else self._whole(row)

    def orders(self, states: Sequence[str], after: str, limit: int) -> list[PendingOrderRow]:
        """Return orders in some states, oldest first, from the one that follows the order `after`."""
        query = select(*_COLUMNS).where(pending_order.c.state.in_(states))
        if after:
            begun = select(pending_order.c.created_at).where(pending_order.c.id == after).scalar_subquery()
            later = (pending_order.c.created_at > begun) | (
                (pending_order.c.created_at == begun) & (pending_order.c.id > after)
            )
            query = query.where(later)
        query = query.order_by(pending_order.c.created_at, pending_order.c.id).limit(limit)
        rows = self._connection.execute(query).all()
        return [self._whole(row) for row in rows]

    def newest_about(self, kind: str, subject: str) -> PendingOrderRow | None:
        """Return the newest order of a kind about a subject, None when there is none."""
        query = (
            select(*_COLUMNS)
            .where(pending_order.c.kind == kind, pending_order.c.subject == subject)
            .order_by(pending_order.c.created_at.desc(), pending_order.c.id)
            .limit(1)
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else self._whole(row)

    def waiting(self, now: int) -> int:
        """Return how many orders wait for approval at `now`."""
        query = select(func.count()).where(pending_order.c.state == "waiting", pending_order.c.expires_at > now)
        return int(self._connection.execute(query).scalar_one())

    def approve(self, order_id: str, admin: str, at: int) -> None:
        """Note that an admin agrees; each may once."""
        self._connection.execute(insert(order_approval), {"order_id": order_id, "admin": admin, "at": at})

    def set_state(self, order_id: str, state: str, at: int, *, before: str) -> bool:
        """Change an order's state from `before`; False when it was in another one."""
        changed = self._connection.execute(
            update(pending_order)
            .where(pending_order.c.id == order_id, pending_order.c.state == before)
            .values(state=state, closed_at=at)
        )
        return changed.rowcount == 1

    def _whole(self, row: Sequence[Any]) -> PendingOrderRow:
        values = {column.name: value for column, value in zip(_COLUMNS, row, strict=True)}
        return PendingOrderRow(**values, approved_by=self._approvals(row[0]))

    def _approvals(self, order_id: str) -> tuple[str, ...]:
        query = (
            select(order_approval.c.admin)
            .where(order_approval.c.order_id == order_id)
            .order_by(order_approval.c.at, order_approval.c.admin)
        )
        return tuple(self._connection.execute(query).scalars())

    # ------------------------------------------------------------------------- ceremonies

    def ceremonies(self) -> set[bytes]:
        """Return SHA-256 of every transcript that is on record."""
        return set(self._connection.execute(select(ceremony.c.digest)).scalars())

    def add_ceremony(self, digest: bytes, name: str, at: int) -> None:
        """Note a transcript by SHA-256 and name."""
        self._connection.execute(insert(ceremony), {"digest": digest, "name": name, "at": at})
