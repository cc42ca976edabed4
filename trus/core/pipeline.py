"""Answers a batch of money requests: read once, ask the token twice, decide in order, commit once, then speak.

Says nothing that is not durable, and approves nothing that the key store or the ledger did not
take part in. A request is looked up by its identity before its PIN is looked at, so that a repeat
costs no try. Each step is a module beside this one; the rules are trus.auth.rules.

What can fail, and what the terminals are told: docs/explanation/decisions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from trus.auth.lots import GRACE_DAYS
from trus.auth.model import PIN_TRIES, State
from trus.auth.ports import BatchFacts, EventKind, Ledger, UnitOfWork
from trus.auth.watching import WatchLimits
from trus.clock import Clock, Entropy
from trus.core.advising import FLOOR_LIMIT, Adviser
from trus.core.answers import declined, settled
from trus.core.approvals import ApprovalCodes
from trus.core.asked import Asked, MoneyAnswer, OpenStripe, opens_nothing
from trus.core.authorizing import Authorizer
from trus.core.book import Book
from trus.core.checking import CardChecker
from trus.core.closing import close_batch, reconcile
from trus.core.dates import HOLD_SECONDS, RETRY_DAYS, is_new, is_within
from trus.core.faults import describe
from trus.core.holding import complete, give_up
from trus.core.keyring import CardKeys
from trus.core.messages import (
    Advise,
    Balance,
    Capture,
    ChangePin,
    CloseBatch,
    Failed,
    MoneyRequest,
    Outcome,
    PinWanted,
    PreAuthorize,
    Purchase,
    Reconcile,
    Refund,
    Refused,
    Release,
    Reverse,
    Void,
)
from trus.core.ranges import RangeLimits, Ranges
from trus.core.refunding import give_back
from trus.core.reversing import take_back
from trus.core.voiding import cancel
from trus.core.watching import SLOWED, Guard
from trus.errors import KeyStoreError, KeyStoreUnavailable, LedgerError, OutcomeUnknown
from trus.hsm.ports import KeyStore
from trus.values import MAX_STAN, RID_BYTES, DeviceRole, Frozen, Identity, ResponseCode

#: Fixed words for the audit of what failed.
KEY_STORE: Final = "keystore"
STORAGE: Final = "storage"
UNKNOWN_OUTCOME: Final = "outcome-unknown"
FAULT: Final = "fault"


#: Requests whose card the token checks.
_WITH_CARD: Final = (Purchase, PreAuthorize, Balance, Advise, ChangePin)
#: Requests that name an earlier one by its retrieval reference number.
_LINKED: Final = (Refund, Capture, Release)


class PipelineSettings(Frozen, frozen=True):
    """`pin_tries` wrong PINs in a row lock a card; repeats and reversals come within `retry_days`.

    A pre-authorization expires after `hold_seconds`. `floor_limit` is what a terminal may sell off-line
    at once, in minor units. What comes back to credit that has ended can be spent for `grace_days` more.
    `watch` says when a terminal that tries cards out is slowed down, and when it is blocked, `ranges` when a
    range of card numbers is swept.
    """

    pin_tries: int = PIN_TRIES
    retry_days: int = RETRY_DAYS
    hold_seconds: float = HOLD_SECONDS
    floor_limit: int = FLOOR_LIMIT
    grace_days: int = GRACE_DAYS
    watch: WatchLimits = WatchLimits()
    ranges: RangeLimits = RangeLimits()


class MoneyPipeline:
    """Decides and commits money requests. Synchronous; one batch at a time."""

    def __init__(
        self,
        ledger: Ledger,
        keys: KeyStore,
        card_keys: CardKeys,
        clock: Clock,
        entropy: Entropy,
        settings: PipelineSettings,
        note: Callable[[str, str], None],
        closed: Callable[[], None] = lambda: None,
        open_stripe: OpenStripe = opens_nothing,
    ) -> None:
        """`card_keys` come from trus.core.holding import complete, give_up
        from trus.core.keyring; `note(level, text)` receives lines for the operator's log."""
        self._ledger = ledger
        self._checker = CardChecker(keys, card_keys)
        approvals = ApprovalCodes(entropy)
        ranges = Ranges(lambda digits: ledger.card_names(digits).current, settings.ranges, ledger.watched_ranges())
        self._guard = Guard(settings.watch, ranges, note)
        self._authorizer = Authorizer(approvals, settings.pin_tries, self._guard)
        self._adviser = Adviser(approvals, settings.floor_limit, self._guard)
        self._clock = clock
        self._settings = settings
        self._note = note
        self._closed = closed
        self._open_stripe = open_stripe

    def handle(self, batch: list[MoneyRequest]) -> list[MoneyAnswer]:
        """Answer every request, in order; what was approved is durable by then. Raises nothing of its own."""
        answers: list[MoneyAnswer | None] = [_refusal(request) for request in batch]
        places = [place for place, answer in enumerate(answers) if answer is None]
        asked = [Asked(batch[place], self._ledger.card_names, self._open_stripe) for place in places]
        for part in _parts(asked):
            self._work(part, self._clock.now())
        for place, each in zip(places, asked, strict=True):
            answers[place] = each.answer
        return [Failed(ResponseCode.SYSTEM_ERROR, FAULT) if answer is None else answer for answer in answers]

    # ------------------------------------------------------------------ one unit, and its failures

    def _work(self, asked: Sequence[Asked], now: datetime) -> None:
        """Answer `asked` in one unit of work; singly when that fails for certain."""
        try:
            unit = self._ledger.begin(now)
        except LedgerError as failure:
            self._note("error", f"no unit of work can be opened: {describe(failure)}")
            _fail(asked, STORAGE)
            return
        try:
            self._one_unit(asked, unit, now)
        except OutcomeUnknown as failure:
            self._note("error", f"the outcome of a commit is unknown: {describe(failure)}")
            self._read_back(asked)
            return
        except LedgerError as failure:
            unit.rollback()
            self._note("error", f"a batch of {len(asked)} was not stored: {describe(failure)}")
            reason = STORAGE
        except Exception as failure:  # noqa: BLE001 - one poisoned request must not fail its neighbours
            unit.rollback()
            self._note("critical", f"unexpected failure in a batch of {len(asked)}: {describe(failure)}")
            reason = FAULT
        else:
            return
        for each in asked:
            each.answer, each.checks, each.durable = None, None, False
        if len(asked) == 1:
            _fail(asked, reason)
            return
        for each in asked:
            self._work([each], now)

    def _one_unit(self, asked: Sequence[Asked], unit: UnitOfWork, now: datetime) -> None:
        """Read, check, decide, record, commit. Raises LedgerError; nothing may be said then."""
        facts = self._read(asked, unit)
        for each in asked:
            each.settle_card(facts.cards)
        book = Book(unit, facts, now, self._settings.grace_days, self._settings.hold_seconds)
        self._check(asked, facts, book)
        for each in asked:
            if each.answer is None:
                self._answer(each, book)
        if book.recorded:
            unit.commit()
            _hand_out_receipts(asked, unit, book)
            if any(isinstance(each.request, (CloseBatch, Reconcile)) for each in asked):
                self._closed()
        else:
            # Nothing new to store: repeats are answered from what is durable already.
            unit.rollback()

    def _read_back(self, asked: Sequence[Asked]) -> None:
        """Say what is durable after a commit of unknown outcome; the rest gets 96 and is reversed."""
        waiting = [each for each in asked if not each.durable]
        identities = [identity for each in waiting for identity in _identities(each)]
        try:
            stored = self._ledger.stored(identities)
        except LedgerError as failure:
            self._note("error", f"identities could not be read back: {describe(failure)}")
            stored = {}
        for each in waiting:
            if isinstance(each.answer, PinWanted):
                # Nothing was stored for it; its tries may be of this batch, so they are not told.
                each.answer = PinWanted()
                continue
            each.answer = settled(each, stored) or Failed(ResponseCode.SYSTEM_ERROR, UNKNOWN_OUTCOME)

    # --------------------------------------------------------------------------------- the steps

    def _read(self, asked: Sequence[Asked], unit: UnitOfWork) -> BatchFacts:
        return unit.read(
            identities=[identity for each in asked for identity in _identities(each)],
            terminals=[each.identity.terminal for each in asked],
            card_keys=[key for each in asked for key in each.card_keys],
            closing=[each.identity.terminal for each in asked if isinstance(each.request, (CloseBatch, Reconcile))],
            references=[each.request.reference for each in asked if isinstance(each.request, _LINKED)],
            voiding=[each.identity.terminal for each in asked if isinstance(each.request, Void)],
            reconciling={
                each.identity.terminal: [item.name for item in each.request.items]
                for each in asked
                if isinstance(each.request, Reconcile)
            },
        )

    def _check(self, asked: Sequence[Asked], facts: BatchFacts, book: Book) -> None:
        """Ask the token about every purchase and enquiry that is new; 91 for all of them when it fails."""
        fresh = []
        for each in asked:
            self._screen(each, book)
            wanted = each.answer is None and isinstance(each.request, _WITH_CARD)
            if wanted and each.identity not in book.requests:
                fresh.append(each)
        if not fresh:
            return
        try:
            self._checker.check(fresh, facts.cards)
        except KeyStoreError as failure:
            if not isinstance(failure, KeyStoreUnavailable):  # of that the token's guard tells, once a minute
                self._note("error", f"the key store cannot be used: {describe(failure)}")
            for each in fresh:
                each.checks = None

    def _screen(self, each: Asked, book: Book) -> None:
        """Refuse dates out of reach before anything is looked up."""
        current, days = book.business_date, self._settings.retry_days
        request = each.request
        within = is_within(each.identity.business_date, current, days)
        if within and isinstance(request, (Reverse, Void)):
            within = is_within(request.original.business_date, current, days)
        if not within:
            each.answer, each.durable = declined(ResponseCode.INVALID_TRANSACTION), True

    def _answer(self, each: Asked, book: Book) -> None:
        """Answer one request by the facts as they stand. Raises LedgerError."""
        each.answer = settled(each, book.requests)
        if each.answer is not None:
            return
        request = each.request
        terminal = book.terminal(each.identity.terminal)
        if isinstance(request, Reverse):
            if terminal is not None and terminal.state == State.CLOSED:
                # Closed for ever, as when it was stolen: whoever holds it empties no shop's account.
                each.answer, each.durable = Refused(ResponseCode.NOT_PERMITTED_TO_TERMINAL, "closed"), True
            else:
                each.answer = take_back(each, request, book)
            return
        if terminal is not None and request.peer.shop not in ("", terminal.shop):
            # Its certificate still names the shop that the terminal was taken away from.
            each.answer, each.durable = Refused(ResponseCode.NOT_PERMITTED_TO_TERMINAL, "shop"), True
            return
        new = is_new(each.identity.business_date, book.business_date, book.previous_date)
        if isinstance(request, CloseBatch):
            each.answer = close_batch(each, request, book, new=new)
        elif isinstance(request, Reconcile):
            each.answer = reconcile(each, request, book, new=new)
        elif isinstance(request, Refund):
            each.answer = give_back(each, request, book, new=new)
        elif isinstance(request, Void):
            each.answer = cancel(each, request, book, new=new)
        elif isinstance(request, Capture):
            each.answer = complete(each, request, book, new=new)
        elif isinstance(request, Release):
            each.answer = give_up(each, request, book, new=new)
        elif isinstance(request, Advise):
            if each.checks is None:
                each.answer, each.durable = Failed(ResponseCode.ISSUER_UNAVAILABLE, KEY_STORE), True
            elif self._guard.slowed(terminal, book) is not None:
                # The goods are gone: an advice is told to come again, never declined for good.
                each.answer, each.durable = Failed(ResponseCode.ISSUER_UNAVAILABLE, SLOWED), True
            else:
                each.answer = self._adviser.take_over(each, request, each.checks, book)
        elif not new:
            each.answer = self._authorizer.refuse_date(each, request, book)
        elif each.checks is None:
            each.answer, each.durable = Failed(ResponseCode.ISSUER_UNAVAILABLE, KEY_STORE), True
        elif isinstance(request, ChangePin):
            each.answer = self._authorizer.change_pin(each, request, each.checks, book)
        else:
            each.answer = self._authorizer.authorize(each, request, each.checks, book)


