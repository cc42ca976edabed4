"""Holds the one MetaData that every table of the ledger belongs to, and what all tables share.

Defines no table: trus.ledger.tables does, and the tables_* modules beside it. Migrations name
constraints, so the naming convention here is never changed.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Integer, MetaData

#: Constraint names are fixed so that migrations can name them on every engine.
NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata: Final = MetaData(naming_convention=NAMING)

#: SQLite counts only an INTEGER PRIMARY KEY as the row's own number.
Number: Final = BigInteger().with_variant(Integer(), "sqlite")
