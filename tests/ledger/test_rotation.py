"""What a rotation of K_DB changes, what it refuses, and when an old version may go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import insert, select, update
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.rotating import Bank, Place, number_of
from trus.cli.database_keys import TokenKeySource
from trus.errors import StorageFailed, WrongDatabaseKey
from trus.hsm.pkcs11 import Pkcs11Store
from trus.ledger import rotation_file
from trus.ledger.backups import BackupRow, backups, take_notes, write_note
from trus.ledger.compose import open_for_reading
from trus.ledger.days import microseconds
from trus.ledger.erasure import erase_employee
from trus.ledger.keyring import Marker, find_file_version, read_marker, write_marker
from trus.ledger.lookup import FieldUnreadable
from trus.ledger.registry_values import NewEmployee
from trus.ledger.rotation import RotationRefused
from trus.ledger.tables import activation, card, employee, event, key_rotation
from trus.values import BusinessDate

PEOPLE = 40


class NetworkCase(SynchronousTestCase):
    """One network, rotated in this process."""

    def make(self) -> Place:
        """Make the network; its keys are in memory."""
        return Place.in_memory(self, PEOPLE)

    def setUp(self) -> None:
        self.place = self.make()
        self.steps: list[str] = []
        self.bank = Bank(self.place, self.steps.append)
        self.addCleanup(lambda: self.bank.close())

    def reopen(self) -> None:
        """Restart."""
        self.bank.close()
        self.bank = Bank(self.place, self.steps.append)

    def rules(self) -> list[str]:
        """Return the rules of the events that tell of keys."""
        with self.bank.ledger.reading() as connection:
            told = select(event.c.rule).where(event.c.kind == "admin").order_by(event.c.id)
            return list(connection.execute(told).scalars())


class TokenCase(NetworkCase):
    """The same with a real token."""

    def make(self) -> Place:
        return Place.make(self, PEOPLE)

    def test_whole_rotation(self) -> None:
        """TR-13: every name, number and hash, and the file, are under the new version; each step is on record."""
        self.bank.rotation.begin("admin/ada")
        self.bank.rotate()
        named = [step for step in dict.fromkeys(self.steps) if step not in ("rows", "copying")]
        self.assertEqual(named, ["generated", "begun", "rows-done", "copied", "closed", "renamed", "exchanged", "done"])
        self.assertEqual(self.rules(), ["KEY-ROTATE", "KEY-ROWS", "KEY-FILE"])
        self.assertEqual(self.bank.sealed_under(), {2})
        self.bank.check(self, PEOPLE)
        self.reopen()
        self.bank.check(self, PEOPLE)
        status = self.bank.rotation.status()
        self.assertEqual((status.versions, status.file, status.rows, status.under_way), ((1, 2), 2, 2, False))
        assert status.last is not None
        self.assertEqual((status.last.rows, status.last.total), (2 * PEOPLE, 2 * PEOPLE))
        self.assertEqual(read_marker(self.place.database), Marker(2))

    def test_another_token(self) -> None:
        """TR-13: under another token the file opens under no version, and the sentence says which were tried."""
        self.bank.close()
        other = Place.make(self, 1)
        with Pkcs11Store(other.token) as store:
            failure = self.assertRaises(WrongDatabaseKey, find_file_version, self.place.database, TokenKeySource(store))
        self.assertIn("any version of K_DB in the token (1)", str(failure))
        self.bank = Bank(self.place)


class RotationCase(NetworkCase):
    """What holds in the middle, and what is refused."""

    def test_payments_go_on_in_every_piece(self) -> None:
        """A purchase is taken between any two pieces of a rotation, with cards that were reached and cards not yet."""
        self.patch(rotation_file, "PAGES_A_STEP", 4)
        paid: list[str] = []

        def serve(seconds: float) -> None:
            paid.append(self.bank.pay(len(paid) % PEOPLE, len(paid) + 1))

        self.bank.rotation.begin("admin/ada")
        while self.bank.rotation.waiting:
            self.bank.rotation.work(serve)
            serve(0)
        self.assertGreater(self.steps.count("copying"), 10)
        self.assertGreater(len(paid), 20)
        self.assertEqual(set(paid), self.bank.references())
        self.bank.check(self, PEOPLE)

    def test_who_comes_in_the_middle(self) -> None:
        """People and cards that come while a rotation is under way are under the new version from the start."""
        self.bank.rotation.begin("admin/ada")
        self.bank.rotation.work(lambda seconds: None)
        with self.bank.registry.changing(self.bank.clock.now()) as change:
            company = change.people.company("ACME")
            assert company is not None
            change.people.add_employees(company, [NewEmployee("LATE", "Late", "Comer")], change.at)
            holder = change.people.employee(company, "LATE")
            assert holder is not None
            change.cards.add_cards([self.bank.card(PEOPLE, holder.row)], change.at)
        with self.bank.ledger.reading() as connection:
            late = connection.execute(select(card.c.pan, card.c.pan_key).where(card.c.card == f"CARD{PEOPLE:08d}"))
            sealed, key = late.one()
        self.assertEqual((sealed[0], key), (2, self.bank.ledger.card_key(number_of(PEOPLE))))
        self.bank.rotate()
        with self.bank.registry.reading() as view:
            company = view.people.company("ACME")
            assert company is not None
            holder = view.people.employee(company, "LATE")
            assert holder is not None
            self.assertEqual(holder.surname, "Comer")

    def test_a_number_is_taken_under_either_key(self) -> None:
        """No card is issued with a number that another card has, though that one was not reached yet."""
        self.bank.rotation.begin("admin/ada")
        names = self.bank.ledger.card_names(number_of(PEOPLE - 1))
        self.assertEqual(len(names.former), 1)
        with self.bank.registry.reading() as view:
            _, taken = view.cards.taken([], [names.current, *names.former])
        self.assertEqual(taken, set(names.former))

    def test_the_erased_stay_erased(self) -> None:
        """A person who was erased is not brought back: neither name nor number, and the random look-up key stays."""
        with self.bank.ledger.order(self.bank.clock.now()) as unit:
            erase_employee(unit, 3, "admin/ada")
        before = self._row(3)
        self.bank.rotation.begin("admin/ada")
        self.bank.rotate()
        self.assertEqual(self._row(3), before)
        self.assertEqual(before[0], None)

    def _row(self, holder: int) -> tuple[object, ...]:
        with self.bank.ledger.reading() as connection:
            query = select(card.c.pan, card.c.pan_key, employee.c.name).join_from(
                card, employee, card.c.employee_id == employee.c.id
            )
            return tuple(connection.execute(query.where(employee.c.id == holder)).one())

    def test_a_moved_field_stops_the_rotation(self) -> None:
        """A name that was moved to another person's row stops the rotation there: nobody papers over it."""
        with self.bank.ledger.order(self.bank.clock.now()) as unit:
            name = unit.connection.execute(select(employee.c.name).where(employee.c.id == 1)).scalar_one()
            unit.connection.execute(update(employee).where(employee.c.id == 2).values(name=name))
        self.bank.rotation.begin("admin/ada")
        failure = self.assertRaises(FieldUnreadable, self.bank.rotate)
        self.assertIn("employee.name of ACME/E1", str(failure))
        self.assertTrue(self.bank.rotation.waiting)
        self.assertIn(self.bank.pay(5, 1), self.bank.references())

    def test_twice(self) -> None:
        """A second rotation is refused while one is under way, and follows when it is done."""
        self.bank.rotation.begin("admin/ada")
        failure = self.assertRaises(RotationRefused, self.bank.rotation.begin, "admin/bob")
        self.assertIn("under way", str(failure))
        self.bank.rotate()
        self.bank.rotation.begin("admin/bob")
        self.bank.rotate()
        self.assertEqual((self.bank.rotation.status().file, self.bank.sealed_under()), (3, {3}))
        self.bank.check(self, PEOPLE)

    def test_a_version_that_nothing_uses_is_taken_up(self) -> None:
        """A version that was made before a kill is used by the next rotation, and none is made beside it."""
        self.bank.source.generate()
        self.reopen()
        self.assertEqual(self.bank.rotation.status().rows, 1)
        failure = self.assertRaises(RotationRefused, self.bank.rotation.destroy, 2, "admin/ada")
        self.assertIn("has yet to begin", str(failure))
        self.assertEqual(self.bank.rotation.begin("admin/ada").to_version, 2)
        self.assertEqual(self.bank.source.versions(), [1, 2])

    # ----------------------------------------------------------------------------------- the file

    def test_a_reader_of_the_old_file(self) -> None:
        """While the audit reads the old file the exchange waits, payments go on, and the audit's report holds."""
        engine = open_for_reading(self.place.database, db_key=self.bank.source.keys(1).file)
        reader = engine.connect()
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM event")
        served: list[float] = []

        def serve(seconds: float) -> None:
            served.append(seconds)
            self.bank.pay(1, len(served))
            if len(served) == 12:
                reader.close()

        self.bank.rotation.begin("admin/ada")
        while self.bank.rotation.waiting:
            self.bank.rotation.work(serve)
        self.assertGreater(len([seconds for seconds in served if seconds > 0]), 3)
        self.assertEqual(self.bank.rotation.status().file, 2)
        self.assertEqual(len(self.bank.references()), len(served))
        engine.dispose()
        self.bank.check(self, PEOPLE)

    def test_broken_off(self) -> None:
        """Told to stop in the middle of the copying, the process leaves no half copy, and the next one begins anew."""

        class Stop(BaseException):
            pass

        def stop(seconds: float) -> None:
            raise Stop

        self.patch(rotation_file, "PAGES_A_STEP", 4)
        self.bank.rotation.begin("admin/ada")
        self.bank.rotation.work(lambda seconds: None)
        while "rows-done" not in self.steps:
            self.bank.rotation.work(lambda seconds: None)
        self.assertRaises(Stop, self.bank.rotation.work, stop)
        self.assertEqual([each.name for each in self.place.folder.glob("*.rekey*")], [])
        self.assertIn(self.bank.pay(2, 1), self.bank.references())
        self.reopen()
        self.bank.rotate()
        self.bank.check(self, PEOPLE)

    def test_no_room_for_the_copy(self) -> None:
        """Without room for the copy the rotation fails in one sentence, the old file stays, and it is tried again."""
        self.bank.rotation.begin("admin/ada")
        while "rows-done" not in self.steps:
            self.bank.rotation.work(lambda seconds: None)
        obstacle = self.place.database.with_name("trus.db.rekey")
        obstacle.mkdir()
        self.assertRaises((StorageFailed, OSError), self.bank.rotation.work, lambda seconds: None)
        obstacle.rmdir()
        self.assertIn(self.bank.pay(2, 1), self.bank.references())
        self.bank.rotate()
        self.bank.check(self, PEOPLE)

    def test_an_exchange_that_fails(self) -> None:
        """When the copy cannot be put in place, the ledger goes on with the old file at once."""
        self.bank.rotation.begin("admin/ada")
        while "rows-done" not in self.steps:
            self.bank.rotation.work(lambda seconds: None)
        refuse = OSError(30, "Read-only file system")
        self.patch(rotation_file, "_remove_logs", _fails_after(1, refuse))
        failure = self.assertRaises(StorageFailed, self.bank.rotation.work, lambda seconds: None)
        self.assertIn("cannot be exchanged", str(failure))
        self.assertEqual(self.bank.rotation.status().file, 1)
        self.assertIn(self.bank.pay(2, 1), self.bank.references())
        self.bank.check(self, PEOPLE)

    def test_a_marker_that_lies(self) -> None:
        """The marker beside the file is a hint: with a wrong one, a broken one or none, the version is found."""
        self.bank.rotation.begin("admin/ada")
        self.bank.rotate()
        marker = self.place.database.with_name("trus.db.keys")
        write_marker(self.place.database, Marker(1, 7))
        self.assertEqual(find_file_version(self.place.database, self.bank.source), 2)
        marker.write_bytes(b"\x00{")
        self.assertEqual(find_file_version(self.place.database, self.bank.source), 2)
        marker.unlink()
        self.assertEqual(find_file_version(self.place.database, self.bank.source), 2)

    # ------------------------------------------------------------------------------ destroying

    def rotated(self) -> None:
        """Rotate once."""
        self.bank.rotation.begin("admin/ada")
        self.bank.rotate()

    def needs(self) -> str:
        """Return what is said to need version 1."""
        return "; ".join(need.told for need in self.bank.rotation.status().needs[1])

    def later(self, days: int) -> None:
        """Let so many business dates pass."""
        today = self.bank.ledger.business_date()
        day = (date.fromisoformat(today) + timedelta(days=days)).isoformat()
        self.bank.ledger.advance_day(self.bank.clock.now(), BusinessDate(day))

    def test_repeats_need_the_old_version(self) -> None:
        """An old version is kept while requests made under it may be repeated, and destroyed on record afterwards."""
        self.rotated()
        self.assertIn("requests that may be repeated until the end of business date", self.needs())
        failure = self.assertRaises(RotationRefused, self.bank.rotation.destroy, 1, "admin/ada")
        self.assertIn("is needed: by requests", str(failure))
        names = self.bank.ledger.card_names(number_of(1))
        self.assertEqual((len(names.former), len(names.repeated)), (0, 1))
        self.later(32)
        self.assertEqual(self.needs(), "")
        self.bank.rotation.destroy(1, "admin/ada")
        self.assertEqual(self.bank.rotation.status().versions, (2,))
        self.assertEqual(self.rules()[-1], "KEY-DESTROY")
        self.assertEqual(self.bank.ledger.card_names(number_of(1)).repeated, ())
        self.reopen()
        self.assertEqual(self.bank.source.versions(), [2])
        self.bank.check(self, PEOPLE)

    def test_a_destruction_that_was_broken_off(self) -> None:
        """Killed between the record of a destruction and the destruction, the order is given again and carried out."""
        self.rotated()
        self.later(32)

        def killed(version: int) -> None:
            raise SystemExit

        self.patch(self.bank.source, "destroy", killed)
        self.assertRaises(SystemExit, self.bank.rotation.destroy, 1, "admin/ada")
        self.reopen()
        self.assertEqual(self.bank.source.versions(), [1, 2])
        self.bank.rotation.destroy(1, "admin/ada")
        self.assertEqual(self.bank.source.versions(), [2])

    def test_codes_need_the_old_version(self) -> None:
        """An old version is kept while an activation code that was made under it is good."""
        with self.bank.ledger.order(self.bank.clock.now()) as unit:
            row = {"role": "pos", "name": "T0000001", "shop": "BISTRO", "model": "", "code_hash": bytes(32)}
            ends = unit.at + 7 * 86_400_000_000
            values = {**row, "created_at": unit.at, "expires_at": ends, "failures": 0, "opened_by": "ada"}
            unit.connection.execute(insert(activation).values(**values))
        self.rotated()
        self.later(32)
        self.assertIn("activation codes until 20", self.needs())

    def test_backups_need_the_old_version(self) -> None:
        """An old version is kept until the last backup that needs it has expired, noted or on record."""
        self.rotated()
        self.later(32)
        now = self.bank.clock.now()
        soon = microseconds(now + timedelta(days=90))
        note = BackupRow("ab" * 16, microseconds(now), soon, (1, 2), 3, "cd" * 32, ("ef" * 32, "01" * 32))
        write_note(self.place.database, note)
        self.assertIn(f"backup {'ab' * 16} until 20", self.needs())
        self.assertEqual(take_notes(self.bank.ledger, self.place.database, now), 1)
        self.assertEqual(take_notes(self.bank.ledger, self.place.database, now), 0)
        with self.bank.ledger.reading() as connection:
            self.assertEqual(backups(connection), [note])
        self.assertIn(f"backup {'ab' * 16} until 20", self.needs())
        self.assertEqual(self.rules()[-1], "BACKUP")
        self.assertRaises(RotationRefused, self.bank.rotation.destroy, 1, "admin/ada")
        self.bank.clock.now = lambda: now + timedelta(days=91)  # type: ignore[method-assign]
        self.assertEqual(self.needs(), "")

    def test_fields_need_the_old_version(self) -> None:
        """A field that is still under an old version keeps it, whatever a rotation says of itself."""
        with self.bank.ledger.reading() as connection:
            former = connection.execute(select(employee.c.name).where(employee.c.id == 2)).scalar_one()
        self.rotated()
        self.later(32)
        with self.bank.ledger.order(self.bank.clock.now()) as unit:
            unit.connection.execute(update(employee).where(employee.c.id == 2).values(name=former))
        self.assertEqual(self.needs(), "by names in the database (1)")

    def test_what_is_in_use(self) -> None:
        """The version in use, one that is not there, and any at all during a rotation, are not destroyed."""
        for version, said in ((1, "is in use"), (9, "holds no version 9")):
            failure = self.assertRaises(RotationRefused, self.bank.rotation.destroy, version, "admin/ada")
            self.assertIn(said, str(failure))
        self.bank.rotation.begin("admin/ada")
        failure = self.assertRaises(RotationRefused, self.bank.rotation.destroy, 1, "admin/ada")
        self.assertIn("under way", str(failure))

    def test_the_last_version(self) -> None:
        """After version 255, which is the last that a field can name, a rotation is refused before anything is made."""
        with self.bank.ledger.order(self.bank.clock.now()) as unit:
            row = {"from_version": 1, "to_version": 255, "phase": "done", "actor": "x", "begun_at": 0}
            unit.connection.execute(insert(key_rotation).values(**row, begun_on="2020-01-01", total=0))
        self.bank.rotation._known = self.bank.rotation._read()
        failure = self.assertRaises(RotationRefused, self.bank.rotation.begin, "admin/ada")
        self.assertIn("255", str(failure))
        self.assertEqual(self.bank.source.versions(), [1])


def _fails_after(times: int, failure: OSError) -> Callable[[Path], None]:
    """Return a remover of logs that fails for the database itself, after so many calls."""
    real = rotation_file._remove_logs
    left = [times]

    def remove(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0 and path.suffix != ".rekey":
            raise failure
        real(path)

    return remove
