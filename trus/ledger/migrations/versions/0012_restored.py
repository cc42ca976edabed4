"""Pre-authorizations that stand again because their completion was taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RESTORED = sa.text("restores IS NOT NULL")


def upgrade() -> None:
    op.add_column("hold", sa.Column("restores", NUMBER, nullable=True))
    op.create_index("ix_hold_restores", "hold", ["restores"], sqlite_where=RESTORED, postgresql_where=RESTORED)


def downgrade() -> None:
    op.drop_index("ix_hold_restores", table_name="hold")
    op.drop_column("hold", "restores")
