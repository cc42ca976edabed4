"""`trus rotate-key --config FILE`: a new version of K_DB, and the database re-ciphered under it.

Beside a running backend it gives the order to the console and watches: the core does the work between
payments. Without one it does the work itself. Either way a kill at any moment loses nothing, and the
command is given again. Destroys an old version only when told to, and when nothing needs it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from twisted.internet.task import deferLater

from trus.admin.client import AdminClient, AdminReply
from trus.admin.model import RefusalCode
from trus.cli.admin_place import ConsolePlace, place_of
from trus.cli.compose import database_path
from trus.cli.database_keys import TokenKeySource
from trus.cli.keystore import open_token
from trus.cli.policy import policy_of
from trus.cli.reacting import run
from trus.clock import SystemClock, SystemEntropy
from trus.errors import ConfigurationError, StorageFailed
from trus.ledger.backups import take_notes
from trus.ledger.compose import open_under
from trus.ledger.engine import WriterLock
from trus.ledger.rotation import KeyRotation, KeyStatus, RotationRefused
from trus.settings.loading import load
from trus.settings.model import BackendSettings

#: Seconds between two questions how far the core is.
_LOOK_SECONDS: Final = 1.0
#: Who did what this command did without a backend, in the audit chain.
ACTOR: Final = "rotate-key"

Show = Callable[[str], None]
Rows = Sequence[Mapping[str, str]]


class Progress:
    """Shows how far it is: a line each time that it changed, on standard error."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        """Show it, unless it is what was shown last."""
        if text != self._last:
            self._last = text
            click.echo(text, err=True)


def rows_of(status: KeyStatus) -> list[dict[str, str]]:
    """Return the versions as the console's KEY-STATUS shows them."""
    return [
        {"version": str(version), "use": status.use_of(version), "needed": status.need_of(version)}
        for version in status.versions
    ]


def is_done(rows: Rows) -> bool:
    """Return whether one version is used for file and rows alike, and no other for anything."""
    return [row["use"] for row in rows if row["use"]] == ["file,rows"]


def backend_runs(path: Path) -> bool:
    """Return whether a process writes the database at `path` now. Raises StorageFailed when it is not there."""
    if not path.is_file():
        raise StorageFailed(f"there is no database at {path}")
    try:
        WriterLock(path).release()
    except StorageFailed:
        return True
    return False


# ---------------------------------------------------------------------------- without a backend


@contextmanager
def open_rotation(backend: BackendSettings) -> Iterator[KeyRotation]:
    """Open token and ledger for writing, and take up what was broken off. Raises TrusError."""
    clock, path = SystemClock(), database_path(backend)
    with open_token(backend) as store:
        source = TokenKeySource(store)
        opened = open_under(path, source, clock=clock, entropy=SystemEntropy())
        try:
            take_notes(opened.ledger, path, clock.now())
            yield KeyRotation(opened.ledger, path, source, clock, SystemEntropy(), opened.file_version)
        finally:
            opened.ledger.close()


def demand_no_approval(backend: BackendSettings, verb: str) -> None:
    """Raise ConfigurationError when the certificate policy puts this order under others' approval."""
    if policy_of(backend).orders.get(verb, 0):
        raise ConfigurationError(f"the policy lets nobody order {verb} alone: start the backend and give it there")


def rotate_here(rotation: KeyRotation, backend: BackendSettings, show: Show) -> None:
    """Rotate, or finish what was begun, in this process. Raises TrusError."""
    if not rotation.waiting:
        demand_no_approval(backend, "KEY-ROTATE")
        rotation.begin(ACTOR)
    shown = time.monotonic()
    while rotation.waiting:
        if time.monotonic() - shown >= _LOOK_SECONDS:
            shown = time.monotonic()
            show(rotation.status().told)
        rotation.work(time.sleep)
    show(rotation.status().told)


def destroy_here(rotation: KeyRotation, backend: BackendSettings, show: Show) -> bool:
    """Destroy what nothing needs; return whether no old version is left. Raises TrusError."""
    demand_no_approval(backend, "KEY-DESTROY")
    clean = True
    for row in rows_of(rotation.status()):
        if row["use"]:
            continue
        try:
            rotation.destroy(int(row["version"]), ACTOR)
            show(f"Version {row['version']} of K_DB is destroyed.")
        except RotationRefused as refused:
            clean = False
            show(f"{refused}.")
    return clean


