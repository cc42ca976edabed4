"""Finds the earlier request that another one is about, and sets a purse back by what it had paid.

Decides nothing (trus.auth.linked) and records nothing. What a terminal says of the earlier request
beside its reference number must be true of it: a wrong digit then finds nothing instead of another
cardholder's lunch.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from trus.auth.lots import UNCHANGED, Credit
from trus.auth.model import CardFacts, TerminalFacts
from trus.auth.ports import Event, EventKind, Posting, PurseUpdate, StoredRequest
from trus.auth.rules import Figures
from trus.auth.spending import Spent
from trus.auth.texts import cashier_text
from trus.core.answers import encode_outcome
from trus.core.asked import Asked
from trus.core.authorizing import actor_of
from trus.core.book import Book
from trus.core.credit import shown
from trus.core.messages import Capture, Outcome, Refund, Release
from trus.core.purses import accounts_of
from trus.errors import LedgerError
from trus.values import Identity, PeerIdentity, ResponseCode, Result

Found = tuple[Identity, StoredRequest]

#: The rule under which what was carried out is recorded.
DONE: Final = {
    EventKind.REFUND: "refunded",
    EventKind.VOID: "voided",
    EventKind.COMPLETION: "completed",
    EventKind.RELEASE: "released",
}


def find(asked: Asked, request: Refund | Capture | Release, terminal: TerminalFacts | None, book: Book) -> Found | None:
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
    if isinstance(request, Refund) and request.track2 is not None:
        card = book.card(asked.card_key) if asked.card_key else None
        if card is None or card.card_id != earlier.card_id:
            return None
    return found


def purse_of(earlier: StoredRequest, book: Book) -> CardFacts:
    """Return the card, with its purse, that paid. Raises LedgerError when the purse is another one."""
    card = book.card_of(earlier.card_id)
    purses = accounts_of(card)
    # A purchase takes from the purse: a shop's account is never mistaken for one.
    if all(each.account not in purses or each.amount > 0 for each in earlier.postings):
        raise LedgerError("the purse of a card is not the one that its purchase was taken from")
    return card


def come_back(earlier: StoredRequest, card: CardFacts, amount: int) -> tuple[Posting, ...]:
    """Return the postings that give `amount` minor units of a purchase back.

    Each account is owed what it gave over the purchase, its refunds and their reversals. What the issuer's risk
    account bore is made good first, of the purchase and of a refund that was spent before it was taken back; then
    come the purses, the one that paid last first.
    """
    if not amount:
        return ()
    currency = earlier.currency
    shop = next(each.account for each in earlier.postings if each.amount > 0)
    owed: dict[int, int] = {}
    for account, put in (*((each.account, each.amount) for each in earlier.postings), *earlier.returned):
        owed[account] = owed.get(account, 0) - put
    purses = accounts_of(card)
    borne = [account for account in owed if account not in purses and account != shop]
    postings = [Posting(shop, -amount, currency)]
    for account in (*borne, *(account for account in reversed(owed) if account in purses)):
        good = max(0, min(amount, owed[account]))
        amount -= good
        if good or account == card.purse_account:
            postings.append(Posting(account, good, currency))
    return tuple(postings)


def moved(postings: tuple[Posting, ...], account: int) -> int:
    """Return what postings put into (+) or take out of (-) an account."""
    return sum(each.amount for each in postings if each.account == account)


def repay(
    card: CardFacts, earlier: StoredRequest, amount: int, into: int, credit: Credit, *, same_day: bool, whole: bool
) -> PurseUpdate:
    """Return the purse with `into` of the `amount` that goes back.

    The counters follow by all of it as far as they are still those of the purchase. `whole` says that
    it does not count as a purchase any more.
    """
    amount, count, spent = given_back(card, earlier, amount, int(whole)) if same_day else unchanged(card)
    return PurseUpdate(
        card.purse_account, card.balance + into, card.counter_day, amount, count, spent=spent, lots=credit.after
    )


#: The day's amount and number of purchases, and the figures of longer periods.
Counters = tuple[int, int, Spent | None]


def unchanged(card: CardFacts) -> Counters:
    """Return a purse's counters as they are."""
    return card.day_amount, card.day_count, None


