"""A ledger in memory that behaves as the port says, and fails when it is told to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tests.core.worlds import TODAY
from trus.auth.lots import merged
from trus.auth.model import CardFacts, PurseFacts, State, TerminalFacts
from trus.auth.policy import Policy
from trus.auth.ports import (
    ENDING,
    NOTHING_RECONCILED,
    BatchFacts,
    BatchTotals,
    CardNames,
    Event,
    EventKind,
    Origin,
    PurseUpdate,
    StoredRequest,
)
from trus.auth.reconcile import HostItem
from trus.errors import LedgerError, StorageFailed, Unbalanced
from trus.receipts.links import Receipt
from trus.values import BatchItem, BusinessDate, Identity, ItemKind, ItemState

_replace = msgspec.structs.replace
#: The account of the issuer's risk.
RISK = -1


class Kept:
    """What is durable."""

    def __init__(self) -> None:
        self.terminals: dict[str, TerminalFacts] = {}
        self.cards: dict[bytes, CardFacts] = {}
        self.policies: dict[int, tuple[Policy, ...]] = {}
        self.events: dict[int, Event] = {}
        self.by_identity: dict[Identity, int] = {}
        self.endings: dict[int, int] = {}
        self.holds: dict[int, int] = {}
        self.moments: dict[int, int] = {}
        self.now = 0
        self.restored: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {}
        self.balances: dict[int, int] = {}
        self.floors: set[int] = set()
        self.day = TODAY
        self.previous = BusinessDate("2026-11-19")

    def requests(self, identities: Sequence[Identity], references: Sequence[str] = ()) -> dict[Identity, StoredRequest]:
        found = {each: stored for each in identities if (stored := self.stored(each)) is not None}
        for event in self.events.values():
            if event.rrn in references and event.identity is not None:
                found[event.identity] = self._stored(event)
        brings = (EventKind.REFUND, EventKind.COMPLETION)
        for purchase in [each.original for each in found.values() if each.kind in brings and each.original]:
            event = self.events[purchase]
            if event.identity is not None:
                found[event.identity] = self._stored(event)
        return found

    def stored(self, identity: Identity) -> StoredRequest | None:
        number = self.by_identity.get(identity)
        return None if number is None else self._stored(self.events[number])

    def _stored(self, event: Event) -> StoredRequest:
        ending = self.endings.get(event.event_id, 0)
        again = [(number, held) for number, (of, held) in self.restored.items() if of == event.event_id]
        stands_as, held = again[0] if again else (0, ())
        ending = 0 if again else self._ended_again(ending)
        return StoredRequest(
            event_id=event.event_id,
            kind=event.kind,
            rid=event.rid,
            digest=event.digest,
            amount=event.amount,
            currency=event.currency,
            result=event.result,
            code=event.code,
            rrn=event.rrn,
            answer=event.answer,
            card_id=event.card_id,
            reversed_by=ending,
            ended=self.events[ending].kind if ending else "",
            postings=event.postings,
            counter_day=event.counter_day,
            authorized=event.authorized,
            shop_id=event.shop_id,
            original=event.original,
            receipt=Receipt(1, event.event_id, bytes(16)),
            ended_receipt=Receipt(1, ending, bytes(16)) if ending else None,
            given_back=self.events[ending].authorized if ending else 0,
            refunded=sum(each.authorized for each in self._standing(event)),
            in_time=sum(each.authorized for each in self._standing(event) if each.counter_day),
            lots=event.lots,
            returned=self._returned(event),
            returned_lots=merged(lot for each in self._parts(event) for lot in each.lots),
            stands_as=stands_as,
            held=held,
            at=self.moments.get(event.event_id, 0),
        )

    def _standing(self, event: Event) -> list[Event]:
        """Return the refunds of a purchase that were not taken back."""
        about = [each for each in self.events.values() if each.original == event.event_id]
        return [each for each in about if each.kind == EventKind.REFUND and each.event_id not in self.endings]

    def _ended_again(self, ending: int) -> int:
        """Return what ended a pre-authorization that stood again after the completion `ending`, or that ending."""
        if ending and self.events[ending].kind == EventKind.COMPLETION:
            return self.endings.get(self.endings.get(ending, 0), ending)
        return ending

    def _returned(self, event: Event) -> tuple[tuple[int, int], ...]:
        found: dict[int, int] = {}
        for posting in (posting for each in self._parts(event) for posting in each.postings):
            found[posting.account] = found.get(posting.account, 0) + posting.amount
        return tuple(sorted(found.items()))

    def _parts(self, event: Event) -> list[Event]:
        """Return the refunds of a purchase, and what has taken refunds back."""
        refunds = [
            each for each in self.events.values() if each.kind == EventKind.REFUND and each.original == event.event_id
        ]
        return refunds + [self.events[self.endings[each.event_id]] for each in refunds if each.event_id in self.endings]

    def closed(self, terminal: str) -> int:
        return max(
            (each.event_id for each in self._own(terminal) if each.kind == "close-batch" and each.code == "00"),
            default=0,
        )

    def _own(self, terminal: str) -> list[Event]:
        return [each for each in self.events.values() if each.identity and each.identity.terminal == terminal]

    def totals(self, terminal: str) -> BatchTotals:
        own, closed = self._own(terminal), self.closed(terminal)
        batch = [each for each in own if each.event_id > closed and each.authorized > 0]
        found = BatchTotals()
        for each in batch:
            if each.kind != EventKind.REFUND or each.event_id not in self.endings:
                found = found.plus(each.kind, each.rule, 1, each.authorized)
        return found

    def batch(self, terminal: str, names: Sequence[tuple[str, int]]) -> dict[tuple[str, int], HostItem]:
        found, closed = {}, self.closed(terminal)
        for event in self._own(terminal):
            identity = event.identity
            if identity is None or event.kind not in ("purchase", "completion", "refund") or not event.authorized:
                continue
            ending = self.endings.get(event.event_id, 0)
            of_batch = event.event_id > closed or ending > closed
            name = (identity.business_date, identity.stan)
            if of_batch or name in names:
                ended = {"reversal": ItemState.REVERSED, "void": ItemState.VOIDED}
                state = ended.get(self.events[ending].kind if ending else "", ItemState.STANDS)
                item = BatchItem(*name, ItemKind(event.kind), state, event.authorized, event.rrn)
                found[name] = HostItem(item, of_batch)
        return found

    def apply(self, events: Sequence[Event]) -> None:
        """Store all of the events or none. Raises StorageFailed."""
        taken = set(self.by_identity)
        ended = set(self.endings)
        balances = dict(self.balances)
        for event in events:
            if event.identity is not None:
                if event.identity in taken:
                    raise StorageFailed("UNIQUE identity")
                taken.add(event.identity)
            if event.kind in ENDING and event.result != "declined":
                if event.original in ended or event.original is None:
                    raise StorageFailed("UNIQUE original")
                ended.add(event.original)
            for posting in event.postings:
                balances[posting.account] = balances.get(posting.account, 0) + posting.amount
                if posting.account in self.floors and balances[posting.account] < 0:
                    raise StorageFailed("CHECK floor")
        for event in events:
            self.events[event.event_id] = event
            self.moments[event.event_id] = self.now
            if event.identity is not None:
                self.by_identity[event.identity] = event.event_id
            if event.kind in ENDING and event.original is not None:
                self.endings[event.original] = event.event_id
            if event.hold_until:
                self.holds[event.event_id] = event.hold_until
                if event.restores:
                    self.restored[event.event_id] = (event.restores, event.holds)
            if event.ends_hold and event.original is not None:
                del self.holds[event.original]
                self.restored.pop(event.original, None)
            for purse in event.purses:
                self._update(purse)
            if event.signals is not None:
                shown, signals = event.signals
                self._change(lambda card, shown=shown: card.card_id == shown, signals=signals)
            if event.watch is not None:
                self._watch(*event.watch)
            if event.pin is not None:
                card_id, pin_reference = event.pin
                self._change(lambda card, card_id=card_id: card.card_id == card_id, pin_reference=pin_reference)
            if event.tries is not None:
                number, tries = event.tries
                self._change(lambda card, number=number: card.card_id == number, tries_left=tries)
        self.balances = balances

    def _update(self, purse: PurseUpdate) -> None:
        self._change(
            lambda card: card.purse_account == purse.account,
            balance=purse.balance,
            counter_day=purse.counter_day,
            day_amount=purse.day_amount,
            day_count=purse.day_count,
            **({} if purse.held is None else {"held": purse.held}),
            **({} if purse.spent is None else {"spent": purse.spent}),
            **({} if purse.lots is None else {"lots": purse.lots}),
        )
        for key, card in self.cards.items():
            kept = tuple(_moved(each, purse) if each.account == purse.account else each for each in card.purses)
            self.cards[key] = _replace(card, purses=kept)

    def _watch(self, name: str, watch: str, blocked: bool) -> None:
        terminal = _replace(self.terminals[name], watch=watch)
        self.terminals[name] = _replace(terminal, state=State.BLOCKED) if blocked else terminal

    def _change(self, wanted: Any, **fields: Any) -> None:
        for key, card in self.cards.items():
            if wanted(card):
                self.cards[key] = _replace(card, **fields)


class FakeUnit:
    """One unit of work on a FakeLedger."""

    def __init__(self, ledger: FakeLedger) -> None:
        self._ledger = ledger
        self._kept = ledger.kept
        self._events: list[Event] = []
        self._balances: dict[int, int] = {}
        self.over = False

    @property
    def business_date(self) -> BusinessDate:
        return self._kept.day

    @property
    def previous_date(self) -> BusinessDate:
        return self._kept.previous

    def read(
        self,
        *,
        identities: Sequence[Identity],
        terminals: Sequence[str],
        card_keys: Sequence[bytes],
        closing: Sequence[str] = (),
        references: Sequence[str] = (),
        voiding: Sequence[str] = (),
        reconciling: Mapping[str, Sequence[tuple[str, int]]] = NOTHING_RECONCILED,
    ) -> BatchFacts:
        self._ledger.step("read")
        kept = self._kept
        requests = kept.requests(identities, references)
        cards = {key: kept.cards[key] for key in card_keys if key in kept.cards}
        by_id = {card.card_id: card for card in kept.cards.values()}
        named = {each.card_id for each in requests.values()} | {card.card_id for card in cards.values()}
        read = {number: card for number, card in by_id.items() if number in named}
        stored = {each.card_id for each in requests.values()}
        read = {number: card if number in stored else self._seen(card) for number, card in read.items()}
        cards = {key: self._seen(card) for key, card in cards.items()}
        self._balances = {card.purse_account: card.balance for card in read.values()}
        self._balances.update({each.account: each.balance for card in read.values() for each in card.purses})
        return BatchFacts(
            terminals={name: kept.terminals[name] for name in terminals if name in kept.terminals},
            cards=cards,
            cards_by_id=read,
            requests=requests,
            policies={card.company_id: kept.policies.get(card.company_id, ()) for card in read.values()},
            totals={name: kept.totals(name) for name in closing},
            closed={name: kept.closed(name) for name in (*voiding, *closing)},
            batches={name: kept.batch(name, items) for name, items in reconciling.items()},
        )

    def _seen(self, card: CardFacts) -> CardFacts:
        """Return a card as a new request sees it: without the purses that no policy of its company names."""
        several = any(rules.purses for rules in self._kept.policies.get(card.company_id, ()))
        return card if several else _replace(card, purses=())

    def risk_account(self, currency: str) -> int:
        return RISK

    def origin(self, purse: int) -> Origin:
        return Origin(0, self._balances.setdefault(0, self._kept.balances[0]), "", "")

    def watch_range(self, name: bytes, count: int, since: int, *, swept: bool) -> None:
        self._ledger.ranges[name] = (name, count, since, swept)

    def next_event(self) -> tuple[int, str]:
        return self._ledger.next_event()

    def record(self, event: Event) -> None:
        self._ledger.step("record", event)
        if sum(each.amount for each in event.postings):
            raise Unbalanced("the entries do not sum to zero")
        moved: dict[int, int] = {}
        for each in event.postings:
            moved[each.account] = moved.get(each.account, 0) + each.amount
        for purse in event.purses:
            if self._balances[purse.account] + moved.get(purse.account, 0) != purse.balance:
                raise Unbalanced("a purse does not follow from its entries")
            self._balances[purse.account] = purse.balance
            moved.pop(purse.account, None)
        if any(
            amount and (account in self._kept.floors or account in self._balances) for account, amount in moved.items()
        ):
            raise Unbalanced("a purse is moved without its balance")
        self._events.append(event)

    def commit(self) -> None:
        if self.over:
            raise LedgerError("this unit of work is over")
        self.over = True
        self._ledger.commits += 1
        try:
            self._ledger.step("commit")
        except StoredAnyway as failure:
            self._kept.apply(self._events)
            raise failure.after from None
        self._kept.apply(self._events)

    def receipt(self, identity: Identity) -> Receipt | None:
        stored = next((each for each in self._events if each.identity == identity), None)
        return None if stored is None else Receipt(1, stored.event_id, bytes(16))

    def rollback(self) -> None:
        if not self.over:
            self.over = True
            self._ledger.rollbacks += 1


class StoredAnyway(Exception):
    """Stores the batch and then raises `after`: a commit that lost its acknowledgement."""

    def __init__(self, after: BaseException) -> None:
        super().__init__()
        self.after = after


class FakeLedger:
    """`faults` maps a step (begin, read, record, commit, stored) to what happens at its next turns.

    An entry is an exception to raise or None to go on; a callable gets the event of `record`.
    """

    def __init__(self) -> None:
        self.kept = Kept()
        self.commits = 0
        self.rollbacks = 0
        self.faults: dict[str, list[Any]] = {}
        self.ranges: dict[bytes, tuple[bytes, int, int, bool]] = {}
        self._number = 0

    def watched_ranges(self) -> list[tuple[bytes, int, int, bool]]:
        return sorted(self.ranges.values(), key=lambda each: each[2])

    def step(self, name: str, event: Event | None = None) -> None:
        waiting = self.faults.get(name)
        if not waiting:
            return
        fault = waiting[0]
        if callable(fault) and not isinstance(fault, BaseException):
            fault(event)
            return
        waiting.pop(0)
        if fault is not None:
            raise fault

    def next_event(self) -> tuple[int, str]:
        self._number += 1
        return self._number, f"{self._number:012d}"

    def begin(self, now: datetime) -> FakeUnit:
        self.step("begin")
        self.kept.now = int(now.timestamp() * 1_000_000)
        return FakeUnit(self)

    def card_key(self, pan: str) -> bytes:
        return hashlib.blake2b(pan.encode(), digest_size=16, key=b"a key of this test").digest()

    def card_names(self, pan: str) -> CardNames:
        return CardNames(self.card_key(pan))

    def due_holds(self, now: datetime, limit: int) -> list[str]:
        self.step("due")
        at = int(now.timestamp() * 1_000_000)
        due = sorted((until, number) for number, until in self.kept.holds.items() if until <= at)
        return [self.kept.events[self.kept.restored.get(number, (number, 0))[0]].rrn for _, number in due[:limit]]

    def stored(self, identities: Sequence[Identity]) -> Mapping[Identity, StoredRequest]:
        self.step("stored")
        return self.kept.requests(identities)


def _moved(purse: PurseFacts, update: PurseUpdate) -> PurseFacts:
    return _replace(purse, balance=update.balance, held=purse.held if update.held is None else update.held)