def _hand_out_receipts(asked: Sequence[Asked], unit: UnitOfWork, book: Book) -> None:
    """Tell each answer where it stands now; what was not stored for it has none."""
    for each in asked:
        answer = each.answer
        if isinstance(answer, Outcome) and answer.rrn:
            receipt = unit.receipt(_kept_under(each, book))
            if receipt is not None:
                each.answer = answer.with_receipt(receipt)


def _kept_under(each: Asked, book: Book) -> Identity:
    """Return the identity of the entry that settles a request: of a reversal, the one that took the original back."""
    request = each.request
    if not isinstance(request, Reverse):
        return each.identity
    original = book.requests.get(request.original)
    if original is not None and original.kind == EventKind.TOMBSTONE:
        return request.original
    ended = 0 if original is None else original.reversed_by
    return next((name for name, stored in book.requests.items() if stored.event_id == ended), each.identity)


def _parts(asked: list[Asked]) -> list[list[Asked]]:
    """Return the batch in parts: a change of a PIN ends one, since what follows is checked against the new PIN.

    A reconciliation is a part of its own: it compares with what is durable.
    """
    parts: list[list[Asked]] = [[]]
    for each in asked:
        if isinstance(each.request, Reconcile):
            parts.append([])
        parts[-1].append(each)
        if isinstance(each.request, (ChangePin, Reconcile)):
            parts.append([])
    return [part for part in parts if part]


