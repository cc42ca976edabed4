"""The terminal's memory across power cuts."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial import unittest

from tests.device.acting import SeededEntropy, SteppedClock, encode_pin
from trus.device import journal
from trus.device.journal import Asked, FileJournal, JournalDamaged, JournalFailed, Opened, Settled
from trus.device.terminal import Terminal
from trus.values import MAX_STAN, BusinessDate, Identity, ItemState, Result, TerminalId

TERMINAL = TerminalId("T0000001")
DAY = BusinessDate("2026-11-20")


def opened(stan: int, asked: Asked = Asked.PURCHASE, amount: int = 1250, **rest: object) -> Opened:
    return Opened(Identity(TERMINAL, DAY, stan), asked, f"{stan:032x}", amount, "USD", **rest)  # type: ignore[arg-type]


def settled(stan: int, result: Result = Result.APPROVED, code: str = "00", amount: int = 1250) -> Settled:
    return Settled(Identity(TERMINAL, DAY, stan), result, code, amount)


class JournalCase(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "journal"

    def reopen(self, **options: object) -> FileJournal:
        made = FileJournal(self.path, **options)  # type: ignore[arg-type]
        self.addCleanup(lambda: made._broken or made.close())
        return made


class Remembering(JournalCase):
    def test_survives(self) -> None:
        """What was synced is known after a restart: the unfinished request and the counter."""
        first = self.reopen()
        first.append(opened(1))
        first.append(opened(2))
        first.append(settled(1))
        first.sync()
        first.close()
        memory = self.reopen().memory
        self.assertEqual([entry.identity.stan for entry in memory.unfinished.values()], [2])
        self.assertEqual([entry.opened.identity.stan for entry in memory.purchases.values()], [1])
        self.assertEqual(memory.next_identity(TERMINAL, DAY).stan, 3)

    def test_private(self) -> None:
        """The journal is readable by the terminal's user alone."""
        self.reopen()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_unsynced(self) -> None:
        """What was never synced was never said, and is not there after a restart."""
        first = self.reopen()
        first.append(opened(1))
        first.close()
        self.assertEqual(self.reopen().memory.unfinished, {})

    def test_every_sync_is_an_fsync(self) -> None:
        """`sync` returns only after the file has been fsynced, once for all that waited."""
        calls: list[int] = []
        first = self.reopen(fsync=lambda file: calls.append(os.fstat(file).st_size))
        calls.clear()
        first.append(opened(1))
        first.append(opened(2))
        self.assertEqual(calls, [])
        first.sync()
        self.assertEqual(calls, [self.path.stat().st_size])
        first.sync()
        self.assertEqual(len(calls), 1)

    def test_counter_wraps_into_the_next_day(self) -> None:
        """The trace number goes on over days, from 999999 to 1, and none is used twice in a day."""
        memory = self.reopen().memory
        memory.apply(opened(MAX_STAN))
        self.assertEqual(memory.next_identity(TERMINAL, DAY).stan, 1)
        memory.used = MAX_STAN
        with self.assertRaises(JournalFailed):
            memory.next_identity(TERMINAL, DAY)
        self.assertEqual(memory.next_identity(TERMINAL, BusinessDate("2026-11-21")).stan, 1)

    def test_totals(self) -> None:
        """The batch counts approved purchases and acknowledged reversals of them, nothing else."""
        memory = self.reopen().memory
        for record in (
            opened(1),
            settled(1),
            opened(2),
            settled(2, Result.DECLINED, "51", 0),
            opened(3),
            settled(3, Result.PARTIAL, "10", 500),
            opened(4, Asked.REVERSE, original=opened(1).identity, original_rid=opened(1).rid),
            settled(4, Result.REVERSED),
            opened(5),
            opened(6, Asked.REVERSE, original=opened(5).identity, original_rid=opened(5).rid),
            settled(6, Result.REVERSED),
        ):
            memory.apply(record)
        self.assertEqual(memory.totals, journal.Totals(2, 1750, 1, 1250))
        self.assertEqual(memory.unfinished, {})
        memory.apply(opened(7, Asked.CLOSE, totals=memory.totals))
        memory.apply(opened(8))
        memory.apply(settled(8))
        memory.apply(settled(7))
        self.assertEqual(memory.totals, journal.Totals(1, 1250, 0, 0))

    def test_reversal_of_what_was_refunded(self) -> None:
        """A reversal of a purchase that was refunded whole gives nothing back, and the batch counts none."""
        memory = self.reopen().memory
        for record in (
            opened(1),
            settled(1),
            opened(2, Asked.REFUND),
            settled(2),
            opened(3, Asked.REVERSE, original=opened(1).identity, original_rid=opened(1).rid),
            settled(3, Result.REVERSED, amount=0),
        ):
            memory.apply(record)
        self.assertEqual(memory.totals, journal.Totals(1, 1250, refund_count=1, refund_amount=1250))
        self.assertEqual(memory.purchases, {})

    def refunded(self) -> journal.Memory:
        """Return the memory of a terminal that has given 12.50 back."""
        memory = self.reopen().memory
        for record in (opened(1, Asked.REFUND), settled(1)):
            memory.apply(record)
        return memory

    def taken_back(self) -> list[journal.Record]:
        """Return the records of a refund that the cashier takes back."""
        refund = opened(1, Asked.REFUND)
        return [
            opened(2, Asked.REVERSE, original=refund.identity, original_rid=refund.rid),
            settled(2, Result.REVERSED),
        ]

    def test_refund_taken_back(self) -> None:
        """A refund that the cashier takes back leaves the batch's totals, and its item says so; once."""
        memory = self.refunded()
        for record in (*self.taken_back(), *self.taken_back()):
            memory.apply(record)
        self.assertEqual(memory.totals, journal.Totals())
        self.assertEqual([each.state for each in memory.items.values()], [ItemState.REVERSED])

    def test_refund_of_a_closed_batch_taken_back(self) -> None:
        """A refund of a batch that was closed does not count in the next one when it is taken back there."""
        memory = self.refunded()
        for record in (opened(3, Asked.CLOSE, totals=memory.totals), settled(3), *self.taken_back()):
            memory.apply(record)
        self.assertEqual((memory.totals, memory.items), (journal.Totals(), {}))

    def test_refund_taken_back_while_closing(self) -> None:
        """A refund taken back while its batch is being closed counts there: the next batch has none, not one less."""
        memory = self.refunded()
        for record in (opened(3, Asked.CLOSE, totals=memory.totals), *self.taken_back(), settled(3)):
            memory.apply(record)
        self.assertEqual(memory.totals, journal.Totals())

    def test_totals_of_an_earlier_version(self) -> None:
        """A closing that counted more than the totals now hold leaves nothing, and never less than nothing."""
        memory = self.refunded()
        more = journal.Totals(refund_count=2, refund_amount=2500)
        for record in (opened(3, Asked.CLOSE, totals=more), settled(3)):
            memory.apply(record)
        self.assertEqual(memory.totals, journal.Totals())

    def test_reversal_takes_over(self) -> None:
        """Once a reversal is written down, a late answer to its original changes nothing."""
        memory = self.reopen().memory
        memory.apply(opened(1))
        memory.apply(opened(2, Asked.REVERSE, original=opened(1).identity, original_rid=opened(1).rid))
        memory.apply(settled(1))
        self.assertEqual(memory.purchases, {})
        self.assertEqual([entry.asked for entry in memory.unfinished.values()], [Asked.REVERSE])


