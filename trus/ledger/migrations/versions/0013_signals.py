"""What cards do lately, and where shops are, for policies that look for copies of cards."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("card", sa.Column("signals", sa.Text(), server_default="", nullable=False))
    op.add_column("shop", sa.Column("place", sa.String(length=24), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("shop", "place")
    op.drop_column("card", "signals")
