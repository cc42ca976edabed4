"""The file of wrapped objects keeps what it was given, whatever happens to its process or its machine."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.cli.softhsm import PROJECT
from trus.errors import KeyStoreError, KeyStoreUnavailable
from trus.hsm.objectfile import MAX_BODY_BYTES, ObjectFile, index_path

IDENTITY = bytes(range(16))


def name(number: int) -> bytes:
    """Return a record's name."""
    return hashlib.sha256(b"%d" % number).digest()


def body(number: int) -> bytes:
    """Return a record's body, of a length of its own."""
    return b"%d." % number * (number % 97 + 1)


class ObjectFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.path = folder / "objects.db"
        self.file = ObjectFile.create(self.path, IDENTITY)
        self.addCleanup(self.close)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None  # type: ignore[assignment]

    def reopen(self) -> ObjectFile:
        self.close()
        self.file = ObjectFile(self.path)
        return self.file

    def now_and_after_a_restart(self) -> Iterator[ObjectFile]:
        yield self.file
        yield self.reopen()

    def fill(self, numbers: range) -> None:
        self.file.append([(name(number), body(number)) for number in numbers])

    def test_records_come_back(self) -> None:
        """What was put is found, now and after a restart; what was not is not."""
        self.fill(range(5000))
        for file in self.now_and_after_a_restart():
            for number in (0, 1, 4095, 4999):
                self.assertEqual(file.get(name(number)), body(number))
            self.assertIsNone(file.get(name(5000)))
            self.assertEqual(len(file), 5000)

    def test_a_record_is_replaced_and_removed(self) -> None:
        """Of two records of one name the later counts, and a removed one is gone, after a restart as well."""
        self.fill(range(10))
        self.file.append([(name(3), b"again"), (name(4), b"")])
        for file in self.now_and_after_a_restart():
            self.assertEqual(file.get(name(3)), b"again")
            self.assertIsNone(file.get(name(4)))
            self.assertEqual(len(list(file.records())), 9)

    def test_a_start_reads_nothing_of_the_file(self) -> None:
        """After an orderly end the next start knows every record from the index: contents may be unreadable."""
        self.fill(range(3000))
        self.close()
        with self.path.open("r+b") as file:
            file.seek(48)
            file.write(bytes(1000))
        found = ObjectFile(self.path)
        self.addCleanup(found.close)
        self.assertEqual(found.get(name(2999)), body(2999))

    def test_a_lost_index_is_made_anew(self) -> None:
        """Without its index, or with another file's, the file is read once and everything is found."""
        self.fill(range(3000))
        self.file.append([(name(7), b"again"), (name(8), b"")])
        self.close()
        index_path(self.path).unlink()
        self.assertEqual(self.reopen().get(name(7)), b"again")
        self.assertIsNone(self.file.get(name(8)))
        self.close()
        other = self.path.with_name("other.db")
        ObjectFile.create(other, bytes(16)).close()
        shutil.copy(index_path(other), index_path(self.path))
        self.assertEqual(self.reopen().get(name(2999)), body(2999))

    def test_any_power_cut_leaves_every_record_that_was_promised(self) -> None:
        """TR-17: cut off anywhere beyond what was promised, with rubbish behind, every promised record is there."""
        chance = random.Random(20261120)
        self.fill(range(1500))
        promised = self.file.size
        old_index = index_path(self.path).read_bytes()
        self.fill(range(1500, 1600))
        new_index = index_path(self.path).read_bytes()
        whole = self.path.read_bytes()
        self.close()
        for _ in range(60):
            cut = chance.randrange(promised, len(whole))
            rubbish = chance.randbytes(chance.choice((0, 1, 60, 4000)))
            self.path.write_bytes(whole[:cut] + rubbish)
            # The entries may have reached the disk at any time, and the header that covers them not before.
            torn = bytearray(old_index)
            for place in range(4096, len(torn), 4096):
                if chance.random() < 0.5:
                    torn[place : place + 4096] = new_index[place : place + 4096]
            index_path(self.path).write_bytes(bytes(torn))
            file = ObjectFile(self.path)
            for number in chance.sample(range(1500), 50):
                self.assertEqual(file.get(name(number)), body(number))
            for number in range(1500, 1600):
                self.assertIn(file.get(name(number)), (None, body(number)))
            file.append([(name(9999), b"after")])
            file.close()
            file = ObjectFile(self.path)
            self.assertEqual(file.get(name(9999)), b"after")
            file.close()

    def test_a_killed_process_loses_nothing_that_it_promised(self) -> None:
        """Killed at any moment, the process leaves every record that it had said was kept."""
        self.close()
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.hsm.object_child", str(self.path)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(1200)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        promised = [int(line) for line in lines if line.endswith(b"\n")]
        self.assertGreaterEqual(len(promised), 1200)
        file = self.reopen()
        for number in promised:
            self.assertEqual(file.get(name(number)), body(number))

    def test_damage_is_no_unfinished_write(self) -> None:
        """When more follows a broken record than one write can leave, the file is refused, not cut."""
        self.fill(range(100))
        at = self.file.size
        self.file.append([(name(number), bytes(60_000)) for number in range(100, 140)])
        self.close()
        index_path(self.path).unlink()
        content = bytearray(self.path.read_bytes())
        content[at + 30_000] ^= 1
        self.path.write_bytes(content)
        error = self.assertRaises(KeyStoreError, ObjectFile, self.path)
        self.assertIn(f"is damaged at byte {at}", str(error))
        self.assertEqual(self.path.read_bytes(), bytes(content))

    def test_a_shortened_file_is_refused(self) -> None:
        """A file that has lost records which its index knows is refused, with what to do about it."""
        self.fill(range(100))
        self.close()
        with self.path.open("r+b") as file:
            file.truncate(2000)
        error = self.assertRaises(KeyStoreError, ObjectFile, self.path)
        self.assertIn("has lost records that its index knows: if it was restored", str(error))

    def test_a_copy_taken_at_any_time_is_whole(self) -> None:
        """A copy of the file alone, taken while records are put, opens and has what was promised by then."""
        self.fill(range(700))
        copy = self.path.with_name("copy.db")
        shutil.copy(self.path, copy)
        self.fill(range(700, 800))
        restored = ObjectFile(copy)
        self.addCleanup(restored.close)
        self.assertEqual(len(list(restored.records())), 700)

    def test_one_process_writes(self) -> None:
        """A second writer is refused; a reader finds what is there, and what comes it finds when it opens anew."""
        self.fill(range(5))
        error = self.assertRaises(KeyStoreUnavailable, ObjectFile, self.path)
        self.assertIn("in use by another process", str(error))
        reader = ObjectFile(self.path, writable=False)
        self.addCleanup(reader.close)
        self.assertEqual(reader.get(name(4)), body(4))
        self.assertRaises(KeyStoreError, reader.append, [(name(1), b"x")])

    def test_replacing_the_file_forgets_for_good(self) -> None:
        """Written anew, the file has what counts and nothing that was removed or replaced."""
        self.file.append([(name(1), b"first secret"), (name(2), b"second"), (name(1), b"kept"), (name(2), b"")])
        self.file.replace(bytes(16), b"a note of 16 by.", list(self.file.records()))
        for file in self.now_and_after_a_restart():
            self.assertEqual((file.get(name(1)), file.get(name(2)), file.note), (b"kept", None, b"a note of 16 by."))
        self.assertNotIn(b"secret", self.path.read_bytes())
        self.file.append([(name(5), b"later")])
        self.assertEqual(self.reopen().get(name(5)), b"later")

    def test_a_full_disk_is_reported_and_nothing_half_remains(self) -> None:
        """When the disk takes no more the record is refused, and later ones are kept as ever."""
        self.fill(range(3))
        real = os.fdatasync

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fdatasync", full)
        error = self.assertRaises(KeyStoreUnavailable, self.file.append, [(name(7), b"lost"), (name(8), b"lost")])
        self.assertIn("No space left on device", str(error))
        self.patch(os, "fdatasync", real)
        self.file.append([(name(9), b"kept")])
        for file in self.now_and_after_a_restart():
            self.assertEqual((file.get(name(7)), file.get(name(8)), file.get(name(9))), (None, None, b"kept"))

    def test_what_is_no_record_is_refused(self) -> None:
        """A name or body of impossible length is refused before anything is written."""
        before = self.file.size
        for record in ((b"short", b"x"), (name(1), bytes(MAX_BODY_BYTES + 1))):
            self.assertRaises(KeyStoreError, self.file.append, [record])
        self.assertEqual(self.file.size, before)

    def test_another_file_is_refused(self) -> None:
        """A file of another kind is refused, and a missing one is one sentence."""
        other = self.path.with_name("other")
        other.write_bytes(bytes(100))
        self.assertRaises(KeyStoreError, ObjectFile, other)
        self.assertRaises(KeyStoreUnavailable, ObjectFile, self.path.with_name("missing"))
        self.assertRaises(KeyStoreError, ObjectFile.create, self.path, IDENTITY)

    def test_many_crashes_do_not_fill_the_index(self) -> None:
        """Entries of records that a crash took are counted at the next start, so that the index grows in time."""
        for crash in range(12):
            before, covered = self.path.read_bytes(), index_path(self.path).read_bytes()[:4096]
            self.fill(range(1000 * crash, 1000 * crash + 600))
            entries = index_path(self.path).read_bytes()[4096:]
            self.close()
            self.path.write_bytes(before)
            index_path(self.path).write_bytes(covered + entries)
            self.reopen()
        self.fill(range(50_000, 53_000))
        self.assertEqual(self.file.get(name(52_999)), body(52_999))
        self.assertIsNone(self.file.get(name(0)))