# ------------------------------------------------------------------------------ beside a backend


async def give(client: AdminClient, verb: str, **arguments: str) -> AdminReply:
    """Give an order that must not be refused; one that waits for approval is done as far as this goes.

    Raises ConfigurationError with the console's sentence.
    """
    reply = await client.order(verb, arguments)
    if not reply.ok and reply.code != RefusalCode.PENDING:
        raise ConfigurationError(f"the console refused {verb}: {reply.text}")
    return reply


async def rotate_there(client: AdminClient, reactor: Any, show: Show, *, wait: bool) -> Rows:
    """Order a rotation, or watch the one under way, until it is done; return the versions then."""
    status = await give(client, "KEY-STATUS")
    if is_done(status.rows):
        begun = await give(client, "KEY-ROTATE")
        show(begun.text)
        if begun.code == RefusalCode.PENDING:
            return status.rows
        status = await give(client, "KEY-STATUS")
    while wait and not is_done(status.rows):
        await deferLater(reactor, _LOOK_SECONDS)
        status = await give(client, "KEY-STATUS")
        show(status.text)
    return status.rows


async def destroy_there(client: AdminClient, show: Show) -> bool:
    """Order the destruction of what nothing needs; return whether no old version is left."""
    clean = True
    for row in (await give(client, "KEY-STATUS")).rows:
        if not row["use"]:
            reply = await client.order("KEY-DESTROY", {"version": row["version"]})
            clean &= reply.ok
            show(reply.text)
    return clean


async def beside(place: ConsolePlace, reactor: Any, show: Show, work: str, *, wait: bool) -> tuple[Rows, bool]:
    """Do one thing at the console; return the versions afterwards and whether it was all done."""
    client = await place.connect(reactor)
    try:
        clean = True
        if work == "rotate":
            return await rotate_there(client, reactor, show, wait=wait), clean
        if work == "destroy":
            clean = await destroy_there(client, show)
        return (await give(client, "KEY-STATUS")).rows, clean
    finally:
        await client.close()


def here(backend: BackendSettings, show: Show, work: str) -> tuple[Rows, bool]:
    """Do one thing in this process; return the versions afterwards and whether it was all done."""
    with open_rotation(backend) as rotation:
        clean = True
        if work == "rotate":
            rotate_here(rotation, backend, show)
        elif work == "destroy":
            clean = destroy_here(rotation, backend, show)
        return rows_of(rotation.status()), clean


# -------------------------------------------------------------------------------------- command


@click.command("rotate-key", short_help="Re-cipher the database under a new K_DB.")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The deployment's trus.yaml.")
@click.option("--status", "work", flag_value="status", help="Only show the versions and what needs each.")
@click.option("--destroy-old", "work", flag_value="destroy", help="Destroy the versions that nothing needs.")
@click.option("--as", "name", help="The admin who orders it.  [default: the only one in DIR/admins]")
@click.option("--p12", type=click.Path(path_type=Path), help="That admin's certificate.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Its passphrase.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the core to be done.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def rotate_key_command(
    config: Path,
    work: str | None,
    name: str | None,
    p12: Path | None,
    passphrase_file: Path | None,
    no_wait: bool,
    as_json: bool,
) -> int:
    """Make a new version of K_DB and re-cipher the database under it.

    Beside a running backend the order goes to its console, and payments go on meanwhile. The old version
    stays until it is destroyed with --destroy-old, which is refused while anything needs it (exit code 1).
    """
    backend = load(config).backend
    if backend is None:
        raise ConfigurationError(f"{config} has no backend section: it keeps no ledger")
    show, work, began = Progress(), work or "rotate", time.monotonic()
    online = backend_runs(database_path(backend))
    if online:
        place = place_of(config, name=name, bundle=p12, passphrase_file=passphrase_file)
        rows, clean = run(lambda reactor: beside(place, reactor, show, work, wait=not no_wait))
    else:
        rows, clean = here(backend, show, work)
    if as_json:
        seconds = round(time.monotonic() - began, 3)
        told = {"online": online, "done": is_done(rows), "seconds": seconds, "versions": list(rows)}
        click.echo(json.dumps(told, indent=2))
    else:
        for row in rows:
            need = f", needed {row['needed']}" if row["needed"] else ""
            click.echo(f"version {row['version']}: {row['use'] or 'nothing new'}{need}")
    return 0 if clean else 1
