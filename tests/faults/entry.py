"""Starts what an operator would start, prepared to die at a named step.

    python -m tests.faults.entry serve CONFIG READY_FILE TRAPS
    python -m tests.faults.entry core CONFIG TRAPS

The programs are the shipped ones, unchanged: twistd with the plugin, and the core's own. Only what is named
in tests.faults.steps is wrapped, and a backend starts its core through here as well.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.faults.hooks import Traps, install
from tests.faults.steps import Part


def serve(config: Path, ready: Path, traps: Path) -> None:
    """Run twistd with the roles of a configuration."""
    from twisted.internet import reactor
    from twisted.scripts.twistd import run

    import trus.cli.backend

    later: Any = reactor
    install(Traps(traps), (Part.GATEWAY, Part.FRONT), later.callLater)
    composition: Any = trus.cli.backend
    shipped = composition.CoreProcess

    def prepared(reactor: Any, command: list[str], *rest: Any, **named: Any) -> Any:
        start = [command[0], "-m", "tests.faults.entry", "core", *command[3:], str(traps)]
        return shipped(reactor, start, *rest, **named)

    composition.CoreProcess = prepared
    sys.argv = ["twistd", "-n", "--pidfile=", "trus", "--config", str(config), "--ready-file", str(ready)]
    run()


def core(config: Path, traps: Path) -> int:
    """Run the core of a backend; return its exit code."""
    from trus.cli.core import main

    install(Traps(traps), (Part.CORE,))
    return main(config)


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    if what == "core":
        sys.exit(core(*map(Path, paths)))
    serve(*map(Path, paths))
