"""One batch: facts in a few statements, events in a few more, one durable commit.

Refuses an event whose entries do not sum to zero for each currency, and a locked balance that
does not follow from its entries (Unbalanced). Writes nothing before `commit`: what is
recorded waits in memory, so that a refused event leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from trus.auth.ports import NOTHING_RECONCILED, BatchFacts, Event, Origin, PurseUpdate
from trus.auth.spending import Spent, spent_to_text
from trus.clock import Entropy
from trus.errors import LedgerError, StorageFailed, Unbalanced
from trus.ledger.accounts import origin_of, risk_account
from trus.ledger.chain import SALT_BYTES, ChainHead, commit_personal, extend
from trus.ledger.days import NUMBERS_A_DAY, candidates, first_event, rrn_prefix
from trus.ledger.dialect import DATABASE_ERRORS, Direct
from trus.ledger.facts import FactsReader
from trus.ledger.lots import LotBook
from trus.ledger.statements import MAX_KEYS, Statements, padded
from trus.ledger.tree import NodeRow, Tail
from trus.ledger.watched import block_terminals, keep_ranges
from trus.receipts.links import HEAD_BYTES, NO_KEY, Receipt
from trus.values import BusinessDate, Identity

#: Event numbers leased from the day's row at once: one more write for each thousand events.
LEASED_NUMBERS: Final = 1000
_NUMBER_DIGITS: Final = 8
_json = msgspec.json.Encoder().encode

Row = tuple[object, ...]


class Numbering(msgspec.Struct, frozen=True):
    """The event numbers of a day that this writer holds: `next` up to, not including, `end`."""

    day: str
    next: int
    end: int


class Progress(msgspec.Struct, frozen=True):
    """What a writer carries from one batch to the next: its chain head, its numbers, its tree.

    `signing` is the number of the newest signed head (4 bytes, big-endian) and the key that marks the
    answers since.
    """

    head: ChainHead
    numbering: Numbering
    tail: Tail
    signing: tuple[bytes, bytes] = (bytes(HEAD_BYTES), NO_KEY)


class Ending(Protocol):
    """How a unit ends; the store's part of it."""

    def commit(self, progress: Progress) -> None:
        """Commit, and keep what the next batch starts from. Raises as UnitOfWork.commit."""
        ...

    def abandon(self) -> None:
        """Roll back."""
        ...

    def failed(self, failure: Exception) -> StorageFailed:
        """Roll back after an error before the commit, and return what it means."""
        ...


