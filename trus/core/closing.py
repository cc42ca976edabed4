"""Closes a terminal's batch: compares what it counted with what the ledger holds, item by item if need be.

Moves no money: the ledger's figures are what the shop is paid by, and a difference is for
people to look at. Terminals do not count a purchase whose answer was lost, nor its reversal:
so what agrees is purchases less reversals, and refunds that stand, in number and in amount.
"""

from __future__ import annotations

from typing import Final

from trus.auth.model import State
from trus.auth.ports import BatchTotals, Event, EventKind
from trus.auth.reconcile import MAX_LISTED, compare
from trus.auth.rules import Figures
from trus.auth.texts import BALANCED_TEXT, DIFFERS_TEXT, cashier_text
from trus.core.answers import encode_outcome
from trus.core.asked import Asked
from trus.core.authorizing import OLD_DATE, actor_of
from trus.core.book import Book
from trus.core.differing import format_differences
from trus.core.messages import CloseBatch, Outcome, Reconcile
from trus.money import format_amount
from trus.values import ResponseCode, Result

BALANCED: Final = "batch-balanced"
DIFFERS: Final = "batch-differs"
RECONCILED: Final = "batch-reconciled"
ITEMS_DIFFER: Final = "batch-items-differ"
#: The detail of an answer that holds the differences, as the wire lists them.
LISTED: Final = "listed"
UNKNOWN: Final = "terminal-unknown"
NOT_ACTIVE: Final = "terminal-not-active"
OTHER_CURRENCY: Final = "currency-of-terminal"

#: What closes a batch.
Closing = CloseBatch | Reconcile


def close_batch(asked: Asked, request: CloseBatch, book: Book, *, new: bool) -> Outcome:
    """Record the closing, or that the totals differ and the batch is open still; return the ledger's totals.

    `new` is False when the request's business date is over. Raises LedgerError.
    """
    refused = refuse(asked, request, book, new=new)
    if refused is not None:
        return refused
    held = book.totals(request.identity.terminal)
    balanced = (
        held.purchase_count - held.reversal_count == request.purchase_count - request.reversal_count
        and held.purchase_amount - held.reversal_amount == request.purchase_amount - request.reversal_amount
        and (held.refund_count, held.refund_amount) == (request.refund_count, request.refund_amount)
        and (held.void_count, held.void_amount) == (request.void_count, request.void_amount)
        and (held.completion_count, held.completion_amount) == (request.completion_count, request.completion_amount)
    )
    details = {"balanced": "yes" if balanced else "no", **totals_of(held, request.currency)}
    if balanced:
        outcome = Outcome(Result.APPROVED.value, ResponseCode.APPROVED.value, text=BALANCED_TEXT, details=details)
        return record(asked, request, book, outcome, BALANCED, _figures(request, held))
    code = ResponseCode.OUT_OF_BALANCE.value
    outcome = Outcome(Result.DECLINED.value, code, text=cashier_text(code), details=details)
    return record(asked, request, book, outcome, DIFFERS, _figures(request, held))


def reconcile(asked: Asked, request: Reconcile, book: Book, *, new: bool) -> Outcome:
    """Compare a batch item by item and close it whatever comes of it; return the differences. Raises LedgerError."""
    refused = refuse(asked, request, book, new=new)
    if refused is not None:
        return refused
    terminal, currency = request.identity.terminal, request.currency
    found = compare(request.items, book.batch(terminal))
    held = book.totals(terminal)
    details = {
        "balanced": "no" if found else "yes",
        **totals_of(held, currency),
        "differences": str(len(found)),
    }
    if found:
        details[LISTED] = format_differences(found[:MAX_LISTED], currency)
    text = DIFFERS_TEXT if found else BALANCED_TEXT
    outcome = Outcome(Result.APPROVED.value, ResponseCode.APPROVED.value, text=text, details=details)
    figures: Figures = {"currency": currency, "items": len(request.items), "differences": len(found), **_held(held)}
    return record(asked, request, book, outcome, ITEMS_DIFFER if found else RECONCILED, figures)


