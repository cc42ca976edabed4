"""A pre-authorization may be set aside in several purses: a row for each."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RESTORED = sa.text("restores IS NOT NULL")


def _rebuild(*keys: str) -> None:
    op.execute(sa.text("CREATE TABLE hold_kept AS SELECT event_id, account, amount, expires_at, restores FROM hold"))
    op.drop_table("hold")
    op.create_table(
        "hold",
        sa.Column("event_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("account", NUMBER, autoincrement=False, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("restores", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint(*keys, name=op.f("pk_hold")),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_hold_account_account")),
    )
    op.create_index(op.f("ix_hold_expires_at"), "hold", ["expires_at"])
    op.create_index("ix_hold_restores", "hold", ["restores"], sqlite_where=RESTORED, postgresql_where=RESTORED)
    op.execute(
        sa.text(
            "INSERT INTO hold (event_id, account, amount, expires_at, restores)"
            " SELECT event_id, account, amount, expires_at, restores FROM hold_kept"
        )
    )
    op.drop_table("hold_kept")


def upgrade() -> None:
    _rebuild("event_id", "account")


def downgrade() -> None:
    _rebuild("event_id")
