"""Puts the certificate directory of a backend together: certificates, lists, OCSP, and their upkeep.

Composition, and reading of the lists that are kept in files; signs and finds nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from trus.admin.commands_certificates import EXPIRING, EXPIRING_DAYS
from trus.clock import Clock
from trus.core.directory import MAX_KEPT_SECONDS, Channels, DirectoryDesk
from trus.hsm.ports import KeyStore, ObjectStore
from trus.issuing.directory import RegistryDirectory
from trus.issuing.identities import microseconds
from trus.ledger.registry import Registry
from trus.ledger.registry_directory import Wanted
from trus.pki.authority import Authority
from trus.pki.ceremony import ROOT
from trus.pki.channel import CHANNEL
from trus.pki.directory import Directory
from trus.pki.identity import IdentityService
from trus.pki.profiles import OCSP_SIGNER
from trus.pki.published import ForeignList, PublishedLists
from trus.pki.responder import Responder
from trus.pki.revocation import ListKind, RevocationLists
from trus.settings.model import BackendSettings

#: Between two looks at what the calendar alone makes due; a change of state is looked for each time.
_LOOK_EVERY_SECONDS: Final = 60.0
#: After a failure: the token may be away, and the operator need not be told every second.
_PAUSE_SECONDS: Final = 10.0

#: States of the register in which a certificate can be used.
LIVE: Final = ("good", "pending")


class Upkeep:
    """Keeps lists and OCSP signers alive while the core is idle."""

    def __init__(self, lists: RevocationLists, responder: Responder, epoch: Callable[[], int], clock: Clock) -> None:
        """`epoch()` returns the number of the newest change of standing."""
        self._lists = lists
        self._responder = responder
        self._epoch = epoch
        self._clock = clock
        self._known: int | None = None
        self._next_look = clock.monotonic()
        self._not_before = clock.monotonic()

    def keep(self) -> None:
        """Sign anew what has changed or ends soon. Raises KeyStoreUnavailable, LedgerError; then waits a little."""
        now = self._clock.monotonic()
        if now < self._not_before:
            return
        self._not_before = now + _PAUSE_SECONDS
        epoch = self._epoch()
        if epoch != self._known or now >= self._next_look:
            self._lists.keep()
            self._responder.keep()
            self._known, self._next_look = epoch, now + _LOOK_EVERY_SECONDS
        self._not_before = now


class DirectoryParts(NamedTuple):
    """What a core needs of the directory."""

    desk: DirectoryDesk
    upkeep: Upkeep
    healths: dict[str, Callable[[], str]]


def compose_directory(
    settings: BackendSettings,
    registry: Registry,
    keys: KeyStore,
    objects: ObjectStore,
    service: IdentityService,
    clock: Clock,
    note: Callable[[str, str], None],
    channels: Channels,
) -> DirectoryParts:
    """Return the directory of the individual authority's generations, and of what is public beside it."""

    def authorities() -> Sequence[Authority]:
        return service.authorities

    register = RegistryDirectory(registry, clock)
    lists = RevocationLists(authorities, register, clock, url=settings.directory.url)
    responder = Responder(authorities, keys, objects, register, clock, service.policy.of(OCSP_SIGNER))
    foreign = ForeignFiles(settings, authorities)
    published = PublishedLists(lists, authorities, foreign.read, MAX_KEPT_SECONDS)
    certificates = Directory(register, objects, foreign.authorities, MAX_KEPT_SECONDS)
    upkeep = Upkeep(lists, responder, register.epoch, clock)

    def ending_soon() -> str:
        with registry.reading() as view:
            return say_ending(view.directory.count(ending(clock.now())))

    healths = {
        "revocation lists": lambda: say_lists(lists, authorities(), clock.now()),
        "certificates": ending_soon,
    }
    desk = DirectoryDesk(certificates, published, responder, service, note, channels)
    return DirectoryParts(desk, upkeep, healths)


def ending(now: datetime) -> Wanted:
    """Return the search for certificates that end within EXPIRING_DAYS and can be used."""
    soon = now + timedelta(days=EXPIRING_DAYS)
    return Wanted(states=LIVE, ends_after=microseconds(now), ends_before=microseconds(soon))


def say_ending(count: int) -> str:
    """Return "ok", or a sentence about so many certificates that end soon."""
    if not count:
        return "ok"
    some = "1 certificate ends" if count == 1 else f"{count} certificates end"
    return f"{some} within {EXPIRING_DAYS} days: CERTIFICATES state={EXPIRING} lists them"


def say_lists(lists: RevocationLists, authorities: Sequence[Authority], now: datetime) -> str:
    """Return "ok" while every generation's lists hold, else a sentence."""
    for authority in authorities:
        for kind in (ListKind.FULL, ListKind.DELTA):
            kept = lists.newest(authority, kind)
            if kept is None or kept.next_update <= now:
                return f"the {kind.value} revocation list of generation {authority.version} is not there or has ended"
    return "ok"


class ForeignFiles:
    """The lists of authorities whose lists are kept in files: of the individual root, and of TLS."""

    def __init__(self, settings: BackendSettings, authorities: Callable[[], Sequence[Authority]]) -> None:
        self._settings = settings
        self._authorities = authorities

    def authorities(self) -> list[x509.Certificate]:
        """Return roots and issuing authorities of individual certificates, and the channel authority."""
        own = [certificate for each in self._authorities() for certificate in (each.certificate, each.root)]
        return list(dict.fromkeys([*own, *self._channel()]))

    def read(self) -> list[ForeignList]:
        """Return the lists that are there and were signed by their authorities; others are passed over."""
        link = self._settings.link.tls
        root_list = self._settings.identity.anchor.with_name(f"{ROOT}.crl")
        roots = list(dict.fromkeys(each.root for each in self._authorities()))
        found = []
        for path, crl_file, issuers in ((ROOT, root_list, roots), (CHANNEL, link.crl, self._channel())):
            for crl in _lists_of(crl_file):
                found += [
                    ForeignList(path, each, crl)
                    for each in issuers
                    if each.subject == crl.issuer and crl.is_signature_valid(each.public_key())  # type: ignore[arg-type]
                ]
        return found

    def _channel(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(self._settings.link.tls.anchors.read_bytes())
        except (OSError, ValueError):
            return []


def _lists_of(path: Path) -> list[x509.CertificateRevocationList]:
    try:
        return [x509.load_pem_x509_crl(path.read_bytes())]
    except (OSError, ValueError):
        return []
