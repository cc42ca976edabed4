"""Prints the digest of each run's trace: `python -m tests.simulation.digests quick:200:1 full:1200:11 ...`.

A run is its kind, its steps and its seed; they run in the order given, in this one process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trus.simulation.sweep import Plan, run_one, settle_memory


def main(arguments: Sequence[str]) -> None:
    """Run the seeds."""
    settle_memory()
    for each in arguments:
        kind, steps, seed = each.split(":")
        report = run_one(int(seed), Plan(int(steps), quick=kind == "quick"))
        print(each, report.digest, len(report.findings))


if __name__ == "__main__":
    main(sys.argv[1:])
