"""Describes an unexpected failure for the operator without telling anybody's secret.

Refuses to print exception messages and local values: either may hold a card number, a PIN
or a peer's bytes. The classes and the places in the code are enough to find the fault.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Final

#: Frames shown, innermost last.
_MAX_FRAMES: Final = 12


def describe(failure: BaseException) -> str:
    """Return the classes of `failure` and its causes, and where each was raised, in one line."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = failure
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)[-_MAX_FRAMES:]
        places = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames)
        parts.append(f"{type(current).__name__} at {places or 'unknown place'}")
        current = current.__cause__ or current.__context__
    return "; caused by ".join(parts)
