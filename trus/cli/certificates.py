"""`trus certificates`: the work on certificates that needs the token and no running backend.

Issues admins' bundles, replaces those of the channel, renews revocation lists and puts certificates on them.
Individual certificates are the running backend's business and not touched here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import click

from trus.cli.admin_certificates import renew_admin_command
from trus.cli.channels import PLANS, ChannelBundles, read_retiring
from trus.cli.compose import tls_authorities
from trus.cli.keystore import open_token
from trus.cli.layout import Layout, check_admin_name, passphrase_of
from trus.cli.lists import RevocationLists
from trus.cli.policy import policy_of
from trus.cli.provisioning import write_admin
from trus.clock import Clock, Entropy, SystemClock, SystemEntropy
from trus.errors import ConfigurationError, TrusError
from trus.pki.authority import Authority
from trus.pki.channel import ADMIN, CHANNEL, admin_plan, make_bundle
from trus.pki.policy import Policy
from trus.settings.channels import read_passphrase
from trus.settings.loading import load


class Desk(NamedTuple):
    """The TLS authorities of a deployment, with their lists."""

    admins: Authority
    authorities: Mapping[str, Authority]
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
        authorities = {authority.label: authority for authority, _ in lists}
        yield Desk(admins, authorities, kept, Layout(config.absolute().parent), entropy, policy)


@contextmanager
def _asked(config: Path) -> Iterator[Desk]:
    try:
        with open_desk(config, SystemClock(), SystemEntropy()) as desk:
            yield desk
    except TrusError as problem:
        raise click.ClickException(str(problem)) from None


_config = click.option("--config", required=True, type=click.Path(path_type=Path), help="The deployment's trus.yaml.")


@click.group("certificates", short_help="Channel and admins' certificates, revocation lists of TLS.")
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


@certificates_group.command("renew")
@click.argument("name", type=click.Choice(sorted(PLANS)))
@click.option(
    "--overlap", default=30, show_default=True, type=click.IntRange(0, 365), help="Days the former one stays good."
)
@_config
def renew_bundle_command(name: str, overlap: int, config: Path) -> None:
    """Make the next channel certificate NAME, in the place of the former one's file, under the same passphrase.

    Terminals fetch theirs inside their sealed sessions; a running gateway and backend use new files within half a
    minute; for a gateway on another machine copy the file. When the overlap is over the running backend puts the
    former certificate on its authority's list.
    """
    with _asked(config) as desk:
        clock = SystemClock()
        plan, label = PLANS[name]
        authority = desk.authorities.get(label)
        if authority is None:
            raise ConfigurationError(f"this token does not hold the key of the {label} authority")
        bundles = ChannelBundles(desk.layout.pki, desk.entropy)
        former = bundles.read(name).chain[0]
        passphrase = read_passphrase(passphrase_of(bundles.path(name))).decode("utf-8")
        bundle = make_bundle(authority, plan.under(desk.policy), desk.entropy, passphrase)
        until = (clock.now() + timedelta(days=overlap)).replace(microsecond=0)
        bundles.replace(name, bundle.pkcs12, former, until)
        click.echo(f"{bundles.path(name)} holds certificate {bundle.serial:x}")
        click.echo(f"  the former one, {former.serial_number:x}, is good until {until:%Y-%m-%d %H:%M} UTC")


@certificates_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@_config
def list_command(config: Path, as_json: bool) -> None:
    """Show the channel certificates of this deployment, and former ones that are still good."""
    with _asked(config) as desk:
        bundles = ChannelBundles(desk.layout.pki, desk.entropy)
        rows = []
        for stem in PLANS:
            if bundles.path(stem).exists():
                leaf = bundles.read(stem).chain[0]
                serial, end = f"{leaf.serial_number:x}", leaf.not_valid_after_utc
                rows.append({"name": stem, "serial": serial, "until": f"{end:%Y-%m-%d}", "state": "in use"})
        for each in read_retiring(desk.layout.pki):
            over = desk.lists.holds(each.authority, int(each.serial, 16))
            state = "revoked" if over else "former"
            rows.append({"name": each.stem, "serial": each.serial, "until": f"{each.until:%Y-%m-%d}", "state": state})
        if as_json:
            click.echo(json.dumps(rows, indent=2))
            return
        for row in rows:
            click.echo(f"{row['name']:<14} {row['state']:<8} until {row['until']}  {row['serial']}")


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


certificates_group.add_command(renew_admin_command)


def parse_serial(text: str) -> int:
    """Return the serial number that lower- or upper-case hexadecimal digits write. Raises ConfigurationError."""
    digits = text.lower()
    if not 1 <= len(digits) <= 40 or not set(digits) <= set("0123456789abcdef") or int(digits, 16) == 0:
        raise ConfigurationError("a serial number is 1 to 40 hexadecimal digits")
    return int(digits, 16)
