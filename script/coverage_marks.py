"""Holds the coverage marks: what decides about money, identity and the wire is tested branch by branch.

Reads the data that script/test combined; prints one line a package and fails when one is below.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

#: Package: the least share of its branches, in percent, that tests take.
MARKS: Final = {"trus/protocol": 95.0, "trus/auth": 95.0, "trus/ledger": 95.0}


def main() -> int:
    """Compare every package's branch coverage with its mark; return 1 when one is missed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run(
            [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(report)],
            check=True,
        )
        files = json.loads(report.read_text())["files"]
    missed = False
    for package, mark in MARKS.items():
        branches = taken = 0
        weakest: list[tuple[int, str]] = []
        for name, figures in sorted(files.items()):
            if name.startswith(package + "/"):
                summary = figures["summary"]
                branches += summary["num_branches"]
                taken += summary["covered_branches"]
                weakest.append((summary["missing_branches"], name))
        share = 100.0 * taken / branches if branches else 0.0
        print(f"{package}: {share:.1f} % of {branches} branches, mark {mark:.0f} %")
        if share < mark:
            missed = True
            for missing, name in sorted(weakest, reverse=True)[:10]:
                if missing:
                    print(f"    {missing} not taken in {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
