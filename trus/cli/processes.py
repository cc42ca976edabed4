"""Finds the processes of a running deployment and reads how much of a processor each has used.

Reads /proc alone (Linux) and signals nobody. A process is known by the port it listens on; the
core is the front's child.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

_LISTEN: Final = "0A"  # TCP_LISTEN in /proc/net/tcp
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """What one process has used since it began, and holds now."""

    cpu_seconds: float
    resident_bytes: int


def listener(port: int, proc: Path = Path("/proc")) -> int | None:
    """Return the process that listens on a TCP port, None when none that we may look at does."""
    wanted = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    if not wanted:
        return None
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            descriptors = list((folder / "fd").iterdir())
        except OSError:
            continue  # gone meanwhile, or somebody else's
        for descriptor in descriptors:
            try:
                target = os.readlink(descriptor)
            except OSError:
                continue
            if target in wanted:
                return int(folder.name)
    return None


def children(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """Return the children of a process."""
    found = []
    for folder in proc.iterdir():
        if folder.name.isdigit():
            fields = _stat(folder)
            if fields is not None and int(fields[1]) == pid:
                found.append(int(folder.name))
    return sorted(found)


def used(pid: int, proc: Path = Path("/proc")) -> Used | None:
    """Return what a process has used, None when it is gone."""
    fields = _stat(proc / str(pid))
    if fields is None:
        return None
    return Used((int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))


def _stat(folder: Path) -> list[str] | None:
    """Return the fields of /proc/PID/stat from `state` on (proc(5))."""
    try:
        text = (folder / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _listening(port: int, proc: Path) -> list[str]:
    inodes = []
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.append(fields[9])
    return inodes
