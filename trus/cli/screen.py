"""Shows what the cashier sees: the terminal's screen, and the receipt.

Shows no stripe and no PIN; of a card number the last four digits. What the backend said is
shown as text, never as markup.
"""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trus.device.journal import Asked, Totals
from trus.device.orders import Answer
from trus.money import format_amount
from trus.values import BatchItem, ItemState, Result
from trus.wording import ENGLISH, line, wording
from trus.wording import word as word_of

#: A pinpad's screen, with room for the words of every code.
WIDTH = 44

#: Names of words of the catalogue (trus.wording), and their colours.
_WORDS = {
    Result.APPROVED: ("approved", "bold white on green"),
    Result.PARTIAL: ("partial", "bold black on yellow"),
    Result.DECLINED: ("declined", "bold white on red"),
    Result.REVERSED: ("taken-back", "bold white on blue"),
}


#: What stands on the screen when a request about an earlier purchase was carried out.
_DONE = {
    Asked.REFUND: "refunded",
    Asked.VOID: "cancelled",
    Asked.HOLD: "set-aside",
    Asked.ADVICE: "taken-over",
    Asked.CAPTURE: "completed",
    Asked.RELEASE: "released",
    Asked.CLOSE: "batch-closed",
    Asked.BALANCE: "balance",
}
#: What moves no money of a cardholder's has no receipt.
_NO_RECEIPT = (Asked.CLOSE, Asked.BALANCE)


def masked(track2: str) -> str:
    """Return a card number that may be shown, such as "•••• 4711"."""
    return f"•••• {track2.partition('=')[0][-4:]}"


def headline(asked: Asked, result: Result, *, approved: bool) -> str:
    """Return the name of the word that stands on the screen."""
    return _DONE[asked] if approved and asked in _DONE else _WORDS[result][0]


def show(
    console: Console,
    asked: Asked,
    answer: Answer,
    *,
    card: str = "",
    totals: Totals | None = None,
    language: str = ENGLISH,
    shop: str = "",
) -> None:
    """Show an answer as the terminal's screen does; `card` is a masked number, `shop` a name."""
    style = _WORDS[answer.result][1]
    word = word_of(headline(asked, answer.result, approved=answer.approved), language)
    said = line(answer.code, answer.text, language)
    lines: list[Text] = [Text(word.center(WIDTH - 6), style=style)]
    lines += [Text(line) for line in _body(asked, answer, totals)]
    if said and said.casefold() != word.casefold():
        lines.append(Text(said, style="bold"))
    if answer.result is Result.DECLINED and answer.code:
        lines.append(Text(wording(answer.code, language).cardholder, style="italic"))
    if answer.reversing:
        what = "refund" if asked is Asked.REFUND else "purchase"
        lines.append(Text(f"This {what} is being taken back.", style="yellow"))
    console.print(Panel(Text("\n").join(lines), width=WIDTH, box=box.HEAVY, padding=(0, 1)))
    if answer.differing:
        differences(console, answer)
    if answer.answered and asked in (Asked.PURCHASE, Asked.REVERSE, *_DONE) and asked not in _NO_RECEIPT:
        receipt(console, answer, card, shop, said)


def _body(asked: Asked, answer: Answer, totals: Totals | None) -> list[str]:
    lines: list[str] = []
    reference = answer.reference
    if answer.approved and answer.amount is not None and asked in (Asked.PURCHASE, *_DONE):
        lines.append(f"{format_amount(answer.amount, answer.currency)} {answer.currency}")
        if answer.result is Result.PARTIAL and reference is not None:
            rest = reference.amount - answer.amount
            lines.append(f"to pay by other means: {format_amount(rest, answer.currency)} {answer.currency}")
    if answer.balance is not None:
        lines.append(f"the card holds {format_amount(answer.balance, answer.currency)} {answer.currency}")
    lines.extend(f"purse {name}: {amount} {answer.currency}" for name, amount in answer.purses)
    if answer.tries_left is not None:
        lines.append(f"PIN tries left: {answer.tries_left}")
    if answer.balanced is not None:
        lines.append(
            "both sides counted the same" if answer.balanced else f"{answer.differing} items differ: see the list"
        )
    if totals is not None and reference is not None:
        amount = format_amount(totals.purchase_amount - totals.reversal_amount, reference.currency)
        lines.append(f"{totals.purchase_count - totals.reversal_count} purchases, {amount} {reference.currency}")
        for kind, count, sum_ in (
            ("refunds", totals.refund_count, totals.refund_amount),
            ("voids", totals.void_count, totals.void_amount),
            ("completions", totals.completion_count, totals.completion_amount),
        ):
            if count:
                lines.append(f"{count} {kind}, {format_amount(sum_, reference.currency)} {reference.currency}")
    if answer.code:
        approval = f"  approval {answer.approval}" if answer.approval else ""
        lines.append(f"code {answer.code}{approval}")
    return lines


def differences(console: Console, answer: Answer) -> None:
    """Show item by item where this terminal and the network differ; what the network has counts."""
    table = Table(box=box.SIMPLE, title="items that differ", title_style="dim")
    for heading in ("date", "number", "reference", "why", "terminal", "network"):
        table.add_column(heading, no_wrap=heading in ("date", "number", "reference"))
    for each in answer.differences:
        item = each.host or each.terminal
        if item is not None:
            why = each.why.value.replace("-", " ")
            sides = [_side(side, answer.currency) for side in (each.terminal, each.host)]
            table.add_row(item.business_date, f"{item.stan:06d}", item.rrn, why, *sides)
    console.print(table)
    if answer.differing > len(answer.differences):
        console.print(f"and {answer.differing - len(answer.differences)} more", style="dim")
    console.print("What the network has counts; docs/protocol.md says what becomes of each.", style="dim")


def _side(item: BatchItem | None, currency: str) -> str:
    if item is None:
        return "-"
    amount = format_amount(item.amount, currency)
    return f"{item.kind.value} {amount}" + ("" if item.state is ItemState.STANDS else f", {item.state.value}")


def receipt(console: Console, answer: Answer, card: str, shop: str = "", said: str = "") -> None:
    """Show what would be printed for the cardholder, with the proof code at its end."""
    reference = answer.reference
    if reference is None:
        return
    table = Table(box=box.SIMPLE, width=WIDTH, show_header=False, title="receipt", title_style="dim")
    table.add_column(style="dim")
    table.add_column(justify="right")
    identity = reference.identity
    if shop:
        table.add_row("shop", shop)
    table.add_row("terminal", identity.terminal)
    table.add_row("date", identity.business_date)
    table.add_row("number", f"{identity.stan:06d}")
    if card:
        table.add_row("card", card)
    shown = reference.amount if answer.amount is None else answer.amount
    table.add_row("amount", f"{format_amount(shown, reference.currency)} {reference.currency}")
    table.add_row("result", f"{answer.result.value} ({answer.code})")
    if answer.rrn:
        table.add_row("reference", answer.rrn)
    if answer.approval:
        table.add_row("approval", answer.approval)
    if said:
        table.add_row("", Text(said))
    for printed in answer.receipt.split("|"):
        if printed:
            table.add_row("", Text(printed))
    if answer.proof:
        table.add_row("proof", Text(grouped(answer.proof)))
    console.print(table)


def grouped(proof: str) -> str:
    """Return a proof code as it is printed: its digits in groups of four, the last two lines of a slip."""
    place, _, code = proof.rpartition("-")
    groups = [code[begin : begin + 4] for begin in range(0, len(code), 4)]
    return f"{place}-{' '.join(groups[:4])}\n{' '.join(groups[4:])}"
