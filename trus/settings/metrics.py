"""Keeps a file of metrics that a collector of text files reads: what ends when, what is well, what was counted.

Opens no port: the backend has none but its link port. The format is Prometheus's text exposition (version
0.0.4). A file is replaced whole, so that a reader never sees half of it; it is written by whoever calls `keep`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from trus.clock import Clock
from trus.errors import ConfigurationError
from trus.settings.channels import read_channel
from trus.settings.model import TlsSettings
from trus.settings.renewal import expiries

#: Between two writings.
INTERVAL_SECONDS: Final = 15.0

#: Every metric: its type, and what it says.
METRICS: Final[Mapping[str, tuple[str, str]]] = {
    "trus_end_seconds": ("gauge", "When a certificate or a revocation list ends, in seconds since 1970 UTC."),
    "trus_signed_seconds": ("gauge", "When a revocation list was signed, in seconds since 1970 UTC."),
    "trus_devices_certificates": ("gauge", "Devices' certificates that can be used: good, and ending within 30 days."),
    "trus_part_well": ("gauge", "Whether a part of the backend is well, as HEALTH shows it: 1 or 0."),
    "trus_count_total": ("counter", "What the core has counted since it started."),
    "trus_written_seconds": ("gauge", "When this file was written, in seconds since 1970 UTC."),
}
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


class Sample(NamedTuple):
    """One value: the metric's name, its labels, the value."""

    name: str
    labels: Mapping[str, str]
    value: float


def exposition(samples: Iterable[Sample]) -> str:
    """Return the text of samples, those of a metric together under its HELP and TYPE."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in samples:
        said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        by_name.setdefault(name, []).append(f"{name}{{{said}}} {value:.17g}" if said else f"{name} {value:.17g}")
    lines = []
    for name, values in by_name.items():
        kind, text = METRICS[name]
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *values]
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return re.sub(r'[\\"\n]', lambda found: _ESCAPES[found[0]], text)


class MetricsFile:
    """One file, written anew at intervals."""

    def __init__(
        self, path: Path, clock: Clock, collect: Callable[[], Iterable[Sample]], note: Callable[[str, str], None]
    ) -> None:
        """`note(level, text)` tells the operator, once, that the file cannot be written."""
        self._note = note
        self._told = ""
        self._path = path
        self._clock = clock
        self._collect = collect
        self._next = clock.monotonic()

    def keep(self) -> None:
        """Write the file, when it is time to. Raises what `collect` raises."""
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL_SECONDS
            self.write()

    def write(self) -> None:
        """Write the file now, readable by everybody who may see its folder: nothing in it is secret."""
        try:
            self._replace()
            self._told = ""
        except OSError as error:
            problem = f"no metrics: {self._path} cannot be written ({error.strerror})"
            if problem != self._told:
                self._told = problem
                self._note("error", problem)

    def _replace(self) -> None:
        samples = [*self._collect(), Sample("trus_written_seconds", {}, int(self._clock.now().timestamp()))]
        fresh = self._path.with_name(f".{self._path.name}.new")
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(exposition(samples))
        fresh.replace(self._path)


def channel_samples(channels: Mapping[str, TlsSettings]) -> list[Sample]:
    """Return when each channel's certificates and lists end; a channel whose files cannot be read has none."""
    samples = []
    for name, tls in channels.items():
        try:
            files = read_channel(tls)
        except ConfigurationError:
            continue  # the log and doctor say why; that the samples are missing is what a collector sees
        for expiry in expiries(files):
            labels = {"where": name, "what": expiry.what.removeprefix("the ")}
            samples.append(Sample("trus_end_seconds", labels, expiry.until.timestamp()))
        for crl in files.crls:
            signed = crl.last_update_utc.timestamp()
            samples.append(Sample("trus_signed_seconds", {"where": name, "what": "revocation list"}, signed))
    return samples


class MetricsService(Service):
    """Writes a role's file of metrics while the role runs."""

    def __init__(self, file: MetricsFile, reactor: IReactorTime) -> None:
        self._loop = LoopingCall(file.write)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Begin to write."""
        Service.startService(self)
        self._loop.start(INTERVAL_SECONDS)

    def stopService(self) -> None:
        """Write no more."""
        Service.stopService(self)
        if self._loop.running:
            self._loop.stop()
