"""A ledger to audit, and to tamper with as somebody does who holds its key."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import DB_KEY, LOADED, NOON, Books
from tests.ledger.test_chain import Signer
from trus.ledger.audit import verify
from trus.ledger.engine import open_engine
from trus.ledger.findings import AuditReport, Check
from trus.ledger.heads import HeadLog


class AuditCase(SynchronousTestCase):
    """A ledger with purchases, a decline, a reversal, a cut-over and two signed heads."""

    def setUp(self) -> None:
        self.books = books = Books(self)
        self.signer = Signer()
        self.heads = books.folder / "heads"
        self.log = HeadLog(books.ledger, self.signer, self.heads)
        self.first = books.pay(0, 700)
        self.second = books.pay(1, 300)
        with books.ledger.order(NOON) as unit:
            unit.record(books.declined(unit, tries=2))
        assert self.first.identity is not None
        [stored] = books.ledger.stored([self.first.identity]).values()
        self.log.sign(NOON)
        books.ledger.advance_day(NOON)
        with books.ledger.order(NOON) as unit:
            unit.read(identities=[self.first.identity], terminals=[], card_keys=[])
            self.reversal = books.reversal(unit, stored, books.identity(), LOADED - 700)
            unit.record(self.reversal)
        self.log.sign(NOON)
        books.ledger.close()
        self.engine = open_engine(books.path, lambda: DB_KEY)
        self.addCleanup(self.engine.dispose)

    def audit(self) -> AuditReport:
        return verify(self.engine, verifier=self.signer, heads=self.heads)

    def tamper(self, *statements: str) -> None:
        """Change the database as somebody does who holds its key."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF").close()
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON").close()
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = OFF").close()

    def found(self, check: Check) -> list[tuple[str, str]]:
        """Audit, and return the findings of one check."""
        report = self.audit()
        self.assertFalse(report.sound)
        return [(each.row, each.problem) for each in report.findings if each.check is check]

    def assert_found(self, check: Check, row: str, words: str) -> None:
        found = self.found(check)
        self.assertTrue(any(named == row and words in problem for named, problem in found), found)
