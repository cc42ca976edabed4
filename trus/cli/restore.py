"""`trus restore --from FILE --into DIR ...`: a deployment from a backup, with both officers' keys.

Shows each step and, when something does not hold, one sentence and exit code 1; nothing is left behind
then (trus.cli.restoring).
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Final

import click
from cryptography.hazmat.primitives.asymmetric import ec

from trus.backup.archive import read_header
from trus.backup.errors import BackupRefused
from trus.backup.officers import open_key
from trus.cli.officer import read_secret
from trus.cli.restoring import Restored, Restorer, Wishes, told_loss
from trus.clock import SystemClock, SystemEntropy
from trus.hsm.session import read_pin
from trus.ledger.demanded import KnownHead, read_known

#: Said instead of a head by who knows none.
NO_HEAD: Final = "none"
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}\Z")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def known_heads(said: str) -> tuple[KnownHead, ...]:
    """Return the heads that were named: a digest, a file of exported heads, or none. Raises TrusError, OSError."""
    if said == NO_HEAD:
        return ()
    if _DIGEST.match(said):
        return tuple(read_known(said))
    return tuple(read_known(Path(said).read_text("utf-8", errors="replace")))


def open_keys(paths: tuple[Path, ...], passphrases: tuple[Path, ...]) -> list[ec.EllipticCurvePrivateKey]:
    """Return the officers' keys, asking for passphrases that no file holds. Raises BackupRefused, OSError."""
    if len(paths) != 2:
        raise BackupRefused("a backup opens with two officers' keys: give --officer-key twice")
    if passphrases and len(passphrases) != len(paths):
        raise BackupRefused("give --officer-passphrase-file once for each key, in the same order, or not at all")
    files = passphrases or (None,) * len(paths)
    return [open_key(path.read_bytes(), read_secret(file, path.name)) for path, file in zip(paths, files, strict=True)]


def check_date(text: str) -> None:
    """Raise BackupRefused unless the text is a date of the calendar."""
    try:
        date.fromisoformat(text if _DATE.match(text) else "")
    except ValueError:
        raise BackupRefused("a business date is YYYY-MM-DD") from None


@click.command("restore", short_help="Restore a backup, with both officers' keys.")
@click.option("--from", "archive", required=True, type=click.Path(path_type=Path), help="The archive.")
@click.option("--into", required=True, type=click.Path(path_type=Path), help="A folder that is missing or empty.")
@click.option("--officer-key", "keys", required=True, multiple=True, type=click.Path(path_type=Path), help="Two keys.")
@click.option(
    "--officer-passphrase-file",
    "passphrases",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A passphrase for each key, in their order.  [default: asked]",
)
@click.option("--last-head", required=True, metavar="FILE|HASH|none", help="The last exported head that is known.")
@click.option("--pin-file", type=click.Path(path_type=Path), help="The token's PIN, kept apart from the backup.")
@click.option("--accept-loss", is_flag=True, help="Restore though it is older than --last-head; it is recorded.")
@click.option("--business-date", default="", metavar="YYYY-MM-DD", help="Open this date.  [default: today, or later]")
def restore_command(
    archive: Path,
    into: Path,
    keys: tuple[Path, ...],
    passphrases: tuple[Path, ...],
    last_head: str,
    pin_file: Path | None,
    accept_loss: bool,
    business_date: str,
) -> None:
    """Restore the backup of a backend into a new folder.

    --last-head is the newest file of exported heads that was kept elsewhere (heads-YYYY-MM.jsonl), or the
    SHA-256 of a head's document. A backup that does not reach it is older than what was: it is restored
    only with --accept-loss, and the ledger says so for ever.
    """
    if business_date:
        check_date(business_date)
    known = known_heads(last_head)
    pin = None if pin_file is None else read_pin(pin_file)
    with archive.open("rb") as file:
        header, _ = read_header(file)
        click.echo(f"backup {header.backup}, for {header.officers[0].name} and {header.officers[1].name}", err=True)
        file.seek(0)
        opened = open_keys(keys, passphrases)
        restorer = Restorer(SystemClock(), SystemEntropy(), lambda step: click.echo(f"  {step}", err=True))
        restored = restorer.restore(file, into, opened, Wishes(known, accept_loss, business_date), pin)
    click.echo(describe(restored))


def describe(restored: Restored) -> str:
    """Return what was restored, and what to do next."""
    manifest = restored.manifest
    what = f"ledger {manifest.ledger}, epoch {restored.epoch}, business date {restored.business_date}"
    lines = [f"{restored.config} is restored: {what}"]
    if restored.lost is not None:
        lines.append(f"  {told_loss(restored.lost, manifest.head.number)}; this is on record")
    if manifest.left_out:
        lines.append(f"  not in the backup, to be brought from where they are kept: {', '.join(manifest.left_out)}")
    lines.append(f"  look at it  trus doctor --config {restored.config}")
    lines.append(f"  start it    twistd -n trus --config {restored.config}")
    return "\n".join(lines)
