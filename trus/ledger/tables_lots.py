"""Says what the ledger keeps of credit that ends: what every event put into and took out of a purse's lots.

The lots as they stand are a column of `account` (trus.auth.lots), so that a purse without any costs nothing.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table

from trus.ledger.schema import Number, metadata

#: Into (+) or out of (-) the lot of `account` that ends after `expires_on`; only ever inserted.
lot_move: Final = Table(
    "lot_move",
    metadata,
    Column("event_id", Number, primary_key=True, autoincrement=False),
    Column("expires_on", String(10), primary_key=True),
    Column("account", Number, ForeignKey("account.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
