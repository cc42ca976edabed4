"""The ledger in memory does what the one in its ciphered file does, but for what a power cut leaves."""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs
from sqlcipher3 import dbapi2
from twisted.trial import unittest

from trus.ledger.dialect import Direct
from trus.simulation.memory import MemoryDisk
from trus.simulation.run import run
from trus.simulation.sweep import Plan
from trus.simulation.town import town

_DATE = "SELECT date FROM business_day WHERE state = 'open'"
_CHANGE = "UPDATE business_day SET date = ? WHERE state = 'open'"


class Memory(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def disk(self) -> MemoryDisk:
        """Return a disk that is given back at the end."""
        disk = MemoryDisk(self.folder / "ledger", town())
        self.addCleanup(disk.release, keep=False)
        disk.mount()
        return disk

    def connect(self, disk: MemoryDisk) -> Direct:
        """Return a connection to the ledger."""
        direct = Direct(disk.open_file(disk.path, bytes).connect())
        self.addCleanup(direct.close)
        return direct

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

    def test_units(self) -> None:
        """What is committed is seen by the next connection, what is not is forgotten when its process dies."""
        disk = self.disk()
        writer = self.connect(disk)
        self.assertEqual(writer.checkpoint(truncate=True), (0, 0))
        writer.begin()
        writer.send(_CHANGE, [("2031-01-01",)])
        writer.commit()
        writer.begin()
        writer.send(_CHANGE, [("2031-01-02",)])
        self.assertRaises(dbapi2.OperationalError, self.connect(disk).begin)
        writer.close()
        reader = self.connect(disk)
        reader.begin_reading()
        self.assertEqual(reader.rows(_DATE, ()), [("2031-01-01",)])
        reader.rollback()
        self.assertEqual(disk.peeked, 0)

    def test_a_look_inside_a_unit_is_counted(self) -> None:
        """Whoever reads while a unit is open would see what is not committed: that is counted, and never happens."""
        disk = MemoryDisk(self.folder / "ledger", town())
        writer = self.connect(disk)
        writer.begin()
        self.connect(disk).begin_reading()
        self.assertEqual(disk.peeked, 1)
        writer.rollback()
        shape = attrs.evolve(Plan(600).shape(1), ciphered=False)
        before = disk.peeked
        disk.release(keep=False)
        run(1, 600, self.folder / "run", shape=shape)
        self.assertEqual(disk.peeked, before)

    def test_every_run_begins_anew(self) -> None:
        """What a run has written is gone for the next one; a copy can be kept, which anybody may open."""
        first = MemoryDisk(self.folder / "ledger", town())
        writer = Direct(first.open_file(first.mount(), bytes).connect())
        [[founded]] = writer.rows(_DATE, ())
        writer.begin()
        writer.send(_CHANGE, [("2031-01-01",)])
        writer.commit()
        writer.close()
        first.release(keep=True)
        with dbapi2.connect(str(first.path)) as kept:
            self.assertEqual(kept.execute(_DATE).fetchall(), [("2031-01-01",)])
        self.assertEqual(self.connect(self.disk()).rows(_DATE, ()), [(founded,)])

    def test_two_at_once(self) -> None:
        """Two runs in one process have a database each."""
        one, two = self.connect(self.disk()), self.connect(self.disk())
        one.begin()
        two.begin()
        one.send(_CHANGE, [("2031-01-01",)])
        one.commit()
        self.assertNotEqual(two.rows(_DATE, ()), one.rows(_DATE, ()))
