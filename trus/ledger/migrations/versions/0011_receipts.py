"""Receipts that prove: the mark of each answer, the tree over each slot's links, the keys that heads commit to."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("event", sa.Column("mark", sa.LargeBinary(16)))
    op.add_column("signed_head", sa.Column("receipt_key", sa.LargeBinary(32)))
    # Filled by the next writer from the links themselves (trus.ledger.tree).
    op.create_table(
        "chain_node",
        sa.Column("slot", sa.Integer(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("chain_node")
    op.drop_column("signed_head", "receipt_key")
    op.drop_column("event", "mark")
