"""Runs the simulation as the tests here need it: in this process, or in one of its own.

Seeds run in the test's own process, which has imported everything already; a run that hangs fails its test.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from trus.simulation.sweep import settled_memory

ROOT: Final = Path(__file__).resolve().parents[2]
#: What a run, or a child, may take at most: whatever hangs fails the test instead of the machine.
PATIENCE_SECONDS: Final = 1_200


class Hangs(BaseException):
    """Something takes too long. Not an Exception, so that no part of a simulated network takes it for its own."""


@contextmanager
def runs() -> Iterator[None]:
    """Run seeds while the block lasts, and not for ever. Raises AssertionError."""

    def hangs(*_: object) -> None:
        raise Hangs

    former = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(PATIENCE_SECONDS)
    try:
        with settled_memory():
            yield
    except Hangs:
        raise AssertionError(f"no end after {PATIENCE_SECONDS} s") from None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


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
