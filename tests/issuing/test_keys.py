"""The console's commands about K_DB and backups."""

from __future__ import annotations

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House
from trus.ledger.backups import BackupRow, take_notes, write_note
from trus.ledger.days import microseconds
from trus.values import BusinessDate


class KeysCase(SynchronousTestCase):
    """An issuer whose K_DB can be rotated."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch_card()
        self.rotation = self.house.rotation

    def finish(self) -> None:
        while self.rotation.waiting:
            self.rotation.work(lambda seconds: None)

    def test_rotation(self) -> None:
        """An administrator begins a rotation and sees how far it is; the order is on record under that name."""
        self.assertIn("under version 1", self.house.done("KEY-STATUS").text)
        begun = self.house.done("KEY-ROTATE")
        self.assertIn("from version 1 to 2: 2 rows", begun.text)
        status = self.house.done("KEY-STATUS", role="auditor")
        self.assertIn("0 of 2 rows", status.text)
        self.assertEqual([(row["version"], row["use"]) for row in status.rows], [("1", "file,rows"), ("2", "rows")])
        again = self.house.order("KEY-ROTATE")
        self.assertEqual((again.code, again.text[:32]), ("62", "A rotation of K_DB is under way "))
        self.finish()
        status = self.house.done("KEY-STATUS")
        self.assertIn("under version 2", status.text)
        self.assertEqual([(row["version"], row["use"]) for row in status.rows], [("1", ""), ("2", "file,rows")])
        self.assertIn("requests that may be repeated", status.rows[0]["needed"])
        told = [(row.rule, row.actor) for row in self.house.journal("admin") if row.rule.startswith("KEY-")]
        self.assertEqual(told, [("KEY-ROTATE", "administrator"), ("KEY-ROWS", "rotation"), ("KEY-FILE", "rotation")])

    def test_destruction(self) -> None:
        """A version goes when nothing needs it, and not before; the reason of a refusal is told."""
        self.house.done("KEY-ROTATE")
        self.finish()
        refused = self.house.order("KEY-DESTROY", version="1")
        self.assertEqual(refused.code, "62")
        self.assertIn("requests that may be repeated until", refused.text)
        self.assertEqual(self.house.order("KEY-DESTROY", version="2").code, "62")
        later = self.house.clock.now() + timedelta(days=32)
        self.house.ledger.advance_day(later, BusinessDate(later.date().isoformat()))
        self.house.clock.moment = later
        self.assertEqual(self.house.done("KEY-DESTROY", version="1").text, "Version 1 of K_DB is destroyed.")
        self.assertEqual([row["version"] for row in self.house.done("KEY-STATUS").rows], ["2"])
        self.assertEqual(self.house.journal("admin")[-1].rule, "KEY-DESTROY")

    def test_roles(self) -> None:
        """TR-23: only administrators order anything about keys; auditors look on; others do neither."""
        for verb, arguments in (("KEY-ROTATE", {}), ("KEY-DESTROY", {"version": "1"})):
            for role in ("issuer", "support", "auditor"):
                self.assertEqual(self.house.order(verb, role, **arguments).code, "63", (verb, role))
        for role in ("issuer", "support"):
            self.assertEqual(self.house.order("KEY-STATUS", role).code, "63")
            self.assertEqual(self.house.order("BACKUPS", role).code, "63")

    def test_backups(self) -> None:
        """Backups are listed with what they need, and for whom they were made."""
        self.assertEqual(self.house.done("BACKUPS").rows, [])
        now = self.house.clock.now()
        note = BackupRow(
            "ab" * 16,
            microseconds(now),
            microseconds(now + timedelta(days=90)),
            (1,),
            3,
            "cd" * 32,
            ("ef" * 32, "01" * 32),
        )
        write_note(self.house.database, note)
        take_notes(self.house.ledger, self.house.database, now)
        [row] = self.house.done("BACKUPS", role="auditor").rows
        self.assertEqual((row["backup"], row["expires"], row["versions"]), ("ab" * 16, "2027-02-18", "1"))
        self.assertEqual(row["officers"], f"{'ef' * 8},{'01' * 8}")

    def test_without_rotation(self) -> None:
        """A core that rotates nothing says so."""
        self.house.desk.rotation = None
        self.assertEqual(self.house.order("KEY-ROTATE").code, "40")
