"""Compares a batch item by item: what a terminal has written down with what the ledger holds.

Decides about no money: the ledger's item counts, and each difference is named for people to look at
(docs/protocol.md says what becomes of each). A purchase that was taken back and that its terminal never
knew of is no difference: both sides hold nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from trus.values import BatchItem, Difference, Frozen, ItemState, Why


class HostItem(Frozen, frozen=True):
    """An item of the ledger, and whether it is of this batch: made in it, or taken back in it."""

    item: BatchItem
    of_batch: bool = True


#: Differences that an answer lists; of more than these the number is told.
MAX_LISTED: Final = 512


def compare(terminal: Sequence[BatchItem], host: Mapping[tuple[str, int], HostItem]) -> list[Difference]:
    """Return the differences, in the order of the terminal's items, then of the ledger's.

    `host` holds every item of the ledger's batch, and of other batches those that the terminal lists.
    """
    found = [each for item in terminal if (each := _differ(item, host.get(item.name))) is not None]
    listed = {item.name for item in terminal}
    for name in sorted(host):
        known = host[name]
        if name not in listed and known.of_batch and known.item.state == ItemState.STANDS:
            found.append(Difference(Why.MISSING_AT_TERMINAL, None, known.item))
    return found


def _differ(item: BatchItem, known: HostItem | None) -> Difference | None:
    if known is None:
        return Difference(Why.MISSING_AT_HOST, item, None)
    host = known.item
    for why, differs in (
        (Why.KIND, item.kind != host.kind),
        (Why.AMOUNT, item.amount != host.amount),
        (Why.STATE, item.state != host.state),
        (Why.CLOSED_BEFORE, not known.of_batch),
    ):
        if differs:
            return Difference(why, item, host)
    return None
