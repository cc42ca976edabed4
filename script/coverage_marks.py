"""Holds the coverage marks: what decides about money, identity and the wire is tested line by line, branch by branch.

Reads the data that script/test combined; prints one line a package, and what no test takes when a mark is missed.
A file that no test loads is not in these data: it is looked for on the disk, and misses the mark whole. Nothing is
left out but what setup.cfg names: it cannot run, or is there for the type checker alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

#: Package: the least share of its lines and branches, in percent, that tests take.
MARKS: Final = {"trus/protocol": 100.0, "trus/auth": 100.0, "trus/ledger": 100.0}
#: What of a file's figures is counted: all there is, and what was taken.
COUNTED: Final = (("num_statements", "covered_lines"), ("num_branches", "covered_branches"))


def main() -> int:
    """Compare every package's coverage with its mark; return 1 when one is missed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run(
            [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(report)],
            check=True,
        )
        files = json.loads(report.read_text())["files"]
    missed = False
    for package, mark in MARKS.items():
        found = {name: figures for name, figures in sorted(files.items()) if name.startswith(package + "/")}
        summaries = [figures["summary"] for figures in found.values()]
        there = sum(summary[every] for summary in summaries for every, _ in COUNTED)
        taken = sum(summary[some] for summary in summaries for _, some in COUNTED)
        share = 100.0 * taken / there if there else 0.0
        print(f"{package}: {share:.2f} % of {there} lines and branches, mark {mark:.0f} %")
        unknown = sorted({str(path) for path in Path(package).rglob("*.py")} - set(found))
        for name in unknown:
            print(f"    {name}: no test loads it")
        if unknown or share < mark:
            missed = True
            for name, figures in found.items():
                lines, branches = figures["missing_lines"], figures["missing_branches"]
                if lines or branches:
                    print(f"    {name}: lines {lines}, branches {branches}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
