"""Takes requests back: the opposite entries for what moved, a tombstone for what never came.

Asks neither token nor rules: a reversal is owed whatever has become of card, shop or terminal
since (but a terminal that is closed for ever asks for nothing: trus.core.pipeline). A tombstone
lies under the original's own identity, so that a late original finds it and gets 68; a request is
taken back once, and every repeat gets the same answer (trus.core.answers).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from trus.auth.lots import UNCHANGED, Credit
from trus.auth.ports import REFUND_TAKEN_BACK, Event, EventKind, Posting, PurseUpdate, StoredRequest
from trus.core.answers import encode_outcome, taken_back
from trus.core.asked import Asked
from trus.core.authorizing import actor_of
from trus.core.book import Book
from trus.core.credit import returned, shown, taken_again, without_ended
from trus.core.holding import Restored, free, restored, stand_again
from trus.core.linking import come_back, given_back, moved, purse_of, repay
from trus.core.messages import Outcome, Reverse
from trus.core.purses import accounts_of, others
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
    if original.kind == EventKind.REFUND:
        undone = _undo_refund(original, book)
    elif original.kind == EventKind.HOLD and original.authorized:
        undone = _Undone(0, TAKEN_BACK, purses=free(original, book), ends_hold=True)
    else:
        undone = _undo(original, book)
    event_id, rrn = book.number()
    outcome = taken_back(original.rrn, undone.amount, original.currency)
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
            undone.rule,
            {
                "reason": request.reason[:_MAX_REASON],
                "given_back": undone.amount,
                "currency": original.currency,
                **undone.figures,
                **shown(undone.credit),
            },
            encode_outcome(outcome),
            actor_of(request.peer),
            original.stands,
            undone.postings,
            undone.purses,
            None,
            undone.amount,
            original.counter_day,
            0 if undone.again is None else book.hold_until,
            undone.ends_hold,
            lots=undone.credit.moves,
            restores=0 if undone.again is None else undone.again.hold.event_id,
            holds=() if undone.again is None else undone.again.parts,
        )
    )
    book.mark_ended(request.original, event_id, EventKind.REVERSAL, undone.amount)
    if undone.again is not None:
        book.mark_restored(undone.again.identity, event_id, undone.again.parts)
    return outcome


class _Undone(NamedTuple):
    """What takes a request back: `amount` minor units move in the other direction."""

    amount: int
    rule: str
    postings: tuple[Posting, ...] = ()
    purses: tuple[PurseUpdate, ...] = ()
    figures: Mapping[str, int | str] = MappingProxyType({})
    ends_hold: bool = False
    credit: Credit = UNCHANGED
    again: Restored | None = None


def _undo(original: StoredRequest, book: Book) -> _Undone:
    """Give back what is left of a purchase after its refunds; the counters follow on the day that they were used."""
    if not original.postings:
        return _Undone(original.authorized, TAKEN_BACK)
    card = purse_of(original, book)
    if original.kind == EventKind.COMPLETION:
        # Its pre-authorization sets money aside again.
        card = without_ended(card, book)
    left = original.authorized - original.refunded
    postings = come_back(original, card, left)
    back = moved(postings, card.purse_account)
    credit = returned(card, original, back, book)
    purse = repay(card, original, left, back, credit, same_day=True, whole=left > 0)
    again = restored(original, card, postings, book) if original.kind == EventKind.COMPLETION else None
    purses = (purse, *others(card, postings))
    figures: dict[str, int | str] = {}
    if again is not None:
        purses = stand_again(purses, card, original, left, again)
        figures = {"restored": again.amount}
    return _Undone(left, TAKEN_BACK, postings, purses, figures, credit=credit, again=again)


def _undo_refund(refund: StoredRequest, book: Book) -> _Undone:
    """Take the money of a refund from the purse again; what is not there any more is the issuer's risk.

    When the purchase itself was taken back meanwhile, what was left of it went back and the refund
    stays: nothing of the purchase is left to pay for.
    """
    if not refund.postings:
        return _Undone(0, REFUND_TAKEN_BACK)
    identity, purchase = book.purchase_of(refund)
    if purchase.reversed_by:
        return _Undone(0, REFUND_TAKEN_BACK)
    card = purse_of(purchase, book)
    amount, currency = refund.authorized, refund.currency
    rooms = accounts_of(card)
    received = sum(moved(refund.postings, account) for account in rooms)
    postings = [Posting(each.account, -each.amount, each.currency) for each in refund.postings if each.amount < 0]
    taken = 0
    for account, room in rooms.items():
        part = min(moved(refund.postings, account), max(0, room))
        if part or account == card.purse_account:
            postings.append(Posting(account, -part, currency))
        taken += part
    if taken < amount:
        postings.append(Posting(book.risk_account(currency), taken - amount, currency))
    # It counts as a purchase again if it had ceased to.
    whole = int(purchase.in_time == purchase.authorized)
    day_amount, day_count, spent = given_back(card, refund, -amount, -whole)
    from_main = -moved(tuple(postings), card.purse_account)
    credit = taken_again(card, refund, from_main, book)
    book.mark_refunded(identity, -amount, postings, credit.moves, in_time=refund.counter_day != "")
    purse = PurseUpdate(
        card.purse_account,
        card.balance - from_main,
        card.counter_day,
        day_amount,
        day_count,
        spent=spent,
        lots=credit.after,
    )
    figures: dict[str, int | str] = {"shortfall": received - taken} if taken < received else {}
    purses = (purse, *others(card, postings))
    return _Undone(amount, REFUND_TAKEN_BACK, tuple(postings), purses, figures, credit=credit)


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