class Damage(JournalCase):
    def test_torn_anywhere(self) -> None:
        """A write torn at any byte loses only itself, and the journal goes on after it."""
        first = self.reopen()
        first.append(opened(1))
        first.sync()
        kept = self.path.read_bytes()
        first.append(settled(1))
        first.append(opened(2))
        first.sync()
        first.close()
        whole = self.path.read_bytes()
        for cut in range(len(kept), len(whole)):
            self.path.write_bytes(whole[:cut])
            again = FileJournal(self.path)
            self.assertEqual([entry.identity.stan for entry in again.memory.unfinished.values()], [1])
            self.assertEqual(self.path.read_bytes(), kept)
            again.append(opened(3))
            again.sync()
            again.close()
            self.assertEqual(len(FileJournal(self.path).memory.unfinished), 2)

    def test_garbage_tail(self) -> None:
        """A last line of the right length but other bytes is a torn write too."""
        first = self.reopen()
        first.append(opened(1))
        first.sync()
        first.close()
        with self.path.open("ab") as file:
            file.write(b"\x00" * 300 + b"\n")
        self.assertEqual(len(self.reopen().memory.unfinished), 1)

    def test_damage_inside(self) -> None:
        """A damaged line that is not the last stops the terminal and names the line."""
        first = self.reopen()
        for stan in (1, 2, 3):
            first.append(opened(stan))
            first.sync()
        first.close()
        data = bytearray(self.path.read_bytes())
        data[data.index(b"\n") + 20] ^= 1
        self.path.write_bytes(data)
        with self.assertRaisesRegex(JournalDamaged, "line 2"):
            FileJournal(self.path)
        self.assertEqual(self.path.read_bytes(), bytes(data))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=400))
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever bytes the file holds, opening it gives a journal or JournalDamaged."""
        self.path.write_bytes(data)
        with contextlib.suppress(JournalDamaged):
            FileJournal(self.path).close()

    def test_disk_full(self) -> None:
        """When the disk refuses a record nothing may be said any more, until a restart."""

        def refuse(file: int) -> None:
            raise OSError(28, "No space left on device")

        first = self.reopen()
        first.append(opened(1))
        first.sync()
        first._fsync = refuse
        first.append(opened(2))
        with self.assertRaisesRegex(JournalFailed, "No space left"):
            first.sync()
        with self.assertRaises(JournalFailed):
            first.append(opened(3))
        with self.assertRaises(JournalFailed):
            first.sync()

    def test_refused_record_is_gone(self) -> None:
        """A record whose fsync failed was never said, and is not there after a restart either."""

        def refuse(file: int) -> None:
            raise OSError(5, "Input/output error")

        first = self.reopen()
        first.append(opened(1))
        first.sync()
        kept = self.path.read_bytes()
        first._fsync = refuse
        first.append(opened(2))
        with self.assertRaises(JournalFailed):
            first.sync()
        self.assertEqual(self.path.read_bytes(), kept)
        self.assertEqual([entry.identity.stan for entry in self.reopen().memory.unfinished.values()], [1])

    def test_what_is_read_is_durable(self) -> None:
        """What a killed process wrote counts only after it was made durable: opening the journal fsyncs it."""
        first = self.reopen()
        first.append(opened(1))
        first.sync()
        first.close()
        made: list[int] = []
        self.reopen(fsync=lambda file: made.append(os.fstat(file).st_ino))
        self.assertEqual(made, [self.path.stat().st_ino, self.folder.stat().st_ino])

    def test_no_folder(self) -> None:
        """A journal that cannot be made is one clear sentence."""
        with self.assertRaisesRegex(JournalFailed, "cannot be opened: No such file"):
            FileJournal(self.folder / "missing" / "journal")


class Compaction(JournalCase):
    def test_bounded(self) -> None:
        """After 5,000 purchases the file is small, and knows the same as one never compacted."""
        compacted = self.reopen(compact_above=8192, fsync=lambda file: None)
        reference = journal.Memory()
        largest = 0
        for stan in range(1, 5001):
            for record in (opened(stan), settled(stan, Result.DECLINED, "51", 0)):
                compacted.append(record)
                reference.apply(record)
            compacted.sync()
            largest = max(largest, self.path.stat().st_size)
        for record in (opened(5001), opened(5002), settled(5002)):
            compacted.append(record)
            reference.apply(record)
        compacted.sync()
        compacted.close()
        self.assertLess(largest, 16384)
        self.assertEqual(self.reopen().memory.summary(), reference.summary())

    def test_seldom(self) -> None:
        """A journal of which most is still of use is not summed up with every record: the file grows first."""
        summed = 0
        encode = journal.encode

        def counting(records: Sequence[journal.Record]) -> bytes:
            nonlocal summed
            summed += isinstance(records[0], journal.Summary)
            return encode(records)

        self.patch(journal, "encode", counting)
        busy = self.reopen(compact_above=4096, fsync=lambda file: None)
        for stan in range(1, 601):
            busy.append(opened(stan))
            busy.sync()
        self.assertLess(summed, 10)
        for stan in range(1, 601):
            busy.append(settled(stan, Result.DECLINED, "51", 0))
        busy.sync()
        for stan in range(601, 3000):
            busy.append(opened(stan))
            busy.append(settled(stan, Result.DECLINED, "51", 0))
            busy.sync()
        self.assertLess(self.path.stat().st_size, 8192)

    def test_refused(self) -> None:
        """When the disk refuses the rewritten file, the terminal stops, and the old file stays."""
        first = self.reopen(compact_above=1)
        calls = 0

        def refuse(file: int) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise OSError(28, "No space left on device")

        first._fsync = refuse
        for stan in range(1, 5):
            first.append(opened(stan))
            first.append(settled(stan, Result.DECLINED, "51", 0))
        with self.assertRaisesRegex(JournalFailed, "could not be rewritten"):
            first.sync()
        with self.assertRaises(JournalFailed):
            first.sync()
        self.assertEqual(self.reopen().memory.stan, 4)

    def test_purchases_bounded(self) -> None:
        """Only the latest purchases are kept for a reversal; the totals count them all."""
        memory = self.reopen().memory
        count = journal.KEPT_PURCHASES + 10
        for stan in range(1, count + 1):
            memory.apply(opened(stan))
            memory.apply(settled(stan))
        self.assertEqual(len(memory.purchases), journal.KEPT_PURCHASES)
        self.assertEqual(memory.totals.purchase_count, count)

    def test_interrupted(self) -> None:
        """A compaction that did not finish leaves the old file in force."""
        first = self.reopen()
        first.append(opened(1))
        first.sync()
        first.close()
        (self.folder / "journal.new").write_bytes(b"half")
        self.assertEqual(len(self.reopen().memory.unfinished), 1)


class Readings(JournalCase):
    def test_never_back(self) -> None:
        """TR-5: readings are numbered on after a restart, a compaction and a journal put back from a copy."""
        first = self.reopen(compact_above=1)
        memory = first.memory
        self.assertEqual([memory.reading(), memory.reading()], [1, 2])
        first.append(opened(1, read=2))
        first.append(settled(1))
        first.sync()
        copy = self.path.read_bytes()
        self.assertEqual(memory.reading(), 3)
        for stan in range(2, 40):
            first.append(opened(stan, Asked.BALANCE, read=3))
            first.append(settled(stan))
        first.sync()
        first.close()
        self.assertIn(b'"reads":3', self.path.read_bytes())
        self.assertEqual(self.reopen().memory.reading(), 4)
        self.path.write_bytes(copy)
        again = self.reopen()
        self.assertEqual(again.memory.reads, 2)
        Terminal(TERMINAL, journal=again, clock=SteppedClock(), entropy=SeededEntropy(), encode_pin=encode_pin)
        self.assertEqual(again.memory.reading(), int(SteppedClock().now().timestamp()) + 1)

    def test_end(self) -> None:
        """The field has 15 digits: a number beyond is never said."""
        memory = self.reopen().memory
        memory.reads = journal.MAX_READING - 1
        self.assertEqual([memory.reading(), memory.reading()], [journal.MAX_READING] * 2)
