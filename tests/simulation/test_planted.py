"""The simulation finds bugs: every one that is planted, within the seeds and by an invariant that it names."""

from __future__ import annotations

from twisted.trial import unittest

from tests.simulation.acting import runs
from tests.simulation.planted import Bug
from tests.simulation.planted.__main__ import AREAS, find


class Planted(unittest.SynchronousTestCase):
    def look_for(self, area: str) -> None:
        """Plant the bugs of an area one at a time, and check what found each."""
        for bug in AREAS[area]:
            with runs():
                report = find(bug, bug.within)
            # What a network with a bug in it logs is the bug's.
            self.flushLoggedErrors()
            with self.subTest(bug.name):
                if report is None:
                    self.fail(f"no seed up to {bug.within} finds it")
                names = {each.invariant for each in report.findings}
                self.assertTrue(bug.caught_by & names, f"{names} caught it")
                if bug.caught_by == {"RECEIPT"}:
                    self.assertEqual(names, {"RECEIPT"})

    def test_storage(self) -> None:
        """TR-11, TR-13: bugs of commits, locks, chains, counters and totals are found."""
        self.look_for("storage")

    def test_deciding(self) -> None:
        """TR-2, TR-19: bugs of identities, tombstones, amounts, refunds and holds are found."""
        self.look_for("deciding")

    def test_speaking(self) -> None:
        """TR-16, TR-19: bugs of journals, nonces, replays, reversals and PINs are found."""
        self.look_for("speaking")

    def test_receipts(self) -> None:
        """TR-11: what the ledger's audit cannot see is found by whoever holds a receipt, and by nothing else."""
        self.look_for("receipts")

    def test_many(self) -> None:
        """TR-11: at least a dozen different bugs are planted, and between them every kind of invariant catches one."""
        bugs: list[Bug] = [bug for area in AREAS.values() for bug in area]
        self.assertGreaterEqual(len({bug.name for bug in bugs}), 12)
        every = {"I1", "I2", "I3", "I4", "I5", "I6", "I7", "PIN", "NONCE", "RECEIPT"}
        self.assertLessEqual(every, set().union(*(bug.caught_by for bug in bugs)))
