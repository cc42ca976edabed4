"""Keeps the revocation lists of the individual authority alive: full and delta ones (RFC 5280 section 5).

Decides nothing about what is revoked: the register does. A list is made anew with every change of
state and when half of its time is gone. All lists of an authority share one sequence of numbers,
which never falls behind the clock, so that it grows even after an older state was restored.

A delta list (section 5.2.4) adds to the base: the full list of the day. Whoever holds that one, or any
later full list, needs the delta alone. What was released since the base is told as removeFromCRL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from trus.clock import Clock
from trus.pki.authority import Authority
from trus.pki.directory import name_digest
from trus.values import Frozen

#: A full list is believed for this long, a delta list for a part of it.
FULL_VALIDITY: Final = timedelta(days=7)
DELTA_VALIDITY: Final = timedelta(days=1)
#: A full list becomes the base of the delta lists that follow for this long.
BASE_LIFETIME: Final = timedelta(days=1)
#: With more entries than this a change is told by a delta list at once, and by the day's full list.
FULL_AT_ONCE: Final = 5_000

_ONE_SECOND: Final = timedelta(seconds=1)


class ListKind(StrEnum):
    """Which list: the newest full one, the newest delta, or the full one that the delta adds to."""

    FULL = "full"
    DELTA = "delta"
    BASE = "base"


class ListedEntry(Frozen, frozen=True):
    """An entry before it is signed: serial (hexadecimal), moment (aware, UTC), RFC 5280's word for why."""

    serial: str
    at: datetime
    reason: str


class KeptList(Frozen, frozen=True):
    """A signed list: `base` is the number that a delta adds to; `epoch` the newest change that it knows."""

    authority: str
    kind: ListKind
    number: int
    base: int | None
    epoch: int
    this_update: datetime
    next_update: datetime
    der: bytes


class ListStore(Protocol):
    """What the lists need of the register. Methods that change something are durable when they return."""

    def epoch(self) -> int:
        """Return the number of the newest change of standing."""
        ...

    def listed(self, issuer: bytes, ends_after: datetime) -> Sequence[ListedEntry]:
        """Return what is revoked or held of an issuer (SHA-1 of its name) and ends after a moment."""
        ...

    def released(self, issuer: bytes, since: datetime, ends_after: datetime) -> Sequence[str]:
        """Return serials of an issuer that became good again at `since` or later."""
        ...

    def kept_list(self, authority: str, kind: ListKind) -> KeptList | None:
        """Return the newest list of a kind."""
        ...

    def keep_lists(self, lists: Sequence[KeptList]) -> None:
        """Keep lists, each in the place of the one before, in one transaction."""
        ...


def list_name(authority: Authority) -> str:
    """Return the name under which an authority's lists are kept: label and generation."""
    return f"{authority.label}/{authority.version}"


def delta_url(url: str, authority: Authority) -> str:
    """Return where an authority's delta list is, below a directory's address."""
    return f"{url}/crl/{list_name(authority)}/{ListKind.DELTA.value}.crl"


