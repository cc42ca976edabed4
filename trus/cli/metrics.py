"""Collects what the core's file of metrics says: what ends when, what is well, what was counted.

Writes nothing (trus.settings.metrics). A part that cannot be asked now is not well; the others are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from trus.admin.commands_certificates import EXPIRING_DAYS
from trus.cli.authorities import root_list_path
from trus.cli.channels import ChannelBundles, ends_of
from trus.cli.directory import LIVE, ending
from trus.clock import Clock
from trus.core.upkeep import OK
from trus.errors import ConfigurationError, LedgerError
from trus.issuing.admins import ends_of_admins
from trus.issuing.identities import microseconds, moment
from trus.ledger.registry import Registry
from trus.ledger.registry_directory import Wanted
from trus.pki.identity import IdentityService
from trus.settings.channels import read_crls
from trus.settings.metrics import Sample, channel_samples
from trus.settings.model import BackendSettings

_END: Final = "trus_end_seconds"
_SIGNED: Final = "trus_signed_seconds"
_ROOT: Final = "individual root"


class CoreMetrics:
    """What a core knows of itself and of its deployment."""

    def __init__(
        self,
        settings: BackendSettings,
        registry: Registry,
        service: IdentityService,
        bundles: ChannelBundles,
        clock: Clock,
        health: Callable[[], Mapping[str, str]],
        counters: Mapping[str, int],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._service = service
        self._bundles = bundles
        self._clock = clock
        self._health = health
        self._counters = counters

    def collect(self) -> Iterator[Sample]:
        """Yield every sample of what can be asked now."""
        yield from self._authorities()
        yield from self._channels()
        yield from self._register()
        for part, state in self._health().items():
            yield Sample("trus_part_well", {"part": part}, float(state == OK))
        for name, count in self._counters.items():
            yield Sample("trus_count_total", {"what": name}, count)

    def _authorities(self) -> Iterator[Sample]:
        for each in self._service.authorities:
            labels = {"where": "individual authority", "what": f"issuing {each.version}"}
            yield Sample(_END, labels, each.certificate.not_valid_after_utc.timestamp())
        yield Sample(
            _END, {"where": _ROOT, "what": "certificate"}, self._service.anchor.not_valid_after_utc.timestamp()
        )
        try:
            lists = read_crls(root_list_path(self._settings))
        except ConfigurationError:
            return  # HEALTH and doctor say why
        for crl in lists:
            if crl.next_update_utc is not None:
                yield Sample(_END, {"where": _ROOT, "what": "revocation list"}, crl.next_update_utc.timestamp())
            yield Sample(_SIGNED, {"where": _ROOT, "what": "revocation list"}, crl.last_update_utc.timestamp())

    def _channels(self) -> Iterator[Sample]:
        channels = {"link port": self._settings.link.tls}
        if self._settings.admin is not None:
            channels["console"] = self._settings.admin.tls
        yield from channel_samples(channels)
        try:
            for each in ends_of(self._bundles):
                labels = {"where": "channel bundles", "what": each.stem}
                yield Sample(_END, labels, each.until.timestamp())
        except ConfigurationError:
            return

    def _register(self) -> Iterator[Sample]:
        now = self._clock.now()
        try:
            with self._registry.reading() as view:
                soon = view.directory.count(ending(now))
                good = view.directory.count(Wanted(states=LIVE, ends_after=microseconds(now)))
                lists = view.directory.lists()
                admins = list(ends_of_admins(view.identities.admins()))
        except LedgerError:
            return  # the part "database" says so
        yield Sample("trus_devices_certificates", {"state": "good"}, good)
        yield Sample("trus_devices_certificates", {"state": f"ending within {EXPIRING_DAYS} days"}, soon)
        for each in lists:
            labels = {"where": each.authority, "what": f"{each.kind} list"}
            yield Sample(_END, labels, moment(each.next_update).timestamp())
        for admin in admins:
            if admin.until is not None:
                yield Sample(_END, {"where": "admins", "what": admin.name}, admin.until.timestamp())
