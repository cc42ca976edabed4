"""Puts renewed certificates and revocation lists to use while a role runs.

Opens no port. Looks at the files at intervals and reloads the channel when one has changed;
what cannot be used is logged and the former stays in use. Warns in time of what is about to
expire: an expired revocation list refuses every peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from cryptography import x509
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from trus.clock import Clock
from trus.errors import ConfigurationError
from trus.net.credentials import ChannelCredentials
from trus.settings.channels import ChannelFiles, read_channel
from trus.settings.model import TlsSettings

#: Between two looks at the files: a new revocation list is in force this much later at most.
_INTERVAL_SECONDS: Final = 30.0
#: A certificate that ends within this time is warned of.
_WARN_BEFORE: Final = timedelta(days=14)
#: A revocation list is warned of in the last part of its life: its successor is late.
_LAST_PART: Final = 0.25
#: Between two warnings of the same channel.
_WARN_EVERY: Final = timedelta(hours=6)


class Reloadable(Protocol):
    """A channel of trus.net."""

    def reload(
        self,
        credentials: ChannelCredentials,
        *,
        anchors: Sequence[x509.Certificate] | None = None,
        crls: Sequence[x509.CertificateRevocationList] = (),
    ) -> None:
        """Use these from the next connection on. Raises ConfigurationError."""
        ...


class ChannelRenewal(Service):
    """Keeps one channel up to date with its files.

    `name` says for people which channel, such as "device port".
    """

    _log = Logger()

    def __init__(
        self, name: str, tls: TlsSettings, channels: Sequence[Reloadable], reactor: IReactorTime, clock: Clock
    ) -> None:
        self._name = name
        self._tls = tls
        self._channels = channels
        self._reactor = reactor
        self._clock = clock
        self._seen = _stamps(tls)
        self._warned: datetime | None = None
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin to look."""
        Service.startService(self)
        self._call = self._reactor.callLater(0, self._look, True)

    def stopService(self) -> None:
        """Look no more."""
        Service.stopService(self)
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def look(self) -> None:
        """Look at the files now, as an operator's command or a test may ask."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._look()

    def _look(self, first: bool = False) -> None:
        self._call = self._reactor.callLater(_INTERVAL_SECONDS, self._look)
        stamps = _stamps(self._tls)
        changed = stamps != self._seen
        now = self._clock.now()
        due = self._warned is None or now - self._warned >= _WARN_EVERY
        if not (changed or first or due):
            return
        self._seen = stamps
        try:
            files = read_channel(self._tls)
            if changed:
                for channel in self._channels:
                    channel.reload(files.credentials, anchors=files.anchors, crls=files.crls)
        except ConfigurationError as problem:
            self._log.error("{name}: the former files stay in use: {problem}", name=self._name, problem=str(problem))
            return
        if changed:
            self._log.info("{name}: certificates and lists were renewed", name=self._name)
        self._warn(files, now)

    def _warn(self, files: ChannelFiles, now: datetime) -> None:
        self._warned = now
        for expiry in expiries(files):
            if now >= expiry.until:
                self._log.error("{name}: {what} ended {until}", name=self._name, what=expiry.what, until=expiry.until)
            elif now >= expiry.warn_from:
                self._log.warn("{name}: {what} ends {until}", name=self._name, what=expiry.what, until=expiry.until)


class Expiry(NamedTuple):
    """When something ends, and when an operator should be told (both aware, UTC)."""

    what: str
    until: datetime
    warn_from: datetime


def expiries(files: ChannelFiles) -> list[Expiry]:
    """Return what of a channel's files ends when."""
    certificates = [("the certificate", each) for each in files.credentials.chain]
    certificates += [("the authority", each) for each in files.anchors]
    found = [
        Expiry(what, each.not_valid_after_utc, each.not_valid_after_utc - _WARN_BEFORE) for what, each in certificates
    ]
    for crl in files.crls:
        until = crl.next_update_utc
        if until is not None:
            found.append(Expiry("the revocation list", until, until - (until - crl.last_update_utc) * _LAST_PART))
    return found


def _stamps(tls: TlsSettings) -> tuple[tuple[int, int], ...]:
    """Return what changes when a file is replaced: times in nanoseconds and inodes."""
    stamps = []
    for path in (tls.certificate, tls.passphrase_file, tls.anchors, tls.crl):
        try:
            status = path.stat()
            stamps.append((status.st_mtime_ns, status.st_ino))
        except OSError:
            stamps.append((0, 0))
    return tuple(stamps)
