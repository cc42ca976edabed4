"""Terminals that try cards out: what each has tried lately."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("terminal", sa.Column("watch", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("terminal", "watch")
