"""Ranges of card numbers that are tried out, kept over restarts."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "range_watch",
        sa.Column("name", sa.LargeBinary(32), primary_key=True, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("swept", sa.Integer(), nullable=False),
    )
    op.create_index("ix_range_watch_since", "range_watch", ["since"])


def downgrade() -> None:
    op.drop_index("ix_range_watch_since", table_name="range_watch")
    op.drop_table("range_watch")
