"""Credit that ends: the lots of a purse, and what every event moved of them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WITH_LOTS = sa.text("lots != ''")


def upgrade() -> None:
    op.add_column("account", sa.Column("lots", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_account_lots", "account", ["lots", "id"], sqlite_where=WITH_LOTS, postgresql_where=WITH_LOTS)
    op.create_table(
        "lot_move",
        sa.Column("event_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("expires_on", sa.String(length=10), nullable=False),
        sa.Column("account", NUMBER, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_lot_move_account_account")),
        sa.PrimaryKeyConstraint("event_id", "expires_on", name=op.f("pk_lot_move")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("lot_move")
    op.drop_index("ix_account_lots", table_name="account")
    op.drop_column("account", "lots")
