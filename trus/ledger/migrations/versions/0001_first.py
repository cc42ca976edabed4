"""The first schema: people, cards, accounts, the journal and its chain, identities."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("state = 'open'")
REVERSED = sa.text("original IS NOT NULL AND kind = 'reversal'")
CLOSING = sa.text("kind = 'close-batch' AND result = 'approved'")


def upgrade() -> None:

    op.create_table(
        "account",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=True),
        sa.Column("balance", sa.BigInteger(), nullable=True),
        sa.Column("counter_day", sa.String(length=10), server_default="", nullable=False),
        sa.Column("day_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("day_count", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("(floor IS NULL) = (balance IS NULL)", name=op.f("ck_account_locked")),
        sa.CheckConstraint("floor IS NULL OR balance >= floor", name=op.f("ck_account_floor")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("kind", "owner", "currency", name=op.f("uq_account_kind_owner_currency")),
    )
    op.create_table(
        "activation",
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("shop", sa.String(length=15), nullable=False),
        sa.Column("model", sa.String(length=32), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("serial", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("role", "name", name=op.f("pk_activation")),
    )
    op.create_table(
        "admin",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin")),
        sa.UniqueConstraint("name", name=op.f("uq_admin_name")),
        sa.UniqueConstraint("serial", name=op.f("uq_admin_serial")),
    )
    op.create_table(
        "business_day",
        sa.Column("date", sa.String(length=10), nullable=False),
        sa.Column("previous", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=6), nullable=False),
        sa.Column("next_number", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_business_day_state")),
        sa.PrimaryKeyConstraint("date", name=op.f("pk_business_day")),
    )
    op.create_index(
        "uq_business_day_open", "business_day", ["state"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_table(
        "certificate",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("shop", sa.String(length=15), nullable=False),
        sa.Column("model", sa.String(length=32), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_certificate")),
    )
    op.create_index("ix_certificate_holder", "certificate", ["role", "name"], unique=False)
    op.create_table(
        "entry",
        sa.Column("event_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", NUMBER, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "number", name=op.f("pk_entry")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("terminal", sa.String(length=8), nullable=True),
        sa.Column("business_date", sa.String(length=10), nullable=True),
        sa.Column("stan", sa.Integer(), nullable=True),
        sa.Column("rid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("shop_id", NUMBER, nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("authorized", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("result", sa.String(length=8), nullable=False),
        sa.Column("code", sa.String(length=2), nullable=False),
        sa.Column("approval", sa.String(length=6), nullable=False),
        sa.Column("rrn", sa.String(length=12), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("original", NUMBER, nullable=True),
        sa.Column("counter_day", sa.String(length=10), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ledger_date", sa.String(length=10), nullable=False),
        sa.Column("card_id", NUMBER, nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=True),
        sa.Column("figures", sa.Text(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=True),
        sa.Column("link", sa.LargeBinary(length=32), nullable=False),
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("business_date", "terminal", "stan", name=op.f("uq_event_business_date_terminal_stan")),
        sa.UniqueConstraint("slot", "sequence", name=op.f("uq_event_slot_sequence")),
    )
    op.create_index(
        "ix_event_closing", "event", ["terminal", "id"], unique=False, sqlite_where=CLOSING, postgresql_where=CLOSING
    )
    op.create_index(
        "uq_event_reversal", "event", ["original"], unique=True, sqlite_where=REVERSED, postgresql_where=REVERSED
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "signed_head",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_signed_head")),
    )
    op.create_table(
        "writer_slot",
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("leased_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_writer_slot")),
    )
    op.create_table(
        "company",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("company", sa.String(length=15), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("prepaid_account", NUMBER, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["prepaid_account"], ["account.id"], name=op.f("fk_company_prepaid_account_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company")),
        sa.UniqueConstraint("company", name=op.f("uq_company_company")),
    )
    op.create_table(
        "shop",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("shop", sa.String(length=15), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mcc", sa.String(length=4), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("account", NUMBER, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_shop_account_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop")),
        sa.UniqueConstraint("shop", name=op.f("uq_shop_shop")),
    )
    op.create_table(
        "booking",
        sa.Column("company_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=35), nullable=False),
        sa.Column("event_id", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_booking_company_id_company")),
        sa.PrimaryKeyConstraint("company_id", "kind", "reference", name=op.f("pk_booking")),
    )
    op.create_table(
        "employee",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("company_id", NUMBER, nullable=False),
        sa.Column("employee", sa.String(length=15), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("purse_account", NUMBER, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_employee_company_id_company")),
        sa.ForeignKeyConstraint(["purse_account"], ["account.id"], name=op.f("fk_employee_purse_account_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_employee")),
        sa.UniqueConstraint("company_id", "employee", name=op.f("uq_employee_company_id_employee")),
    )
    op.create_table(
        "policy",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("company_id", NUMBER, nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_policy_company_id_company")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy")),
        sa.UniqueConstraint("company_id", "valid_from", name=op.f("uq_policy_company_id_valid_from")),
    )
    op.create_table(
        "terminal",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("terminal", sa.String(length=8), nullable=False),
        sa.Column("shop_id", NUMBER, nullable=False),
        sa.Column("model", sa.String(length=32), server_default="", nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shop.id"], name=op.f("fk_terminal_shop_id_shop")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terminal")),
        sa.UniqueConstraint("terminal", name=op.f("uq_terminal_terminal")),
    )
    op.create_index(op.f("ix_terminal_shop_id"), "terminal", ["shop_id"], unique=False)
    op.create_table(
        "card",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("card", sa.String(length=12), nullable=False),
        sa.Column("pan_key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("pan", sa.LargeBinary(), nullable=True),
        sa.Column("last_four", sa.String(length=4), nullable=False),
        sa.Column("expiry", sa.String(length=4), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("pin_reference", sa.LargeBinary(length=16), nullable=False),
        sa.Column("tries_left", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("employee_id", NUMBER, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("tries_left >= 0", name=op.f("ck_card_tries_left")),
        sa.ForeignKeyConstraint(["employee_id"], ["employee.id"], name=op.f("fk_card_employee_id_employee")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card")),
        sa.UniqueConstraint("card", name=op.f("uq_card_card")),
        sa.UniqueConstraint("pan_key", name=op.f("uq_card_pan_key")),
    )
    op.create_index(op.f("ix_card_employee_id"), "card", ["employee_id"], unique=False)


def downgrade() -> None:

    op.drop_index(op.f("ix_card_employee_id"), table_name="card")
    op.drop_table("card")
    op.drop_index(op.f("ix_terminal_shop_id"), table_name="terminal")
    op.drop_table("terminal")
    op.drop_table("policy")
    op.drop_table("employee")
    op.drop_table("booking")
    op.drop_table("shop")
    op.drop_table("company")
    op.drop_table("writer_slot")
    op.drop_table("signed_head")
    op.drop_table("meta")
    op.drop_index("uq_event_reversal", table_name="event", sqlite_where=REVERSED, postgresql_where=REVERSED)
    op.drop_index("ix_event_closing", table_name="event", sqlite_where=CLOSING, postgresql_where=CLOSING)
    op.drop_table("event")
    op.drop_table("entry")
    op.drop_index("ix_certificate_holder", table_name="certificate")
    op.drop_table("certificate")
    op.drop_index("uq_business_day_open", table_name="business_day", sqlite_where=OPEN, postgresql_where=OPEN)
    op.drop_table("business_day")
    op.drop_table("admin")
    op.drop_table("activation")
    op.drop_table("account")
