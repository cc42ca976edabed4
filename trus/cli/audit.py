"""`trus audit --config FILE`: proves the ledger, or names the row that does not hold.

Changes nothing and may run beside the backend: it reads one snapshot of the database under a key
that the token derives. Exit code 0 when every check holds, 1 on a finding.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trus.cli.compose import database_path
from trus.cli.database_keys import file_key
from trus.cli.heads import TokenHeadVerifier, public_pem
from trus.cli.keystore import open_token
from trus.errors import ConfigurationError
from trus.ledger.audit import verify
from trus.ledger.compose import open_for_reading
from trus.ledger.findings import AuditReport, Check
from trus.settings.loading import load


def audit(config: Path) -> AuditReport:
    """Return the report on the ledger of a configuration.

    Raises ConfigurationError, KeyStoreError, WrongDatabaseKey, StorageFailed.
    """
    backend = load(config).backend
    if backend is None:
        raise ConfigurationError(f"{config} has no backend section: it keeps no ledger")
    with open_token(backend) as keys:
        path = database_path(backend)
        engine = open_for_reading(path, db_key=file_key(path, keys))
        try:
            return verify(engine, verifier=TokenHeadVerifier(keys), heads=backend.database.heads)
        finally:
            engine.dispose()


def head_key(config: Path) -> bytes:
    """Return the public key of the signed heads, PEM. Raises ConfigurationError, KeyStoreError."""
    backend = load(config).backend
    if backend is None:
        raise ConfigurationError(f"{config} has no backend section: it keeps no ledger")
    with open_token(backend) as keys:
        return public_pem(keys)


def show(report: AuditReport, console: Console) -> None:
    """Print the report: a line for each check, then the rows that do not hold."""
    table = Table(title=f"ledger {report.ledger}", title_justify="left")
    table.add_column("check")
    table.add_column("rows", justify="right")
    table.add_column("outcome")
    for check in Check:
        wrong = report.counts[check]
        outcome = Text("holds", style="green") if not wrong else Text(f"{wrong} wrong", style="bold red")
        examined = report.examined.get(check)
        table.add_row(check.value, "-" if examined is None else str(examined), outcome)
    console.print(table)
    for finding in report.findings:
        console.print(Text(f"{finding.row}: {finding.problem} ({finding.check.value})", style="red"), soft_wrap=True)
    hidden = sum(report.counts.values()) - len(report.findings)
    if hidden:
        console.print(f"... and {hidden} more")
    verdict = "sound" if report.sound else "NOT SOUND"
    console.print(
        f"{report.events} events, {report.entries} entries, {report.heads} signed heads: the ledger is {verdict}",
        soft_wrap=True,
    )


def as_json(report: AuditReport) -> str:
    """Return the report as one JSON object."""
    return json.dumps(
        {
            "ledger": report.ledger,
            "sound": report.sound,
            "events": report.events,
            "entries": report.entries,
            "heads": report.heads,
            "checks": [
                {"check": check.value, "rows": report.examined.get(check), "wrong": report.counts[check]}
                for check in Check
            ],
            "findings": [
                {"check": each.check.value, "row": each.row, "problem": each.problem} for each in report.findings
            ],
        },
        indent=2,
    )


@click.command("audit", short_help="Prove the ledger, or name the row that is wrong.")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The deployment's trus.yaml.")
@click.option("--json", "json_output", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--public-key", is_flag=True, help="Print the public key of the signed heads, PEM, and do nothing else.")
def audit_command(config: Path, json_output: bool, public_key: bool) -> int:
    """Prove that the ledger of a deployment is sound, or name the row that is not (exit code 1)."""
    if public_key:
        click.echo(head_key(config).decode("ascii"), nl=False)
        return 0
    report = audit(config)
    if json_output:
        click.echo(as_json(report))
    else:
        show(report, Console())
    return 0 if report.sound else 1
