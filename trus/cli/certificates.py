"""`trus certificates`: the work on certificates that needs the token and no running backend.

Issues admins' bundles, renews revocation lists and puts channel certificates on them.
Individual certificates are the running backend's business and not touched here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from trus.cli.compose import tls_authorities
from trus.cli.keystore import open_token
from trus.cli.layout import Layout, check_admin_name
from trus.cli.lists import RevocationLists
from trus.cli.policy import policy_of
from trus.cli.provisioning import write_admin
from trus.clock import Clock, Entropy, SystemClock, SystemEntropy
from trus.errors import ConfigurationError, TrusError
from trus.pki.authority import Authority
from trus.pki.channel import ADMIN, CHANNEL, admin_plan, make_bundle
from trus.pki.policy import Policy
from trus.settings.loading import load


class Desk(NamedTuple):
    """The TLS authorities of a deployment, with their lists."""

    admins: Authority
    lists: RevocationLists
    layout: Layout
    entropy: Entropy
    policy: Policy


@contextmanager
def open_desk(config: Path, clock: Clock, entropy: Entropy) -> Iterator[Desk]:
    """Open the token that a configuration names, and find its TLS authorities. Raises TrusError."""
    backend = load(config).backend
    if backend is None:
        raise ConfigurationError("the configuration has no backend section, so no token")
    with open_token(backend) as store:
        admins = Authority(store, store, ADMIN, clock, entropy)
        lists = tls_authorities(backend, store, clock, entropy)
        policy = policy_of(backend)
        kept = RevocationLists(lists, clock, policy.crl_validity)
        yield Desk(admins, kept, Layout(config.absolute().parent), entropy, policy)


@contextmanager
def _asked(config: Path) -> Iterator[Desk]:
    try:
        with open_desk(config, SystemClock(), SystemEntropy()) as desk:
            yield desk
    except TrusError as problem:
        raise click.ClickException(str(problem)) from None


_config = click.option("--config", required=True, type=click.Path(path_type=Path), help="The deployment's trus.yaml.")


@click.group("certificates", short_help="Admins' certificates, revocation lists of TLS.")
def certificates_group() -> None:
    """Work on certificates that needs the token."""


@certificates_group.command("admin")
@click.argument("name")
@_config
def admin_command(name: str, config: Path) -> None:
    """Make a certificate for the admin NAME, and print the console command that lets its holder in."""
    with _asked(config) as desk:
        check_admin_name(name)
        bundle = make_bundle(desk.admins, admin_plan(name).under(desk.policy), desk.entropy)
        write_admin(desk.layout, name, bundle)
        click.echo(f"{desk.layout.admin_bundle(name)} is made; an administrator lets its holder in with")
        click.echo(f"  ADMIN-ADD admin={name} serial={bundle.serial:x} roles=ROLE,ROLE")


@certificates_group.command("renew-lists")
@_config
def renew_command(config: Path) -> None:
    """Sign the revocation lists of TLS anew, whether or not they are due."""
    with _asked(config) as desk:
        for label in desk.lists.renew():
            click.echo(f"the list of the {label} authority is renewed")


@certificates_group.command("revoke")
@click.argument("authority", type=click.Choice([CHANNEL, ADMIN]))
@click.argument("serial")
@_config
def revoke_command(authority: str, serial: str, config: Path) -> None:
    """Put the certificate SERIAL (hexadecimal) of an AUTHORITY on its list, for ever.

    A running gateway and backend use the new list within half a minute.
    """
    with _asked(config) as desk:
        desk.lists.revoke(authority, parse_serial(serial))
        click.echo(f"{serial} is on the list of the {authority} authority")


def parse_serial(text: str) -> int:
    """Return the serial number that lower- or upper-case hexadecimal digits write. Raises ConfigurationError."""
    digits = text.lower()
    if not 1 <= len(digits) <= 40 or not set(digits) <= set("0123456789abcdef") or int(digits, 16) == 0:
        raise ConfigurationError("a serial number is 1 to 40 hexadecimal digits")
    return int(digits, 16)
