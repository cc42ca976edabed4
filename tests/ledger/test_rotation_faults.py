"""A rotation of K_DB while files and folders fail; its keys are in memory, its database is a real one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.rotating import Bank, Place
from trus.clock import SystemEntropy
from trus.errors import KeyNotFound, StorageFailed
from trus.ledger import rotation_file
from trus.ledger.backups import BackupRow, take_notes, write_note
from trus.ledger.days import microseconds
from trus.ledger.engine import open_connection, open_engine
from trus.ledger.keyring import Marker, write_marker
from trus.ledger.rotation import RotationRefused
from trus.ledger.rotation_state import keys_in_use

PEOPLE = 3


def nobody(seconds: float) -> None:
    """Serve nobody."""


class FaultCase(SynchronousTestCase):
    """One network, rotated in this process."""

    def setUp(self) -> None:
        self.place = Place.in_memory(self, PEOPLE)
        self.steps: list[str] = []
        self.bank = Bank(self.place, self.step)
        self.addCleanup(lambda: self.bank.close())

    def step(self, name: str) -> None:
        self.steps.append(name)

    def begin(self) -> None:
        """Begin a rotation, and do its rows."""
        self.bank.rotation.begin("admin/ada")
        while "rows-done" not in self.steps:
            self.bank.rotation.work(nobody)

    def check(self, version: int) -> None:
        """Check that the ledger is served, sound, and opens under a version, also after a restart."""
        self.assertIn(self.bank.pay(1, version), self.bank.references())
        self.bank.check(self, PEOPLE)
        self.bank.close()
        self.bank = Bank(self.place, self.step)
        self.assertEqual(self.bank.rotation.status().file, version)
        self.bank.check(self, PEOPLE)

    # ------------------------------------------------------------------------------- before

    def test_a_file_that_is_no_whole_ledger(self) -> None:
        """A database under the right key that lacks what is needed is not opened, in one sentence, and not held."""
        key = self.bank.source.keys(1).file
        self.bank.close()
        damaged = open_connection(self.place.database, lambda: key)
        damaged.execute("DROP TABLE key_rotation")
        damaged.close()
        for _ in range(2):
            failure = self.assertRaises(StorageFailed, Bank, self.place)
            self.assertIn("cannot be opened: no such table: key_rotation", str(failure))

    def test_nothing_to_do(self) -> None:
        """Where no rotation is under way a piece of work changes nothing and is no fault."""
        self.bank.rotation.work(nobody)
        self.assertEqual(self.steps, [])
        self.check(1)

    def test_a_token_that_goes_backwards(self) -> None:
        """A token that makes an old version once more is refused before anything is under it."""
        self.patch(self.bank.source, "generate", lambda: 1)
        failure = self.assertRaises(RotationRefused, self.bank.rotation.begin, "admin/ada")
        self.assertIn("the token made version 1 of K_DB after version 1", str(failure))
        self.assertFalse(self.bank.rotation.waiting)
        self.check(1)

    def test_a_version_that_is_gone(self) -> None:
        """A ledger whose version of K_DB the token does not hold is not served under another one."""
        self.assertRaises(KeyNotFound, keys_in_use, [], self.bank.source, 2, SystemEntropy(), "2026-11-20")

    def test_a_version_that_was_skipped(self) -> None:
        """Of two versions that were made before a kill the newest is taken; the other needs nothing and may go."""
        for _ in range(2):
            self.bank.source.generate()
        self.begin()
        self.bank.rotate()
        status = self.bank.rotation.status()
        self.assertEqual((status.file, status.rows, status.need_of(2)), (3, 3, ""))
        self.bank.rotation.destroy(2, "admin/ada")
        self.assertEqual(self.bank.source.versions(), [1, 3])

    def test_what_is_used_for_what(self) -> None:
        """Before, during and after a rotation the operator sees which version is used for what, and how far it is."""

        def use() -> list[str]:
            return [self.bank.rotation.status().use_of(version) for version in (1, 2, 3)]

        self.assertEqual(use(), ["file,rows", "", ""])
        self.bank.rotation.begin("admin/ada")
        self.assertEqual(use(), ["file,rows", "rows", ""])
        self.assertEqual(self.bank.rotation.status().told, "K_DB goes from version 1 to 2: 0 of 6 rows are done.")
        while "rows-done" not in self.steps:
            self.bank.rotation.work(nobody)
        self.assertEqual(use(), ["file", "rows", ""])
        self.bank.rotate()
        self.assertEqual(use(), ["", "file,rows", ""])

    def test_backups_on_record(self) -> None:
        """The officer sees every backup that is on record."""
        self.assertEqual(self.bank.rotation.backups(), [])
        now = self.bank.clock.now()
        note = BackupRow("ab" * 16, microseconds(now), microseconds(now) + 1, (1,), 3, "cd" * 32, ("ef" * 32,))
        write_note(self.place.database, note)
        take_notes(self.bank.ledger, self.place.database, now)
        self.assertEqual(self.bank.rotation.backups(), [note])

    # ----------------------------------------------------------------------------- the copy

    def test_told_while_copying(self) -> None:
        """While the file is copied the status says how many of its pages are."""
        self.patch(rotation_file, "PAGES_A_STEP", 16)
        told: list[str] = []
        self.begin()
        self.bank.rotation.work(lambda seconds: told.append(self.bank.rotation.status().told))
        self.assertRegex(told[0], r"goes from version 1 to 2: the rows are done, 16 of [0-9]{2,} pages of the file")
        self.assertEqual(self.bank.rotation.status().told, "The database is under version 2 of K_DB.")

    def test_a_copy_that_cannot_be_made_durable(self) -> None:
        """A disk that fails under the copy is told in one sentence, no half copy stays, and it is tried again."""

        real = os.fsync

        def fsync(descriptor: int) -> None:
            if self.steps[-1] == "copied":
                raise OSError(5, "Input/output error")
            real(descriptor)

        self.begin()
        patched = self.patch(os, "fsync", fsync)
        failure = self.assertRaises(StorageFailed, self.bank.rotation.work, nobody)
        patched.restore()
        self.assertEqual(str(failure), "the database cannot be copied: Input/output error")
        self.assertEqual([each.name for each in self.place.folder.glob("*.rekey*")], [])
        self.check(1)
        self.bank.rotate()
        self.check(2)

    def test_a_copy_that_cannot_be_written(self) -> None:
        """A copy that cannot be written to is told as such; the ledger goes on with the old file."""
        self.begin()
        patched = self.patch(rotation_file, "open_copy", lambda path, key: open_connection(path, key, read_only=True))
        failure = self.assertRaises(StorageFailed, self.bank.rotation.work, nobody)
        patched.restore()
        self.assertIn("the database cannot be copied", str(failure))
        self.check(1)

    def test_a_closed_ledger(self) -> None:
        """A ledger that was closed is not copied."""
        self.bank.ledger.close()
        failure = self.assertRaises(StorageFailed, self.bank.ledger.copy_into, None, 1, lambda left, total: None)
        self.assertEqual(str(failure), "the ledger is closed")

    # -------------------------------------------------------------------------- the exchange

    def test_a_log_that_is_not_empty(self) -> None:
        """What somebody else wrote to the old file at the last moment is not lost: the old file stays the ledger."""
        others: list[Any] = []

        def write(name: str) -> None:
            self.steps.append(name)
            if name == "closed" and not others:
                other = open_connection(self.place.database, lambda: self.bank.source.keys(1).file)
                others.append(other)
                other.execute("INSERT INTO meta VALUES ('late', 'word')")

        self.bank.rotation._at = write
        self.begin()
        failure = self.assertRaises(StorageFailed, self.bank.rotation.work, nobody)
        self.assertIn("the log of the old file is not empty", str(failure))
        others[0].close()
        self.bank.rotate()
        with self.bank.ledger.reading() as connection:
            word = connection.exec_driver_sql("SELECT value FROM meta WHERE name = 'late'").scalar()
        self.assertEqual(word, "word")
        self.check(2)

    def test_a_name_that_cannot_be_made_durable(self) -> None:
        """When the folder fails after the renaming, the ledger goes on with the new file, and the next try ends it."""

        def sync(folder: Path) -> None:
            raise OSError(5, "Input/output error")

        self.begin()
        patched = self.patch(rotation_file, "sync_folder", sync)
        failure = self.assertRaises(StorageFailed, self.bank.rotation.work, nobody)
        patched.restore()
        self.assertIn("the database cannot be exchanged", str(failure))
        self.assertIn(self.bank.pay(2, 7), self.bank.references())
        self.bank.rotate()
        self.check(2)

    def test_another_history(self) -> None:
        """TR-13: a file with another history is not written to, whatever its key, before a restart."""
        lost = self.place.folder / "lost.db"
        self.bank.ledger.checkpoint(truncate=True)
        lost.write_bytes(self.place.database.read_bytes())
        self.bank.pay(0, 1)
        key = self.bank.source.keys(1).file
        failure = self.assertRaises(
            StorageFailed,
            self.bank.ledger.exchange,
            lambda: open_engine(lost, lambda: key),
            self.bank.clock.now(),
        )
        self.assertIn("has another history", str(failure))
        self.assertEqual(self.bank.ledger.health(), str(failure))
        self.assertRaises(StorageFailed, self.bank.pay, 0, 2)

    # ----------------------------------------------------------------------------- the marker

    def test_a_marker_that_cannot_be_written(self) -> None:
        """The file is not copied before the marker says so: where it cannot be written the rotation waits."""
        self.begin()
        obstacle = self.place.database.with_name("trus.db.keys.new")
        obstacle.mkdir()
        failure = self.assertRaises(StorageFailed, self.bank.rotation.work, nobody)
        self.assertIn("trus.db.keys cannot be written", str(failure))
        self.assertNotIn("copying", self.steps)
        self.assertRaises(StorageFailed, write_marker, self.place.database, Marker(1))
        obstacle.rmdir()
        self.bank.rotate()
        self.check(2)
