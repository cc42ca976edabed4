"""Takes requests back: the opposite entries for what moved, a tombstone for what never came.

Asks neither token nor rules: a reversal is owed whatever has become of card, shop or terminal
since (but a terminal that is closed for ever asks for nothing: trus.core.pipeline). A tombstone
lies under the original's own identity, so that a late original finds it and gets 68; a request is
taken back once, and every repeat gets the same answer (trus.core.answers).
"""

from __future__ import annotations

from typing import Final

from trus.auth.ports import Event, EventKind, Posting, PurseUpdate, StoredRequest
from trus.core.answers import encode_outcome, taken_back
from trus.core.asked import Asked
from trus.core.authorizing import actor_of
from trus.core.book import Book
from trus.core.messages import Outcome, Reverse
from trus.errors import LedgerError
from trus.values import ResponseCode, Result

#: What the journal says led to a reversal and to a tombstone.
TAKEN_BACK: Final = "taken-back"
NEVER_CAME: Final = "never-came"

_MAX_REASON: Final = 32


def take_back(asked: Asked, request: Reverse, book: Book) -> Outcome:
    """Record the reversal of a request that is not taken back yet, and return the answer.

    Raises LedgerError.
    """
    original = book.requests.get(request.original)
    if original is None:
        return _lay_tombstone(asked, request, book)
    event_id, rrn = book.number()
    outcome = taken_back(original.rrn, original.authorized, original.currency)
    terminal = book.terminal(request.identity.terminal)
    book.record(
        Event(
            event_id,
            EventKind.REVERSAL.value,
            asked.identity,
            asked.rid,
            asked.digest,
            original.card_id,
            None if terminal is None else terminal.shop_id,
            original.amount,
            original.currency,
            Result.REVERSED.value,
            ResponseCode.APPROVED.value,
            "",
            rrn,
            TAKEN_BACK,
            {"reason": request.reason[:_MAX_REASON], "given_back": original.authorized, "currency": original.currency},
            encode_outcome(outcome),
            actor_of(request.peer),
            original.event_id,
            tuple(Posting(each.account, -each.amount, each.currency) for each in original.postings),
            _purses(original, book),
            None,
            original.authorized,
            original.counter_day,
        )
    )
    book.mark_reversed(request.original, event_id)
    return outcome


def _purses(original: StoredRequest, book: Book) -> tuple[PurseUpdate, ...]:
    """Return the purse after the money is back; the counters follow on the day that they were used."""
    if not original.postings:
        return ()
    card = book.card_of(original.card_id)
    back = -sum(each.amount for each in original.postings if each.account == card.purse_account)
    if back != original.authorized:
        raise LedgerError("the purse of a card is not the one that its purchase was taken from")
    day_amount, day_count = card.day_amount, card.day_count
    if card.counter_day == original.counter_day:
        day_amount, day_count = max(0, day_amount - back), max(0, day_count - 1)
    return (PurseUpdate(card.purse_account, card.balance + back, card.counter_day, day_amount, day_count),)


def _lay_tombstone(asked: Asked, request: Reverse, book: Book) -> Outcome:
    event_id, rrn = book.number()
    outcome = taken_back(rrn, 0, request.currency)
    terminal = book.terminal(request.identity.terminal)
    book.record(
        Event(
            event_id,
            EventKind.TOMBSTONE.value,
            request.original,
            request.original_rid,
            asked.digest,
            None,
            None if terminal is None else terminal.shop_id,
            request.amount,
            request.currency,
            Result.REVERSED.value,
            ResponseCode.APPROVED.value,
            "",
            rrn,
            NEVER_CAME,
            {"reason": request.reason[:_MAX_REASON], "stan": asked.identity.stan},
            encode_outcome(outcome),
            actor_of(request.peer),
        )
    )
    return outcome
