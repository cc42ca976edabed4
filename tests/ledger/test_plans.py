"""The hot path's statements, as the engine will run them."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import NOON, TODAY, Books
from trus.ledger.statements import EVENT_COLUMNS, MAX_KEYS, Statements, padded
from trus.ledger.tables import event
from trus.values import Identity, TerminalId

#: A step that walks a table; a list of constants is walked by design.
WALKS = re.compile(r"SCAN (?!CONSTANT ROW|\d+ CONSTANT ROWS|\d+-ROW VALUES CLAUSE)")


def plans(books: Books, size: int) -> dict[str, list[str]]:
    """Return the steps of every statement's plan for `size` keys."""
    statements = Statements(books.ledger.engine.dialect)
    found = {}
    with books.ledger.reading() as connection:
        for name in statements.names():
            text = statements.text(name, size)
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (0,) * text.count("?"))
            found[name] = [str(row[3]) for row in rows]
    return found


class PlansCase(SynchronousTestCase):
    """TR-20: what a payment costs does not grow with the journal."""

    def test_every_plan_uses_an_index(self) -> None:
        """No statement of a payment walks a table: every access is by a key or an index, at every size."""
        books = Books(self)
        searched = 0
        for size in (1, 2, 16, MAX_KEYS):
            for name, steps in plans(books, size).items():
                for step in steps:
                    self.assertFalse(WALKS.match(step), f"{name} of {size}: {step}")
                    searched += step.startswith("SEARCH")
        self.assertGreater(searched, 40)

    def test_plans_hold_with_statistics(self) -> None:
        """The plans are the same when somebody has had the database analysed."""
        books = Books(self)
        with books.ledger.order(NOON) as unit:
            unit.record(books.purchase(unit, 0, 2))
            for number in range(3_000):
                unit.record(books.declined(unit, Identity(TerminalId("T0000002"), TODAY, number)))
        with books.ledger.order(NOON) as unit:
            unit.connection.exec_driver_sql("ANALYZE").close()
        books.reopen()
        for name, steps in plans(books, 16).items():
            walked = [step for step in steps if re.match(r"SCAN (event|entry)\b", step)]
            self.assertEqual(walked, [], name)

    def test_columns(self) -> None:
        """The journal's rows are written in the table's order, every column but the commitment."""
        self.assertEqual([*EVENT_COLUMNS[:-1], "commitment", EVENT_COLUMNS[-1]], [each.name for each in event.columns])
        text = Statements(Books(self).ledger.engine.dialect).text("insert_events")
        self.assertIn(f"({', '.join(EVENT_COLUMNS)}) VALUES", text)

    def test_padding(self) -> None:
        """A set of keys is filled up to a power of two with its last key."""
        self.assertEqual(padded([1]), (1, [1]))
        self.assertEqual(padded([1, 2, 3]), (4, [1, 2, 3, 3]))
        self.assertEqual(padded(list(range(64))), (64, list(range(64))))
