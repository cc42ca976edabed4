"""Turns items of a batch, and differences about them, into values of fields, and back.

Compares nothing and opens no seal. Amounts have exactly the currency's decimals, as everywhere.
Specification: docs/protocol.md, "Types of fields" (items, differences).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from trus.protocol import fields
from trus.protocol.errors import ErrorCode, RemoteProtocolError
from trus.protocol.fields import MAX_DIFFERENCES_A_LINE, MAX_ITEMS_A_LINE, format_amount, parse_amount, parse_stan
from trus.values import BatchItem, BusinessDate, Difference, ItemKind, ItemState, Why

#: Stands where a side has no such item.
NOBODY: Final = "-"

_ITEM: Final = re.compile(fields.ITEM.decode("ascii"))
_DIFFERENCE: Final = re.compile(fields.DIFFERENCE.decode("ascii"))


def format_item(item: BatchItem, currency: str) -> str:
    """Return an item as it stands in a list."""
    amount = format_amount(item.amount, currency)
    return f"{item.stan:06d}:{item.business_date}:{item.kind.value}:{item.state.value}:{amount}:{item.rrn}"


def parse_item(text: str, currency: str) -> BatchItem:
    """Return an item. Raises RemoteProtocolError (bad-field) for what is none."""
    if _ITEM.fullmatch(text) is None:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "items")
    stan, date, kind, state, amount, rrn = text.split(":")
    return BatchItem(
        BusinessDate(date), parse_stan(stan), ItemKind(kind), ItemState(state), parse_amount(amount, currency), rrn
    )


def item_lists(items: Sequence[BatchItem], currency: str) -> Iterator[str]:
    """Return lists that each fit one line, in order."""
    for start in range(0, len(items), MAX_ITEMS_A_LINE):
        yield ",".join(format_item(each, currency) for each in items[start : start + MAX_ITEMS_A_LINE])


def parse_items(text: str, currency: str) -> tuple[BatchItem, ...]:
    """Return the items of a line. Raises RemoteProtocolError (bad-field)."""
    return tuple(parse_item(each, currency) for each in text.split(","))


def difference_lists(differences: str) -> Iterator[str]:
    """Return a list of differences in pieces that each fit one line."""
    each = differences.split(",") if differences else []
    for start in range(0, len(each), MAX_DIFFERENCES_A_LINE):
        yield ",".join(each[start : start + MAX_DIFFERENCES_A_LINE])


def parse_differences(text: str, currency: str) -> tuple[Difference, ...]:
    """Return the differences of a line. Raises RemoteProtocolError (bad-field)."""
    found = []
    for each in text.split(","):
        if _DIFFERENCE.fullmatch(each) is None:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, "differences")
        why, *sides = each.split("/")
        found.append(Difference(Why(why), *(None if side == NOBODY else parse_item(side, currency) for side in sides)))
    return tuple(found)
