"""Dual control: orders that wait, who agreed, ceremonies told; who opened an activation; look-ups of issuance."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pending_order",
        sa.Column("id", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=9), nullable=False),
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("verb", sa.String(length=31), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("ordered_by", sa.String(length=64), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_order")),
    )
    op.create_index("ix_pending_order_state", "pending_order", ["state", "created_at"])
    op.create_index("ix_pending_order_subject", "pending_order", ["kind", "subject"])
    op.create_table(
        "order_approval",
        sa.Column("order_id", sa.String(length=8), nullable=False),
        sa.Column("admin", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["pending_order.id"], name=op.f("fk_order_approval_order_id_pending_order")
        ),
        sa.PrimaryKeyConstraint("order_id", "admin", name=op.f("pk_order_approval")),
    )
    op.create_table(
        "ceremony",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_ceremony")),
    )
    op.add_column("activation", sa.Column("opened_by", sa.String(length=64), server_default="", nullable=False))
    op.create_index("ix_certificate_key_digest", "certificate", ["key_digest"])
    op.create_index("ix_certificate_not_before", "certificate", ["not_before"])


def downgrade() -> None:
    op.drop_index("ix_certificate_not_before", "certificate")
    op.drop_index("ix_certificate_key_digest", "certificate")
    op.drop_column("activation", "opened_by")
    op.drop_table("ceremony")
    op.drop_table("order_approval")
    op.drop_index("ix_pending_order_subject", "pending_order")
    op.drop_index("ix_pending_order_state", "pending_order")
    op.drop_table("pending_order")
