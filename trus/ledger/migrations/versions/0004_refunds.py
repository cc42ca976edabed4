"""Refunds and voids: a request is ended once, by whatever ends it; the refunds of a purchase are found by it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

REVERSED = sa.text("original IS NOT NULL AND kind = 'reversal'")
ENDED = sa.text("original IS NOT NULL AND kind IN ('reversal', 'void', 'completion', 'release', 'expiry')")
REFUNDED = sa.text("original IS NOT NULL AND kind = 'refund'")


def upgrade() -> None:
    op.drop_index("uq_event_reversal", table_name="event", sqlite_where=REVERSED, postgresql_where=REVERSED)
    op.create_index("uq_event_ended", "event", ["original"], unique=True, sqlite_where=ENDED, postgresql_where=ENDED)
    op.create_index("ix_event_refund", "event", ["original"], sqlite_where=REFUNDED, postgresql_where=REFUNDED)


def downgrade() -> None:
    op.drop_index("ix_event_refund", table_name="event", sqlite_where=REFUNDED, postgresql_where=REFUNDED)
    op.drop_index("uq_event_ended", table_name="event", sqlite_where=ENDED, postgresql_where=ENDED)
    op.create_index(
        "uq_event_reversal", "event", ["original"], unique=True, sqlite_where=REVERSED, postgresql_where=REVERSED
    )
