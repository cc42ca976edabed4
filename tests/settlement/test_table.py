"""The settlement table as rows, totals and CSV."""

from __future__ import annotations

import csv
import io

from twisted.trial.unittest import SynchronousTestCase

from trus.ledger.registry_values import SettlementRow
from trus.settlement.table import COLUMNS, csv_text, rows, totals
from trus.values import BusinessDate

DATE = BusinessDate("2026-11-20")
DAYS = [
    SettlementRow("S1", 'Żabka "Nano", Kraków', "EUR", 3, 2250, 1, 1250),
    SettlementRow("S2", "=cmd|'/c calc'!A1", "JPY", 1, 700, 0, 0),
    SettlementRow("S3", "Yesterday's", "EUR", 0, 0, 1, 300, 1, 200),
]


class TableTests(SynchronousTestCase):
    """Settlement of one date."""

    def test_rows_have_the_decimals_of_their_currency(self) -> None:
        """TR-25: each shop's row shows count, gross, reversals and net, which may be below zero."""
        found = [(row["shop"], row["gross"], row["reversals"], row["net"]) for row in rows(DATE, DAYS)]
        self.assertEqual(
            found, [("S1", "22.50", "12.50", "10.00"), ("S2", "700", "0", "700"), ("S3", "0.00", "3.00", "-5.00")]
        )
        self.assertEqual(tuple(rows(DATE, DAYS)[0]), COLUMNS)

    def test_totals_never_mix_currencies(self) -> None:
        """Sums are made for each currency apart."""
        self.assertEqual(totals(DAYS), [("EUR", 2, 3, 2250, 1750, 500), ("JPY", 1, 1, 700, 0, 700)])
        self.assertEqual(totals([]), [])

    def test_csv(self) -> None:
        """TR-24: the CSV reads back to the same values by RFC 4180, and no name becomes a formula."""
        text = csv_text(DATE, DAYS)
        self.assertTrue(text.endswith("\r\n"))
        read = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([row["name"] for row in read], [DAYS[0].name, "'" + DAYS[1].name, DAYS[2].name])
        self.assertEqual([row["net"] for row in read], ["10.00", "700", "-5.00"])
        self.assertEqual(csv_text(DATE, []), ",".join(COLUMNS) + "\r\n")
