"""When an admin's certificate ends, and which former one is accepted beside it until when."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("admin", sa.Column("not_after", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("admin", sa.Column("former", sa.String(length=40), server_default="", nullable=False))
    op.add_column("admin", sa.Column("former_until", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("admin", "former_until")
    op.drop_column("admin", "former")
    op.drop_column("admin", "not_after")