class SqlUnit:
    """Implements trus.auth.ports.UnitOfWork. Made by SqlLedger.begin, used once.

    `connection` is open to registry changes that belong to the same transaction.
    """

    def __init__(
        self,
        direct: Direct,
        statements: Statements,
        facts: FactsReader,
        entropy: Entropy,
        progress: Progress,
        *,
        at: int,
        day: tuple[str, str, int],
        ending: Ending,
    ) -> None:
        """`day` is (open date, previous date, first number not leased); `at` microseconds."""
        self.connection = direct.connection
        self._direct = direct
        self._statements = statements
        self._facts = facts
        self._entropy = entropy
        self._head = progress.head
        self._tail = progress.tail
        self._signing = progress.signing
        self._receipts: dict[Identity, Receipt] = {}
        self._at = at
        self._day, self._previous, self._unleased = day
        self._leased_from = self._unleased
        self._ending = ending
        self._over = False
        self._first = first_event(self._day)
        self._prefix = rrn_prefix(self._day)
        kept = progress.numbering
        self._next, self._end = (kept.next, kept.end) if kept.day == self._day else (0, 0)
        self._balances: dict[int, int] = {}
        #: Accounts without a locked balance, as far as they are known.
        self._unlocked: set[int] = set()
        self._events: list[Event] = []
        self._purses: dict[int, PurseUpdate] = {}
        self._tries: dict[int, int] = {}
        self._held: dict[int, int] = {}
        self._spent: dict[int, Spent] = {}
        self._watches: dict[str, str] = {}
        self._blocked: list[str] = []
        self._signals: dict[int, str] = {}
        self._pins: dict[int, bytes] = {}
        self._holds: list[Row] = []
        self._ended_holds: list[Row] = []
        self._ranges: dict[bytes, Row] = {}
        self._lots = LotBook()

    @property
    def at(self) -> int:
        """The moment of this unit, microseconds since 1970-01-01 UTC."""
        return self._at

    @property
    def business_date(self) -> BusinessDate:
        """The open business date; the transaction holds it against cut-over."""
        return BusinessDate(self._day)

    @property
    def previous_date(self) -> BusinessDate:
        """The business date before the open one ("" on the first day)."""
        return BusinessDate(self._previous)

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
        """Read the facts of a whole batch. Raises StorageFailed; the unit is then over."""
        originals = [number for rrn in references for number in candidates(rrn, self._day)]
        try:
            facts = self._facts.read(
                self._direct, identities, terminals, card_keys, closing, originals, voiding, reconciling
            )
        except DATABASE_ERRORS as failure:
            self._over = True
            raise self._ending.failed(failure) from None
        self._unlocked.update(each.merchant_account for each in facts.terminals.values())
        for card in facts.cards_by_id.values():
            self._balances[card.purse_account] = card.balance
            if card.lots:
                self._lots.know(card.purse_account, card.lots)
            for purse in card.purses:
                self._balances[purse.account] = purse.balance
        return facts

    def risk_account(self, currency: str) -> int:
        """Return the account of the shortfalls that the issuer bears, opened when missing. Raises StorageFailed."""
        try:
            return risk_account(self.connection, currency)
        except DATABASE_ERRORS as failure:
            self._over = True
            raise self._ending.failed(failure) from None

    def origin(self, purse: int) -> Origin:
        """Return where the credit of a purse came from. Raises StorageFailed."""
        try:
            found = origin_of(self.connection, purse)
        except DATABASE_ERRORS as failure:
            self._over = True
            raise self._ending.failed(failure) from None
        return msgspec.structs.replace(found, balance=self.held(found.account, found.balance))

    def held(self, account: int, stored: int) -> int:
        """Return the balance of a locked row inside this unit; `stored` is what its row says.

        Events recorded before are ahead of the row, which is written at the commit.
        """
        return self._balances.setdefault(account, stored)

    def lots(self, account: int, stored: str) -> str:
        """Return the lots of an account inside this unit, as they are kept; `stored` is what its row says."""
        return self._lots.know(account, stored)

    def draw(self, count: int) -> bytes:
        """Return `count` random bytes."""
        return self._entropy.draw(count)

    def next_event(self) -> tuple[int, str]:
        """Return a fresh event id and its retrieval reference number (field 37, 12 digits).

        Raises StorageFailed when the day has used up its 10**8 numbers.
        """
        if self._next >= self._end:
            self._next, self._end = self._unleased, self._unleased + LEASED_NUMBERS
            self._unleased = self._end
            if self._end > NUMBERS_A_DAY:
                raise StorageFailed(f"the business date {self._day} has no event number left")
        number = self._next
        self._next += 1
        return self._first + number, self._prefix + str(number).rjust(_NUMBER_DIGITS, "0")

    def record(self, event: Event) -> None:
        """Add an event to the batch. Raises Unbalanced; the batch stays as it was."""
        moved: dict[int, int] = {}
        sums: dict[str, int] = {}
        for posting in event.postings:
            account, amount, currency = posting.account, posting.amount, posting.currency
            sums[currency] = sums.get(currency, 0) + amount
            moved[account] = moved.get(account, 0) + amount
        if any(sums.values()):
            raise Unbalanced(f"the entries of event {event.rrn} do not sum to zero")
        balances = self._balances
        for purse in event.purses:
            held = balances.get(purse.account)
            if held is None:
                raise Unbalanced(f"event {event.rrn} sets account {purse.account}, which was not read")
            if purse.held is not None and not 0 <= purse.held <= purse.balance:
                raise Unbalanced(f"event {event.rrn} sets more aside than account {purse.account} has")
            if held + moved.pop(purse.account, 0) != purse.balance:
                raise Unbalanced(f"event {event.rrn} sets account {purse.account} apart from its entries")
        self._check_unlocked([account for account, amount in moved.items() if amount], event.rrn)
        if self._lots.concerns(event):
            self._lots.check(event)
            self._lots.keep(event)
        for purse in event.purses:
            balances[purse.account] = purse.balance
            self._purses[purse.account] = purse
            if purse.held is not None:
                self._held[purse.account] = purse.held
            if purse.spent is not None:
                self._spent[purse.account] = purse.spent
        if event.hold_until:
            restores = event.restores or None
            self._holds += [(event.event_id, *held, event.hold_until, restores) for held in event.holds]
        if event.ends_hold:
            self._ended_holds.append((event.original,))
        if event.signals is not None:
            self._signals[event.signals[0]] = event.signals[1]
        if event.watch is not None:
            name, watch, blocked = event.watch
            self._watches[name] = watch
            if blocked:
                self._blocked.append(name)
        if event.pin is not None:
            self._pins[event.pin[0]] = event.pin[1]
        if event.tries is not None:
            card, tries = event.tries
            self._tries[card] = tries
        self._events.append(event)

    def _check_unlocked(self, accounts: Sequence[int], rrn: str) -> None:
        """Raise Unbalanced when a locked balance is moved without its row, also one that was never read."""
        strange = [account for account in accounts if account not in self._unlocked]
        for start in range(0, len(strange), MAX_KEYS):
            size, keys = padded(strange[start : start + MAX_KEYS])
            try:
                rows = self._direct.rows(self._statements.text("locked_accounts", size), keys)
            except DATABASE_ERRORS as failure:
                self._over = True
                raise self._ending.failed(failure) from None
            if rows:
                raise Unbalanced(f"event {rrn} moves account {rows[0][0]} without its balance")
        self._unlocked.update(strange)

    def watch_range(self, name: bytes, count: int, since: int, *, swept: bool) -> None:
        """Keep what was tried out in a range of card numbers, with the commit of this unit."""
        self._ranges[name] = (name, count, since, int(swept))

    def commit(self) -> None:
        """Make the batch durable. Raises StorageFailed (nothing stored) or OutcomeUnknown.

        Either way the unit is over; a second commit raises LedgerError.
        """
        if self._over:
            raise LedgerError("this unit of work is over")
        self._over = True
        try:
            self._write()
        except DATABASE_ERRORS as failure:
            raise self._ending.failed(failure) from None
        numbering = Numbering(self._day, self._next, self._end)
        self._ending.commit(Progress(self._head, numbering, self._tail, self._signing))

    def receipt(self, identity: Identity) -> Receipt | None:
        """Return the receipt of an answer that this unit has committed, None for any other."""
        return self._receipts.get(identity)

    def rollback(self) -> None:
        """Forget the batch; does nothing when the unit is over."""
        if not self._over:
            self._over = True
            self._ending.abandon()

    def _write(self) -> None:
        rows, entries, nodes = self._rows()
        send, text = self._direct.send, self._statements.text
        if rows:
            send(text("insert_events"), rows)
        if entries:
            send(text("insert_entries"), entries)
        if nodes:
            send(text("insert_nodes"), nodes)
        if self._purses:
            purses = self._purses.values()
            send(
                text("update_accounts"),
                [(each.balance, each.counter_day, each.day_amount, each.day_count, each.account) for each in purses],
            )
        if self._held:
            send(text("update_held"), [(held, account) for account, held in self._held.items()])
        if self._spent:
            send(text("update_spent"), [(spent_to_text(spent), account) for account, spent in self._spent.items()])
        if self._lots.changed:
            send(text("update_lots"), [(lots, account) for account, lots in self._lots.changed.items()])
            send(text("insert_lots"), self._lots.rows)
        if self._holds:
            send(text("insert_holds"), self._holds)
        if self._ended_holds:
            send(text("delete_holds"), self._ended_holds)
        if self._ranges:
            keep_ranges(self._direct, self._statements, list(self._ranges.values()), self._at)
        if self._pins:
            send(text("update_pins"), [(reference, card) for card, reference in self._pins.items()])
        if self._tries:
            send(text("update_tries"), [(tries, card) for card, tries in self._tries.items()])
        if self._signals:
            send(text("update_signals"), [(signals, card) for card, signals in self._signals.items()])
        if self._watches:
            send(text("update_watch"), [(watch, name) for name, watch in self._watches.items()])
        if self._blocked:
            block_terminals(self.connection, self._blocked, self._at)
        if self._unleased != self._leased_from:
            send(text("lease_numbers"), [(self._unleased, self._day)])

    def _rows(self) -> tuple[list[Row], list[Row], list[NodeRow]]:
        """Chain the recorded events; return the rows of `event`, of `entry` and of `chain_node`."""
        head, at, day, signing = self._head, self._at, self._day, self._signing
        salts = self._entropy.draw(SALT_BYTES * len(self._events)) if self._events else b""
        rows: list[Row] = []
        entries: list[Row] = []
        links: list[bytes] = []
        for index, event in enumerate(self._events):
            salt = salts[index * SALT_BYTES : (index + 1) * SALT_BYTES]
            identity = event.identity
            terminal, date, stan = (
                (None, None, None) if identity is None else (identity.terminal, identity.business_date, identity.stan)
            )
            event_id, kind, amount, authorized = event.event_id, event.kind, event.amount, event.authorized
            currency, result, code, approval, rrn = event.currency, event.result, event.code, event.approval, event.rrn
            rid, digest, shop, rule = event.rid, event.digest, event.shop_id, event.rule
            original, counter_day = event.original, event.counter_day
            # The orders of these tuples are those of STATED, UNSTATED, CHAINED and PERSONAL in trus.ledger.chain.
            stated = (kind, terminal, date, stan, amount, authorized, currency, result, code, approval, rrn)
            unstated = (event_id, rid, digest, shop, rule, original, counter_day, at, day)
            chained = (
                *(event_id, kind, terminal, date, stan, rid, digest, shop, amount, authorized, currency),
                *(result, code, approval, rrn, rule, original, counter_day, at, day),
            )
            personal = (event.card_id, event.actor, _json(event.figures).decode("utf-8"), event.answer)
            moved = [(each.account, each.amount, each.currency) for each in event.postings]
            head, mark = extend(head, stated, unstated, moved, commit_personal(salt, personal), signing)
            rows.append((*chained, *personal, head.slot, head.sequence, salt, head.link, mark))
            links.append(head.link)
            if identity is not None:
                self._receipts[identity] = Receipt(head.slot, head.sequence, mark)
            for number, entry in enumerate(moved):
                entries.append((event_id, number, *entry))
        self._head = head
        self._tail, nodes = self._tail.grow(head.slot, links)
        return rows, entries, nodes