def _refusal(request: MoneyRequest) -> Refused | None:
    """Return why a request is not even looked up: asked in another's name, or without its form."""
    peer, identity = request.peer, request.identity
    if peer.role is not DeviceRole.POS:
        return Refused(ResponseCode.NOT_PERMITTED_TO_TERMINAL, "role")
    if identity.terminal != peer.name:
        return Refused(ResponseCode.SECURITY_VIOLATION, "terminal")
    if not 0 < identity.stan <= MAX_STAN or len(request.rid) != RID_BYTES:
        return Refused(ResponseCode.FORMAT_ERROR, "identity")
    if isinstance(request, (Reverse, Void)):
        if request.original.terminal != peer.name:
            return Refused(ResponseCode.SECURITY_VIOLATION, "terminal")
        if request.original == identity or len(request.original_rid) != RID_BYTES:
            return Refused(ResponseCode.FORMAT_ERROR, "original")
    return None


def _identities(each: Asked) -> tuple[Identity, ...]:
    """Return the identities that a request's answer depends on."""
    if isinstance(each.request, (Reverse, Void)):
        return (each.identity, each.request.original)
    return (each.identity,)


def _fail(asked: Sequence[Asked], reason: str) -> None:
    for each in asked:
        if not each.durable:
            each.answer = Failed(ResponseCode.SYSTEM_ERROR, reason)