def given_back(card: CardFacts, earlier: StoredRequest, amount: int, count: int) -> Counters:
    """Return a purse's counters without `amount` and `count` purchases of the day that they were made on.

    With negative figures they are spent again. Periods that are over are not touched.
    """
    if not earlier.counter_day:
        return unchanged(card)
    spent = card.spent
    if spent is not None:
        # A day after those of the figures was never counted: no policy of that day looked at longer periods.
        counted = earlier.counter_day <= spent.day
        spent = spent.plus_of(earlier.counter_day, earlier.shop_id, -amount, -count) if counted else None
    if card.counter_day != earlier.counter_day:
        return card.day_amount, card.day_count, spent
    return max(0, card.day_amount - amount), max(0, card.day_count - count), spent


class About(NamedTuple):
    """A linked request for the journal: what was asked, of which reference, by whom."""

    asked: Asked
    amount: int
    currency: str
    reference: str
    peer: PeerIdentity


class Moved(NamedTuple):
    """What a linked request that was carried out moves: `amount` minor units."""

    amount: int
    earlier: StoredRequest
    postings: tuple[Posting, ...] = ()
    purses: tuple[PurseUpdate, ...] = ()
    counter_day: str = ""
    ends_hold: bool = False
    credit: Credit = UNCHANGED
    restores: int = 0  #: the pre-authorization that stands again until `hold_until`, with `holds` aside by account
    holds: tuple[tuple[int, int], ...] = ()
    hold_until: int = 0


def decline(about: About, book: Book, rule: str, code: ResponseCode, figures: Figures) -> Outcome:
    """Record a decline and return it. Raises LedgerError."""
    outcome = Outcome(Result.DECLINED.value, code.value, text=cashier_text(code.value))
    return _record(about, book, outcome, rule, {**figures, "purchase": about.reference}, None)


def carry_out(about: About, book: Book, moved: Moved, figures: Figures) -> Outcome:
    """Record what was carried out and return the answer. Raises LedgerError."""
    outcome = Outcome(
        Result.APPROVED.value,
        ResponseCode.APPROVED.value,
        amount=moved.amount,
        currency=about.currency,
        text=cashier_text(ResponseCode.APPROVED.value),
    )
    figures = {**figures, "purchase": about.reference, **shown(moved.credit)}
    return _record(about, book, outcome, DONE[about.asked.kind], figures, moved)


def _record(about: About, book: Book, answer: Outcome, rule: str, figures: Figures, moved: Moved | None) -> Outcome:
    event_id, rrn = book.number()
    outcome = msgspec.structs.replace(answer, rrn=rrn)
    asked, earlier = about.asked, None if moved is None else moved.earlier
    terminal = book.terminal(asked.identity.terminal)
    book.record(
        Event(
            event_id,
            asked.kind.value,
            asked.identity,
            asked.rid,
            asked.digest,
            None if earlier is None else earlier.card_id,
            None if terminal is None else terminal.shop_id,
            about.amount,
            about.currency,
            outcome.result,
            outcome.code,
            "",
            rrn,
            rule,
            figures,
            encode_outcome(outcome),
            actor_of(about.peer),
            None if earlier is None else earlier.stands,
            () if moved is None else moved.postings,
            () if moved is None else moved.purses,
            None,
            0 if moved is None else moved.amount,
            "" if moved is None else moved.counter_day,
            0 if moved is None else moved.hold_until,
            moved is not None and moved.ends_hold,
            lots=UNCHANGED.moves if moved is None else moved.credit.moves,
            restores=0 if moved is None else moved.restores,
            holds=() if moved is None else moved.holds,
        )
    )
    return outcome
