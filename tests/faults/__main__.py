"""`script/faults`: faults in real processes; see docs/reliability.md."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.faults import plans, report
from tests.faults.house import House, Shape
from tests.faults.injections import Fault
from tests.faults.run import BACK_WITHIN_SECONDS, Record, Run
from tests.faults.tools import PROJECT, find_faketime, find_strace

PAGE = PROJECT / "docs" / "reliability.md"


@click.command()
@click.option("--minutes", type=float, default=5.0, show_default=True, help="Random faults for so long.")
@click.option("--rounds", type=int, default=0, help="So many faults instead, the enumerated steps included.")
@click.option("--seed", type=int, default=0, help="What to do, in which order; drawn unless told.")
@click.option("--only", multiple=True, type=click.Choice(plans.KINDS), help="Only faults of this kind; several times.")
@click.option("--short", is_flag=True, help="One of each, no random ones: what the tests run.")
@click.option("--terminals", type=click.IntRange(1, 20), default=3, show_default=True)
@click.option("--gateways", type=click.IntRange(1, 4), default=2, show_default=True)
@click.option("--back-within", type=float, default=BACK_WITHIN_SECONDS, show_default=True, help="Seconds of I7.")
@click.option("--no-mount", is_flag=True, help="Limit the size of files instead of filling a small disk.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end instead of a table.")
@click.option("--record", is_flag=True, help="Write the figures into docs/reliability.md.")
@click.option("--keep", is_flag=True, help="Keep the network's folder even when everything held.")
@click.option("--steps", is_flag=True, help="Write the table of steps into docs/reliability.md, and do nothing else.")
def main(
    minutes: float,
    rounds: int,
    seed: int,
    only: tuple[str, ...],
    short: bool,
    terminals: int,
    gateways: int,
    back_within: float,
    no_mount: bool,
    as_json: bool,
    record: bool,
    keep: bool,
    steps: bool,
) -> None:
    """Put a network of real processes under faults, and judge it after each one."""
    if steps:
        report.write(PAGE, report.STEPS_TABLE, report.steps_table())
        return
    seed = seed or random.SystemRandom().randrange(1, 10**6)
    strace, faketime = find_strace(), find_faketime()
    shape = Shape(terminals=terminals, gateways=gateways, seed=seed)
    missing = [each for each in plans.missing(strace, faketime) if not only or each.kind in only]
    say: Any = (lambda line: click.echo(line, err=True)) if as_json else click.echo
    say(f"seed {seed}")
    for each in missing:
        say(f"not injected: {each.fault}: {each.why}")
    ends = time.monotonic() + 60 * minutes

    def enough(done: int) -> bool:
        return done >= rounds if rounds else time.monotonic() > ends and not short

    outcome: list[Record] = []
    houses: list[House] = []

    async def play(reactor: Any) -> None:
        run = Run(reactor, shape, strace, faketime, small_disk=not no_mount, back_within=back_within, say=say)
        houses.append(run.house)
        kept = keep
        try:
            faults = (each for each in _faults(seed, short) if plans.possible(each, strace, faketime, only))
            result = await run.play(faults, enough)
            outcome.append(result)
            kept = keep or not result.held
        except BaseException:
            kept = True
            raise
        finally:
            await run.house.close(keep=kept)
            if kept:
                say(f"the network's folder is kept: {run.house.folder}")

    try:
        react(lambda reactor: Deferred.fromCoroutine(play(reactor)))
    except SystemExit as end:
        if end.code:
            raise
    if not outcome:
        for house in houses:
            house.end(keep=False)
        say("interrupted: nothing was judged")
        sys.exit(1)
    result = outcome[0]
    if as_json:
        click.echo(json.dumps(report.as_dict(result, missing), indent=2))
    else:
        click.echo("\n".join(report.lines(result, missing)))
    if not result.held:
        for line in report.as_dict(result, missing)["findings"]:
            say(f"DID NOT HOLD: {line}")
        sys.exit(1)
    if record:
        command = "script/faults " + " ".join(each for each in sys.argv[1:] if each != "--record")
        report.write(PAGE, report.FIGURES, report.markdown(result, missing, command.strip()))


def _faults(seed: int, short: bool) -> Iterator[Fault]:
    chance = random.Random(f"plan/{seed}")
    if short:
        return plans.short(chance)
    return chain(plans.one_of_each(chance), plans.enumerated(), plans.at_random(chance))


if __name__ == "__main__":
    main()
