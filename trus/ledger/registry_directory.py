"""Keeps the certificate directory: numbered changes of standing, look-up keys, lists, searches.

Holds no certificate and signs nothing. Begins and ends no transaction: the caller's connection
is in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, insert, select, update

from trus.ledger.prepared import Prepared
from trus.ledger.registry_values import CertificateRow, HolderRow, ListedRow, RevocationListRow
from trus.ledger.tables import certificate, certificate_key, meta, revocation_list, standing
from trus.values import Frozen

#: The row of `meta` that counts changes of standing.
REVOCATION_EPOCH: Final = "revocation_epoch"
#: Changes told at once: whoever is further behind looks at every session instead.
MAX_CHANGES: Final = 4_096

#: Keys in one IN list.
_CHUNK: Final = 500
_COUNTED: Final = meta.c.name == REVOCATION_EPOCH
_EPOCH: Final = Prepared(select(meta.c.value).where(_COUNTED))
_LOCKED_EPOCH: Final = Prepared(select(meta.c.value).where(_COUNTED).with_for_update())
_COUNT: Final = Prepared(update(meta).where(_COUNTED).values(value=bindparam("epoch")))
_NOTE: Final = Prepared(insert(standing), ("epoch", "role", "name", "at"))
_CHANGES: Final = Prepared(
    select(standing.c.epoch, standing.c.role, standing.c.name)
    .where(standing.c.epoch > bindparam("after"))
    .order_by(standing.c.epoch)
)

_CERTIFICATE_COLUMNS: Final = (
    certificate.c.serial,
    certificate.c.role,
    certificate.c.name,
    certificate.c.shop,
    certificate.c.model,
    certificate.c.handle,
    certificate.c.key_digest,
    certificate.c.not_before,
    certificate.c.not_after,
    certificate.c.state,
    certificate.c.changed_at,
    certificate.c.reason,
)
_LIST_COLUMNS: Final = (
    revocation_list.c.authority,
    revocation_list.c.kind,
    revocation_list.c.number,
    revocation_list.c.base,
    revocation_list.c.epoch,
    revocation_list.c.this_update,
    revocation_list.c.next_update,
    revocation_list.c.der,
)


class Wanted(Frozen, frozen=True):
    """What a search is for; an empty text or None asks nothing. Moments are microseconds.

    `states` are those of the table; `valid_at` finds what had begun and not ended then;
    `issued_from` and `issued_to` (exclusive) bound the beginning, `ends_before` the end.
    """

    serial: str = ""
    role: str = ""
    name: str = ""
    shop: str = ""
    states: tuple[str, ...] = ()
    issued_from: int | None = None
    issued_to: int | None = None
    ends_after: int | None = None
    ends_before: int | None = None
    valid_at: int | None = None


class DirectoryRegistry:
    """The directory on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # -------------------------------------------------------------------------- standing

    def changed(self, role: str, name: str, at: int) -> int:
        """Note that a holder's standing has changed, and return the number of the change."""
        return note_change(self._connection, role, name, at)

    def epoch(self) -> int:
        """Return the number of the newest change."""
        return int(_EPOCH.only(self._connection))

    def changes_since(self, epoch: int) -> list[HolderRow] | None:
        """Return the holders whose standing changed after `epoch`, each once; None when that is too long ago."""
        newest = self.epoch()
        if not 0 <= newest - epoch <= MAX_CHANGES:
            return None  # too many; or an older state was restored, and nothing is known of what changed
        rows = _CHANGES.rows(self._connection, after=epoch)
        if len(rows) != newest - epoch:
            return None  # some were dropped
        return list(dict.fromkeys(HolderRow(role, name) for _, role, name in rows))

    def drop_changes(self, before: int) -> int:
        """Drop changes made before that moment (microseconds), never the newest; return how many."""
        newest = self.epoch()
        dropped = self._connection.execute(delete(standing).where(standing.c.at < before, standing.c.epoch < newest))
        return dropped.rowcount

    # ----------------------------------------------------------------------- look-up keys

    def add_keys(self, serial: str, keys: Iterable[tuple[str, bytes]]) -> None:
        """Let a certificate be found by (kind, SHA-1) keys."""
        rows = [{"kind": kind, "digest": digest, "serial": serial} for kind, digest in keys]
        if rows:
            self._connection.execute(insert(certificate_key), rows)

    def found_by(self, kind: str, digest: bytes, limit: int) -> list[CertificateRow]:
        """Return the entries found by a key, those that end last first."""
        query = (
            select(*_CERTIFICATE_COLUMNS)
            .join(certificate_key, certificate_key.c.serial == certificate.c.serial)
            .where(certificate_key.c.kind == kind, certificate_key.c.digest == digest)
            .order_by(certificate.c.not_after.desc(), certificate.c.serial)
            .limit(limit)
        )
        return [CertificateRow(*tuple(row)) for row in self._connection.execute(query)]

    def by_keys(self, kind: str, digests: Sequence[bytes]) -> dict[bytes, CertificateRow]:
        """Return the entry that each of several keys finds; a key that finds none is absent."""
        found: dict[bytes, CertificateRow] = {}
        for start in range(0, len(digests), _CHUNK):
            query = (
                select(certificate_key.c.digest, *_CERTIFICATE_COLUMNS)
                .join(certificate, certificate_key.c.serial == certificate.c.serial)
                .where(certificate_key.c.kind == kind, certificate_key.c.digest.in_(digests[start : start + _CHUNK]))
            )
            for digest, *row in self._connection.execute(query):
                found[bytes(digest)] = CertificateRow(*row)
        return found

    def without_keys(self, limit: int) -> list[CertificateRow]:
        """Return entries that no key finds yet: those of an earlier version."""
        known = select(certificate_key.c.serial).where(certificate_key.c.serial == certificate.c.serial).exists()
        query = select(*_CERTIFICATE_COLUMNS).where(~known).limit(limit)
        return [CertificateRow(*tuple(row)) for row in self._connection.execute(query)]

    # ---------------------------------------------------------------------------- searches

    def search(self, wanted: Wanted, after: str, limit: int) -> list[CertificateRow]:
        """Return entries that a search is for, in the order of serial numbers, from the one after `after`."""
        return [CertificateRow(*tuple(row)) for row in self._connection.execute(self.query(wanted, after, limit))]

    @staticmethod
    def query(wanted: Wanted, after: str, limit: int) -> Select[tuple[Any, ...]]:
        """Return the statement of a search."""
        conditions = _conditions(wanted)
        if after or not conditions:
            conditions.append(certificate.c.serial > after)
        return select(*_CERTIFICATE_COLUMNS).where(*conditions).order_by(certificate.c.serial).limit(limit)

    def count(self, wanted: Wanted) -> int:
        """Return how many entries a search is for."""
        query = select(func.count()).select_from(certificate).where(and_(*_conditions(wanted)))
        return int(self._connection.execute(query).scalar_one())

    def others_of(self, role: str, name: str, serial: str, states: Sequence[str]) -> list[str]:
        """Return the serial numbers of a holder's other certificates that are in one of these states."""
        query = select(certificate.c.serial).where(
            certificate.c.role == role,
            certificate.c.name == name,
            certificate.c.serial != serial,
            certificate.c.state.in_(states),
        )
        return list(self._connection.execute(query.order_by(certificate.c.not_before)).scalars())

    # --------------------------------------------------------------------- revocation lists

    def listed(self, kind: str, issuer: bytes, states: Sequence[str], ends_after: int) -> list[ListedRow]:
        """Return what a full list of an issuer bears, by serial number.

        That is: in one of these states, found by the issuer's key, ending after a moment (microseconds).
        """
        columns = (certificate.c.serial, certificate.c.state, certificate.c.changed_at, certificate.c.reason)
        query = select(*columns).where(
            certificate.c.state.in_(states), certificate.c.not_after > ends_after, _keyed(kind, issuer)
        )
        rows = self._connection.execute(query.order_by(certificate.c.serial))
        return [ListedRow(serial, state, changed or 0, reason) for serial, state, changed, reason in rows]

    def released_since(self, kind: str, issuer: bytes, at: int, ends_after: int) -> list[str]:
        """Return serials of an issuer that became good again at or after a moment: a delta list takes them off."""
        query = select(certificate.c.serial).where(
            certificate.c.changed_at >= at,
            certificate.c.state == "good",
            certificate.c.not_after > ends_after,
            _keyed(kind, issuer),
        )
        return list(self._connection.execute(query.order_by(certificate.c.serial)).scalars())

    def revocation_list(self, authority: str, kind: str) -> RevocationListRow | None:
        """Return the newest list of an authority, None when there is none."""
        query = select(*_LIST_COLUMNS).where(revocation_list.c.authority == authority, revocation_list.c.kind == kind)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else RevocationListRow(*tuple(row))

    def lists(self) -> list[RevocationListRow]:
        """Return the newest full and delta list of every authority, in the order of their names."""
        query = select(*_LIST_COLUMNS).where(revocation_list.c.kind.in_(("full", "delta")))
        rows = self._connection.execute(query.order_by(revocation_list.c.authority, revocation_list.c.kind))
        return [RevocationListRow(*tuple(row)) for row in rows]

    def put_list(self, entry: RevocationListRow) -> None:
        """Store a list in the place of the one before."""
        key = and_(revocation_list.c.authority == entry.authority, revocation_list.c.kind == entry.kind)
        self._connection.execute(delete(revocation_list).where(key))
        self._connection.execute(
            insert(revocation_list), {name: getattr(entry, name) for name in entry.__struct_fields__}
        )


