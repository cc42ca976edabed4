"""Moves the credit of a purse that ends, with what an event moves of its balance.

Decides nothing (trus.auth.lots): it looks at the lots of a card's purse as the batch has left them. A purse
without any costs one look.
"""

from __future__ import annotations

from trus.auth.lots import UNCHANGED, Credit, Lots, after, come_back, read_lots, spend, take_again, total, write_lots
from trus.auth.model import CardFacts
from trus.auth.ports import EventKind, StoredRequest
from trus.auth.rules import Figures
from trus.core.book import Book


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


def shown(credit: Credit) -> Figures:
    """Return the moves for support, and for the chain, which covers the figures of an event."""
    return {"lots": " ".join(f"{lot.expires_on}:{lot.amount:+d}" for lot in credit.moves)} if credit.moves else {}


def _moved(lots: Lots, moves: Lots) -> Credit:
    return Credit(write_lots(after(lots, moves)), moves) if moves else UNCHANGED
