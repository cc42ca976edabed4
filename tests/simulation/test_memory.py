"""A run with its ledger in memory does what one on the ciphered file does, but for what a power cut leaves."""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs
from twisted.trial import unittest

from trus.simulation.memory import MemoryDisk
from trus.simulation.run import run
from trus.simulation.sweep import Plan
from trus.simulation.town import town


class Memory(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_same_as_in_a_file(self) -> None:
        """TR-11: byte for byte the same happens whether the ledger lies in its ciphered file or in memory."""
        plan = Plan(150, quick=True, faults=("connection cut", "core killed", "core died in a statement"))
        for seed in (2, 3):
            digests = []
            for ciphered in (False, True):
                shape = attrs.evolve(plan.shape(seed), ciphered=ciphered)
                report = run(seed, plan.steps, self.folder / f"{seed}-{ciphered}", shape=shape)
                self.assertEqual(report.findings, ())
                digests.append(report.digest)
            self.assertEqual(digests[0], digests[1])

    def test_nobody_looks_inside_a_unit(self) -> None:
        """The core reads nothing while a unit of work is open, which in memory would show what is not committed."""
        run(1, 600, self.folder / "run", shape=attrs.evolve(Plan(600).shape(1), ciphered=False))
        disk = MemoryDisk(self.folder, town())
        self.addCleanup(disk.release, keep=False)
        self.assertEqual(disk.peeked, 0)

    def test_shapes(self) -> None:
        """A minority of the runs cut into the ciphered file, and all of those that ask for a power cut of it."""
        quick, full = Plan(150, quick=True), Plan(4000)
        self.assertTrue(50 < sum(quick.shape(seed).ciphered for seed in range(400)) < 150)
        self.assertTrue(80 < sum(full.shape(seed).ciphered for seed in range(400)) < 190)
        cutting = Plan(150, quick=True, faults=("power cut at a commit",))
        self.assertTrue(all(cutting.shape(seed).ciphered for seed in range(20)))
