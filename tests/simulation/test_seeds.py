"""The seeds that every change must hold: many quick runs, and some full ones.

`TRUS_SIMULATION_SEEDS` says how many quick ones: 400 unless told, 2,000 in continuous integration.
"""

from __future__ import annotations

import os
from typing import Final

from twisted.trial import unittest

from tests.simulation.acting import python

SEEDS: Final = int(os.environ.get("TRUS_SIMULATION_SEEDS", "400"))
#: Events under faults in each: what a run costs before and after them is as much again.
STEPS: Final = "150"
#: Cases between which the workers of a test run share the seeds.
_CASES: Final = 4


class Seeds(unittest.SynchronousTestCase):
    def hold(self, first: int, last: int, *options: str) -> None:
        """Run seeds in a process of its own; all must hold."""
        done = python("-m", "trus.cli.main", "simulate", "--seeds", f"{first}..{last}", *options)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        self.assertIn(f"{last - first + 1:,} seeds held, 0 failed", done.stdout)


class Quick(Seeds):
    """Quick runs, in parts."""

    def part(self, number: int) -> None:
        """Run one of the parts."""
        each = SEEDS // _CASES
        self.hold(number * each + 1, (number + 1) * each, "--quick", "--steps", STEPS)

    def test_part_1(self) -> None:
        """TR-11, TR-16, TR-19: money is neither made, lost nor moved twice, whatever fails (part 1 of 4)."""
        self.part(0)

    def test_part_2(self) -> None:
        """TR-11, TR-16, TR-19: money is neither made, lost nor moved twice, whatever fails (part 2 of 4)."""
        self.part(1)

    def test_part_3(self) -> None:
        """TR-11, TR-16, TR-19: money is neither made, lost nor moved twice, whatever fails (part 3 of 4)."""
        self.part(2)

    def test_part_4(self) -> None:
        """TR-11, TR-16, TR-19: money is neither made, lost nor moved twice, whatever fails (part 4 of 4)."""
        self.part(3)


class Full(Seeds):
    """Full runs: up to eight terminals, every check, the ledger's whole audit."""

    def test_full(self) -> None:
        """TR-11, TR-16, TR-19: the same with more terminals, more cashiers, longer, and the whole audit."""
        self.hold(1, 12)
