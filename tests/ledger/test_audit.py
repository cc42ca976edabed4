"""The audit: a sound ledger is found sound, and every tampering is found, by row."""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from tests.ledger.audited import AuditCase
from tests.ledger.books import DB_KEY, LOADED, NOON, CountedEntropy, open_books
from trus.errors import StorageFailed
from trus.ledger.audit import verify
from trus.ledger.chain import CHAINED, PERSONAL
from trus.ledger.compose import create_database
from trus.ledger.engine import open_engine
from trus.ledger.erasure import erase_employee
from trus.ledger.findings import MAX_FINDINGS, Check
from trus.ledger.heads import HeadLog
from trus.ledger.tables import card, employee, event

OTHER = {
    "id": 1, "shop_id": 2, "amount": 1, "authorized": 1, "stan": 99, "original": 1, "at": 1, "card_id": 3,
    "rid": b"x" * 16, "digest": b"x" * 32, "answer": b"x",
}  # fmt: skip


class SoundCase(AuditCase):
    """What is sound."""

    def test_sound(self) -> None:
        """A ledger that only trus wrote is sound, and the report says what was looked at."""
        report = self.audit()
        self.assertEqual((report.findings, report.sound), ((), True))
        self.assertEqual((report.events, report.entries, report.heads), (10, 18, 2))
        self.assertEqual(set(report.examined), set(Check))
        self.assertEqual(
            [report.examined[check] for check in (Check.CHAIN, Check.BALANCED, Check.REVERSALS, Check.DAYS)],
            [10, 18, 1, 2],
        )
        self.assertEqual((report.examined[Check.BALANCES], report.examined[Check.EXPORT]), (6, 2))

    def test_empty_ledger(self) -> None:
        """A ledger without an event is sound, and so is a head signed over it."""
        path = self.books.folder / "empty.db"
        create_database(path, db_key=DB_KEY, clock=self.books.clock, entropy=CountedEntropy())
        ledger = open_books(path)
        self.addCleanup(ledger.close)
        heads = self.books.folder / "empty heads"
        HeadLog(ledger, self.signer, heads).sign(NOON)
        report = verify(ledger.engine, verifier=self.signer, heads=heads)
        self.assertEqual((report.findings, report.events, report.heads), ((), 0, 1))

    def test_without_keys(self) -> None:
        """Without a token and without the exported files the rest is still proved."""
        report = verify(self.engine)
        self.assertTrue(report.sound)
        self.assertNotIn(Check.EXPORT, report.examined)

    def test_heads_not_exported_yet(self) -> None:
        """Heads that wait for their export are no finding."""
        [path] = self.heads.iterdir()
        lines = path.read_text().splitlines(keepends=True)
        path.write_text(lines[0])
        self.assertTrue(self.audit().sound)

    def test_erasure(self) -> None:
        """A person is erased by law: name, card number and events' personal columns go, the ledger stays sound."""
        books = self.books
        books.reopen()
        with books.ledger.order(NOON) as unit:
            self.assertEqual(erase_employee(unit, 1, "admin/root"), 3)
        with books.ledger.reading() as connection:
            rows = connection.execute(select(event).where(event.c.id == self.first.event_id)).mappings().one()
            self.assertEqual([rows[name] for name in (*PERSONAL, "salt")], [None] * 5)
            self.assertEqual(connection.execute(select(employee.c.name).where(employee.c.id == 1)).scalar(), None)
            left = connection.execute(select(card.c.pan, card.c.last_four, card.c.state).where(card.c.id == 1)).one()
            self.assertEqual(tuple(left), (None, "", "closed"))
        report = self.audit()
        self.assertTrue(report.sound, report.findings)
        self.assertEqual(books.balance(books.purses[0]), LOADED)


