"""Finds the earlier request that another one is about, and sets a purse back by what it had paid.

Decides nothing (trus.auth.linked) and records nothing. What a terminal says of the earlier request
beside its reference number must be true of it: a wrong digit then finds nothing instead of another
cardholder's lunch.
"""

from __future__ import annotations

from typing import Final

from trus.auth.model import CardFacts, TerminalFacts
from trus.auth.ports import Event, EventKind, Posting, PurseUpdate, StoredRequest
from trus.auth.rules import Figures
from trus.auth.texts import cashier_text
from trus.core.answers import encode_outcome
from trus.core.asked import Asked
from trus.core.book import Book
from trus.core.messages import Outcome, Refund
from trus.errors import LedgerError
from trus.values import Identity, ResponseCode, Result

Found = tuple[Identity, StoredRequest]

#: The rule under which what was carried out is recorded.
DONE: Final = {EventKind.REFUND: "refunded"}


def find(asked: Asked, request: Refund, terminal: TerminalFacts | None, book: Book) -> Found | None:
    """Return the earlier request of the terminal's shop that a request names, as it stands now."""
    found = book.named(request.reference)
    if found is None or terminal is None:
        return None
    identity, earlier = found
    if earlier.shop_id != terminal.shop_id or earlier.card_id is None:
        # Of another shop, or of somebody whose data was erased by law.
        return None
    named = request.original
    if named is not None and (
        (named.business_date, named.stan) != (identity.business_date, identity.stan)
        or request.original_rid != earlier.rid
    ):
        return None
    if request.track2 is not None:
        card = book.card(asked.card_key) if asked.card_key else None
        if card is None or card.card_id != earlier.card_id:
            return None
    return found


def purse_of(earlier: StoredRequest, book: Book) -> CardFacts:
    """Return the card, with its purse, that paid. Raises LedgerError when the purse is another one."""
    card = book.card_of(earlier.card_id)
    if all(each.account != card.purse_account for each in earlier.postings):
        raise LedgerError("the purse of a card is not the one that its purchase was taken from")
    return card


def settle_up(earlier: StoredRequest, purse: int, left: int) -> tuple[Posting, ...]:
    """Return the postings that give `left` minor units of a purchase back, all of it by the opposite entries."""
    if left == earlier.authorized:
        return tuple(Posting(each.account, -each.amount, each.currency) for each in earlier.postings)
    if not left:
        return ()
    shop = next(each.account for each in earlier.postings if each.amount > 0)
    return (Posting(purse, left, earlier.currency), Posting(shop, -left, earlier.currency))


def repay(card: CardFacts, earlier: StoredRequest, amount: int, *, same_day: bool, whole: bool) -> PurseUpdate:
    """Return the purse with `amount` back; the day's counters follow when they are still those of the purchase.

    `whole` says that nothing of the purchase is left, so that it does not count as one any more.
    """
    spent, count = card.day_amount, card.day_count
    if same_day and card.counter_day == earlier.counter_day:
        spent, count = max(0, spent - amount), max(0, count - whole)
    return PurseUpdate(card.purse_account, card.balance + amount, card.counter_day, spent, count)


def decline(
    asked: Asked,
    request: Refund,
    book: Book,
    code: ResponseCode,
    rule: str,
    figures: Figures,
    actor: str,
) -> Outcome:
    """Record a decline and return it. Raises LedgerError."""
    return record(
        asked,
        request,
        book,
        Outcome(Result.DECLINED.value, code.value, text=cashier_text(code.value)),
        rule,
        {**figures, "purchase": request.reference},
        actor,
        None,
    )


def record(
    asked: Asked,
    request: Refund,
    book: Book,
    answer: Outcome,
    rule: str,
    figures: Figures,
    actor: str,
    earlier: StoredRequest | None,
    postings: tuple[Posting, ...] = (),
    purses: tuple[PurseUpdate, ...] = (),
    counter_day: str = "",
) -> Outcome:
    """Record a linked request under the answer given, which gets its reference number. Raises LedgerError."""
    event_id, rrn = book.number()
    outcome = Outcome(
        answer.result, answer.code, rrn=rrn, amount=answer.amount, currency=answer.currency, text=answer.text
    )
    terminal = book.terminal(request.identity.terminal)
    book.record(
        Event(
            event_id,
            asked.kind.value,
            asked.identity,
            asked.rid,
            asked.digest,
            None if earlier is None else earlier.card_id,
            None if terminal is None else terminal.shop_id,
            request.amount,
            request.currency,
            outcome.result,
            outcome.code,
            "",
            rrn,
            rule,
            figures,
            encode_outcome(outcome),
            actor,
            None if earlier is None else earlier.event_id,
            postings,
            purses,
            None,
            answer.amount or 0,
            counter_day,
        )
    )
    return outcome
