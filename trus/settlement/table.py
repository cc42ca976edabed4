"""Says what each shop is owed for one business date, as rows, totals and CSV text.

Pays nobody and reads no storage: the sums come from the ledger's entries of the shops' own
accounts, so that the table can never disagree with the ledger. CSV by RFC 4180.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from trus.money import format_amount
from trus.values import BusinessDate

#: The columns of the table, in this order; amounts in major units with the currency's decimals.
COLUMNS: Final = (
    "date",
    "shop",
    "name",
    "currency",
    "count",
    "gross",
    "reversal-count",
    "reversals",
    "refund-count",
    "refunds",
    "net",
)
#: Characters that make a spreadsheet take a field for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class ShopDay(Protocol):
    """A shop's sums for one date, amounts in minor units (trus.ledger.registry_values.SettlementRow)."""

    @property
    def shop(self) -> str: ...  # noqa: D102 - a shape

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def currency(self) -> str: ...  # noqa: D102

    @property
    def count(self) -> int: ...  # noqa: D102

    @property
    def gross(self) -> int: ...  # noqa: D102

    @property
    def reversal_count(self) -> int: ...  # noqa: D102

    @property
    def reversals(self) -> int: ...  # noqa: D102

    @property
    def refund_count(self) -> int: ...  # noqa: D102

    @property
    def refunds(self) -> int: ...  # noqa: D102

    @property
    def net(self) -> int: ...  # noqa: D102


class Total(NamedTuple):
    """The sums of all shops in one currency, minor units; `reversals` with the refunds."""

    currency: str
    shops: int
    purchases: int
    gross: int
    reversals: int
    net: int


def rows(date: BusinessDate, days: Iterable[ShopDay]) -> list[dict[str, str]]:
    """Return the table's rows, one a shop and currency."""
    return [
        {
            "date": date,
            "shop": day.shop,
            "name": day.name,
            "currency": day.currency,
            "count": str(day.count),
            "gross": format_amount(day.gross, day.currency),
            "reversal-count": str(day.reversal_count),
            "reversals": format_amount(day.reversals, day.currency),
            "refund-count": str(day.refund_count),
            "refunds": format_amount(day.refunds, day.currency),
            "net": format_amount(day.net, day.currency),
        }
        for day in days
    ]


def totals(days: Sequence[ShopDay]) -> list[Total]:
    """Return the sums by currency, in the order of the currencies' codes."""
    found = []
    for currency in sorted({day.currency for day in days}):
        of_it = [day for day in days if day.currency == currency]
        found.append(
            Total(
                currency,
                len(of_it),
                sum(day.count for day in of_it),
                sum(day.gross for day in of_it),
                sum(day.reversals + day.refunds for day in of_it),
                sum(day.net for day in of_it),
            )
        )
    return found


def csv_text(date: BusinessDate, days: Iterable[ShopDay]) -> str:
    """Return the table as CSV with a header.

    A shop's name that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for row in rows(date, days):
        name = row["name"]
        writer.writerow({**row, "name": "'" + name if name.startswith(_FORMULA) else name})
    return text.getvalue()
