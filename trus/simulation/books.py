"""A dump of the ledger, indexed for an examiner's questions.

Trusts neither the network's own audit nor its constraints: ends, sums and links are worked out again from the
rows. Judges nothing by itself (trus.simulation.balances, trus.simulation.invariants).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import attrs

from trus.auth.ports import ENDING, SOLD, EventKind
from trus.ledger.accounts import AccountKind
from trus.ledger.dump import Dump, EventRow
from trus.values import BusinessDate, Identity, Result, TerminalId

#: Results that let money move.
APPROVED: Final = frozenset({Result.APPROVED.value, Result.PARTIAL.value})
_ENDING: Final = frozenset(each.value for each in ENDING)
_SOLD: Final = frozenset(each.value for each in SOLD)


@attrs.frozen
class Finding:
    """Something that does not hold: the invariant's name, what it is, and the step, 0 when unknown."""

    invariant: str
    what: str
    step: int = 0

    def __str__(self) -> str:
        return f"{self.invariant}{f' at step {self.step}' if self.step else ''}: {self.what}"


class Books:
    """A dump, indexed for questions."""

    def __init__(self, dump: Dump) -> None:
        self.dump = dump
        self.events = {each.id: each for each in dump.events}
        self.by_identity: dict[Identity, EventRow] = {}
        self.doubled: list[Identity] = []
        #: What ended an event, by that event's id: a reversal, a void, a completion, a release, an expiry.
        self.ended_by: dict[int, EventRow] = {}
        self.ended_twice: list[EventRow] = []
        #: The approved refunds of a sale, by the sale's id.
        self.refunds: dict[int, list[EventRow]] = defaultdict(list)
        self.entries: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
        for each in dump.events:
            self._take(each)
        for moved in dump.entries:
            self.entries[moved.event_id].append((moved.account, moved.amount, moved.currency))
        self.accounts = {each.id: each for each in dump.accounts}
        self.purse_of = {each.id: each.purse for each in dump.cards}
        self.risk = frozenset(each.id for each in dump.accounts if each.kind == AccountKind.RISK)

    def _take(self, event: EventRow) -> None:
        if event.terminal is not None and event.business_date is not None and event.stan is not None:
            identity = Identity(TerminalId(event.terminal), BusinessDate(event.business_date), event.stan)
            if identity in self.by_identity:
                self.doubled.append(identity)
            self.by_identity[identity] = event
        if event.original is None:
            return
        if event.kind in _ENDING and event.result not in ("", Result.DECLINED.value):
            if event.original in self.ended_by:
                self.ended_twice.append(event)
            self.ended_by[event.original] = event
        elif event.kind == EventKind.REFUND and event.result in APPROVED:
            self.refunds[event.original].append(event)

    def is_sale(self, event: EventRow) -> bool:
        """Return whether an event sold something: a purchase or a completion that was approved."""
        return event.kind in _SOLD and event.result in APPROVED

    def standing(self, event: EventRow) -> bool:
        """Return whether an event has moved or set aside money, and nothing has ended it."""
        return event.result in APPROVED and event.authorized > 0 and event.id not in self.ended_by

    def refunded(self, sale: EventRow) -> int:
        """Return what of a sale was given back by refunds that were not taken back themselves, in minor units."""
        return sum(each.authorized - self.taken_back(each) for each in self.refunds.get(sale.id, ()))

    def taken_back(self, event: EventRow) -> int:
        """Return what the end of an event gave back of it, in minor units."""
        end = self.ended_by.get(event.id)
        return 0 if end is None else end.authorized

    def moved(self, event: EventRow) -> dict[int, int]:
        """Return what an event put into (+) and took out of (-) each account."""
        sums: dict[int, int] = defaultdict(int)
        for account, amount, _ in self.entries.get(event.id, ()):
            sums[account] += amount
        return sums


def named(identity: Identity) -> str:
    """Return an identity for people."""
    return f"{identity.terminal}/{identity.business_date}/{identity.stan:06d}"
