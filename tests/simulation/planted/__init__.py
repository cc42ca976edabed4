"""Bugs that are planted into the network one at a time, to know that the simulation finds them.

Each is what somebody might write on a bad day: a few lines that replace a function while seeds run. Each says within
how many seeds it must be found, and which invariants catch it. A bug that no seed finds is a hole in the checks.

`python -m tests.simulation.planted NAME...` plants each in turn, runs seeds until one fails, and prints the name, the
seed, the invariants and the first finding, with tabs between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest import mock

import attrs

from trus.simulation.sweep import Plan

#: Replaces an attribute of a module or class for as long as the bug is planted.
Replace = Callable[[Any, str, Any], None]

#: What most bugs are looked for with: the runs of the test of many seeds.
QUICK: Final = Plan(250, quick=True)


@attrs.frozen
class Bug:
    """One bug: its name, who must catch it, within how many seeds of which plan, and how it is planted."""

    name: str
    caught_by: frozenset[str]
    plant: Callable[[Replace], None]
    within: int = 60
    plan: Plan = QUICK

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the bug while the block runs."""
        with ExitStack() as undo:

            def replace(owner: Any, name: str, value: Any) -> None:
                undo.enter_context(mock.patch.object(owner, name, value))

            self.plant(replace)
            yield


def caught(*invariants: str) -> frozenset[str]:
    """Return the invariants of which one must catch a bug."""
    return frozenset(invariants)
