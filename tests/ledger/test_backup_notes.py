"""Notes of backups beside the database: left by whoever copies it, taken over by the process that writes it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import NOON, Books
from trus.errors import StorageFailed
from trus.ledger.backups import NOTES, BackupRow, backups, needing, read_notes, take_notes, write_note
from trus.ledger.days import microseconds
from trus.ledger.tables import event


def note(name: str = "ab", versions: tuple[int, ...] = (1,), days: int = 90) -> BackupRow:
    at = microseconds(NOON)
    return BackupRow(name * 16, at, at + days * 86_400_000_000, versions, 3, "cd" * 32, ("ef" * 32, "01" * 32))


class NoteCase(SynchronousTestCase):
    """A ledger and what lies beside it."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.folder = self.books.path.with_name(NOTES)

    def taken(self) -> int:
        return take_notes(self.books.ledger, self.books.path, NOON)

    def rules(self) -> list[str]:
        with self.books.ledger.reading() as connection:
            return list(connection.execute(select(event.c.rule).where(event.c.kind == "admin")).scalars())

    def test_taken_once(self) -> None:
        """A backup comes on record with one event, also when the process was killed before it removed the note."""
        write_note(self.books.path, note())
        self.assertEqual(read_notes(self.books.path), [note()])
        self.assertEqual((self.taken(), read_notes(self.books.path)), (1, []))
        write_note(self.books.path, note())
        self.assertEqual((self.taken(), read_notes(self.books.path)), (1, []))
        with self.books.ledger.reading() as connection:
            self.assertEqual(backups(connection), [note()])
        self.assertEqual(self.rules(), ["BACKUP"])

    def test_nothing_noted(self) -> None:
        """Without notes there is nothing to take; what has another name is left alone."""
        self.assertEqual((read_notes(self.books.path), self.taken()), ([], 0))
        self.folder.mkdir()
        (self.folder / ".unfinished").write_bytes(b"{")
        self.assertEqual((read_notes(self.books.path), self.rules()), ([], []))

    def test_a_note_that_cannot_be_left(self) -> None:
        """Where no word of a backup can be left the backup is told as failed: nobody would keep its keys."""
        self.folder.write_bytes(b"")
        failure = self.assertRaises(StorageFailed, write_note, self.books.path, note())
        self.assertIn("the backup cannot be noted", str(failure))

    def test_a_broken_note(self) -> None:
        """A note that cannot be read is never passed over: a key that it names might be destroyed."""
        write_note(self.books.path, note())
        (self.folder / ("ab" * 16)).write_bytes(b'{"backup": 1}')
        with self.books.ledger.reading() as connection:
            self.assertRaises(StorageFailed, needing, connection, self.books.path, 1, NOON)
        failure = self.assertRaises(StorageFailed, self.taken)
        self.assertIn("a note of a backup", str(failure))

    def test_who_needs_a_version(self) -> None:
        """Noted or on record, a backup needs the versions that it was made under, until it expires."""
        write_note(self.books.path, note("ab", (1, 2), 30))
        self.taken()
        write_note(self.books.path, note("cd", (2,), 60))
        with self.books.ledger.reading() as connection:
            for version, days, names in (
                (1, 0, {"ab"}),
                (2, 0, {"ab", "cd"}),
                (2, 30, {"cd"}),
                (1, 30, set()),
                (3, 0, set()),
            ):
                found = needing(connection, self.books.path, version, NOON + timedelta(days=days))
                self.assertEqual({row.backup[:2] for row in found}, names)
