"""Finds what a fault needs of the machine: strace, libfaketime, a small disk; and says why one is missing.

Tries each tool instead of believing that it works: a container may forbid what a machine allows. Installs
nothing: script/bootstrap --dev unpacks the Debian packages into .tools/faults where the machine has none.

    python -m tests.faults.tools      names what there is; fails when strace or libfaketime cannot be started
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import attrs

PROJECT: Final = Path(__file__).resolve().parents[2]
UNPACKED: Final = PROJECT / ".tools" / "faults"
_TRY_SECONDS: Final = 20


@attrs.frozen
class Tool:
    """A tool: how to start it, and with what in the environment; `missing` says why it cannot be used."""

    command: tuple[str, ...] = ()
    environment: dict[str, str] = attrs.field(factory=dict)
    missing: str = ""


def _libraries() -> str:
    return os.pathsep.join(sorted({str(each.parent) for each in UNPACKED.glob("**/*.so*")}))


def _candidates() -> list[Tool]:
    tools = []
    system = shutil.which("strace")
    if system is not None:
        tools.append(Tool((system,)))
    unpacked = UNPACKED / "usr" / "bin" / "strace"
    if unpacked.exists():
        tools.append(Tool((str(unpacked),), {"LD_LIBRARY_PATH": _libraries()}))
    return tools


def find_strace(*, attach: bool = True) -> Tool:
    """Return strace, once it has started, and with `attach` injected a failure into a process that runs already."""
    missing = "strace was not found: run script/bootstrap --dev"
    for tool in _candidates():
        environment = {**os.environ, **tool.environment}
        started = subprocess.run([*tool.command, "-V"], capture_output=True, env=environment, timeout=_TRY_SECONDS)
        if started.returncode:
            missing = f"{tool.command[0]} cannot be started"
            continue
        if attach and (why := _try_attaching(tool, environment)):
            missing = f"strace may not attach to a process here: {why}"
            continue
        return tool
    return Tool(missing=missing)


def _try_attaching(tool: Tool, environment: dict[str, str]) -> str:
    """Fail the fsync of a running process; return why that did not succeed."""
    program = (
        "import os, sys, tempfile\nfile = tempfile.TemporaryFile()\nsys.stdin.readline()\n"
        "try:\n os.fsync(file.fileno())\nexcept OSError as failure:\n print(failure.errno)\n"
    )
    victim = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        arguments = ["-f", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "-o", str(log), "-p", str(victim.pid)]
        tracer = subprocess.Popen([*tool.command, *arguments], env=environment, stderr=subprocess.PIPE, text=True)
        try:
            assert tracer.stderr is not None
            first = tracer.stderr.readline()
            out, _ = victim.communicate("go\n", timeout=_TRY_SECONDS)
        finally:
            victim.kill()
            tracer.terminate()
            tracer.communicate(timeout=_TRY_SECONDS)
    return "" if out.strip() == "5" else (first.strip() or "no reason was given")


def find_faketime() -> Tool:
    """Return libfaketime as an environment, once it has shown another time to Python."""
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    found += UNPACKED.glob("usr/lib/*/faketime/libfaketime.so.1")
    if not found:
        return Tool(missing="libfaketime was not found: run script/bootstrap --dev")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "clock")
        file.write_text("+7200\n")
        environment = clock_environment(found[0], file)
        program = "import time; print(time.time())"
        shown = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env={**os.environ, **environment},
            text=True,
            timeout=_TRY_SECONDS,
        )
    try:
        ahead = float(shown.stdout) - time.time()
    except ValueError:
        return Tool(missing=f"Python does not start under {found[0]}: {shown.stderr.strip()[-200:]}")
    if not 7000 < ahead < 7500:
        return Tool(missing=f"{found[0]} does not change Python's clock")
    return Tool((str(found[0]),))


def clock_environment(library: Path, file: Path) -> dict[str, str]:
    """Return the environment of a process whose wall clock is off by what `file` says; its monotonic clock is not."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
    }


def can_mount() -> str:
    """Return why no small disk can be mounted here, "" when one can."""
    with tempfile.TemporaryDirectory() as folder:
        if problem := mount(Path(folder), 1 << 20):
            return problem
        unmount(Path(folder))
    return ""


def mount(folder: Path, size: int) -> str:
    """Put a disk of `size` bytes, in memory, at `folder`; return why that failed, "" when it did not."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TRY_SECONDS)
    except FileNotFoundError:
        return "there is no mount"
    return (done.stderr.strip() or "mount failed") if done.returncode else ""


def unmount(folder: Path) -> None:
    """Take the disk away again, with what is on it."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, timeout=_TRY_SECONDS)


def main() -> int:
    """Name the tools; return 1 when one that can be installed is missing."""
    tools = {"strace": find_strace(attach=False), "libfaketime": find_faketime()}
    for name, tool in tools.items():
        print(f"{name}: {tool.missing or tool.command[0]}")
    return 1 if any(tool.missing for tool in tools.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
