"""Gives money of a purchase back, whole or in part, as often as something is left of it.

Asks neither token nor the company's rules: the money goes back to the purse that paid, whatever has
become of card and holder since. The day's limits are given back on the business date of the
purchase alone. Refunds of one purchase see each other, also within a batch, so that the last one
can take the exact remainder and none can take more.
"""

from __future__ import annotations

from trus.auth.linked import REFUND, LinkedCase, judge
from trus.auth.ports import EventKind, Posting
from trus.auth.texts import cashier_text
from trus.core.asked import Asked
from trus.core.authorizing import OLD_DATE, actor_of
from trus.core.book import Book
from trus.core.linking import DONE, decline, find, purse_of, record, repay
from trus.core.messages import Outcome, Refund
from trus.values import ResponseCode, Result


def give_back(asked: Asked, request: Refund, book: Book, *, new: bool) -> Outcome:
    """Record a refund, or why there is none, and return the answer. Raises LedgerError.

    `new` is False when the request's business date is over.
    """
    actor = actor_of(request.peer)
    if not new:
        dates: dict[str, int | str] = {"date": request.identity.business_date, "open": book.business_date}
        return decline(asked, request, book, ResponseCode.INVALID_TRANSACTION, OLD_DATE, dates, actor)
    terminal = book.terminal(request.identity.terminal)
    found = find(asked, request, terminal, book)
    earlier = None if found is None else found[1]
    case = LinkedCase(request.amount, request.currency, terminal, earlier)
    verdict = judge(REFUND, case)
    if verdict is not None or found is None or terminal is None or earlier is None:
        rule, code, figures = verdict or ("purchase-unknown", ResponseCode.RECORD_NOT_FOUND, {})
        return decline(asked, request, book, code, rule, figures, actor)
    purchase, amount, left = found[0], request.amount, case.left
    card = purse_of(earlier, book)
    same_day = purchase.business_date == request.identity.business_date
    outcome = record(
        asked,
        request,
        book,
        Outcome(
            Result.APPROVED.value,
            ResponseCode.APPROVED.value,
            amount=amount,
            currency=request.currency,
            text=cashier_text(ResponseCode.APPROVED.value),
        ),
        DONE[EventKind.REFUND],
        {
            "asked": amount,
            "currency": request.currency,
            "purchase": request.reference,
            "paid": earlier.authorized,
            "refunded": earlier.refunded,
            "left": left - amount,
        },
        actor,
        earlier,
        (
            Posting(terminal.merchant_account, -amount, request.currency),
            Posting(card.purse_account, amount, request.currency),
        ),
        (repay(card, earlier, amount, same_day=same_day, whole=amount == left),),
        earlier.counter_day if same_day else "",
    )
    book.mark_refunded(purchase, amount)
    return outcome
