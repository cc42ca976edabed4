"""Cancels a purchase of a terminal's own batch, before the batch is closed.

Where a reversal is a machine's way to undo what it has no answer for, and is never declined, a void is a
person's: the purchase must be there, of this terminal and of the batch that is open. What was refunded
before stays refunded, and the rest goes back. Afterwards a refund is the way. A completion that is cancelled
sets its pre-authorization aside again, for as long as that would have lasted.
"""

from __future__ import annotations

from trus.auth.linked import UNKNOWN, VOID, LinkedCase, judge
from trus.auth.model import CardFacts
from trus.auth.ports import EventKind, Posting, StoredRequest
from trus.auth.rules import Figures
from trus.core.asked import Asked
from trus.core.authorizing import OLD_DATE
from trus.core.book import Book
from trus.core.credit import returned, without_ended
from trus.core.holding import Restored, restored, stand_again
from trus.core.linking import About, Moved, carry_out, come_back, decline, moved, purse_of, repay
from trus.core.messages import Outcome, Void
from trus.core.purses import others
from trus.values import ResponseCode


def cancel(asked: Asked, request: Void, book: Book, *, new: bool) -> Outcome:
    """Record a void, or why there is none, and return the answer. Raises LedgerError.

    `new` is False when the request's business date is over.
    """
    earlier = book.requests.get(request.original)
    reference = "" if earlier is None else earlier.rrn
    about = About(asked, request.amount, request.currency, reference, request.peer)
    if not new:
        dates: Figures = {"date": request.identity.business_date, "open": book.business_date}
        return decline(about, book, OLD_DATE, ResponseCode.INVALID_TRANSACTION, dates)
    if earlier is not None and (
        (earlier.rid, earlier.amount, earlier.currency) != (request.original_rid, request.amount, request.currency)
        or earlier.card_id is None
    ):
        earlier = None
    terminal = book.terminal(request.identity.terminal)
    closed = earlier is not None and book.is_closed(request.identity.terminal, earlier)
    case = LinkedCase(request.amount, request.currency, terminal, earlier, closed)
    verdict = judge(VOID, case)
    if verdict is not None or earlier is None:
        return decline(about, book, *(verdict or UNKNOWN))
    card = purse_of(earlier, book)
    if earlier.kind == EventKind.COMPLETION:
        # Its pre-authorization sets money aside again.
        card = without_ended(card, book)
    left = case.left
    postings = come_back(earlier, card, left)
    back = moved(postings, card.purse_account)
    credit = returned(card, earlier, back, book)
    purse = repay(card, earlier, left, back, credit, same_day=True, whole=True)
    figures: Figures = {"reason": request.reason[:32], "given_back": left, "currency": request.currency}
    purses = (purse, *others(card, postings))
    again = _still_wanted(earlier, card, postings, book)
    if again is not None:
        purses = stand_again(purses, card, earlier, left, again)
        figures = {**figures, "restored": again.amount}
    done = Moved(
        left,
        earlier,
        postings,
        purses,
        earlier.counter_day,
        credit=credit,
        restores=0 if again is None else again.hold.event_id,
        holds=() if again is None else again.parts,
        hold_until=0 if again is None else book.lasts_until(again.hold),
    )
    outcome = carry_out(about, book, done, figures)
    ended = book.requests[request.identity]
    book.mark_ended(request.original, ended.event_id, EventKind.VOID, left)
    if again is not None:
        book.mark_restored(again.identity, ended.event_id, again.parts)
    return outcome


def _still_wanted(
    earlier: StoredRequest, card: CardFacts, postings: tuple[Posting, ...], book: Book
) -> Restored | None:
    """Return the pre-authorization of a completion that stands again, None for a purchase and for one that is over."""
    if earlier.kind != EventKind.COMPLETION:
        return None
    again = restored(earlier, card, postings, book)
    return None if again is None or book.lasts_until(again.hold) <= book.moment else again
