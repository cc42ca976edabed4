"""What `trus doctor` finds: of what, how it is, in one sentence."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(NamedTuple):
    """What a check found."""

    subject: str
    state: State
    text: str
