"""Ends pre-authorizations: completes them, gives them up, lets them expire.

A hold sets money of a purse aside: it lowers what can be spent, not what is booked, and counts as spent
of the day's limits. It ends once (a unique index of the journal sees to it): by a completion, which pays
as much as was set aside or less, by its release or reversal, or by its expiry, which is an event like the
others, recorded under the lock that every batch works under. What was not paid is free again at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from trus.auth.linked import COMPLETION, RELEASE, LinkedCase, Verdict, judge
from trus.auth.lots import UNCHANGED, Credit
from trus.auth.model import CardFacts
from trus.auth.ports import Event, EventKind, Ledger, Posting, PurseUpdate, StoredRequest
from trus.auth.rules import Figures
from trus.clock import Clock
from trus.core.asked import Asked
from trus.core.authorizing import OLD_DATE
from trus.core.book import Book
from trus.core.credit import spending
from trus.core.faults import describe
from trus.core.linking import About, Moved, carry_out, decline, find, given_back, moved
from trus.core.messages import Capture, Outcome, Release
from trus.core.purses import accounts_of, paid_by, parts_of, set_aside
from trus.errors import LedgerError, StorageFailed
from trus.values import Identity, ResponseCode, Result

#: Holds that one step of the upkeep lets expire, so that no cardholder waits for it.
HOLDS_A_STEP: Final = 32
#: Seconds between two looks for expired holds: a week's hold may last a few seconds longer.
LOOK_SECONDS: Final = 5.0
EXPIRED: Final = "expired"
_NO_RID: Final = bytes(16)
_NO_DIGEST: Final = bytes(32)
_UNKNOWN: Final = Verdict("hold-unknown", ResponseCode.RECORD_NOT_FOUND, {})


def free(hold: StoredRequest, book: Book, paid: int = 0, credit: Credit = UNCHANGED) -> tuple[PurseUpdate, ...]:
    """Return the rows of the purses without a hold of which `paid` is paid; the rest is free, also of the limits.

    Raises LedgerError when the card is gone.
    """
    card = book.card_of(hold.card_id)
    amount, count, spent = given_back(card, hold, hold.aside - paid, int(not paid))
    parts = hold.held or parts_of(hold, card)
    paying = dict(paid_by(parts, paid))
    main, day = card.purse_account, card.counter_day
    aside = dict(parts).get(main)
    held = None if aside is None else card.held - aside
    balance = card.balance - paying.get(main, 0)
    return (
        PurseUpdate(main, balance, day, amount, count, held, spent=spent, lots=credit.after),
        *(set_aside(card, each, -part, paying.get(each, 0)) for each, part in parts if each != main),
    )


class Restored(NamedTuple):
    """A pre-authorization that stands again: `parts` of it are set aside, by account."""

    identity: Identity
    hold: StoredRequest
    parts: tuple[tuple[int, int], ...]

    @property
    def amount(self) -> int:
        """All that is set aside again."""
        return sum(part for _, part in self.parts)


def restored(completion: StoredRequest, card: CardFacts, postings: tuple[Posting, ...], book: Book) -> Restored | None:
    """Return the pre-authorization of a completion that is taken back, None where it does not stand again.

    As much of it is set aside as its purses can spare once `postings` have come back. It stands again once: the
    completion of one that did so already is a plain purchase.
    """
    found = next(
        ((each, stored) for each, stored in book.requests.items() if stored.event_id == completion.original), None
    )
    if found is None or found[1].kind != EventKind.HOLD:
        return None
    rooms = accounts_of(card)
    wanted = [(each, max(0, min(part, rooms[each] + moved(postings, each)))) for each, part in parts_of(found[1], card)]
    parts = tuple(each for each in wanted if each[1])
    return Restored(*found, parts) if parts else None


def stand_again(
    purses: tuple[PurseUpdate, ...], card: CardFacts, completion: StoredRequest, left: int, again: Restored
) -> tuple[PurseUpdate, ...]:
    """Return the rows of the purses that `left` of a completion went back to, with its pre-authorization aside again.

    The main one comes first. It counts for the limits as it did.
    """
    uncounted = completion.in_time == completion.authorized
    amount, count, spent = given_back(card, completion, left - again.amount, -int(uncounted))
    main, *rest = purses
    parts = dict(again.parts)
    held = card.held + parts.pop(main.account, 0)
    rows = [msgspec.structs.replace(main, held=held, day_amount=amount, day_count=count, spent=spent)]
    for each in rest:
        aside = set_aside(card, each.account, parts.pop(each.account, 0))
        rows.append(msgspec.structs.replace(each, held=aside.held))
    return (*rows, *(set_aside(card, account, part) for account, part in parts.items()))


def complete(asked: Asked, request: Capture, book: Book, *, new: bool) -> Outcome:
    """Record a completion, or why there is none, and return the answer. Raises LedgerError."""
    about = About(asked, request.amount, request.currency, request.reference, request.peer)
    if not new:
        return decline(about, book, OLD_DATE, ResponseCode.INVALID_TRANSACTION, _dates(request.identity, book))
    terminal = book.terminal(request.identity.terminal)
    found = find(asked, request, terminal, book)
    hold = None if found is None else found[1]
    verdict = judge(COMPLETION, LinkedCase(request.amount, request.currency, terminal, hold))
    if verdict is not None or found is None or terminal is None or hold is None:
        return decline(about, book, *(verdict or _UNKNOWN))
    card = book.card_of(hold.card_id)
    paying = paid_by(hold.held or parts_of(hold, card), request.amount)
    credit = spending(card, dict(paying).get(card.purse_account, 0), book, kept=True)
    done = Moved(
        request.amount,
        hold,
        (
            *(Posting(account, -part, request.currency) for account, part in paying),
            Posting(terminal.merchant_account, request.amount, request.currency),
        ),
        free(hold, book, request.amount, credit),
        hold.counter_day,
        ends_hold=True,
        credit=credit,
    )
    figures: Figures = {"asked": request.amount, "currency": request.currency, "held": hold.aside}
    outcome = carry_out(about, book, done, figures)
    book.mark_ended(found[0], book.requests[request.identity].event_id, EventKind.COMPLETION)
    return outcome


def give_up(asked: Asked, request: Release, book: Book, *, new: bool) -> Outcome:
    """Record the release of a hold, or why there is none, and return the answer. Raises LedgerError."""
    terminal = book.terminal(request.identity.terminal)
    found = find(asked, request, terminal, book)
    hold = None if found is None else found[1]
    about = About(asked, 0, "" if hold is None else hold.currency, request.reference, request.peer)
    if not new:
        return decline(about, book, OLD_DATE, ResponseCode.INVALID_TRANSACTION, _dates(request.identity, book))
    verdict = judge(RELEASE, LinkedCase(0, about.currency, terminal, hold))
    if verdict is not None or found is None or hold is None:
        return decline(about, book, *(verdict or _UNKNOWN))
    figures: Figures = {"currency": hold.currency, "held": hold.aside}
    done = Moved(0, hold, (), free(hold, book), hold.counter_day, ends_hold=True)
    outcome = carry_out(about, book, done, figures)
    book.mark_ended(found[0], book.requests[request.identity].event_id, EventKind.RELEASE)
    return outcome


class HoldExpiry:
    """Lets holds expire that nobody completed in time, a few at a step; part of the core's upkeep."""

    def __init__(self, ledger: Ledger, clock: Clock, note: Callable[[str, str], None]) -> None:
        """`note(level, text)` receives lines for the operator's log."""
        self._ledger = ledger
        self._clock = clock
        self._note = note
        self._looked_at = clock.monotonic()
        #: Holds whose expiry failed and was noted, by reference number.
        self._stuck: set[str] = set()

    @property
    def stuck(self) -> int:
        """How many pre-authorizations could not expire at the last step."""
        return len(self._stuck)

    def keep(self) -> None:
        """Make a step when LOOK_SECONDS have passed since the last one, and at once while more is due."""
        now = self._clock.monotonic()
        if now - self._looked_at >= LOOK_SECONDS and self.step() < HOLDS_A_STEP:
            self._looked_at = now

    def step(self) -> int:
        """Record the expiry of up to HOLDS_A_STEP holds in one commit; return how many.

        A failure is noted; what was not stored is due again at the next step. A hold that cannot expire is noted
        once and keeps no other from it.
        """
        now = self._clock.now()
        try:
            due = self._ledger.due_holds(now, HOLDS_A_STEP + len(self._stuck))
            self._stuck.intersection_update(due)
            if not due:
                return 0
            unit = self._ledger.begin(now)
            try:
                facts = unit.read(identities=[], terminals=[], card_keys=[], references=due)
                book = Book(unit, facts, now)
                for reference in due:
                    self._try_to_expire(reference, book)
                if book.recorded:
                    unit.commit()
                return book.recorded
            finally:
                unit.rollback()
        except LedgerError as failure:
            self._note("error", f"holds could not expire: {describe(failure)}")
            return 0

    def _try_to_expire(self, reference: str, book: Book) -> None:
        try:
            self._expire(reference, book)
        except StorageFailed:
            raise
        except LedgerError as failure:
            if reference not in self._stuck:
                self._stuck.add(reference)
                self._note("error", f"the pre-authorization {reference} cannot expire: {describe(failure)}")
        else:
            self._stuck.discard(reference)

    def _expire(self, reference: str, book: Book) -> None:
        found = book.named(reference)
        if found is None or found[1].reversed_by:
            return
        identity, hold = found
        event_id, rrn = book.number()
        book.record(
            Event(
                event_id=event_id,
                kind=EventKind.EXPIRY.value,
                identity=None,
                rid=_NO_RID,
                digest=_NO_DIGEST,
                card_id=hold.card_id,
                shop_id=hold.shop_id,
                amount=hold.aside,
                currency=hold.currency,
                result=Result.APPROVED.value,
                code=ResponseCode.APPROVED.value,
                approval="",
                rrn=rrn,
                rule=EXPIRED,
                figures={"purchase": reference, "held": hold.aside, "currency": hold.currency},
                answer=b"",
                original=hold.stands,
                purses=free(hold, book),
                counter_day=hold.counter_day,
                ends_hold=True,
            )
        )
        book.mark_ended(identity, event_id, EventKind.EXPIRY)


def _dates(identity: Identity, book: Book) -> Figures:
    return {"date": identity.business_date, "open": book.business_date}
