"""Shows a console's reply to a person as a table, or to a program as one JSON object.

Interprets nothing: values are shown as they came, never as markup.
"""

from __future__ import annotations

import json

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trus.admin.client import AdminReply

#: A value longer than this may be broken over lines of its column.
_FOLD = 60
#: Columns that hold numbers, and so stand to the right.
_NUMBERS = frozenset(
    {
        "amount",
        "balance",
        "count",
        "gross",
        "moved",
        "net",
        "prepaid",
        "purses",
        "refund-count",
        "refunds",
        "reversals",
        "reversal-count",
        "total",
    }
)


def show(console: Console, reply: AdminReply, *, expanded: bool = False) -> None:
    """Show rows and outcome: `expanded` one value a line, else as a table where that fits the screen."""
    if reply.rows:
        columns = list(dict.fromkeys(name for row in reply.rows for name in row))
        if expanded or _width(columns, reply.rows) > console.width:
            _expanded(console, reply.rows)
        else:
            _table(console, columns, reply.rows)
    if reply.ok:
        console.print(Text(reply.text))
    else:
        console.print(Text(f"{reply.code}: {reply.text}", style="bold red"))


def as_json(reply: AdminReply) -> str:
    """Return the reply as one line of JSON."""
    shown = {"ok": reply.ok, "code": reply.code, "text": reply.text, "rows": reply.rows}
    return json.dumps(shown, ensure_ascii=False)


def _width(columns: list[str], rows: list[dict[str, str]]) -> int:
    """Return how many characters a table of these rows takes where no value is broken."""
    longest = {
        name: max(cell_len(name), *(min(cell_len(row.get(name, "")), _FOLD) for row in rows)) for name in columns
    }
    return sum(longest.values()) + 3 * len(columns)


def _table(console: Console, columns: list[str], rows: list[dict[str, str]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(Text(name), justify="right" if name in _NUMBERS else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(row.get(name, "")) for name in columns))
    console.print(table)


def _expanded(console: Console, rows: list[dict[str, str]]) -> None:
    width = max(len(name) for row in rows for name in row)
    for number, row in enumerate(rows, 1):
        if len(rows) > 1:
            console.print(Text(f"-[ {number} ]".ljust(width + 12, "-"), style="dim"))
        for name, value in row.items():
            console.print(Text.assemble((name.ljust(width), "dim"), "  ", value))
