"""Moves the credit of a purse that ends, with what an event moves of its balance.

Decides nothing (trus.auth.lots): it looks at the lots of a card's purse as the batch has left them. A purse
without any costs one look.
"""

from __future__ import annotations

from typing import Final

from trus.auth.lots import (
    CREDIT_EXPIRY,
    EXPIRED,
    UNCHANGED,
    Credit,
    Lots,
    after,
    come_back,
    read_lots,
    spend,
    take_again,
    total,
    write_lots,
)
from trus.auth.model import CardFacts
from trus.auth.ports import Event, EventKind, Posting, PurseUpdate, StoredRequest
from trus.auth.rules import Figures
from trus.core.book import Book
from trus.values import ResponseCode, Result

#: No terminal asked for it.
_NO_RID: Final = bytes(16)
_NO_DIGEST: Final = bytes(32)


def spending(card: CardFacts, amount: int, book: Book, *, kept: bool = False) -> Credit:
    """Return what paying `amount` takes of the lots; `kept` also of what a pre-authorization kept from ending."""
    if not card.lots:
        return UNCHANGED
    lots = read_lots(card.lots)
    return _moved(lots, spend(lots, amount, "" if kept else book.business_date))


def returned(card: CardFacts, purchase: StoredRequest, amount: int, book: Book) -> Credit:
    """Return what `amount` that goes back to the purse of a purchase puts into the lots that it came from."""
    given = (*purchase.lots, *purchase.returned_lots)
    if not given:
        return UNCHANGED
    paid = -sum(each.amount for each in purchase.postings if each.account == card.purse_account)
    owed = paid - dict(purchase.returned).get(card.purse_account, 0)
    moves = come_back(given, owed, amount, book.business_date, book.grace_days)
    return _moved(read_lots(card.lots), moves)


def taken_again(card: CardFacts, refund: StoredRequest, amount: int, book: Book) -> Credit:
    """Return what `amount` of a refund that is taken back takes of the lots."""
    if not card.lots or refund.kind != EventKind.REFUND:
        return UNCHANGED
    lots = read_lots(card.lots)
    moves = take_again(lots, refund.lots, card.balance - total(lots), amount, book.business_date)
    return _moved(lots, moves)


def without_ended(card: CardFacts, book: Book) -> CardFacts:
    """Return a card whose purse keeps of its ended credit only what is set aside: the rest is posted away.

    So the upkeep does between batches. Before money is set aside it cannot wait for that: what is set aside
    keeps credit from ending, and what had ended before is not to be kept by it. Raises LedgerError.
    """
    amount = card.ended - card.held
    if amount <= 0:
        return card
    lots, currency = read_lots(card.lots), card.currency
    credit = _moved(lots, spend(lots, amount, ""))
    origin = book.origin(card.purse_account)
    figures: Figures = {"company": origin.company, "employee": origin.employee, "currency": currency}
    event_id, rrn = book.number()
    book.record(
        Event(
            event_id,
            CREDIT_EXPIRY,
            None,
            _NO_RID,
            _NO_DIGEST,
            None,
            None,
            amount,
            currency,
            Result.APPROVED.value,
            ResponseCode.APPROVED.value,
            "",
            rrn,
            EXPIRED,
            {**figures, "lots": write_lots(credit.moves)},
            b"",
            postings=(Posting(card.purse_account, -amount, currency), Posting(origin.account, amount, currency)),
            purses=(
                PurseUpdate(
                    card.purse_account,
                    card.balance - amount,
                    card.counter_day,
                    card.day_amount,
                    card.day_count,
                    lots=credit.after,
                ),
                PurseUpdate(origin.account, origin.balance + amount, "", 0, 0),
            ),
            authorized=amount,
            lots=credit.moves,
        )
    )
    return book.card_of(card.card_id)


def shown(credit: Credit) -> Figures:
    """Return the moves for support, and for the chain, which covers the figures of an event."""
    return {"lots": " ".join(f"{lot.expires_on}:{lot.amount:+d}" for lot in credit.moves)} if credit.moves else {}


def _moved(lots: Lots, moves: Lots) -> Credit:
    return Credit(write_lots(after(lots, moves)), moves) if moves else UNCHANGED
