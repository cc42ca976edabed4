"""The certificate directory: changes of standing, look-up keys, revocation lists."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "standing",
        sa.Column("epoch", NUMBER, autoincrement=False, nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_standing")),
    )
    op.create_table(
        "certificate_key",
        sa.Column("kind", sa.String(length=9), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=20), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("kind", "digest", "serial", name=op.f("pk_certificate_key")),
    )
    op.create_index("ix_certificate_key_serial", "certificate_key", ["serial"])
    op.create_table(
        "revocation_list",
        sa.Column("authority", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("this_update", sa.BigInteger(), nullable=False),
        sa.Column("next_update", sa.BigInteger(), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("authority", "kind", name=op.f("pk_revocation_list")),
    )
    op.create_index("ix_certificate_state_not_after", "certificate", ["state", "not_after"])
    op.create_index("ix_certificate_shop", "certificate", ["shop"])


def downgrade() -> None:
    op.drop_index("ix_certificate_shop", "certificate")
    op.drop_index("ix_certificate_state_not_after", "certificate")
    op.drop_table("revocation_list")
    op.drop_table("certificate_key")
    op.drop_table("standing")
