"""`trus certificates renew-admin`: renews an admin's certificate by hand, for whoever cannot come in any more.

Works with the token's PIN alone, and not while a backend runs: that one has the console for it. On record like
any other order.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import click

from trus.auth.model import State
from trus.cli.admin_bundles import find_maker
from trus.cli.compose import open_books, tls_authorities
from trus.cli.database_keys import TokenKeySource
from trus.cli.keystore import open_token
from trus.cli.layout import check_admin_name
from trus.cli.policy import policy_of
from trus.clock import Clock, Entropy, SystemClock, SystemEntropy
from trus.errors import ConfigurationError, TrusError
from trus.issuing.admins import OVERLAP_DAYS, put_in_place, shown_end
from trus.issuing.desk import ORDER_KIND, MadeCertificate
from trus.issuing.identities import moment
from trus.ledger.registry import Registry
from trus.ledger.registry_values import AdminRow
from trus.pki.channel import ADMIN
from trus.settings.loading import load

#: The order that renews, and who gave it when it was given by hand.
RENEW: Final = "ADMIN-RENEW"
OPERATOR: Final = "operator"


def renew_by_hand(config: Path, name: str, overlap: timedelta, clock: Clock, entropy: Entropy) -> str:
    """Renew an admin's certificate while no backend runs; return what to tell. Raises TrusError."""
    check_admin_name(name)
    backend = load(config).backend
    if backend is None:
        raise ConfigurationError("the configuration has no backend section, so no token")
    policy = policy_of(backend)
    with open_token(backend) as store:
        maker = find_maker(backend, tls_authorities(backend, store, clock, entropy), policy, entropy)
        if maker is None:
            raise ConfigurationError(f"this token does not hold the key of the {ADMIN} authority")
        opened = open_books(backend, TokenKeySource(store), clock, entropy)
        try:
            registry = Registry(opened.ledger)
            with registry.reading() as view:
                row = view.identities.admin(name)
                others = [each for each in view.identities.admins() if each.name != name and _may_come(each, clock)]
            if row is None or row.state != State.ACTIVE:
                raise ConfigurationError(f"there is no admin {name} who may come in")
            if len(others) >= policy.orders.get(RENEW, 0) > 0:
                raise ConfigurationError(
                    f"the policy lets nobody order {RENEW} alone, and others can approve: start the backend and give it"
                )
            made = maker.make(name)
            with registry.changing(clock.now()) as change:
                figures = put_in_place(change, row, made, overlap)
                change.post(kind=ORDER_KIND, actor=OPERATOR, rule=RENEW, figures=figures)
        finally:
            opened.ledger.close()
    return _told(row, made, str(figures["former-until"]), clock.now())


def _may_come(row: AdminRow, clock: Clock) -> bool:
    return row.state == State.ACTIVE and (row.not_after == 0 or moment(row.not_after) > clock.now())


def _told(row: AdminRow, made: MadeCertificate, until: str, now: datetime) -> str:
    ended = bool(row.not_after) and moment(row.not_after) <= now
    former = f"ended {shown_end(row.not_after)}" if ended else f"is accepted until {until}"
    return (
        f"{made.file} holds certificate {made.serial} of {row.name}, good until {made.not_after:%Y-%m-%d}\n"
        f"  the former one, {row.serial}, {former}"
    )


@click.command("renew-admin")
@click.argument("name")
@click.option(
    "--overlap",
    default=OVERLAP_DAYS,
    show_default=True,
    type=click.IntRange(0, 365),
    help="Days the former one is accepted.",
)
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The deployment's trus.yaml.")
def renew_admin_command(name: str, overlap: int, config: Path) -> None:
    """Renew the certificate of the admin NAME under the same name, while no backend runs.

    For an admin who cannot come in any more; others give ADMIN-RENEW at the console. Needs the token's PIN,
    and is on record.
    """
    try:
        click.echo(renew_by_hand(config, name, timedelta(days=overlap), SystemClock(), SystemEntropy()))
    except TrusError as problem:
        raise click.ClickException(str(problem)) from None
