"""K_DB is rotated by processes that are killed, at every named step and at random: nothing is ever lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.rotating import Bank, Place
from trus.ledger.keyring import find_file_version

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 100
#: Each step, which time it is reached when the kill comes, and the version that the file opens under then.
KILLS = (
    ("generated", 1, 1),
    ("begun", 1, 1),
    ("rows", 1, 1),
    ("rows", 5, 1),
    ("rows-done", 1, 1),
    ("copying", 1, 1),
    ("copying", 4, 1),
    ("copied", 1, 1),
    ("closed", 1, 1),
    ("renamed", 1, 2),
    ("exchanged", 1, 2),
    ("done", 1, 2),
)


class Nursery:
    """Where processes are forked that rotate and pay."""

    def __init__(self, case: SynchronousTestCase) -> None:
        folder = Path(case.mktemp()).absolute()
        folder.mkdir(parents=True)
        self._told = folder / "told"
        os.mkfifo(self._told)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ledger.rotation_child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        case.addCleanup(self._process.communicate)

    def start(self, place: Place, stan: int, step: str = "-", times: int = 1) -> tuple[int, TextIO]:
        """Start a process that rotates and pays; return its number and what it tells."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{place.folder} {stan} {step} {times} {self._told}\n")
        self._process.stdin.flush()
        return self._line(), open(self._told)

    def ended(self) -> int:
        """Wait for the process; return its exit status, below zero for a signal."""
        return self._line()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def complaints(self) -> str:
        """End the nursery; return what any process has complained of."""
        return self._process.communicate()[1]


class KillCase(SynchronousTestCase):
    """kill -9."""

    def test_killed_at_every_step(self) -> None:
        """TR-13: killed at any named step, a rotation goes on after the restart; no purchase, name or card is lost."""
        nursery, template = Nursery(self), Place.make(self, PEOPLE)
        for step, times, version in KILLS:
            place = template.copy(self)
            _, told = nursery.start(place, 1, step, times)
            with told:
                paid = set(told.read().split()[1:])
            self.assertEqual(nursery.ended(), -signal.SIGKILL, step)
            self.assertGreater(len(paid), 0, step)
            with Bank(place) as bank:
                self.assertEqual(bank.rotation.status().file, version, step)
                self.assertTrue(paid <= bank.references(), step)
                bank.check(self, PEOPLE)
                bank.pay(3, 5_000)
                if not bank.rotation.waiting and step == "generated":
                    bank.rotation.begin("admin/again")
                bank.rotate()
                status = bank.rotation.status()
                self.assertEqual((status.versions, status.file, status.rows), ((1, 2), 2, 2), step)
                self.assertEqual(bank.sealed_under(), {2}, step)
                bank.check(self, PEOPLE)
                self.assertIn(bank.pay(4, 5_001), bank.references())
                self.assertEqual(find_file_version(place.database, bank.source), 2)
            leftovers = {each.name for each in place.folder.iterdir()} - {"token", "trus.db-wal", "trus.db-shm"}
            self.assertEqual(leftovers, {"trus.db", "trus.db.lock", "trus.db.keys"}, step)
        self.assertEqual(nursery.complaints(), "")

    def test_killed_at_random(self) -> None:
        """TR-13: killed again and again at random moments of one rotation after the other, nothing is ever lost."""
        nursery, place = Nursery(self), Place.make(self, PEOPLE)
        dice = random.Random(20261120)
        paid: set[str] = set()
        for turn in range(8):
            number, told = nursery.start(place, 1 + turn * 100_000)
            with told:
                lines = [told.readline() for _ in range(dice.randint(2, 60))]
                time.sleep(dice.uniform(0, 0.02))
                os.kill(number, signal.SIGKILL)
                lines += told
            self.assertEqual((lines[0], nursery.ended()), ("ready\n", -signal.SIGKILL), turn)
            # A line that the kill cut short tells of a purchase that nobody was told of.
            paid.update(line.strip() for line in lines[1:] if len(line) == 13)
            with Bank(place) as bank:
                self.assertTrue(paid <= bank.references(), turn)
                bank.check(self, PEOPLE)
        with Bank(place) as bank:
            bank.rotate()
            status = bank.rotation.status()
            self.assertEqual({status.file, status.rows}, {status.file})
            self.assertGreater(status.file, 2)
            self.assertEqual(bank.sealed_under(), {status.file})
            bank.check(self, PEOPLE)
            self.assertTrue(paid <= bank.references())
        self.assertGreater(len(paid), 50)
        self.assertEqual(nursery.complaints(), "")
