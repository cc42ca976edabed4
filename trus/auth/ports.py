"""What the core needs of a ledger: one unit of work for a batch, one durable commit.

Implemented by trus.ledger on every engine. The order of calls is fixed: `begin`, `read`
once, `record` for each event in the order of decision, `commit` or `rollback`. Nothing is
said to a terminal before `commit` has returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from trus.auth.lots import NO_LOTS, Lots
from trus.auth.model import CardFacts, TerminalFacts
from trus.auth.policy import Policy
from trus.auth.reconcile import HostItem
from trus.auth.spending import Spent
from trus.receipts.links import Receipt
from trus.values import BusinessDate, Frozen, Identity


class EventKind(StrEnum):
    """What the pipeline of money requests records; others (refills, payouts) add their own."""

    PURCHASE = "purchase"
    BALANCE = "balance"
    REVERSAL = "reversal"  #: under its own identity; `original` is the event taken back
    TOMBSTONE = "tombstone"  #: under the identity and rid of an original that never came
    CLOSE_BATCH = "close-batch"
    REFUND = "refund"  #: `original` is the purchase whose money is given back
    VOID = "void"  #: `original` is the purchase cancelled before its batch was closed
    HOLD = "hold"  #: a pre-authorization: `authorized` is set aside in the purse, nothing moves
    COMPLETION = "completion"  #: a purchase out of the hold that is its `original`
    RELEASE = "release"  #: the shop gave the hold up that is its `original`
    PIN_CHANGE = "pin-change"  #: the cardholder's own; moves nothing
    ALARM = "alarm"  #: the network blocked a terminal by itself; moves nothing
    EXPIRY = "expiry"  #: nobody asked for the hold in time that is its `original`


#: An event of these kinds ends its `original`, which happens once: a unique index sees to it.
ENDING: Final = (
    EventKind.REVERSAL,
    EventKind.VOID,
    EventKind.COMPLETION,
    EventKind.RELEASE,
    EventKind.EXPIRY,
)
#: Of these, what ends a hold otherwise than by taking it back.
USED_UP: Final = frozenset({EventKind.COMPLETION, EventKind.RELEASE, EventKind.EXPIRY})
#: What a purchase is, however it came about: what can be refunded and counts as sold.
SOLD: Final = frozenset({EventKind.PURCHASE, EventKind.COMPLETION})


class Posting(Frozen, frozen=True):
    """One entry of a double-entry event: `amount` minor units into (+) or out of (-) `account`."""

    account: int
    amount: int
    currency: str


class StoredRequest(Frozen, frozen=True):
    """What is kept of a request under its identity; a tombstone has kind "tombstone".

    `answer` is the stored Outcome, encoded; `reversed_by` is the event that took it back,
    0 when none did. `postings` is what it moved. `amount` is what was asked, `authorized`
    what was approved (less after a partial approval, 0 after a decline). `original` is the event
    that it is about. `given_back` is what moved when it was taken back, `refunded` the sum of the
    approved refunds of a purchase that were not taken back themselves. `returned` is what all its refunds and
    their reversals moved, by account: what a purse had spent meanwhile is the risk account's then. `ended` is the
    kind of the event `reversed_by`. `lots` is what it moved of the purse's credit that ends, `returned_lots` what
    the refunds of a purchase and their reversals moved of that.
    A pre-authorization that stands again, since its completion was taken back, does so as the event
    `stands_as`, with `held` set aside, by account.
    """

    event_id: int
    kind: str
    rid: bytes
    digest: bytes
    amount: int
    currency: str
    result: str
    code: str
    rrn: str
    answer: bytes
    card_id: int | None
    reversed_by: int
    postings: tuple[Posting, ...] = ()
    counter_day: str = ""
    authorized: int = 0
    shop_id: int | None = None
    original: int | None = None
    given_back: int = 0
    refunded: int = 0
    in_time: int = 0  #: what of `refunded` was given back on the purchase's own date, so that limits followed
    ended: str = ""
    lots: Lots = NO_LOTS
    stands_as: int = 0
    held: tuple[tuple[int, int], ...] = ()
    returned: tuple[tuple[int, int], ...] = ()
    returned_lots: Lots = NO_LOTS
    at: int = 0  #: when it was recorded, microseconds since 1970-01-01 UTC

    @property
    def aside(self) -> int:
        """What a pre-authorization that is open has set aside."""
        return sum(amount for _, amount in self.held) or self.authorized

    @property
    def stands(self) -> int:
        """The event as which it is ended."""
        return self.stands_as or self.event_id

    receipt: Receipt | None = None  #: where its answer stands in the journal; not of earlier versions
    ended_receipt: Receipt | None = None  #: where the event `reversed_by` stands


class BatchTotals(Frozen, frozen=True):
    """What a terminal's batch holds by the ledger: its events since its last approved close-batch.

    Purchases are those approved, whole or in part, with their authorized amounts, whether
    or not taken back later; reversals are those that gave money back (authorized above 0),
    whenever their originals were made. Refunds are those approved and not taken back. Minor units.
    """

    purchase_count: int = 0
    purchase_amount: int = 0
    reversal_count: int = 0
    reversal_amount: int = 0
    refund_count: int = 0
    refund_amount: int = 0
    void_count: int = 0
    void_amount: int = 0
    completion_count: int = 0
    completion_amount: int = 0

    def plus(self, kind: str, rule: str, count: int, amount: int) -> BatchTotals:
        """Return the totals with `count` more events of a kind, which moved `amount` in all.

        The reversal of a refund counts as nothing: of this batch the refund does not count any more, and of an
        earlier one it was counted there.
        """
        name = _COUNTED.get(kind)
        if name is None or (kind == EventKind.REVERSAL and rule == REFUND_TAKEN_BACK):
            return self
        return msgspec.structs.replace(
            self,
            **{
                f"{name}_count": getattr(self, f"{name}_count") + count,
                f"{name}_amount": getattr(self, f"{name}_amount") + amount,
            },
        )

    def without_refund(self, amount: int) -> BatchTotals:
        """Return the totals without a refund of `amount` that they hold and that was taken back."""
        return msgspec.structs.replace(
            self, refund_count=self.refund_count - 1, refund_amount=self.refund_amount - amount
        )


#: The rule under which the reversal of a refund is recorded: a batch counts neither then.
REFUND_TAKEN_BACK: Final = "refund-taken-back"
_COUNTED: Final[dict[str, str]] = {
    EventKind.PURCHASE.value: "purchase",
    EventKind.REVERSAL.value: "reversal",
    EventKind.REFUND.value: "refund",
    EventKind.VOID.value: "void",
    EventKind.COMPLETION.value: "completion",
}


class PurseUpdate(Frozen, frozen=True):
    """The locked balance row of a purse after the event: absolute figures.

    `held` is what pre-authorizations have set aside, `spent` what counts for longer limits than the day's, `lots` the
    credit that ends, as it is kept;
    None when the event leaves them as they are.
    """

    account: int
    balance: int
    counter_day: str
    day_amount: int
    day_count: int
    held: int | None = None
    spent: Spent | None = None
    lots: str | None = None


class Event(Frozen, frozen=True):
    """One row of the journal, with what it moves. Declines are events without postings.

    `identity` is None for events that no terminal asked for (refills, payouts).
    `original` is the event taken back by a reversal. `answer` is the encoded Outcome.
    `amount` is what was asked, `authorized` what was approved or, for a reversal, given back.
    `counter_day` is the local day of the company whose counters the event changed.
    """

    event_id: int
    kind: str
    identity: Identity | None
    rid: bytes
    digest: bytes
    card_id: int | None
    shop_id: int | None
    amount: int
    currency: str
    result: str
    code: str
    approval: str
    rrn: str
    rule: str
    figures: dict[str, int | str]
    answer: bytes
    actor: str = ""
    original: int | None = None
    postings: tuple[Posting, ...] = ()
    purses: tuple[PurseUpdate, ...] = ()
    tries: tuple[int, int] | None = None  #: (card_id, tries_left) when the counter changes
    authorized: int = 0
    counter_day: str = ""
    hold_until: int = 0  #: of a hold: when it expires, microseconds since 1970-01-01 UTC
    ends_hold: bool = False  #: whether `original` is a hold that this event ends
    pin: tuple[int, bytes] | None = None  #: (card_id, PIN reference) when the PIN changes
    lots: Lots = NO_LOTS  #: what moves of the credit that ends, of the purse whose `lots` change
    #: (terminal, what it has tried as it is kept, whether it is blocked) when that changes
    watch: tuple[str, str, bool] | None = None
    restores: int = 0  #: the pre-authorization that stands again as this event
    holds: tuple[tuple[int, int], ...] = ()  #: of what holds: (account, minor units set aside in it)
    signals: tuple[int, str] | None = None  #: (card_id, what the card did lately) when that changes


class BatchFacts(Frozen, frozen=True):
    """Everything read for a batch, keyed as asked. What is not there does not exist.

    `cards_by_id` holds every card read, also those that stored originals name. `totals` has
    an entry for each terminal asked for, all zero where its batch is empty. `requests` holds also
    what reference numbers named, and the purchases of the refunds among them.
    """

    terminals: dict[str, TerminalFacts]
    cards: dict[bytes, CardFacts]
    cards_by_id: dict[int, CardFacts]
    requests: dict[Identity, StoredRequest]
    policies: dict[int, tuple[Policy, ...]]  #: by company id, newest first
    totals: dict[str, BatchTotals] = msgspec.field(default_factory=dict)  #: by terminal, of those closing
    closed: dict[str, int] = msgspec.field(default_factory=dict)  #: the last closing, of those voiding or closing
    #: By terminal, of those that reconcile: the items of the batch, and those that were asked for by name.
    batches: dict[str, dict[tuple[str, int], HostItem]] = msgspec.field(default_factory=dict)


class CardNames(Frozen, frozen=True):
    """The keyed hashes that may stand for one card number in the ledger.

    `current` is under the newest key. While the keys change, a row may still be known by one of
    `former`; a request made under an older key, which may be repeated for 30 days, has one of
    `repeated` in its digest. Both are empty otherwise.
    """

    current: bytes
    former: tuple[bytes, ...] = ()
    repeated: tuple[bytes, ...] = ()


#: No terminal lists items.
NOTHING_RECONCILED: Final[Mapping[str, Sequence[tuple[str, int]]]] = MappingProxyType({})


class Origin(Frozen, frozen=True):
    """Where the credit of a purse came from: the company's own account, and whose purse it is."""

    account: int
    balance: int  #: of that account inside the unit, minor units
    company: str
    employee: str


