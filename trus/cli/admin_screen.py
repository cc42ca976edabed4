"""Shows a console's reply to a person as a table, or to a program as one JSON object.

Interprets nothing: values are shown as they came, never as markup.
"""

from __future__ import annotations

import json

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trus.admin.client import AdminReply

#: More columns than this are shown one below the other.
MAX_COLUMNS = 9
#: Columns that hold numbers, and so stand to the right.
_NUMBERS = frozenset(
    {"amount", "balance", "count", "gross", "moved", "net", "prepaid", "purses", "reversals", "reversal-count", "total"}
)


def show(console: Console, reply: AdminReply, *, expanded: bool | None = None) -> None:
    """Show rows and outcome; `expanded` True one value a line, False a table, None whichever fits."""
    if reply.rows:
        columns = list(dict.fromkeys(name for row in reply.rows for name in row))
        wide = len(columns) > MAX_COLUMNS or (len(reply.rows) == 1 and len(columns) > 4)
        if wide if expanded is None else expanded:
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