def note_change(connection: Connection, role: str, name: str, at: int) -> int:
    """Note that a holder's standing has changed, and return the number of the change."""
    # The locked row keeps two writers from taking the same number, or from being seen out of order.
    epoch = int(_LOCKED_EPOCH.only(connection)) + 1
    _COUNT.send(connection, epoch=str(epoch))
    _NOTE.send(connection, epoch=epoch, role=role, name=name, at=at)
    return epoch


def _keyed(kind: str, digest: bytes) -> ColumnElement[bool]:
    """Return the condition that a key finds the certificate."""
    key = certificate_key.c
    found = select(key.serial).where(key.kind == kind, key.digest == digest, key.serial == certificate.c.serial)
    return found.exists()


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        column == text
        for column, text in (
            (certificate.c.serial, wanted.serial),
            (certificate.c.role, wanted.role),
            (certificate.c.name, wanted.name),
            (certificate.c.shop, wanted.shop),
        )
        if text
    ]
    if wanted.states:
        found.append(certificate.c.state.in_(wanted.states))
    if wanted.issued_from is not None:
        found.append(certificate.c.not_before >= wanted.issued_from)
    if wanted.issued_to is not None:
        found.append(certificate.c.not_before < wanted.issued_to)
    if wanted.ends_after is not None:
        found.append(certificate.c.not_after > wanted.ends_after)
    if wanted.ends_before is not None:
        found.append(certificate.c.not_after <= wanted.ends_before)
    if wanted.valid_at is not None:
        found += [certificate.c.not_before <= wanted.valid_at, certificate.c.not_after > wanted.valid_at]
    return found
