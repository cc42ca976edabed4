"""What support and settlement see of the journal."""

from __future__ import annotations

from typing import Any

from tests.ledger.books import LOADED, NOON, TODAY
from tests.ledger.registering import RegistryCase
from trus.ledger import registry_reports
from trus.ledger.registry import Registry, RegistryView
from trus.ledger.registry_reports import JournalFilter
from trus.ledger.registry_values import CompanyBalanceRow

KINDS = ("purchase", "reversal", "refill")


class ReportCase(RegistryCase):
    """Two days: three purchases, one of them taken back, and a decline."""

    def setUp(self) -> None:
        super().setUp()
        books = self.books
        self.first = books.pay(0, 700)
        self.second = books.pay(1, 300, shop=1)
        with books.ledger.order(NOON) as unit:
            self.declined = books.declined(unit)
            unit.record(self.declined)
        books.ledger.advance_day(NOON)
        assert self.first.identity is not None
        [stored] = books.ledger.stored([self.first.identity]).values()
        with books.ledger.order(NOON) as unit:
            unit.read(identities=[self.first.identity], terminals=[], card_keys=[])
            self.reversal = books.reversal(unit, stored, books.identity(), LOADED - 700)
            unit.record(self.reversal)
        self.third = books.pay(2, 50)
        self.names = {
            each.event_id: name
            for name in ("first", "second", "declined", "reversal", "third")
            for each in [getattr(self, name)]
        }

    def view(self) -> RegistryView:
        block = Registry(self.books.ledger).reading()
        self.addCleanup(block.__exit__, None, None, None)
        return block.__enter__()

    def found(self, view: RegistryView, **wanted: Any) -> list[str]:
        rows, end = view.reports.transactions(JournalFilter(**{"kinds": ("purchase", "reversal"), **wanted}), None, 50)
        self.assertEqual(end, 0)
        return [self.names[row.event_id] for row in rows]

    def test_filters(self) -> None:
        """Support finds events by whom, where, when and how they ended, newest first."""
        view = self.view()
        for wanted, names in (
            ({}, "third reversal declined second first"),
            ({"kinds": ("reversal",)}, "reversal"),
            ({"card_row": 1}, "reversal declined first"),
            ({"shop_row": 2}, "second"),
            ({"terminal": "T0000002"}, "second"),
            ({"ledger_date": TODAY}, "declined second first"),
            ({"code": "55"}, "declined"),
            ({"actor": "pos/T0000001/0a"}, "third first"),
            ({"employee_row": 3, "account": self.books.purses[2]}, "third"),
            ({"company_row": 2}, "second"),
            ({"company_row": 1, "code": "55"}, "declined"),
            ({"terminal": "T0000002", "code": "55"}, ""),
        ):
            self.assertEqual(self.found(view, **wanted), names.split(), wanted)

    def test_of_a_person(self) -> None:
        """Of a person are also the events that moved the purse without a card, such as a refill."""
        view = self.view()
        wanted = JournalFilter(KINDS, employee_row=1, account=self.books.purses[0])
        rows, _ = view.reports.transactions(wanted, None, 50)
        self.assertEqual([row.kind for row in rows], ["reversal", "purchase", "purchase", "refill"])

    def test_what_is_shown(self) -> None:
        """An event shows who, where, what moved, and what it is about; never a card number."""
        row = self.view().reports.transaction(self.first.rrn, TODAY)
        assert row is not None
        self.assertEqual(
            (row.kind, row.terminal, row.shop, row.card, row.company, row.employee, row.asked, row.moved, row.code),
            ("purchase", "T0000001", "BISTRO", "CARD00000000", "ACME", "E0", 700, 700, "00"),
        )
        self.assertEqual((row.reversed_by, row.original_rrn), (self.reversal.rrn, ""))
        self.assertIsNone(self.view().reports.transaction("632400099999", TODAY))

    def test_pages(self) -> None:
        """Pages of the journal follow each other without a gap or an overlap, also where a page may look no further."""
        view = self.view()
        for scan in (50_000, 3):
            self.patch(registry_reports, "SCAN_EVENTS", scan)
            seen: list[str] = []
            before: int | None = None
            while before != 0:
                rows, before = view.reports.transactions(JournalFilter(("purchase",)), before, 2)
                seen += [self.names[row.event_id] for row in rows]
            self.assertEqual(seen, ["third", "declined", "second", "first"], scan)

    def test_an_empty_day(self) -> None:
        """A day before the first event, and an empty ledger, are an empty page and nothing left."""
        view = self.view()
        self.assertEqual(view.reports.transactions(JournalFilter(KINDS, ledger_date="2020-01-01"), None, 9), ([], 0))
        self.assertEqual(view.reports.transactions(JournalFilter(KINDS, ledger_date="2027-01-01"), None, 9), ([], 0))

    def test_settlement(self) -> None:
        """Each day owes a shop what was sold, less what was taken back on that day."""
        reports = self.view().reports
        owed = {row.shop: (row.count, row.gross, row.reversals, row.net) for row in reports.settlement(TODAY)}
        self.assertEqual(owed, {"BISTRO": (1, 700, 0, 700), "CAFE": (1, 300, 0, 300)})
        [row] = reports.settlement("2026-11-21")
        self.assertEqual((row.shop, row.count, row.gross, row.reversals, row.net), ("BISTRO", 1, 50, 700, -650))
        self.assertEqual([row.shop for row in reports.settlement(TODAY, 2)], ["CAFE"])

    def test_company_balances(self) -> None:
        """What companies hold and what their people hold, other purses included, page by page."""
        with self.registry.changing(NOON) as change:
            corp = change.people.add_company(
                company_id="CORP", name="Corp", currency="USD", time_zone="UTC", at=change.at
            )
        reports = self.view().reports
        self.assertEqual(
            reports.company_balances("", 2),
            [
                CompanyBalanceRow("ACME", "USD", 50_000 - 2 * LOADED, 2 * LOADED - 50, 2),
                CompanyBalanceRow("BYTE", "USD", 50_000 - 2 * LOADED, 2 * LOADED - 300, 2),
            ],
        )
        self.assertEqual(reports.company_balances("BYTE", 2), [CompanyBalanceRow(corp.company, "USD", 0, 0, 0)])


class EmptyCase(RegistryCase):
    """A journal without anything in it."""

    def test_nothing(self) -> None:
        """Before the first event there is an empty page, no receipt, no head and nothing left."""
        with self.books.ledger.order(NOON) as unit:
            for table in ("entry", "event"):
                unit.connection.exec_driver_sql(f"DELETE FROM {table}").close()
        with self.registry.reading() as view:
            self.assertEqual(view.reports.transactions(JournalFilter(KINDS), None, 9), ([], 0))
            self.assertEqual(
                (view.receipts.newest(), view.receipts.key(1), view.receipts.of("1", TODAY)), (0, None, None)
            )
