"""Says what the ledger keeps so that receipts can be proved: hashes over whole pieces of a slot's chain.

Holds nothing that the journal does not say already: every row can be computed again from the links, and
the audit does.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table

from trus.ledger.schema import metadata

#: The root over the links of a slot from sequence (number << level) + 1 on, 1 << level of them
#: (RFC 9162, section 2.1); of whole pieces alone (trus.ledger.tree), so one row for 128 events.
chain_node: Final = Table(
    "chain_node",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)
