"""Turns the reports of trial and the counts of the other checks into the closing line of script/test.

Counts nothing twice and hides nothing: without a closing line of trial, or with no test at all,
the run has failed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_RAN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
_OUTCOME = re.compile(r"^(PASSED|FAILED)(?: \(([^)]*)\))?$", re.MULTILINE)


def totals(report: str) -> tuple[int, int, int]:
    """Return how many tests of a trial report passed, failed and were skipped.

    A test that passed although it was expected to fail has failed; one that failed as expected
    proves nothing and counts as skipped. A report without an outcome is one failure.
    """
    ran = _RAN.findall(report)
    outcome = _OUTCOME.findall(report)
    if not ran or not outcome or int(ran[-1]) == 0:
        return 0, 1, 0
    verdict, details = outcome[-1]
    counts = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", details)}
    failed = counts.get("failures", 0) + counts.get("errors", 0) + counts.get("unexpectedSuccesses", 0)
    skipped = counts.get("skips", 0) + counts.get("expectedFailures", 0)
    passed = counts.get("successes", 0)
    if verdict == "FAILED":
        failed = max(failed, 1)
    return passed, failed, skipped


def main(passed_checks: str, failed_checks: str, *reports: str) -> int:
    """Print the closing line; return 0 only when something passed and nothing failed."""
    passed, failed, skipped = int(passed_checks), int(failed_checks) + (not reports), 0
    for report in map(Path, reports):
        counts = totals(report.read_text(errors="replace") if report.exists() else "")
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
