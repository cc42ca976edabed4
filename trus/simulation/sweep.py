"""Runs many seeds, adds up what they did, and says how to see a failing one again.

Prints nothing: the command (trus.cli.simulate) and the tests do. A seed's outcome depends on the seed,
the steps and the kind of shape alone, never on the seeds before it, nor on how many processes run.
"""

from __future__ import annotations

import gc
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import attrs

from trus.simulation.chance import Chance
from trus.simulation.faults import CUTTING
from trus.simulation.run import Report, run
from trus.simulation.shapes import Shape
from trus.simulation.town import town

#: Events of a run in which everybody trades, unless told.
FULL_STEPS: Final = 4000
QUICK_STEPS: Final = 250
#: The invariants by name: those of the network, then what a run watches besides.
INVARIANTS: Final = {
    "I1": "entries sum to zero for each currency and transaction",
    "I2": "every approval that a terminal saw is in the ledger exactly once, and every answer as it was told",
    "I3": "no purse or prepaid account was ever below its floor, and every balance follows from its entries",
    "I4": "every request without an answer ends absent, reversed, or answerable by its identity",
    "I5": "the hash chain is unbroken, and its signed heads verify",
    "I6": "a reversal before its original leaves a tombstone, and the late original is refused",
    "I7": "after healing, service is back within a stated time",
    "PIN": "no wrong PIN is forgotten, and no right one refused",
    "DAY": "ledger dates never go back",
    "RECEIPT": "every approval that a terminal saw is proven by its receipt and the public key alone",
    "NONCE": "no nonce is used twice under one key, and no sealed line is opened twice",
    "FAULT": "no part fails in a way that it does not expect",
}
_MEMORY_DISK: Final = Path("/dev/shm")  # noqa: S108 - each run makes a folder of its own there
#: The collector looks so seldom: a run's garbage is small, and all modules are old.
_COLLECT_AFTER: Final = 50_000
_TRACE_LINES: Final = 24


@attrs.frozen
class Plan:
    """Which runs: how many steps each, quick shapes or full ones, which faults (empty for every kind)."""

    steps: int
    quick: bool = False
    faults: tuple[str, ...] = ()

    def shape(self, seed: int) -> Shape:
        """Return the shape of a seed's run."""
        chance = Chance(seed).fork("shape")
        drawn = Shape.quick(chance) if self.quick else Shape.of(chance)
        if not self.faults:
            return drawn
        return attrs.evolve(
            drawn,
            faults=self.faults,
            share=1.0,
            meddlers="dishonest gateway" in self.faults,
            ciphered=drawn.ciphered or not CUTTING.isdisjoint(self.faults),
        )

    def command(self, seed: int) -> str:
        """Return the command that runs this seed again."""
        words = ["trus", "simulate", "--seed", str(seed), "--steps", str(self.steps)]
        words += ["--quick"] if self.quick else []
        for each in self.faults:
            words += ["--fault", each]
        return shlex.join(words)


@attrs.define
class Totals:
    """What several runs amount to."""

    seeds: int = 0
    purchases: int = 0
    approved: int = 0
    events: int = 0
    simulated_seconds: float = 0.0
    slowest_recovery: float = 0.0
    done: Counter[str] = attrs.field(factory=Counter)
    injected: Counter[str] = attrs.field(factory=Counter)
    broken: Counter[str] = attrs.field(factory=Counter)
    failed: list[Report] = attrs.field(factory=list)

    def add(self, report: Report) -> None:
        """Count a run."""
        self.seeds += 1
        self.purchases += report.purchases
        self.approved += report.approved
        self.events += report.events
        self.simulated_seconds += report.seconds
        self.slowest_recovery = max(self.slowest_recovery, report.recovered)
        self.done += report.done
        self.injected += report.injected
        self.broken.update({each.invariant for each in report.findings})
        if report.findings:
            self.failed.append(report)


def scratch() -> Path:
    """Make a folder for runs, in memory where the system has a place for that."""
    return Path(tempfile.mkdtemp(prefix="trus-simulate-", dir=_MEMORY_DISK if _MEMORY_DISK.is_dir() else None))


def sweep(seeds: Sequence[int], plan: Plan, *, jobs: int = 1) -> Iterator[Report]:
    """Run seeds one after the other, in `jobs` processes, and yield each report in the order of the seeds."""
    if jobs <= 1:
        yield from _run_here(seeds, plan)
        return
    # Fresh processes: a fork would take the parent's open files and its threads' locks along.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=settle_memory) as pool:
        yield from pool.map(partial(run_one, plan=plan), seeds, chunksize=max(1, min(16, len(seeds) // (4 * jobs))))


def _run_here(seeds: Sequence[int], plan: Plan) -> Iterator[Report]:
    place = scratch()
    try:
        for seed in seeds:
            yield run(seed, plan.steps, place / str(seed), shape=plan.shape(seed))
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def settled_memory() -> Iterator[None]:
    """Do as `settle_memory` while the block runs: for a process that has other things to do afterwards."""
    thresholds = gc.get_threshold()
    settle_memory()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def settle_memory() -> None:
    """Found the town, and let the collector leave alone what lives as long as the process.

    For processes that do nothing but run seeds: a tenth of their time.
    """
    town()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


def run_one(seed: int, plan: Plan) -> Report:
    """Run one seed in a folder of its own."""
    [report] = _run_here([seed], plan)
    return report


def story(report: Report, plan: Plan) -> list[str]:
    """Run a failing seed again, and return the trace's last lines before the first thing found."""
    lines: list[str] = []
    place = scratch()
    try:
        run(report.seed, plan.steps, place / str(report.seed), shape=plan.shape(report.seed), sink=lines.append)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    step = min((each.step for each in report.findings if each.step), default=sys.maxsize)
    before = [line for line in lines if " FOUND " not in line and int(line.split(None, 1)[0]) <= step]
    return before[-_TRACE_LINES:]