class TamperCase(AuditCase):
    """What is not."""

    def test_entry_altered(self) -> None:
        """An altered entry is found by its event: the sum, the balance, the posting and the chain all tell."""
        event_id = self.second.event_id
        self.tamper(f"UPDATE entry SET amount = amount - 1 WHERE event_id = {event_id} AND number = 0")
        named = f"event {event_id}"
        self.assert_found(Check.BALANCED, named, "its USD entries sum to -1, not to zero")
        self.assert_found(Check.BALANCES, f"account {self.books.purses[1]}", f"holds {LOADED - 300}")
        self.assert_found(Check.CHAIN, named, "does not follow")

    def test_entries_altered_evenly(self) -> None:
        """Entries altered so that they still balance are found by the chain and by what the event authorized."""
        event_id = self.second.event_id
        purse, shop = self.books.purses[1], self.books.shops[0]
        self.tamper(
            f"UPDATE entry SET amount = -200 WHERE event_id = {event_id} AND account = {purse}",
            f"UPDATE entry SET amount = 200 WHERE event_id = {event_id} AND account = {shop}",
            f"UPDATE account SET balance = balance + 100 WHERE id = {purse}",
        )
        self.assertEqual(self.found(Check.BALANCED), [])
        self.assertEqual(self.found(Check.BALANCES), [])
        self.assert_found(Check.POSTED, f"event {event_id}", "authorized 300 and its entries move 200")
        self.assert_found(Check.CHAIN, f"event {event_id}", "does not follow")

    def test_balance_altered(self) -> None:
        """A balance that does not follow from its entries is found by its account."""
        purse = self.books.purses[2]
        self.tamper(f"UPDATE account SET balance = balance + 1 WHERE id = {purse}")
        self.assert_found(Check.BALANCES, f"account {purse}", f"holds {LOADED + 1} and its entries sum to {LOADED}")

    def test_floor_broken(self) -> None:
        """A purse below its floor is found, also when its floor was taken away."""
        purse, other = self.books.purses[2], self.books.purses[3]
        self.tamper(
            f"UPDATE account SET balance = -5 WHERE id = {purse}",
            f"UPDATE account SET balance = NULL, floor = NULL WHERE id = {other}",
        )
        self.assert_found(Check.FLOORS, f"account {purse}", "holds -5")
        self.assert_found(Check.FLOORS, f"account {other}", "with floor None")

    def test_every_column(self) -> None:
        """One altered value in any column of the journal breaks the chain at that event."""
        event_id = self.second.event_id
        for name in (*CHAINED, *PERSONAL):
            with self.engine.connect() as connection:
                update = event.update().where(event.c.id == event_id).values({name: OTHER.get(name, "x")})
                connection.exec_driver_sql("BEGIN")
                connection.execute(update)
                connection.commit()
            report = self.audit()
            changed = 1 if name == "id" else event_id
            rows = [each.row for each in report.findings if each.check is Check.CHAIN]
            self.assertEqual(set(rows), {f"event {changed}"}, name)
            with self.engine.connect() as connection:
                back = {name: self.value(name)}
                connection.execute(event.update().where(event.c.id == changed).values(back))
                connection.commit()
            self.assertTrue(self.audit().sound, name)

    def value(self, name: str) -> object:
        """Return what a column of the second purchase was."""
        paid = self.second
        assert paid.identity is not None
        given = {
            "id": paid.event_id, "terminal": paid.identity.terminal, "business_date": paid.identity.business_date,
            "stan": paid.identity.stan, "at": 1795176000000000, "ledger_date": "2026-11-20",
            "figures": f'{{"asked":300,"balance":{LOADED}}}',
        }  # fmt: skip
        return given[name] if name in given else getattr(paid, name)

    def test_event_removed(self) -> None:
        """An event taken out leaves a gap, entries without an event, and a reversal without its original."""
        event_id = self.first.event_id
        self.tamper(f"DELETE FROM event WHERE id = {event_id}")
        self.assert_found(Check.ACCOUNTS, f"entry 0 of event {event_id}", "no such event")
        self.assert_found(Check.REVERSALS, f"event {self.reversal.event_id}", f"takes back event {event_id}")
        self.assert_found(Check.CHAIN, f"event {self.second.event_id}", "slot 1 goes from sequence 6 to 8")

    def test_last_event_removed(self) -> None:
        """The last event taken out with its entries is found by the signed head that covers it."""
        event_id = self.reversal.event_id
        purse = self.books.purses[0]
        self.tamper(
            f"DELETE FROM event WHERE id = {event_id}",
            f"DELETE FROM entry WHERE event_id = {event_id}",
            f"UPDATE account SET balance = balance - 700 WHERE id = {purse}",
        )
        self.assertEqual(self.found(Check.CHAIN), [])
        self.assert_found(Check.HEADS, "head 2", "another event, or none, at slot 1 sequence 10")

    def test_event_invented(self) -> None:
        """An event copied in is found: its link does not follow."""
        columns = ", ".join(each.name for each in event.columns if each.name not in {"id", "sequence", "stan", "rrn"})
        event_id = self.reversal.event_id + 1
        self.tamper(
            f"INSERT INTO event (id, sequence, stan, rrn, {columns}) "
            f"SELECT {event_id}, 11, 77, '632500000009', {columns} FROM event WHERE id = {self.second.event_id}"
        )
        self.assert_found(Check.CHAIN, f"event {event_id}", "sequence 11) does not follow")
        self.assert_found(Check.POSTED, f"event {event_id}", "authorized 300 and its entries move 0")
        self.assert_found(Check.NUMBERS, f"event {event_id}", "not of its ledger date 2026-11-20")

    def test_reference_number(self) -> None:
        """A reference number that is not that of the event's id is found."""
        self.tamper(f"UPDATE event SET rrn = '632400009999' WHERE id = {self.second.event_id}")
        self.assert_found(Check.NUMBERS, f"event {self.second.event_id}", "reference 632400009999")

    def test_decline_that_moved(self) -> None:
        """A decline that moved money is found."""
        self.tamper(f"UPDATE event SET result = 'declined' WHERE id = {self.second.event_id}")
        self.assert_found(Check.POSTED, f"event {self.second.event_id}", "was declined and authorized 300")

    def test_reversal_altered(self) -> None:
        """A reversal of another amount, and a second reversal, are found."""
        event_id = self.reversal.event_id
        self.tamper(
            "DROP INDEX uq_event_ended",
            f"UPDATE entry SET amount = amount * 2 WHERE event_id = {event_id}",
            f"UPDATE event SET kind = 'reversal', original = {self.first.event_id} WHERE id = {self.second.event_id}",
        )
        self.assert_found(
            Check.REVERSALS, f"event {event_id}", f"does not undo the entries of event {self.first.event_id}"
        )
        self.assert_found(Check.REVERSALS, f"event {event_id}", f"taken back before, by event {self.second.event_id}")

    def test_references(self) -> None:
        """An event of a card or a shop that is gone, and an entry of an account that is gone, are found."""
        self.tamper(
            "DELETE FROM card WHERE id = 2",
            "DELETE FROM shop WHERE id = 1",
            f"DELETE FROM account WHERE id = {self.books.shops[0]}",
        )
        named = f"event {self.second.event_id}"
        self.assert_found(Check.REFERENCES, named, "there is no card 2")
        self.assert_found(Check.REFERENCES, named, "there is no shop 1")
        self.assert_found(Check.ACCOUNTS, f"entry 1 of {named}", "no such account")

    def test_currency(self) -> None:
        """An entry in another currency than its account's is found."""
        self.tamper(f"UPDATE account SET currency = 'EUR' WHERE id = {self.books.shops[0]}")
        self.assert_found(Check.ACCOUNTS, f"entry 1 of event {self.second.event_id}", "moves USD on an account of EUR")

    def test_days(self) -> None:
        """Business dates that do not follow each other, or two open ones, are found."""
        self.tamper("UPDATE business_day SET previous = '2026-11-01' WHERE date = '2026-11-21'")
        self.assert_found(Check.DAYS, "business date 2026-11-21", "it follows 2026-11-01")
        self.tamper("DROP INDEX uq_business_day_open", "UPDATE business_day SET state = 'open'")
        self.assert_found(Check.DAYS, "business date 2026-11-20", "it is open")
        self.tamper("DELETE FROM business_day")
        self.assert_found(Check.DAYS, "business dates", "there is none")

    def test_values_of_another_type(self) -> None:
        """Text where bytes belong is a finding of its row, whatever the column; the audit goes on."""
        for column in ("salt", "link", "digest", "authorized", "ledger_date"):
            with self.engine.connect() as connection:
                row = connection.execute(select(event).where(event.c.id == self.second.event_id)).mappings().one()
                connection.exec_driver_sql(f"UPDATE event SET {column} = 'text' WHERE id = {self.second.event_id}")
                connection.commit()
            self.assertIn(f"event {self.second.event_id}", [row for row, _ in self.found(Check.CHAIN)], column)
            with self.engine.connect() as connection:
                back = event.update().where(event.c.id == self.second.event_id).values({column: row[column]})
                connection.execute(back)
                connection.commit()
        self.assertTrue(self.audit().sound)

    def test_salt_removed(self) -> None:
        """Personal columns that were cut out without their commitment, or filled in again, are found."""
        event_id = self.second.event_id
        self.tamper(f"UPDATE event SET salt = NULL WHERE id = {event_id}")
        self.assert_found(Check.CHAIN, f"event {event_id}", "no commitment was kept")
        commitment = hashlib.sha256(b"x").hexdigest()
        self.tamper(f"UPDATE event SET commitment = x'{commitment}' WHERE id = {event_id}")
        self.assert_found(Check.CHAIN, f"event {event_id}", "yet personal columns are filled")

    def test_whole_chain_rewritten(self) -> None:
        """Somebody who rewrites history, links and all, is contradicted by the signed heads."""
        self.books.clock.advance(1)
        link = hashlib.sha256(b"forged").hexdigest()
        self.tamper(f"UPDATE event SET link = x'{link}' WHERE id = {self.reversal.event_id}")
        self.assert_found(Check.HEADS, "head 2", "another event, or none, at slot 1")

    def test_broken_file(self) -> None:
        """A page altered on the disk is found, or the file does not open any more: never silence."""
        self.engine.dispose()
        content = bytearray(self.books.path.read_bytes())
        content[-1000] ^= 1
        self.books.path.write_bytes(content)
        self.engine = open_engine(self.books.path, lambda: DB_KEY)
        self.addCleanup(self.engine.dispose)
        try:
            self.assertTrue(self.found(Check.FILE))
        except StorageFailed as failure:
            self.assertIn("cannot be read", str(failure))

    def test_index_altered(self) -> None:
        """An index that does not match its table is found."""
        self.tamper(
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET rootpage ="
            " (SELECT rootpage FROM sqlite_master WHERE name = 'ix_card_employee_id')"
            " WHERE name = 'ix_terminal_shop_id'",
        )
        self.engine.dispose()
        self.assertTrue(self.found(Check.FILE))

    def test_many_findings(self) -> None:
        """A destroyed ledger is not listed row by row: the first findings of a check, and the count of all."""
        self.engine.dispose()
        self.books.reopen()
        with self.books.ledger.order(NOON) as unit:
            for _ in range(MAX_FINDINGS + 10):
                unit.record(self.books.declined(unit))
        self.tamper("UPDATE event SET code = '99'")
        report = self.audit()
        self.assertEqual(report.counts[Check.CHAIN], MAX_FINDINGS + 20)
        self.assertEqual(len([each for each in report.findings if each.check is Check.CHAIN]), MAX_FINDINGS)
