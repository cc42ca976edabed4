"""Says what the ledger keeps of its own keys: rotations of K_DB, and the backups that need a version of it.

Holds no key and no hash of one: versions are numbers, and the keys stay in the token.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary, String, Table, Text

from trus.ledger.schema import Number, metadata

#: A rotation of K_DB, begun on the business date `begun_on`; at most one is under way.
#: `employee_done` and `card_done` are the last row numbers re-ciphered, `rows` how many rows that
#: were, of about `total`.
key_rotation: Final = Table(
    "key_rotation",
    metadata,
    Column("id", Number, primary_key=True),
    Column("from_version", Integer, nullable=False),
    Column("to_version", Integer, nullable=False, unique=True),
    Column("phase", String(4), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    Column("begun_on", String(10), nullable=False),
    Column("ended_at", BigInteger),
    Column("employee_done", Number, nullable=False, server_default="0"),
    Column("card_done", Number, nullable=False, server_default="0"),
    Column("rows", Number, nullable=False, server_default="0"),
    Column("total", Number, nullable=False),
    CheckConstraint("phase IN ('rows', 'file', 'done')", name="phase"),
)
#: A backup that was made: the `versions` of K_DB that it needs, separated by one space, until it
#: expires; the number of the last signed head in it; the SHA-256 of the archive and of the two
#: officers' public keys.
backup: Final = Table(
    "backup",
    metadata,
    Column("backup", String(32), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("versions", Text, nullable=False),
    Column("head", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("officers", Text, nullable=False),
)
