"""Runs the simulation in processes of its own, as the tests here need it.

A child measures no coverage: thousands of runs under a tracer would take all of a small machine's patience.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
#: What a child may take at most: a hanging run fails the test instead of the machine.
PATIENCE_SECONDS: Final = 1_200


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with `arguments` and return what it said; it must end with 0 or 1."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done
