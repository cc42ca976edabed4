"""Cancels a purchase of a terminal's own batch, before the batch is closed.

Where a reversal is a machine's way to undo what it has no answer for, and is never declined, a void is a
person's: the purchase must be there, of this terminal and of the batch that is open. What was refunded
before stays refunded, and the rest goes back. Afterwards a refund is the way.
"""

from __future__ import annotations

from trus.auth.linked import UNKNOWN, VOID, LinkedCase, judge
from trus.auth.ports import EventKind
from trus.auth.rules import Figures
from trus.core.asked import Asked
from trus.core.authorizing import OLD_DATE
from trus.core.book import Book
from trus.core.credit import returned
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
    left = case.left
    postings = come_back(earlier, card, left)
    back = moved(postings, card.purse_account)
    credit = returned(card, earlier, back, book)
    done = Moved(
        left,
        earlier,
        postings,
        (repay(card, earlier, left, back, credit, same_day=True, whole=True), *others(card, postings)),
        earlier.counter_day,
        credit=credit,
    )
    figures: Figures = {"reason": request.reason[:32], "given_back": left, "currency": request.currency}
    outcome = carry_out(about, book, done, figures)
    ended = book.requests[request.identity]
    book.mark_ended(request.original, ended.event_id, EventKind.VOID, left)
    return outcome
