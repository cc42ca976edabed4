"""K_DB is rotated by processes that are killed, at every named step and at random: nothing is ever lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

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


def child(place: Place, stan: int, step: str = "-", times: int = 1) -> subprocess.Popen[str]:
    """Start a process that rotates and pays."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.rotation_child", str(place.folder), str(stan), step, str(times)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class KillCase(SynchronousTestCase):
    """kill -9."""

    def test_killed_at_every_step(self) -> None:
        """TR-13: killed at any named step, a rotation goes on after the restart; no purchase, name or card is lost."""
        template = Place.make(self, PEOPLE)
        for step, times, version in KILLS:
            place = template.copy(self)
            process = child(place, 1, step, times)
            told, complaints = process.communicate(timeout=60)
            self.assertEqual((process.returncode, complaints), (-signal.SIGKILL, ""), step)
            paid = set(told.split()[1:])
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

    def test_killed_at_random(self) -> None:
        """TR-13: killed again and again at random moments of one rotation after the other, nothing is ever lost."""
        place = Place.make(self, PEOPLE)
        dice = random.Random(20261120)
        paid: set[str] = set()
        for turn in range(8):
            process = child(place, 1 + turn * 100_000)
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), "ready\n")
            time.sleep(dice.uniform(0.05, 0.9))
            process.kill()
            told, complaints = process.communicate(timeout=60)
            self.assertEqual(complaints, "", turn)
            # A line that the kill cut short tells of a purchase that nobody was told of.
            paid.update(line for line in told.splitlines() if len(line) == 12)
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
