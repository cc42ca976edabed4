"""Answers what is asked before a certificate is issued: whose is this key, how many were issued.

Changes nothing. Every question is answered by an index. Begins and ends no transaction: the caller's
connection is in one.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select

from trus.ledger.registry_values import CertificateRow
from trus.ledger.tables import certificate

_COLUMNS: Final = tuple(certificate.c[name] for name in CertificateRow.__struct_fields__)
#: States in which a certificate counts as one that its holder has.
_LIVE: Final = ("good", "pending", "held")
#: Holders that quotas are for: not the backend.
_DEVICES: Final = ("pos", "card")


class IssuanceRegistry:
    """Questions about issued certificates on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_key(self, digest: bytes) -> list[CertificateRow]:
        """Return the entries of certificates for a key, by SHA-256 of its SubjectPublicKeyInfo."""
        query = select(*_COLUMNS).where(certificate.c.key_digest == digest).order_by(certificate.c.serial)
        return [CertificateRow(*tuple(row)) for row in self._connection.execute(query)]

    def live(self, role: str, name: str, now: int) -> int:
        """Return how many certificates of a holder have neither ended nor been revoked at `now` (microseconds)."""
        query = (
            select(func.count())
            .select_from(certificate)
            .where(
                certificate.c.role == role,
                certificate.c.name == name,
                certificate.c.state.in_(_LIVE),
                certificate.c.not_after >= now,
            )
        )
        return int(self._connection.execute(query).scalar_one())

    def issued_since(self, since: int, shop: str) -> int:
        """Return how many certificates of devices begin after `since` (microseconds), of one shop or ("") of all."""
        query = (
            select(func.count())
            .select_from(certificate)
            .where(certificate.c.not_before > since, certificate.c.role.in_(_DEVICES))
        )
        if shop:
            query = query.where(certificate.c.shop == shop)
        return int(self._connection.execute(query).scalar_one())
