"""Keeps the directory's lists and look-up keys in the registry, in the words of trus.pki.

Decides nothing about certificates and signs nothing. Each change is one durable transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from trus.clock import Clock
from trus.issuing.identities import microseconds, moment, record
from trus.ledger.registry import Registry
from trus.ledger.registry_values import RevocationListRow
from trus.pki.directory import KeyKind
from trus.pki.ports import CertificateRecord, CertificateState
from trus.pki.revocation import KeptList, ListedEntry, ListKind

#: Changes of standing are forgotten after this long: no front is that far behind.
FORGET_AFTER = timedelta(days=2)
_OFF = (CertificateState.HELD.value, CertificateState.REVOKED.value)


class RegistryDirectory:
    """Implements trus.pki.directory.KeyedRegister and trus.pki.revocation.ListStore."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def found_by(self, kind: str, digest: bytes, limit: int) -> Sequence[CertificateRecord]:
        """Return the rows that a key finds, those that end last first."""
        with self._registry.reading() as view:
            return [record(row) for row in view.directory.found_by(kind, digest, limit)]

    def by_keys(self, kind: str, digests: Sequence[bytes]) -> Mapping[bytes, CertificateRecord]:
        """Return the row that each of several keys finds; a key that finds none is absent."""
        with self._registry.reading() as view:
            found = view.directory.by_keys(kind, digests)
        return {digest: record(row) for digest, row in found.items()}

    def epoch(self) -> int:
        """Return the number of the newest change of standing."""
        with self._registry.reading() as view:
            return view.directory.epoch()

    def listed(self, issuer: bytes, ends_after: datetime) -> Sequence[ListedEntry]:
        """Return what is revoked or held of an issuer and ends after a moment."""
        with self._registry.reading() as view:
            rows = view.directory.listed(KeyKind.ISSUER.value, issuer, _OFF, microseconds(ends_after))
        return [ListedEntry(row.serial, moment(row.changed_at), row.reason) for row in rows]

    def released(self, issuer: bytes, since: datetime, ends_after: datetime) -> Sequence[str]:
        """Return serials of an issuer that became good again at `since` or later."""
        with self._registry.reading() as view:
            return view.directory.released_since(
                KeyKind.ISSUER.value, issuer, microseconds(since), microseconds(ends_after)
            )

    def kept_list(self, authority: str, kind: ListKind) -> KeptList | None:
        """Return the newest list of a kind."""
        with self._registry.reading() as view:
            row = view.directory.revocation_list(authority, kind.value)
        return None if row is None else _kept(row)

    def keep_lists(self, lists: Sequence[KeptList]) -> None:
        """Keep lists, each in the place of the one before, in one transaction."""
        now = self._clock.now()
        with self._registry.changing(now) as change:
            for each in lists:
                change.directory.put_list(_row(each))
            change.directory.drop_changes(microseconds(now - FORGET_AFTER))


def _kept(row: RevocationListRow) -> KeptList:
    return KeptList(
        row.authority,
        ListKind(row.kind),
        row.number,
        row.base,
        row.epoch,
        moment(row.this_update),
        moment(row.next_update),
        row.der,
    )


def _row(kept: KeptList) -> RevocationListRow:
    return RevocationListRow(
        kept.authority,
        kept.kind.value,
        kept.number,
        kept.base,
        kept.epoch,
        microseconds(kept.this_update),
        microseconds(kept.next_update),
        kept.der,
    )
