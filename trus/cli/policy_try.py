"""`trus policy try --config FILE`: replays past traffic under a policy not yet in force, and says what would change.

Changes nothing and may run beside the backend: it reads one snapshot of the ledger, under a key that the token
derives, and decides again what a policy decides (trus.auth.whatif). Cards are shown by the issuer's references,
never by number or name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from trus.admin.commands import COMMANDS, check_arguments
from trus.auth.policy import Policy, policy_at
from trus.auth.whatif import Change, WhatIf
from trus.cli.compose import database_path
from trus.cli.database_keys import file_key
from trus.cli.keystore import open_token
from trus.clock import SystemClock
from trus.errors import ConfigurationError
from trus.issuing.policies import changed
from trus.ledger.compose import open_for_reading
from trus.ledger.past import PastCompany, PastReader, reading_past
from trus.money import format_amount
from trus.settings.loading import load

#: Business dates that are replayed unless told.
USUAL_DAYS: Final = 30
#: Days before them whose purchases fill the counters: a month, so that none begins empty.
WARM_UP_DAYS: Final = 31
_VERB: Final = "POLICY-SET"


class Tried(NamedTuple):
    """What one company's past would have been: requests decided again, and those answered otherwise."""

    company: str
    currency: str
    policy: str
    judged: int
    changes: tuple[Change, ...]


class Wanted(NamedTuple):
    """Which policy is tried on what: fields of POLICY-SET, or one that is stored already; ledger dates."""

    company: str = ""
    fields: Mapping[str, str] = {}
    valid_from: str = ""
    since: str = ""
    until: str = ""


def try_policy(past: PastReader, wanted: Wanted, now: datetime) -> list[Tried]:
    """Return what would have been for each company. Raises ConfigurationError, CommandRefused, StorageFailed."""
    until = wanted.until or past.last_date()
    since = wanted.since or _days_before(until, USUAL_DAYS - 1)
    if since > until:
        raise ConfigurationError(f"{since} is after {until}: there is nothing to replay")
    companies = past.companies(wanted.company)
    if not companies:
        raise ConfigurationError("there is no such company" if wanted.company else "there is no company")
    return [_try_one(past, each, wanted, since, until, now) for each in companies]


def _try_one(past: PastReader, company: PastCompany, wanted: Wanted, since: str, until: str, now: datetime) -> Tried:
    policy, name = _policy(company, wanted, now)
    begin = _days_before(since, WARM_UP_DAYS)
    opening = past.opening(company, begin)
    whatif = WhatIf(
        policy,
        company.holders,
        opening.balances,
        opening.held,
        lambda at: policy_at(company.policies, at),
        datetime.fromisoformat(since).replace(tzinfo=_zone(company)).astimezone(UTC),
    )
    fed = (whatif.feed(request) for request in past.requests(company, begin, until))
    changes = tuple(change for change in fed if change is not None)
    return Tried(company.company, company.currency, name, whatif.judged, changes)


def _policy(company: PastCompany, wanted: Wanted, now: datetime) -> tuple[Policy, str]:
    """Return the policy that is tried, and where it comes from."""
    today = now.astimezone(_zone(company)).date().isoformat()
    stored = {each.valid_from: each for each in company.policies}
    if wanted.valid_from:
        base = stored.get(wanted.valid_from)
        if base is None:
            raise ConfigurationError(f"{company.company} has no policy from {wanted.valid_from} on")
    else:
        waiting = [each for each in company.policies if each.valid_from > today]
        in_force = policy_at(company.policies, now)
        base = min(waiting, key=lambda each: each.valid_from) if waiting and not wanted.fields else in_force
    if base is None:
        base = Policy(0, company.row, today, time_zone=company.time_zone)
    if not wanted.fields:
        return base, f"the one from {base.valid_from} on"
    checked = check_arguments(
        COMMANDS[_VERB], {"company": company.company, "valid-from": base.valid_from, **wanted.fields}
    )
    tried = changed(base, base.valid_from, lambda field: checked.get(field, ""), company.currency)
    return tried, f"the one from {base.valid_from} on, with {' '.join(f'{k}={v}' for k, v in wanted.fields.items())}"


def _zone(company: PastCompany) -> Any:
    return UTC if company.time_zone == "UTC" else ZoneInfo(company.time_zone)


def _days_before(day: str, days: int) -> str:
    return (datetime.fromisoformat(day) - timedelta(days=days)).date().isoformat()


# -------------------------------------------------------------------------------------- telling


