"""`trus officer`: keys and certificates of the two officers who open backups together.

Runs anywhere, best on the officer's own machine: only the certificate goes to where backups are made.
"""

from __future__ import annotations

from pathlib import Path

import click

from trus.backup.errors import BackupRefused
from trus.backup.officers import new_officer, read_certificate
from trus.cli.layout import write_private
from trus.clock import SystemClock


@click.group("officer", short_help="Keys of the officers who open backups.")
def officer_group() -> None:
    """Make and show officers' keys. A backup opens with two of them together."""


@officer_group.command("new")
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder for key and certificate.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="The passphrase, one line.  [default: asked]")
def new_command(name: str, out: Path, passphrase_file: Path | None) -> None:
    """Make a P-256 key under a passphrase, and a certificate that names NAME."""
    made = new_officer(name, read_secret(passphrase_file, name, confirm=True), SystemClock())
    stem = "".join(each if each.isalnum() else "-" for each in name.lower())
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    key, certificate = out / f"{stem}.key", out / f"{stem}.pem"
    if certificate.exists():
        raise BackupRefused(f"{certificate} exists already")
    write_private(key, made.key_pem)
    write_private(certificate, made.certificate_pem)
    click.echo(f"{key} stays with {name}; {certificate} goes to where backups are made")
    click.echo(f"  key {made.officer.fingerprint.hex()}")


@officer_group.command("show")
@click.argument("certificate", type=click.Path(path_type=Path))
def show_command(certificate: Path) -> None:
    """Show whose CERTIFICATE it is, and the fingerprint to compare with the officer's own."""
    officer = read_certificate(certificate.read_bytes(), SystemClock().now())
    click.echo(f"{officer.name}\n  key {officer.fingerprint.hex()}")


def read_secret(file: Path | None, whose: str, *, confirm: bool = False) -> bytes:
    """Return a passphrase: the first line of a file, or what is typed. Raises BackupRefused, OSError."""
    if file is None:
        typed: str = click.prompt(f"Passphrase of {whose}", hide_input=True, confirmation_prompt=confirm, err=True)
        return typed.encode("utf-8")
    lines = file.read_bytes().splitlines()
    if len(lines) != 1 or not lines[0]:
        raise BackupRefused(f"{file} must hold a passphrase on one line")
    return lines[0]
