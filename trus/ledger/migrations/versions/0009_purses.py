"""Several purses of one cardholder, beside the main one."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "purse",
        sa.Column("employee_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=15), nullable=False),
        sa.Column("account", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_purse_account_account")),
        sa.ForeignKeyConstraint(["employee_id"], ["employee.id"], name=op.f("fk_purse_employee_id_employee")),
        sa.PrimaryKeyConstraint("employee_id", "name", name=op.f("pk_purse")),
    )


def downgrade() -> None:
    op.drop_table("purse")
