"""The seeds that every change must hold: many quick runs, and some full ones.

`TRUS_SIMULATION_SEEDS` says how many quick ones: 400 unless told, 2,000 in continuous integration.
"""

from __future__ import annotations

import os
from typing import Final

from twisted.trial import unittest

from tests.simulation.acting import runs
from trus.simulation.sweep import FULL_STEPS, Plan, Totals, sweep

SEEDS: Final = int(os.environ.get("TRUS_SIMULATION_SEEDS", "400"))
#: Events under faults in each: what a run costs before and after them is as much again.
STEPS: Final = 150
#: Cases between which the workers of a test run share the seeds.
_CASES: Final = 4


class Seeds(unittest.SynchronousTestCase):
    def hold(self, first: int, last: int, plan: Plan) -> None:
        """Run seeds; all must hold."""
        totals = Totals()
        with runs():
            for report in sweep(range(first, last + 1), plan):
                totals.add(report)
        told = [
            f"{plan.command(report.seed)} --trace FILE: {'; '.join(map(str, report.findings[:4]))}"
            for report in totals.failed[:6]
        ]
        self.assertEqual(told, [], f"{len(totals.failed)} of {totals.seeds} seeds failed")
        self.assertEqual(totals.seeds, last - first + 1)


class Quick(Seeds):
    """Quick runs, in parts."""

    def part(self, number: int) -> None:
        """Run one of the parts."""
        each = SEEDS // _CASES
        self.hold(number * each + 1, (number + 1) * each, Plan(STEPS, quick=True))

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
        self.hold(1, 12, Plan(FULL_STEPS))
