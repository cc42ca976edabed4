"""Describes an unexpected failure for the operator without telling anybody's secret.

Refuses to print local values and the messages of foreign exceptions: either may hold a card
number, a PIN or a peer's bytes. The messages of trus's own errors are safe by their contract
(trus.errors); of others the class and the places in the code are enough to find the fault.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Final

from trus.errors import TrusError

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
        what = f"{current} ({type(current).__name__})" if isinstance(current, TrusError) else type(current).__name__
        parts.append(f"{what} at {places or 'unknown place'}")
        current = current.__cause__ or current.__context__
    return "; caused by ".join(parts)
