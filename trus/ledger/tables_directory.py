"""Says what the ledger keeps of the certificate directory: who changed, what is found by which key, the lists.

Holds no certificate (TR-17) and no query: keys by which certificates are looked up, revocation
lists, which are public, and the numbered changes by which sessions hear of revocations.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from trus.ledger.schema import Number, metadata

#: A holder whose standing has changed: a certificate of it was held, released or revoked, or it
#: was blocked itself. `epoch` counts up by one without gaps; old rows are dropped, never the newest.
standing: Final = Table(
    "standing",
    metadata,
    Column("epoch", Number, primary_key=True, autoincrement=False),
    Column("role", String(8), nullable=False),
    Column("name", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
)

#: A key by which a certificate is found (RFC 4387 section 2.2): `kind` says which, `digest` is
#: its SHA-1, which is a name here and secures nothing.
certificate_key: Final = Table(
    "certificate_key",
    metadata,
    Column("kind", String(9), primary_key=True),
    Column("digest", LargeBinary(20), primary_key=True),
    Column("serial", String(40), primary_key=True),
)
Index("ix_certificate_key_serial", certificate_key.c.serial)

#: The newest revocation list of an authority (RFC 5280 section 5): `kind` is full or delta; `base`
#: is the number of the full list that a delta list adds to, NULL for a full one.
revocation_list: Final = Table(
    "revocation_list",
    metadata,
    Column("authority", String(16), primary_key=True),
    Column("kind", String(5), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("base", BigInteger),
    Column("epoch", BigInteger, nullable=False),
    Column("this_update", BigInteger, nullable=False),
    Column("next_update", BigInteger, nullable=False),
    Column("der", LargeBinary, nullable=False),
)
