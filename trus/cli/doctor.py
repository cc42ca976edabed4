"""`trus doctor --config FILE`: the health of what a deployment stands on.

Changes nothing: the token is read, the database opened for reading alone. One check a
function; each returns findings, and none hides another's.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trus.cli.channels import ChannelBundles, ends_of
from trus.cli.check_config import check
from trus.cli.doctor_authorities import check_authorities
from trus.cli.doctor_keys import check_token_and_database
from trus.cli.findings import Finding, State
from trus.clock import Clock, SystemClock, SystemEntropy
from trus.errors import TrusError
from trus.settings.channels import read_channel
from trus.settings.model import BackendSettings, GatewaySettings, Settings, TlsSettings
from trus.settings.renewal import expiries

#: Seconds to wait for a port's answer.
_CONNECT_SECONDS: Final = 2.0


_STYLES: Final = {State.OK: "green", State.WARNING: "yellow", State.WRONG: "bold red"}


def examine(settings: Settings, clock: Clock) -> list[Finding]:
    """Return the findings of every check that applies to the roles of `settings`."""
    checks: list[Callable[[], Iterator[Finding]]] = [lambda: check_channels(settings, clock.now())]
    backend = settings.backend
    if backend is not None:
        checks.append(lambda: check_bundles(backend, clock.now()))
        checks.append(lambda: check_authorities(backend, clock.now()))
        checks.append(lambda: check_token_and_database(backend, clock))
    checks.append(lambda: check_ports(settings))
    return [finding for each in checks for finding in each()]


# ------------------------------------------------------------------------- certificates, lists


def check_channels(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Open every channel's files, and look at when they end."""
    for name, tls in _channels(settings.gateway, settings.backend):
        try:
            files = read_channel(tls)
        except TrusError as problem:
            yield Finding(name, State.WRONG, str(problem))
            continue
        for expiry in expiries(files):
            left = _span(expiry.until - now)
            if now >= expiry.until:
                yield Finding(name, State.WRONG, f"{expiry.what} ended {left} ago")
            elif now >= expiry.warn_from:
                yield Finding(name, State.WARNING, f"{expiry.what} ends in {left}")
            else:
                yield Finding(name, State.OK, f"{expiry.what} is good for {left}")
        for crl in files.crls:
            yield Finding(name, State.OK, f"the revocation list is {_span(now - crl.last_update_utc)} old")


def check_bundles(backend: BackendSettings, now: datetime) -> Iterator[Finding]:
    """Look at when the bundles end that are handed to terminals, cards and the website."""
    bundles = ChannelBundles(backend.identity.anchor.parent, SystemEntropy())
    try:
        for each in ends_of(bundles):
            left = f"the certificate of {each.stem} "
            if now >= each.until:
                yield Finding("channel bundles", State.WRONG, f"{left}ended {_span(now - each.until)} ago")
            elif now >= each.renew_from:
                told = f"{left}ends in {_span(each.until - now)}: trus certificates renew {each.stem}"
                yield Finding("channel bundles", State.WARNING, told)
            else:
                yield Finding("channel bundles", State.OK, f"{left}is good for {_span(each.until - now)}")
    except TrusError as problem:
        yield Finding("channel bundles", State.WRONG, str(problem))


def _channels(gateway: GatewaySettings | None, backend: BackendSettings | None) -> Iterator[tuple[str, TlsSettings]]:
    if gateway is not None:
        yield "device port", gateway.devices.tls
        yield "link to backends", gateway.link.tls
    if backend is not None:
        yield "link port", backend.link.tls
        if backend.admin is not None:
            yield "console", backend.admin.tls


# ---------------------------------------------------------------------------------------- ports


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Knock at every port that the roles of this file open."""
    for name, host, port in _ports(settings):
        try:
            socket.create_connection((_reachable(host), port), _CONNECT_SECONDS).close()
        except OSError:
            yield Finding(name, State.WARNING, f"nobody answers on {host} port {port}: not started?")
        else:
            yield Finding(name, State.OK, f"answers on {host} port {port}")


def _ports(settings: Settings) -> Iterator[tuple[str, str, int]]:
    gateway, backend = settings.gateway, settings.backend
    if gateway is not None:
        yield "device port", gateway.devices.host, gateway.devices.port
        if gateway.admin is not None:
            yield "admin port", gateway.admin.host, gateway.admin.port
        if gateway.directory is not None:
            yield "directory port", gateway.directory.host, gateway.directory.port
        if backend is None:
            for each in gateway.link.backends:
                yield f"link port of {each.name}", each.host, each.port
    if backend is not None:
        yield "link port", backend.link.host, backend.link.port


def _reachable(host: str) -> str:
    """Return where to knock for a port that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def _span(span: timedelta) -> str:
    seconds = abs(int(span.total_seconds()))
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"


# -------------------------------------------------------------------------------------- command


def show(findings: list[Finding], console: Console) -> None:
    """Print the findings as a table."""
    table = Table("what", "state", "finding")
    for finding in findings:
        # Text, not markup: a path may hold brackets.
        table.add_row(finding.subject, Text(finding.state, _STYLES[finding.state]), Text(finding.text))
    console.print(table)


@click.command("doctor", short_help="Look at token, database, certificates and ports.")
@click.option("--config", "config", type=click.Path(path_type=Path), required=True, help="The configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def doctor_command(config: Path, as_json: bool) -> int:
    """Look at what a deployment stands on: token, database, certificates, lists, ports.

    Exits 1 when something is wrong; warnings alone exit 0.
    """
    findings = examine(check(config), SystemClock())
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        show(findings, Console())
    return 1 if any(finding.state is State.WRONG for finding in findings) else 0
