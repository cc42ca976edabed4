"""Gives money of a purchase back, whole or in part, as often as something is left of it.

Asks neither token nor the company's rules: the money goes back to the purse that paid, whatever has
become of card and holder since. The day's limits are given back on the business date of the
purchase alone. Refunds of one purchase see each other, also within a batch, so that the last one
can take the exact remainder and none can take more.
"""

from __future__ import annotations

from trus.auth.linked import REFUND, UNKNOWN, LinkedCase, judge
from trus.auth.rules import Figures
from trus.core.asked import Asked
from trus.core.authorizing import OLD_DATE
from trus.core.book import Book
from trus.core.credit import returned
from trus.core.linking import About, Moved, carry_out, come_back, decline, find, moved, purse_of, repay
from trus.core.messages import Outcome, Refund
from trus.core.purses import others
from trus.values import ResponseCode


def give_back(asked: Asked, request: Refund, book: Book, *, new: bool) -> Outcome:
    """Record a refund, or why there is none, and return the answer. Raises LedgerError.

    `new` is False when the request's business date is over.
    """
    about = About(asked, request.amount, request.currency, request.reference, request.peer)
    if not new:
        dates: Figures = {"date": request.identity.business_date, "open": book.business_date}
        return decline(about, book, OLD_DATE, ResponseCode.INVALID_TRANSACTION, dates)
    terminal = book.terminal(request.identity.terminal)
    found = find(asked, request, terminal, book)
    earlier = None if found is None else found[1]
    case = LinkedCase(request.amount, request.currency, terminal, earlier)
    verdict = judge(REFUND, case)
    if verdict is not None or found is None or terminal is None or earlier is None:
        return decline(about, book, *(verdict or UNKNOWN))
    purchase, amount, left = found[0], request.amount, case.left
    card = purse_of(earlier, book)
    same_day = purchase.business_date == request.identity.business_date
    postings = come_back(earlier, card, amount)
    back = moved(postings, card.purse_account)
    credit = returned(card, earlier, back, book)
    # It counts as a purchase no more once all of it came back on its own date.
    whole = earlier.in_time + amount == earlier.authorized
    done = Moved(
        amount,
        earlier,
        postings,
        (repay(card, earlier, amount, back, credit, same_day=same_day, whole=whole), *others(card, postings)),
        earlier.counter_day if same_day else "",
        credit=credit,
    )
    figures: Figures = {
        "asked": amount,
        "currency": request.currency,
        "paid": earlier.authorized,
        "refunded": earlier.refunded,
        "left": left - amount,
    }
    outcome = carry_out(about, book, done, figures)
    book.mark_refunded(purchase, amount, postings, credit.moves, in_time=done.counter_day != "")
    return outcome