class RevocationLists:
    """The lists of every generation of an authority."""

    def __init__(
        self,
        authorities: Callable[[], Sequence[Authority]],
        store: ListStore,
        clock: Clock,
        full_at_once: int = FULL_AT_ONCE,
        url: str = "",
    ) -> None:
        """`authorities()` returns the generations that may still have issued something unexpired.

        `url` is where the directory is reached, "" when it is not: full lists say where their delta is.
        """
        self._authorities = authorities
        self._store = store
        self._clock = clock
        self._full_at_once = full_at_once
        self._url = url

    def keep(self) -> list[str]:
        """Sign anew what is due; return the names of the authorities whose lists were. Raises KeyStoreUnavailable."""
        epoch, now = self._store.epoch(), self._clock.now().replace(microsecond=0)
        renewed = []
        for authority in self._authorities():
            made = self._due(authority, epoch, now)
            if made:
                self._store.keep_lists(made)
                renewed.append(list_name(authority))
        return renewed

    def newest(self, authority: Authority, kind: ListKind) -> KeptList | None:
        """Return an authority's newest list of a kind, None when there is none yet."""
        return self._store.kept_list(list_name(authority), kind)

    def _due(self, authority: Authority, epoch: int, now: datetime) -> list[KeptList]:
        name = list_name(authority)
        full = self._store.kept_list(name, ListKind.FULL)
        delta = self._store.kept_list(name, ListKind.DELTA)
        base = self._store.kept_list(name, ListKind.BASE)
        if full is None or delta is None or base is None:
            return self._first(authority, epoch, now)
        changed = delta.epoch != epoch
        rebase = now - base.this_update >= BASE_LIFETIME
        if not (changed or rebase or _half_gone(full, now) or _half_gone(delta, now)):
            return []
        number = max(full.number, delta.number, int(now.timestamp()) - 1) + 1
        # An entry stays until one list after its certificate's end (RFC 5280 section 3.3).
        entries = self._store.listed(name_digest(authority.certificate.subject), full.this_update)
        made = []
        if rebase or _half_gone(full, now) or len(entries) <= self._full_at_once:
            new = self._sign(authority, ListKind.FULL, number, None, epoch, now, entries, ())
            made.append(new)
            if rebase:
                made.append(_as_base(new))
        made.append(self._delta(authority, base, number, epoch, now, entries))
        return made

    def _first(self, authority: Authority, epoch: int, now: datetime) -> list[KeptList]:
        number = int(now.timestamp())
        entries = self._store.listed(name_digest(authority.certificate.subject), now)
        full = self._sign(authority, ListKind.FULL, number, None, epoch, now, entries, ())
        base = _as_base(full)
        return [full, base, self._delta(authority, base, number, epoch, now, entries)]

    def _delta(
        self,
        authority: Authority,
        base: KeptList,
        number: int,
        epoch: int,
        now: datetime,
        entries: Sequence[ListedEntry],
    ) -> KeptList:
        # The base's own second belongs to the delta: what changed within it may be missing there.
        since = base.this_update - _ONE_SECOND
        added = [each for each in entries if each.at >= since]
        issuer = name_digest(authority.certificate.subject)
        released = self._store.released(issuer, since, now)
        return self._sign(authority, ListKind.DELTA, number, base.number, epoch, now, added, released)

    def _sign(
        self,
        authority: Authority,
        kind: ListKind,
        number: int,
        base: int | None,
        epoch: int,
        now: datetime,
        entries: Sequence[ListedEntry],
        released: Sequence[str],
    ) -> KeptList:
        revoked = [_entry(int(each.serial, 16), each.at, each.reason) for each in entries]
        revoked += [_entry(int(serial, 16), now, x509.ReasonFlags.remove_from_crl.value) for serial in released]
        next_update = now + (DELTA_VALIDITY if kind is ListKind.DELTA else FULL_VALIDITY)
        # The constructor takes all entries at once: adding them singly copies the list each time.
        builder = x509.CertificateRevocationListBuilder(
            authority.certificate.subject, now, next_update, revoked_certificates=revoked
        )
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )
        builder = builder.add_extension(issuer_key, critical=False)
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        if base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
        elif self._url:
            where = x509.UniformResourceIdentifier(delta_url(self._url, authority))
            builder = builder.add_extension(
                x509.FreshestCRL([x509.DistributionPoint([where], None, None, None)]), critical=False
            )
        der = builder.sign(authority.signer, hashes.SHA256()).public_bytes(Encoding.DER)
        return KeptList(list_name(authority), kind, number, base, epoch, now, next_update, der)


def _half_gone(kept: KeptList, now: datetime) -> bool:
    return kept.next_update - now < (kept.next_update - kept.this_update) / 2


def _as_base(full: KeptList) -> KeptList:
    """Return what is remembered of a full list as a base: its number and moment; the list itself is served as such."""
    return msgspec.structs.replace(full, kind=ListKind.BASE, der=b"")


def _entry(serial: int, at: datetime, reason: str) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at.replace(microsecond=0))
    flag = reason_flag(reason)
    # "unspecified" is said by saying nothing (RFC 5280 section 5.3.1).
    if flag is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    return builder.build()


_REASONS: Final = {flag.value: flag for flag in x509.ReasonFlags}


def reason_flag(reason: str) -> x509.ReasonFlags:
    """Return the reason of RFC 5280 section 5.3.1 that the register's word means, unspecified for any other."""
    return _REASONS.get(reason, x509.ReasonFlags.unspecified)
