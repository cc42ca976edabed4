"""Runs migrations over the connection that trus.ledger.migrations hands in.

Opens no database by itself: the file is ciphered, and its key is in no configuration.
"""

from alembic import context

from trus.ledger.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("migrations run through trus.ledger.migrations.upgrade, which opens the ciphered database")
# SQLite changes a column by rebuilding its table: "batch" in Alembic's words.
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=False,
)
with context.begin_transaction():
    context.run_migrations()
