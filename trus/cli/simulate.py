"""`trus simulate`: the whole network in one process under faults, from seeds, and what held.

Touches no deployment: everything happens in scratch folders and on a fake clock. A seed that fails is
named with what did not hold, the command that shows it again, and what led to it; the exit code is 1 then.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from trus.simulation.faults import FAULTS, fault_names
from trus.simulation.run import Report, run
from trus.simulation.sweep import (
    FULL_STEPS,
    INVARIANTS,
    QUICK_STEPS,
    Plan,
    Totals,
    scratch,
    settled_memory,
    story,
    sweep,
)
from trus.simulation.work import USUAL_PURCHASES, Watches, measure_all, told

#: Failing seeds that are told in full; of the others, the numbers.
_TOLD: Final = 3
_PROGRESS_SECONDS: Final = 1.0


class SeedRange(click.ParamType[range]):
    """`A..B`, both included."""

    name = "A..B"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """Return the range."""
        if isinstance(value, range):
            return value
        first, dots, last = str(value).partition("..")
        if not (dots and first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
            self.fail(f"{value!r} is not two numbers with two dots between them", param, ctx)
        if int(last) < int(first):
            self.fail(f"{value!r} ends before it begins", param, ctx)
        return range(int(first), int(last) + 1)


@click.command("simulate")
@click.option("--seed", type=click.IntRange(min=0), help="Run this seed. Without it and --seeds: 1.")
@click.option("--seeds", type=SeedRange(), help="Run all seeds from A to B.")
@click.option(
    "--steps",
    type=click.IntRange(1, 10_000_000),
    help="Events under faults in each run [4000; quick: 250]; with --work purchases [20000].",
)
@click.option("--quick", is_flag=True, help="Small runs, of which thousands fit into minutes.")
@click.option("--fault", "faults", multiple=True, type=click.Choice(fault_names()), help="Only faults of this kind.")
@click.option("--list-faults", is_flag=True, help="List the kinds of fault, and do nothing else.")
@click.option(
    "--trace", type=click.Path(dir_okay=False, path_type=Path), help="Write what happens to a file; one seed."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the run's files in this new folder; one seed.")
@click.option("--work", is_flag=True, help="No faults, purchases alone: measure how many a second.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes to use.")
def simulate_command(
    seed: int | None,
    seeds: range | None,
    steps: int | None,
    quick: bool,
    faults: tuple[str, ...],
    list_faults: bool,
    trace: Path | None,
    keep: Path | None,
    work: bool,
    jobs: int,
) -> int:
    """Run the network in one process under faults, from a seed, and judge what is left."""
    if list_faults:
        click.echo("\n".join(f"{each.name:<30} {each.where:<10} {each.what}" for each in FAULTS))
        return 0
    if seed is not None and seeds is not None:
        raise click.UsageError("give --seed or --seeds, not both")
    if work:
        return _measure(1 if seed is None else seed, jobs, steps)
    chosen: Sequence[int] = seeds if seeds is not None else [1 if seed is None else seed]
    if (trace is not None or keep is not None) and len(chosen) != 1:
        raise click.UsageError("--trace and --keep are for one seed")
    plan = Plan(steps or (QUICK_STEPS if quick else FULL_STEPS), quick, faults)
    began = time.monotonic()
    totals = Totals()
    if trace is not None or keep is not None:
        totals.add(_one(chosen[0], plan, trace, keep))
    else:
        with settled_memory():
            for report in sweep(chosen, plan, jobs=jobs):
                totals.add(report)
                _progress(totals, len(chosen), began)
    _tell(totals, time.monotonic() - began)
    for report in totals.failed[:_TOLD]:
        _tell_failure(report, plan)
    if len(totals.failed) > _TOLD:
        click.echo(f"failed too: seeds {' '.join(str(each.seed) for each in totals.failed[_TOLD:])}")
    return 1 if totals.failed else 0


def _measure(seed: int, jobs: int, purchases: int | None) -> int:
    """Measure purchases a second; the runs must hold."""
    works = measure_all(seed, jobs, Watches(time.process_time, time.perf_counter), purchases or USUAL_PURCHASES)
    click.echo(told(works))
    findings = [finding for each in works for finding in each.findings]
    for finding in findings[:_TOLD]:
        click.echo(f"  {finding}")
    return 1 if findings else 0


def _one(seed: int, plan: Plan, trace: Path | None, keep: Path | None) -> Report:
    """Run one seed with its trace in a file, or its files kept."""
    lines: list[str] = []
    sink: Callable[[str], None] | None = lines.append if trace is not None else None
    place = keep if keep is not None else scratch()
    if keep is not None and keep.exists():
        raise click.UsageError(f"{keep} exists already")
    try:
        return run(seed, plan.steps, place / "run", shape=plan.shape(seed), sink=sink, keep=keep is not None)
    finally:
        if trace is not None:
            trace.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if keep is None:
            shutil.rmtree(place, ignore_errors=True)


class _Shown:
    """When progress was shown last; module-wide, since there is one terminal."""

    at = 0.0


def _progress(totals: Totals, wanted: int, began: float) -> None:
    now = time.monotonic()
    if not sys.stderr.isatty() or (now - _Shown.at < _PROGRESS_SECONDS and totals.seeds < wanted):
        return
    _Shown.at = now
    rate = totals.seeds / max(now - began, 1e-9)
    end = "\n" if totals.seeds == wanted else ""
    sys.stderr.write(f"\r{totals.seeds} of {wanted} seeds, {len(totals.failed)} failed, {rate:.1f} a second {end}")
    sys.stderr.flush()


def _tell(totals: Totals, seconds: float) -> None:
    # A pipe gets the width of a line of text, whatever terminal the caller has.
    console = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "100")))
    injected = Table("fault", "injected", title="What went wrong, and how often")
    for name, count in sorted(totals.injected.items(), key=lambda each: (-each[1], each[0])):
        injected.add_row(name, f"{count:,}")
    console.print(injected)
    held = Table("invariant", "what it says", "runs in which it did not hold", title="What held")
    for name, what in INVARIANTS.items():
        held.add_row(name, what, str(totals.broken[name]))
    console.print(held)
    orders = ", ".join(f"{count:,} {name}" for name, count in sorted(totals.done.items()))
    click.echo(f"ordered: {orders}")
    click.echo(
        f"{totals.seeds:,} seeds, {totals.purchases:,} purchases, {totals.approved:,} approvals, "
        f"{totals.simulated_seconds / 3600:,.1f} h of simulated time, slowest recovery {totals.slowest_recovery:.0f} s"
    )
    click.echo(
        f"{seconds:.1f} s: {totals.purchases / seconds:,.0f} purchases and {totals.seeds / seconds:.1f} seeds a second"
    )
    click.echo(f"{totals.seeds - len(totals.failed):,} seeds held, {len(totals.failed):,} failed")


def _tell_failure(report: Report, plan: Plan) -> None:
    click.echo(f"\nseed {report.seed} failed (trace {report.digest}):")
    for finding in report.findings[:8]:
        click.echo(f"  {finding}")
    click.echo(f"again: {plan.command(report.seed)} --trace FILE")
    click.echo("what led to it:")
    for line in story(report, plan):
        click.echo(f"  {line[:160]}")
