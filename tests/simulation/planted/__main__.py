"""Plants bugs and looks for them; trus.simulation finds them, or this says that it does not."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.simulation.planted import Bug, deciding, receipts, speaking, storage
from trus.simulation.run import Report
from trus.simulation.sweep import settle_memory, sweep

#: All bugs, by area.
AREAS: dict[str, tuple[Bug, ...]] = {
    "storage": storage.BUGS,
    "deciding": deciding.BUGS,
    "speaking": speaking.BUGS,
    "receipts": receipts.BUGS,
}


def find(bug: Bug, most: int) -> Report | None:
    """Return the first run of up to `most` seeds in which one of the bug's own invariants finds it, None when none."""
    with bug.planted():
        return next(
            (
                report
                for report in sweep(range(1, most + 1), bug.plan)
                if any(each.invariant in bug.caught_by for each in report.findings)
            ),
            None,
        )


def main(arguments: Sequence[str]) -> None:
    """Look for every bug of the areas named, or for the one named."""
    settle_memory()
    for area, bugs in AREAS.items():
        for bug in bugs:
            if area not in arguments and bug.name not in arguments:
                continue
            report = find(bug, bug.within)
            if report is None:
                print(f"{bug.name}\t0\t\tnot found within {bug.within} seeds", flush=True)
            else:
                names = ",".join(sorted({each.invariant for each in report.findings}))
                print(f"{bug.name}\t{report.seed}\t{names}\t{report.findings[0]}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
