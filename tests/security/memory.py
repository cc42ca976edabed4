"""Looks for byte strings in the memory of another process, as whoever gets a dump of it could."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_REGION = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r\S* \S+ \S+ \S+\s*(.*)")
#: Read at once: a region may be large.
_PIECE = 16 << 20


def found_in_memory(pid: int, wanted: Mapping[str, bytes]) -> set[str]:
    """Return the names of what is in the memory of a process. Raises PermissionError when it may not be read."""
    found: set[str] = set()
    longest = max(len(each) for each in wanted.values())
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            region = _REGION.match(line)
            if region is None or region[3].startswith(("[v", "/dev/")):
                continue
            start, end = int(region[1], 16), int(region[2], 16)
            kept = b""
            while start < end:
                try:
                    memory.seek(start)
                    piece = memory.read(min(_PIECE, end - start))
                except OSError:
                    break  # a region that is only reserved
                if not piece:
                    break
                found.update(name for name, each in wanted.items() if each in kept + piece)
                kept = piece[-longest:]
                start += len(piece)
    return found
