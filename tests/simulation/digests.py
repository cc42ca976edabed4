"""Prints the digest of each seed's trace: `python -m tests.simulation.digests quick|full STEPS SEED...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trus.simulation.sweep import Plan, settle_memory, sweep


def main(arguments: Sequence[str]) -> None:
    """Run the seeds in the order given, in this one process."""
    kind, steps, *seeds = arguments
    settle_memory()
    for report in sweep([int(seed) for seed in seeds], Plan(int(steps), quick=kind == "quick")):
        print(report.seed, report.digest, len(report.findings))


if __name__ == "__main__":
    main(sys.argv[1:])
