"""Shows how the lunch day went: who paid what, why others were refused, what each shop is owed.

Shows no card number beyond its last four digits and no surname beyond its initial; the reasons
are the backend's own, as EXPLAIN gives them to support.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trus.cli.demo_network import NetworkFile
from trus.cli.replay import Played, Score, words
from trus.cli.replay_file import Action
from trus.cli.screen import masked
from trus.money import format_amount
from trus.values import Result


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def show_payments(console: Console, score: Score, currency: str) -> None:
    """Show for each employee what was paid and how often the network said no."""
    paid: Counter[str] = Counter()
    times: Counter[str] = Counter()
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    holders: dict[str, Played] = {}
    for each in score.played:
        if each.card is None:
            continue
        who = each.row.employee
        holders.setdefault(who, each)
        paid[who] += each.paid
        times[who] += (each.paid > 0) - (each.paid < 0)
        if each.answer.result is Result.DECLINED:
            refused[who][each.answer.code] += 1
    table = _table("Who paid what")
    table.add_column("employee")
    table.add_column("company", style="dim")
    table.add_column("card", style="dim")
    table.add_column("purchases", justify="right")
    table.add_column(f"paid, {currency}", justify="right", style="green")
    table.add_column("refused", style="yellow")
    for who, first in holders.items():
        if first.card is None:
            continue
        reasons = ", ".join(f"{count} × {code}" for code, count in sorted(refused[who].items()))
        amount = format_amount(paid[who], currency)
        table.add_row(
            Text(first.card.holder), first.card.company, masked(first.card.track2), str(times[who]), amount, reasons
        )
    table.add_section()
    table.add_row("", "", "", str(times.total()), format_amount(paid.total(), currency), "")
    console.print(table)


def refusals(score: Score) -> dict[str, list[Played]]:
    """Return the refused rows by response code, in the order of the codes."""
    found: dict[str, list[Played]] = defaultdict(list)
    for each in score.played:
        if each.answer.result is Result.DECLINED:
            found[each.answer.code].append(each)
    return dict(sorted(found.items()))


def show_refusals(console: Console, score: Score, reasons: Mapping[str, str], network: NetworkFile) -> None:
    """Show each response code with an example; `reasons` are the backend's words by reference (rrn)."""
    names = {shop.id: shop.name for shop in network.shops}
    table = _table("Why others were refused")
    table.add_column("code")
    table.add_column("times", justify="right")
    table.add_column("what the code says", style="yellow")
    table.add_column("for example", style="dim")
    table.add_column("why, in the backend's words", overflow="fold")
    for code, rows in refusals(score).items():
        first = rows[0]
        holder = first.card.holder if first.card is not None else ""
        shop = names.get(first.row.shop, first.row.shop)
        why = reasons.get(first.answer.rrn, "").removeprefix(f"Declined with {code}. ")
        table.add_row(code, str(len(rows)), words(first.answer), Text(f"{holder} at {shop}"), Text(why))
    console.print(table)


def show_settlement(console: Console, rows: Sequence[Mapping[str, str]], date: str) -> None:
    """Show what the network owes each shop for the day."""
    table = _table(f"What the shops are owed for {date}")
    table.add_column("shop", style="dim")
    table.add_column("name", no_wrap=True)
    for column in ("purchases", "gross", "taken back", "net"):
        table.add_column(column, justify="right", style="green" if column == "net" else None)
    table.add_column("")
    for row in rows:
        back = f"{row['reversals']} ({row['reversal-count']})" if row["reversal-count"] != "0" else ""
        name, currency = Text(row["name"]), row["currency"]
        table.add_row(row["shop"], name, row["count"], row["gross"], back, row["net"], currency)
    console.print(table)


def compare_settlement(score: Score, rows: Sequence[Mapping[str, str]], currency: str) -> list[str]:
    """Return what differs between the shops' settlement and what the terminals were told."""
    told: Counter[str] = Counter()
    for each in score.played:
        if each.row.action is not Action.CLOSE:
            told[each.row.shop] += each.paid
    owed = {row["shop"]: row["net"] for row in rows}
    expected = {shop: format_amount(amount, currency) for shop, amount in told.items() if amount}
    nothing = format_amount(0, currency)
    shops = sorted(set(owed) | set(expected))
    return [
        f"{shop}: the terminals counted {expected.get(shop, nothing)}, the settlement says {owed.get(shop, nothing)}"
        for shop in shops
        if expected.get(shop, nothing) != owed.get(shop, nothing)
    ]
