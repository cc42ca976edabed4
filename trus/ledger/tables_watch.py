"""Says what the ledger keeps of ranges of card numbers that are tried out, so that a restart forgets none.

Holds no digit of a number: a range has the keyed hash of its first digits (trus.core.ranges).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table

from trus.ledger.schema import metadata

#: `count` wrong verification values, as of `since` (seconds since 1970-01-01 UTC); `swept` is 1 while it is swept.
range_watch: Final = Table(
    "range_watch",
    metadata,
    Column("name", LargeBinary(32), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("swept", Integer, nullable=False),
)
Index("ix_range_watch_since", range_watch.c.since)
