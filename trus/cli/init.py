"""`trus init DIR`: provisions a deployment in one folder and says how to go on.

Shows each step and, when something cannot be done, one sentence and exit code 1; nothing is
left behind then (trus.cli.provisioning).
"""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from trus.cli.layout import InitOptions, Layout, passphrase_of
from trus.cli.provisioning import Provisioned, provision
from trus.cli.signals import end_as_interrupted
from trus.clock import SystemClock, SystemEntropy
from trus.errors import TrusError
from trus.pki.channel import ADMIN, ADMIN_HOST

_DEFAULT = InitOptions()


@click.command("init", short_help="Provision a deployment in a new folder.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--currency", default=_DEFAULT.currency, show_default=True, help="ISO 4217 code of all accounts.")
@click.option("--admin", "admins", multiple=True, help="Name of an admin (may be repeated).  [default: admin]")
@click.option("--officer", "officers", multiple=True, help="Who attends the root's ceremony (twice).")
@click.option("--name", default=_DEFAULT.name, show_default=True, help="Name of the network.")
@click.option("--host", default=_DEFAULT.host, show_default=True, help="Address that the ports are opened on.")
@click.option("--devices-port", type=int, default=_DEFAULT.devices_port, show_default=True)
@click.option("--admin-port", type=int, default=_DEFAULT.admin_port, show_default=True)
@click.option("--link-port", type=int, default=_DEFAULT.link_port, show_default=True)
@click.option("--directory-port", type=int, default=7004, show_default=True, help="0: no directory port.")
@click.option("--iin", default=_DEFAULT.iin, show_default=True, help="Issuer identification number of the cards.")
@click.option("--module", default="", help="PKCS#11 library.  [default: SoftHSM, found]")
def init_command(
    directory: Path,
    currency: str,
    admins: tuple[str, ...],
    officers: tuple[str, ...],
    name: str,
    host: str,
    devices_port: int,
    admin_port: int,
    link_port: int,
    directory_port: int,
    iin: str,
    module: str,
) -> None:
    """Provision a deployment in DIRECTORY: token, authorities, certificates, ciphered ledger, settings.

    DIRECTORY must be missing or empty.
    """
    options = InitOptions(
        currency=currency,
        admins=admins or _DEFAULT.admins,
        officers=officers or _DEFAULT.officers,
        name=name,
        host=host,
        devices_port=devices_port,
        admin_port=admin_port,
        link_port=link_port,
        directory_port=directory_port,
        module=module,
        iin=iin,
    )
    end_as_interrupted()
    try:
        made = provision(directory, options, SystemClock(), SystemEntropy(), lambda step: click.echo(f"  {step}"))
    except TrusError as problem:
        raise click.ClickException(str(problem)) from None
    click.echo(describe(made, options))


def describe(made: Provisioned, options: InitOptions) -> str:
    """Return what an operator does next."""
    layout = Layout(Path(made.directory))
    admin = layout.admin_bundle(options.admins[0])
    console = [
        "openssl",
        "s_client",
        "-quiet",
        "-connect",
        f"{options.host}:{options.admin_port}",
        "-servername",
        ADMIN_HOST,
        "-verify_hostname",
        ADMIN_HOST,
        "-verify_return_error",
        "-CAfile",
        str(layout.authority(ADMIN)),
        "-cert",
        str(admin.with_suffix(".pem")),
        "-key",
        str(admin.with_suffix(".key")),
    ]
    return "\n".join(
        [
            f"{made.directory} is ready.",
            f"  start it        twistd -n trus --config {shlex.quote(made.config)}",
            f"  its console     trus admin --config {shlex.quote(made.config)}",
            f"  or with openssl {shlex.join(console)}",
            f"  its admin       {admin}, passphrase in {passphrase_of(admin)}",
            f"Keep {layout.officer_pin_file} somewhere else: it is needed only to set a new token PIN.",
            f"Take {layout.root_token} off this machine: the network runs without its root. Give part-1 and",
            "part-2 in it to two people; only both together open it (docs/how-to/ca-ceremony.md).",
        ]
    )


__all__ = ["InitOptions", "Provisioned", "describe", "init_command", "provision"]