def show(tried: Iterable[Tried], console: Console, *, items: bool) -> None:
    """Print for each company what would change: a line for each kind of change, then each item if wanted."""
    for each in tried:
        console.print(
            f"{each.company}: {each.judged} requests decided again under {each.policy};"
            f" {len(each.changes)} would have been answered otherwise",
            soft_wrap=True,
            markup=False,
        )
        if not each.changes:
            continue
        table = Table()
        for head in ("was", "would be", "rule", "requests", f"asked, {each.currency}"):
            table.add_column(head, justify="right" if head in ("requests",) else "left")
        for (was, would, rule), found in _grouped(each.changes).items():
            asked = sum(change.request.amount for change in found)
            table.add_row(was, would, rule, str(len(found)), format_amount(asked, each.currency))
        console.print(table)
        for change in each.changes if items else ():
            request = change.request
            console.print(
                f"{request.rrn} {request.at:%Y-%m-%d %H:%M} UTC card {change.holder.card} shop {request.shop}"
                f" {format_amount(request.amount, each.currency)} {each.currency}: {request.code} would be"
                f" {_code(change)}. {change.why}",
                soft_wrap=True,
                markup=False,
            )


def as_json(tried: Iterable[Tried], *, items: bool) -> str:
    """Return the same as one JSON array; amounts in minor units."""
    return json.dumps([_as_object(each, items) for each in tried], indent=2)


def _as_object(tried: Tried, items: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "company": tried.company,
        "currency": tried.currency,
        "policy": tried.policy,
        "decided": tried.judged,
        "changed": len(tried.changes),
        "changes": [
            {"was": was, "would_be": would, "rule": rule, "requests": len(found)}
            for (was, would, rule), found in _grouped(tried.changes).items()
        ],
    }
    if items:
        shown["items"] = [
            {
                "rrn": each.request.rrn,
                "at": each.request.at.isoformat(),
                "card": each.holder.card,
                "shop": each.request.shop,
                "amount": each.request.amount,
                "was": each.request.code,
                "was_authorized": each.request.authorized,
                "would_be": _code(each),
                "would_authorize": each.amount,
                "rule": each.rule,
                "why": each.why,
            }
            for each in tried.changes
        ]
    return shown


def _grouped(changes: Iterable[Change]) -> dict[tuple[str, str, str], list[Change]]:
    found: dict[tuple[str, str, str], list[Change]] = {}
    for change in changes:
        found.setdefault((change.request.code, _code(change), change.rule), []).append(change)
    return dict(sorted(found.items()))


def _code(change: Change) -> str:
    return change.code or "PIN"


# -------------------------------------------------------------------------------------- command


def _fields(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    names = {each.name for each in COMMANDS[_VERB].arguments} - {"company", "valid-from"}
    fields: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in names:
            raise click.BadParameter(f"expected NAME=VALUE with a field of POLICY-SET: {', '.join(sorted(names))}")
        fields[name] = value
    return fields


_DAY = click.DateTime(["%Y-%m-%d"])


@click.group("policy", short_help="Try a spending policy on past traffic.")
def policy_group() -> None:
    """Work with companies' spending policies (the certificate policy is a file: docs/reference/policy.md)."""


@policy_group.command("try", short_help="Say which past answers another policy would have changed.")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The deployment's trus.yaml.")
@click.option("--company", default="", help="Only this one.  [default: every company]")
@click.option(
    "--set", "fields", multiple=True, callback=_fields, metavar="NAME=VALUE", help="A field of POLICY-SET; repeatable."
)
@click.option("--valid-from", type=_DAY, help="Begin with the stored policy of this date.")
@click.option("--since", type=_DAY, help="First business date.  [default: 30 days]")
@click.option("--until", type=_DAY, help="Last business date.  [default: the open one]")
@click.option("--items", is_flag=True, help="Print every request that would have been answered otherwise.")
@click.option("--json", "json_output", is_flag=True, help="Print one JSON array instead of tables.")
def try_command(
    config: Path,
    company: str,
    fields: dict[str, str],
    valid_from: datetime | None,
    since: datetime | None,
    until: datetime | None,
    items: bool,
    json_output: bool,
) -> int:
    """Replay past traffic under a policy that is not in force yet, and say which answers would change.

    Without --set the next policy that waits for its day is tried, or the one in force. Nothing is changed.
    """
    backend = load(config).backend
    if backend is None:
        raise ConfigurationError(f"{config} has no backend section: it keeps no ledger")
    wanted = Wanted(company.upper(), fields, _text(valid_from), _text(since), _text(until))
    with open_token(backend) as keys:
        path = database_path(backend)
        engine = open_for_reading(path, db_key=file_key(path, keys))
    try:
        with reading_past(engine) as past:
            tried = try_policy(past, wanted, SystemClock().now())
    finally:
        engine.dispose()
    if json_output:
        click.echo(as_json(tried, items=items))
    else:
        show(tried, Console(), items=items)
    return 0


def _text(day: datetime | None) -> str:
    return "" if day is None else day.date().isoformat()
