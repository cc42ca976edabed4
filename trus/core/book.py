"""The facts of a batch as they stand while it is decided, one request after the other.

Reads and writes no storage: it starts from what the ledger read and keeps, in memory, what every
event recorded since has changed: balances, counters, PIN tries, requests, totals. Two purchases
of one card in one batch, or of two cards on one purse, therefore see each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from trus.auth.lots import GRACE_DAYS, Lots, ended, merged, read_lots
from trus.auth.model import CardFacts, PurseFacts, State, TerminalFacts
from trus.auth.policy import Policy, policy_at
from trus.auth.ports import (
    BatchFacts,
    BatchTotals,
    Event,
    EventKind,
    Origin,
    Posting,
    PurseUpdate,
    StoredRequest,
    UnitOfWork,
)
from trus.auth.reconcile import HostItem
from trus.auth.spending import Spent
from trus.core.dates import HOLD_SECONDS
from trus.errors import LedgerError
from trus.values import BusinessDate, Identity, Result

_replace: Final = msgspec.structs.replace


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Book:
    """What a batch knows. `recorded` counts the events that wait for the commit."""

    def __init__(
        self,
        unit: UnitOfWork,
        facts: BatchFacts,
        now: datetime,
        grace_days: int = GRACE_DAYS,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        """`now` is the moment of the batch (aware); credit that had ended comes back for `grace_days`."""
        self.now = now
        self.grace_days = grace_days
        self._hold = timedelta(seconds=hold_seconds)
        self.business_date: BusinessDate = unit.business_date
        self.previous_date: BusinessDate = unit.previous_date
        self.requests: dict[Identity, StoredRequest] = dict(facts.requests)
        self.recorded = 0
        self._unit = unit
        self._facts = facts
        self._purses: dict[int, PurseUpdate] = {}
        self._held: dict[int, int] = {}
        self._spent: dict[int, Spent] = {}
        self._signals: dict[int, str] = {}
        self._watched: dict[str, tuple[str, bool]] = {}
        self._lots: dict[int, str] = {}
        self._tries: dict[int, int] = {}
        self._totals: dict[str, BatchTotals] = dict(facts.totals)
        self._closed: dict[str, int] = dict(facts.closed)
        self._policies: dict[int, Policy | None] = {}

    def terminal(self, name: str) -> TerminalFacts | None:
        """Return a terminal, None when nobody registered it."""
        facts = self._facts.terminals.get(name)
        if not self._watched or facts is None or name not in self._watched:
            return facts
        watch, blocked = self._watched[name]
        return _replace(facts, watch=watch, state=State.BLOCKED if blocked else facts.state)

    def card(self, card_key: bytes) -> CardFacts | None:
        """Return the card of a keyed hash as it stands now, None when there is none."""
        facts = self._facts.cards.get(card_key)
        return None if facts is None else self._current(facts)

    def card_of(self, card_id: int | None) -> CardFacts:
        """Return a card that a stored request names. Raises LedgerError when it is gone."""
        facts = None if card_id is None else self._facts.cards_by_id.get(card_id)
        if facts is None:
            raise LedgerError("the card of a stored request was not read")
        return self._current(facts)

    def policy(self, company_id: int) -> Policy | None:
        """Return the policy of a company that is in force now."""
        try:
            return self._policies[company_id]
        except KeyError:
            policy = policy_at(self._facts.policies.get(company_id, ()), self.now)
            self._policies[company_id] = policy
            return policy

    def totals(self, terminal: str) -> BatchTotals:
        """Return what a closing terminal's batch holds. Raises LedgerError when it was not read."""
        try:
            return self._totals[terminal]
        except KeyError:
            raise LedgerError("the totals of a closing terminal were not read") from None

    def batch(self, terminal: str) -> Mapping[tuple[str, int], HostItem]:
        """Return the ledger's items of a reconciling terminal. Raises LedgerError when they were not read."""
        try:
            return self._facts.batches[terminal]
        except KeyError:
            raise LedgerError("the items of a reconciling terminal were not read") from None

    @property
    def hold_until(self) -> int:
        """When a pre-authorization of this moment expires, microseconds since 1970-01-01 UTC."""
        return (self.now + self._hold - _EPOCH) // _MICROSECOND

    def lasts_until(self, hold: StoredRequest) -> int:
        """Return when a pre-authorization expires that was made once, or would have, as `hold_until` does."""
        return hold.at + self._hold // _MICROSECOND

    @property
    def moment(self) -> int:
        """The moment of the batch, microseconds since 1970-01-01 UTC."""
        return (self.now - _EPOCH) // _MICROSECOND

    def is_closed(self, terminal: str, stored: StoredRequest) -> bool:
        """Return whether the batch of a terminal that a request belongs to was closed."""
        return stored.event_id < self._closed.get(terminal, 0)

    def number(self) -> tuple[int, str]:
        """Return a fresh event id and its retrieval reference number."""
        return self._unit.next_event()

    def record(self, event: Event) -> None:
        """Hand an event to the ledger and take it into account. Raises LedgerError."""
        self._unit.record(event)
        self.recorded += 1
        for purse in event.purses:
            self._purses[purse.account] = purse
            if purse.held is not None:
                self._held[purse.account] = purse.held
            if purse.spent is not None:
                self._spent[purse.account] = purse.spent
            if purse.lots is not None:
                self._lots[purse.account] = purse.lots
        if event.signals is not None:
            self._signals[event.signals[0]] = event.signals[1]
        if event.watch is not None:
            name, watch, blocked = event.watch
            self._watched[name] = (watch, blocked)
        if event.tries is not None:
            self._tries[event.tries[0]] = event.tries[1]
        if event.identity is not None:
            self._remember(event, event.identity)

    def named(self, reference: str) -> tuple[Identity, StoredRequest] | None:
        """Return the request of a reference number as it stands now: the newest, if several."""
        found = [each for each in self.requests.items() if each[1].rrn == reference]
        return max(found, key=lambda each: each[1].event_id) if found else None

    def purchase_of(self, refund: StoredRequest) -> tuple[Identity, StoredRequest]:
        """Return the purchase of a refund. Raises LedgerError when it was not read."""
        for identity, stored in self.requests.items():
            if stored.event_id == refund.original:
                return identity, stored
        raise LedgerError("the purchase of a stored refund was not read")

    def risk_account(self, currency: str) -> int:
        """Return the account of the shortfalls that the issuer bears. Raises LedgerError."""
        return self._unit.risk_account(currency)

    def origin(self, purse: int) -> Origin:
        """Return where the credit of a purse came from. Raises LedgerError."""
        return self._unit.origin(purse)

    def watch_range(self, name: bytes, count: int, since: int, *, swept: bool) -> None:
        """Keep what was tried out in a range of card numbers."""
        self._unit.watch_range(name, count, since, swept=swept)

    def mark_ended(self, original: Identity, event_id: int, kind: EventKind, given_back: int = 0) -> None:
        """Note that an original was ended by an event of this batch, which gave back so much."""
        stored = self.requests[original]
        if stored.kind == EventKind.REFUND and stored.authorized:
            self._uncount(original.terminal, stored)
        self.requests[original] = _replace(stored, reversed_by=event_id, given_back=given_back, ended=kind.value)

    def mark_restored(self, hold: Identity, event_id: int, held: tuple[tuple[int, int], ...]) -> None:
        """Note that a pre-authorization stands again as an event of this batch, with `held` set aside by account."""
        self.requests[hold] = _replace(
            self.requests[hold], reversed_by=0, ended="", given_back=0, stands_as=event_id, held=held
        )

    def mark_refunded(
        self, purchase: Identity, amount: int, postings: Sequence[Posting], lots: Lots, *, in_time: bool
    ) -> None:
        """Note that so much more of a purchase is refunded, by these moves; less when a refund was taken back.

        `in_time` says that the refund was made on the purchase's own date.
        """
        stored = self.requests[purchase]
        returned = dict(stored.returned)
        for each in postings:
            returned[each.account] = returned.get(each.account, 0) + each.amount
        self.requests[purchase] = _replace(
            stored,
            refunded=stored.refunded + amount,
            in_time=stored.in_time + (amount if in_time else 0),
            returned=tuple(sorted(returned.items())),
            returned_lots=merged((*stored.returned_lots, *lots)),
        )

    def _remember(self, event: Event, identity: Identity) -> None:
        self.requests[identity] = StoredRequest(
            event.event_id,
            event.kind,
            event.rid,
            event.digest,
            event.amount,
            event.currency,
            event.result,
            event.code,
            event.rrn,
            event.answer,
            event.card_id,
            0,
            event.postings,
            event.counter_day,
            event.authorized,
            event.shop_id,
            event.original,
            lots=event.lots,
            at=self.moment,
        )
        if event.kind == EventKind.CLOSE_BATCH and event.result == Result.APPROVED:
            self._closed[identity.terminal] = event.event_id
        totals = self._totals.get(identity.terminal)
        if totals is None:
            return
        if event.kind == EventKind.CLOSE_BATCH:
            if event.result == Result.APPROVED:
                self._totals[identity.terminal] = BatchTotals()
        elif event.authorized:
            self._totals[identity.terminal] = totals.plus(event.kind, event.rule, 1, event.authorized)

    def _uncount(self, terminal: str, refund: StoredRequest) -> None:
        """Take a refund out of the totals of the batch that is open, if it is of that one."""
        totals = self._totals.get(terminal)
        if totals is not None and not self.is_closed(terminal, refund):
            self._totals[terminal] = totals.without_refund(refund.authorized)

    def _current(self, facts: CardFacts) -> CardFacts:
        purse = self._purses.get(facts.purse_account)
        tries = self._tries.get(facts.card_id)
        if purse is None and tries is None and not facts.lots and facts.card_id not in self._signals:
            return facts
        if purse is None:
            purse = PurseUpdate(
                facts.purse_account, facts.balance, facts.counter_day, facts.day_amount, facts.day_count
            )
        lots = self._lots.get(facts.purse_account, facts.lots)
        return CardFacts(
            facts.card_id,
            facts.card,
            facts.state,
            facts.expiry,
            facts.tries_left if tries is None else tries,
            facts.pin_reference,
            facts.employee_state,
            facts.company_id,
            facts.company_state,
            facts.purse_account,
            purse.balance,
            facts.currency,
            purse.counter_day,
            purse.day_amount,
            purse.day_count,
            self._held.get(facts.purse_account, facts.held),
            self._spent.get(facts.purse_account, facts.spent),
            lots=lots,
            ended=ended(read_lots(lots), self.business_date) if lots else 0,
            purses=self._others(facts.purses) if facts.purses else (),
            signals=self._signals.get(facts.card_id, facts.signals),
        )

    def _others(self, purses: tuple[PurseFacts, ...]) -> tuple[PurseFacts, ...]:
        """Return the purses beside the main one as they stand now."""
        now = []
        for each in purses:
            update = self._purses.get(each.account)
            balance = each.balance if update is None else update.balance
            now.append(PurseFacts(each.name, each.account, balance, self._held.get(each.account, each.held)))
        return tuple(now)
