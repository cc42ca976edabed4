"""Writes the differences of a batch as an answer keeps them, in the words of the wire.

Compares nothing (trus.auth.reconcile). The form is that of docs/protocol.md, "Types of fields": an item is its
trace number, date, kind, state, amount and retrieval reference, parted by colons; a difference is its word and
both sides' items, "-" where a side has none, parted by strokes; a list is parted by commas.
"""

from __future__ import annotations

from collections.abc import Sequence

from trus.money import format_amount
from trus.values import BatchItem, Difference


def format_differences(differences: Sequence[Difference], currency: str) -> str:
    """Return differences as one text."""
    return ",".join(
        f"{each.why.value}/{_item(each.terminal, currency)}/{_item(each.host, currency)}" for each in differences
    )


def _item(item: BatchItem | None, currency: str) -> str:
    if item is None:
        return "-"
    amount = format_amount(item.amount, currency)
    return f"{item.stan:06d}:{item.business_date}:{item.kind.value}:{item.state.value}:{amount}:{item.rrn}"
