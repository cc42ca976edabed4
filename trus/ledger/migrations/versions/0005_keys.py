"""Rotations of K_DB, and the backups that need a version of it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "key_rotation",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(length=4), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("begun_on", sa.String(length=10), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("employee_done", NUMBER, server_default="0", nullable=False),
        sa.Column("card_done", NUMBER, server_default="0", nullable=False),
        sa.Column("rows", NUMBER, server_default="0", nullable=False),
        sa.Column("total", NUMBER, nullable=False),
        sa.CheckConstraint("phase IN ('rows', 'file', 'done')", name=op.f("ck_key_rotation_phase")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_rotation")),
        sa.UniqueConstraint("to_version", name=op.f("uq_key_rotation_to_version")),
    )
    op.create_table(
        "backup",
        sa.Column("backup", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("officers", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("backup", name=op.f("pk_backup")),
    )


def downgrade() -> None:
    op.drop_table("backup")
    op.drop_table("key_rotation")