class UnitOfWork(Protocol):
    """One batch, one transaction."""

    @property
    def business_date(self) -> BusinessDate:
        """The open business date, held against cut-over until the end of this unit."""
        ...

    @property
    def previous_date(self) -> BusinessDate:
        """The business date before the open one ("" on the first day)."""
        ...

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
        """Read the facts of a whole batch in a few set-based statements.

        `card_keys` are keyed hashes of card numbers (trus.ledger.lookup). Cards that the
        stored originals name are read too (`cards_by_id`). `closing` names the terminals
        that want their BatchTotals, `references` the retrieval reference numbers
        of requests that others are about, `voiding` further terminals that want to know where their
        batches begin, `reconciling` the items that terminals list. Raises StorageFailed.
        """
        ...

    def risk_account(self, currency: str) -> int:
        """Return the account of the shortfalls that the issuer bears. Raises StorageFailed."""
        ...

    def origin(self, purse: int) -> Origin:
        """Return where the credit of a purse came from. Raises StorageFailed."""
        ...

    def watch_range(self, name: bytes, count: int, since: int, *, swept: bool) -> None:
        """Keep what was tried out in a range of card numbers, by its keyed hash, with the commit of this unit."""
        ...

    def next_event(self) -> tuple[int, str]:
        """Return a fresh event id and its retrieval reference number (field 37, 12 digits)."""
        ...

    def record(self, event: Event) -> None:
        """Add an event to the batch and to the hash chain. Raises Unbalanced."""
        ...

    def commit(self) -> None:
        """Make the batch durable. Raises StorageFailed (nothing stored) or OutcomeUnknown."""
        ...

    def receipt(self, identity: Identity) -> Receipt | None:
        """Return the receipt of an answer that this unit has committed, None for any other."""
        ...

    def rollback(self) -> None:
        """Forget the batch; does nothing when the unit is over. Never raises LedgerError."""
        ...


class Ledger(Protocol):
    """Opens units of work; one at a time in a writing process."""

    def begin(self, now: datetime) -> UnitOfWork:
        """Start a unit of work at `now` (aware, UTC). Raises StorageFailed."""
        ...

    def watched_ranges(self) -> Sequence[tuple[bytes, int, int, bool]]:
        """Return what `watch_range` has kept, the latest last: name, count, since, swept. Raises StorageFailed."""
        ...

    def due_holds(self, now: datetime, limit: int) -> Sequence[str]:
        """Return the reference numbers of open holds that have expired, the oldest first. Raises StorageFailed."""
        ...

    def card_names(self, pan: str) -> CardNames:
        """Return the keyed hashes under which a card number is looked up."""
        ...

    def stored(self, identities: Sequence[Identity]) -> Mapping[Identity, StoredRequest]:
        """Read identities back on a new connection, after OutcomeUnknown."""
        ...