def refuse(asked: Asked, request: Closing, book: Book, *, new: bool) -> Outcome | None:
    """Record why a batch cannot be closed now, and return that; None when it can. Raises LedgerError."""
    terminal = book.terminal(request.identity.terminal)
    if not new:
        dates: Figures = {"date": request.identity.business_date, "open": book.business_date}
        return _decline(asked, request, book, ResponseCode.INVALID_TRANSACTION, OLD_DATE, dates)
    if terminal is None:
        return _decline(asked, request, book, ResponseCode.NOT_PERMITTED_TO_TERMINAL, UNKNOWN, {})
    if terminal.state != State.ACTIVE:
        state: Figures = {"state": str(terminal.state)}
        return _decline(asked, request, book, ResponseCode.NOT_PERMITTED_TO_TERMINAL, NOT_ACTIVE, state)
    if terminal.currency != request.currency:
        currencies: Figures = {"currency": request.currency, "shop_currency": terminal.currency}
        return _decline(asked, request, book, ResponseCode.INVALID_TRANSACTION, OTHER_CURRENCY, currencies)
    return None


def totals_of(held: BatchTotals, currency: str) -> dict[str, str]:
    """Return the ledger's totals as an answer tells them."""
    return {
        "currency": currency,
        "purchase-count": str(held.purchase_count),
        "purchase-amount": format_amount(held.purchase_amount, currency),
        "reversal-count": str(held.reversal_count),
        "reversal-amount": format_amount(held.reversal_amount, currency),
        "refund-count": str(held.refund_count),
        "refund-amount": format_amount(held.refund_amount, currency),
        "void-count": str(held.void_count),
        "void-amount": format_amount(held.void_amount, currency),
        "completion-count": str(held.completion_count),
        "completion-amount": format_amount(held.completion_amount, currency),
    }


def _decline(asked: Asked, request: Closing, book: Book, code: ResponseCode, rule: str, figures: Figures) -> Outcome:
    outcome = Outcome(Result.DECLINED.value, code.value, text=cashier_text(code))
    return record(asked, request, book, outcome, rule, figures)


def _figures(request: CloseBatch, held: BatchTotals) -> Figures:
    return {
        "currency": request.currency,
        "terminal_purchases": request.purchase_count,
        "terminal_purchase_amount": request.purchase_amount,
        "terminal_reversals": request.reversal_count,
        "terminal_reversal_amount": request.reversal_amount,
        "terminal_refunds": request.refund_count,
        "terminal_refund_amount": request.refund_amount,
        "terminal_voids": request.void_count,
        "terminal_void_amount": request.void_amount,
        "terminal_completions": request.completion_count,
        "terminal_completion_amount": request.completion_amount,
        **_held(held),
    }


def _held(held: BatchTotals) -> Figures:
    return {
        "purchases": held.purchase_count,
        "purchase_amount": held.purchase_amount,
        "reversals": held.reversal_count,
        "reversal_amount": held.reversal_amount,
        "refunds": held.refund_count,
        "refund_amount": held.refund_amount,
        "voids": held.void_count,
        "void_amount": held.void_amount,
        "completions": held.completion_count,
        "completion_amount": held.completion_amount,
    }


def record(asked: Asked, request: Closing, book: Book, answer: Outcome, rule: str, figures: Figures) -> Outcome:
    """Record what came of a closing, and return the answer with its reference. Raises LedgerError."""
    event_id, rrn = book.number()
    outcome = Outcome(answer.result, answer.code, rrn=rrn, text=answer.text, details=answer.details)
    terminal = book.terminal(request.identity.terminal)
    book.record(
        Event(
            event_id,
            EventKind.CLOSE_BATCH.value,
            asked.identity,
            asked.rid,
            asked.digest,
            None,
            None if terminal is None else terminal.shop_id,
            0,
            request.currency,
            outcome.result,
            outcome.code,
            "",
            rrn,
            rule,
            figures,
            encode_outcome(outcome),
            actor_of(request.peer),
        )
    )
    return outcome
