"""Says what the ledger keeps of dual control: orders that wait for others, who agreed, ceremonies told.

Holds no secret: an order whose arguments were secret would never be stored. The audit chain tells
the same story for ever; rows here may be dropped once an order is closed.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from trus.ledger.schema import metadata

#: An order that `needed` others must approve. `kind` is command (a console's command, `verb` with its
#: `arguments` as JSON) or enrolment (a device's request; `subject` names holder and key). `state` is
#: waiting, approved, done, failed, rejected or expired.
pending_order: Final = Table(
    "pending_order",
    metadata,
    Column("id", String(8), primary_key=True),
    Column("kind", String(9), nullable=False),
    Column("subject", String(160), nullable=False),
    Column("verb", String(31), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("ordered_by", String(64), nullable=False),
    Column("needed", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
)
Index("ix_pending_order_state", pending_order.c.state, pending_order.c.created_at)
Index("ix_pending_order_subject", pending_order.c.kind, pending_order.c.subject)

#: Who approved an order, each admin once.
order_approval: Final = Table(
    "order_approval",
    metadata,
    Column("order_id", String(8), ForeignKey("pending_order.id"), primary_key=True),
    Column("admin", String(64), primary_key=True),
    Column("at", BigInteger, nullable=False),
)

#: Transcripts of key ceremonies that the audit chain has been told of; `digest` is SHA-256 of the file.
ceremony: Final = Table(
    "ceremony",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
)
