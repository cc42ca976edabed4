"""The simulation finds bugs: every one that is planted, within the seeds and by an invariant that it names."""

from __future__ import annotations

from twisted.trial import unittest

from tests.simulation.acting import python
from tests.simulation.planted import Bug
from tests.simulation.planted.__main__ import AREAS


class Planted(unittest.SynchronousTestCase):
    def look_for(self, area: str) -> None:
        """Plant the bugs of an area one at a time, in a process of its own, and check what found each."""
        said = python("-m", "tests.simulation.planted", area).stdout
        found = {
            name: (int(seed), names) for name, seed, names, _ in (line.split("\t", 3) for line in said.splitlines())
        }
        self.assertEqual(list(found), [bug.name for bug in AREAS[area]])
        for bug in AREAS[area]:
            seed, names = found[bug.name]
            with self.subTest(bug.name):
                self.assertGreater(seed, 0, f"no seed up to {bug.within} finds it")
                self.assertTrue(bug.caught_by & set(names.split(",")), f"{names} caught it")

    def test_storage(self) -> None:
        """TR-11, TR-13: bugs of commits, locks, chains, counters and totals are found."""
        self.look_for("storage")

    def test_deciding(self) -> None:
        """TR-2, TR-19: bugs of identities, tombstones, amounts, refunds and holds are found."""
        self.look_for("deciding")

    def test_speaking(self) -> None:
        """TR-16, TR-19: bugs of journals, nonces, replays, reversals and PINs are found."""
        self.look_for("speaking")

    def test_many(self) -> None:
        """TR-11: at least a dozen different bugs are planted, and between them every kind of invariant catches one."""
        bugs: list[Bug] = [bug for area in AREAS.values() for bug in area]
        self.assertGreaterEqual(len({bug.name for bug in bugs}), 12)
        self.assertLessEqual(
            {"I1", "I2", "I3", "I4", "I5", "I6", "I7", "PIN", "NONCE"}, set().union(*(bug.caught_by for bug in bugs))
        )
