"""Says what is wrong with a configuration: where, what was found, what is expected.

Decides nothing about settings. Every problem of a file travels in one SettingsInvalid, so
that an operator mends the file once instead of once a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from trus.errors import ConfigurationError


@attrs.frozen
class Problem:
    """One thing that is wrong.

    `path` is the setting's place, such as `gateway.devices.port` or
    `gateway.link.backends[1].host`; empty for the file as a whole. `line` counts from 1, 0
    when unknown.
    """

    path: str
    found: str
    expected: str
    line: int = 0

    def __str__(self) -> str:
        """Write one line for an operator."""
        place = f"line {self.line}: " if self.line else ""
        name = f"{self.path}: " if self.path else ""
        return f"{place}{name}found {self.found}, expected {self.expected}"


class SettingsInvalid(ConfigurationError):
    """The file cannot be used; `problems` lists everything that is wrong with it."""

    def __init__(self, file: Path, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{file} has {count}:{lines}")


class Misfit(ValueError):
    """A value does not fit its setting; `below` leads from the setting to the value."""

    def __init__(self, found: str, expected: str, below: tuple[str | int, ...] = ()) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.found = found
        self.expected = expected
        self.below = below


class Misfits(ValueError):
    """Several values below one setting do not fit."""

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        super().__init__(f"{len(misfits)} misfits")
        self.misfits = tuple(misfits)


def show(value: object) -> str:
    """Return how `value` looks to an operator, cut to 60 characters, controls escaped."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            text = value if len(value) <= 60 else value[:57] + "..."
            return repr(text)
        case _:
            return str(value)[:60]


def join_path(parts: Sequence[str | int]) -> str:
    """Return `("gateway", "link", "backends", 1)` as `gateway.link.backends[1]`."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
