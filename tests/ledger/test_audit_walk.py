"""The walk along the hash chain: as long as the ledger is, and alone when only that is asked."""

from __future__ import annotations

from tests.ledger.audited import AuditCase
from tests.ledger.books import NOON, open_books
from trus.ledger import audit_chain
from trus.ledger.audit import verify_chain
from trus.ledger.findings import Check


class ChainAloneCase(AuditCase):
    """What is proved without walking the books."""

    def test_sound(self) -> None:
        """The chain and its signed heads are proved alone, and the report names nothing else."""
        report = verify_chain(self.engine, verifier=self.signer)
        self.assertEqual((report.sound, report.events, report.entries, report.heads), (True, 10, 18, 2))
        self.assertNotIn(Check.BALANCED, report.examined)
        self.assertNotIn(Check.FILE, report.examined)

    def test_altered(self) -> None:
        """An event that was altered or dropped is found by the chain alone; a balance is not looked at."""
        self.tamper(f"UPDATE account SET balance = balance + 1 WHERE id = {self.books.purses[0]}")
        self.assertTrue(verify_chain(self.engine, verifier=self.signer).sound)
        self.tamper(f"UPDATE event SET amount = amount + 1 WHERE id = {self.second.event_id}")
        report = verify_chain(self.engine, verifier=self.signer)
        self.assertEqual([each.row for each in report.findings], [f"event {self.second.event_id}"])


class LongCase(AuditCase):
    """A chain longer than what the walk takes at once."""

    def setUp(self) -> None:
        super().setUp()
        self.books.ledger = ledger = open_books(self.books.path)
        with ledger.order(NOON) as unit:
            for _ in range(audit_chain.PIECE + 300):
                unit.record(self.books.declined(unit))
        ledger.close()

    def test_whole(self) -> None:
        """Every event is walked, and the hashes that are kept over pieces of the chain agree with it."""
        report = self.audit()
        self.assertEqual((report.findings, report.events), ((), audit_chain.PIECE + 310))

    def test_far_along(self) -> None:
        """What was altered far along the chain is found by its row, and nothing beside it."""
        with self.engine.connect() as connection:
            query = f"SELECT max(id) - 5 FROM event WHERE sequence < {audit_chain.PIECE + 300}"
            event = connection.exec_driver_sql(query).scalar_one()
        self.tamper(f"UPDATE event SET amount = amount + 1 WHERE id = {event}")
        self.assertEqual([row for row, _ in self.found(Check.CHAIN)], [f"event {event}"])

    def test_kept_hashes(self) -> None:
        """A hash that is kept over links which are not so, or over links that are not there, is found."""
        self.tamper("UPDATE chain_node SET hash = zeroblob(32) WHERE level = 8 AND number = 1")
        told = "the hash that is kept over these links is not theirs"
        self.assertEqual(self.found(Check.CHAIN), [("slot 1 sequence 257 to 512", told)])
        self.tamper("UPDATE chain_node SET number = 99 WHERE level = 8 AND number = 1")
        self.assertIn(("slot 1 sequence 25345 to 25600", told), self.found(Check.CHAIN))
