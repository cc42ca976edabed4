"""Limits on more than a day: what a purse has spent this week, this month, and at each shop today."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("spent", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("account", "spent")
