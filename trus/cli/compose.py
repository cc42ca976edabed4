"""Puts the backend's core together from its settings: token, ledger, identity, rules, console.

Composition only: every part is made here and handed what it needs; no part reads settings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from trus.auth.watching import WatchLimits
from trus.cards.sealed import KEY_LABEL, StripeKeys
from trus.certificates.chains import load_anchors
from trus.cli.admin_bundles import admins_health, find_maker
from trus.cli.authorities import AuthorityWatch, CeremonyRecorder, ceremonies_path, revoked_issuers
from trus.cli.channels import ChannelBundles, Retirement, ends_of, say_ends
from trus.cli.database_keys import TokenKeySource
from trus.cli.directory import compose_directory
from trus.cli.heads import TokenHeadSigner
from trus.cli.keystore import KeyChamber, open_guarded, open_objects
from trus.cli.lists import RevocationLists
from trus.cli.metrics import CoreMetrics
from trus.cli.policy import policy_of
from trus.clock import Clock, Entropy
from trus.core.core import Core
from trus.core.holding import HoldExpiry
from trus.core.identity import IdentityDesk
from trus.core.jobs import PacedJob
from trus.core.keyring import find_card_keys
from trus.core.pipeline import MoneyPipeline, PipelineSettings
from trus.core.pulse import NoPulse
from trus.core.ranges import RangeLimits
from trus.core.receipts import Allowance, ReceiptDesk
from trus.core.upkeep import OK, CoreUpkeep
from trus.errors import ConfigurationError
from trus.hsm.datakeys import RollingDataKeys
from trus.hsm.guard import CallWatch, GuardedStore, TokenStore
from trus.issuing.approvals import Approvals, OrderPolicy
from trus.issuing.desk import Desk, IssuingSettings
from trus.issuing.handlers import AdminHandlers
from trus.issuing.identities import RegistryIdentities
from trus.ledger.backups import take_notes
from trus.ledger.compose import Opened, open_under
from trus.ledger.expiring import LotExpiry
from trus.ledger.heads import HeadLog
from trus.ledger.keyring import KeySource
from trus.ledger.proving import LedgerProver
from trus.ledger.registry import Registry
from trus.ledger.rotation import KeyRotation
from trus.pki.authority import Authority, ca_label
from trus.pki.channel import ADMIN, CHANNEL
from trus.pki.identity import IdentityService
from trus.settings.channels import read_file
from trus.settings.metrics import MetricsFile
from trus.settings.model import BackendSettings, Settings

#: Labels of the keys that the ledger is opened with, in the order of `ledger_keys`.
Note = Callable[[str, str], None]

_UNWATCHED: Final = NoPulse()


def database_path(settings: BackendSettings) -> Path:
    """Return the SQLCipher file of the settings. Raises ConfigurationError for another engine."""
    path = settings.database.url.path
    if path is None:
        raise ConfigurationError("backend.database.url: this version keeps its ledger in SQLCipher alone")
    return path


def tls_authorities(
    settings: BackendSettings, keys: TokenStore, clock: Clock, entropy: Entropy
) -> list[tuple[Authority, Path]]:
    """Return the TLS authorities whose keys this token holds, each with its revocation list's file.

    A deployment may keep them in another token: then whoever holds that token renews the lists.
    """
    places = [(CHANNEL, settings.link.tls.crl)]
    if settings.admin is not None:
        places.append((ADMIN, settings.admin.tls.crl))
    held = {handle.label for handle in keys.handles()}
    return [(Authority(keys, keys, label, clock, entropy), path) for label, path in places if ca_label(label) in held]


def open_books(settings: BackendSettings, source: KeySource, clock: Clock, entropy: Entropy) -> Opened:
    """Open the ledger under whichever version of K_DB it stands. Raises WrongDatabaseKey, StorageFailed."""
    return open_under(database_path(settings), source, clock=clock, entropy=entropy)


def compose_core(settings: Settings, clock: Clock, entropy: Entropy, note: Note, watch: CallWatch = _UNWATCHED) -> Core:
    """Return a core on the real token and the real ledger. Raises TrusError with one sentence.

    `watch` is told of every call of the token.
    """
    backend = settings.backend
    if backend is None:
        raise ConfigurationError("the configuration has no backend section")
    counters: dict[str, int] = {}
    keys = open_guarded(backend, clock, note, watch, counters)
    try:
        chamber = KeyChamber(keys, open_objects(backend, keys, entropy))
    except BaseException:
        keys.close()
        raise
    try:
        opened = open_books(backend, TokenKeySource(keys), clock, entropy)
        try:
            return _assemble(settings, backend, keys, chamber, opened, clock, entropy, note, counters)
        except BaseException:
            opened.ledger.close()
            raise
    except BaseException:
        chamber.close()
        raise


def _assemble(
    settings: Settings,
    backend: BackendSettings,
    keys: GuardedStore,
    chamber: KeyChamber,
    opened: Opened,
    clock: Clock,
    entropy: Entropy,
    note: Note,
    counters: dict[str, int],
) -> Core:
    ledger, path = opened.ledger, database_path(backend)
    registry = Registry(ledger)
    identities = RegistryIdentities(registry, clock)
    policy = policy_of(backend)
    approvals = Approvals(registry, clock, entropy, OrderPolicy(policy.orders, policy.order_validity))
    service = IdentityService(
        name=backend.identity.name,
        keys=keys,
        objects=chamber.certificates,
        data_keys=RollingDataKeys(keys),
        activations=identities,
        register=identities,
        clock=clock,
        entropy=entropy,
        policy=policy,
        approvals=approvals,
        escrow=chamber.escrow,
        revoked_issuers=revoked_issuers(backend, load_anchors(read_file(backend.identity.anchor, "the anchor"))),
    )
    head_log = HeadLog(ledger, TokenHeadSigner(keys), backend.database.heads)
    channels = tls_authorities(backend, keys, clock, entropy)
    lists = RevocationLists(channels, clock, policy.crl_validity)
    upkeep = CoreUpkeep(ledger, chamber, clock, lambda: head_log.sign(clock.now()), lists.keep, chamber.tend)
    # The first head commits to the key of the first receipts.
    upkeep.want_head()
    upkeep.keepers.append(HoldExpiry(ledger, clock, note).keep)
    upkeep.keepers.append(LotExpiry(ledger, clock, note).keep)
    issuing = IssuingSettings(
        personalisation=str(path.parent.parent / "personalisation"),
        currency=settings.network.currency,
        iin=backend.cards.iin,
    )
    pki = backend.identity.anchor.parent
    bundles = ChannelBundles(pki, entropy)
    directory = compose_directory(backend, registry, keys, chamber.certificates, service, clock, note, bundles)
    upkeep.keepers.append(Retirement(bundles, pki, lists, clock, note).keep)
    upkeep.more_health["channel certificates"] = lambda: say_ends(ends_of(bundles), clock.now())
    upkeep.more_health["admins"] = lambda: admins_health(registry, policy, clock)
    upkeep.keepers.append(directory.upkeep.keep)
    upkeep.keepers.append(AuthorityWatch(backend, service, identities.concern_everybody, clock, note).keep)
    recorder = CeremonyRecorder(registry, ceremonies_path(backend), lambda: service.authorities, clock, note)
    upkeep.keepers.append(recorder.keep)
    upkeep.more_health.update(directory.healths)
    counters["restore-epoch"] = opened.epoch
    rotation = KeyRotation(ledger, path, TokenKeySource(keys), clock, entropy, opened.file_version)
    job = PacedJob(rotation, clock, note)
    upkeep.keepers.append(lambda: take_notes(ledger, path, clock.now()))
    upkeep.more_health["database key"] = lambda: job.fault or OK
    if backend.metrics is not None:
        metrics = CoreMetrics(backend, registry, service, bundles, clock, upkeep.health, counters)
        # The first of all: what the others cannot do, because the token is away, is what metrics are for.
        upkeep.keepers.insert(0, MetricsFile(backend.metrics, clock, metrics.collect, note).keep)
    desk = Desk(registry, keys, service, clock, entropy, issuing, upkeep.health, lambda: counters, rotation=rotation)
    desk.day_closed = upkeep.want_head
    desk.admin_certificates = find_maker(backend, channels, policy, entropy)
    stripes = StripeKeys(partial(RollingDataKeys(keys).derive_all, KEY_LABEL))
    upkeep.keepers.append(stripes.refresh)
    identity = IdentityDesk(service, upkeep.business_date, note, opened.epoch)
    identity.advice_key = lambda: stripes.public
    return Core(
        money=MoneyPipeline(
            ledger,
            keys,
            find_card_keys(keys),
            clock,
            entropy,
            payments_of(backend),
            note,
            upkeep.want_head,
            stripes.open,
        ),
        identity=identity,
        admin=AdminHandlers(desk, approvals),
        upkeep=upkeep,
        note=note,
        counters=counters,
        directory=directory.desk,
        job=job,
        receipts=ReceiptDesk(
            LedgerProver(ledger), upkeep.want_head, note, Allowance(clock, backend.payments.proofs_a_minute)
        ),
    )


def payments_of(backend: BackendSettings) -> PipelineSettings:
    """Return what the settings say of payments, in the core's words."""
    payments, sweeps = backend.payments, backend.sweeps
    return PipelineSettings(
        hold_seconds=payments.hold.seconds,
        floor_limit=payments.floor_limit,
        grace_days=payments.grace_days,
        watch=WatchLimits(
            int(sweeps.forget.seconds),
            sweeps.free_values,
            sweeps.most_values,
            sweeps.free_cards,
            sweeps.most_cards,
            int(sweeps.longest_wait.seconds),
        ),
        ranges=RangeLimits(int(sweeps.range_forget.seconds), sweeps.range_values),
    )
