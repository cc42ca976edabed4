"""Moves money of cardholders who have several purses: what each pays, and what goes back to which.

Decides nothing (trus.auth.purses) and records nothing. The counters of all limits are in the main purse's
row, which is therefore part of every movement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trus.auth.model import CardFacts, Draw, PurseFacts
from trus.auth.policy import MAIN_PURSE
from trus.auth.ports import Posting, PurseUpdate, StoredRequest
from trus.errors import LedgerError
from trus.money import format_amount


def accounts_of(card: CardFacts) -> dict[int, int]:
    """Return the accounts of a cardholder's purses and what each can spend, minor units."""
    return {
        card.purse_account: card.spendable,
        **{each.account: each.balance - each.held for each in card.purses},
    }


def account_of(card: CardFacts, name: str) -> int:
    """Return the account of a purse. Raises LedgerError when the cardholder has none of that name."""
    if name == MAIN_PURSE:
        return card.purse_account
    return _only(purse for purse in card.purses if purse.name == name).account


def draws_of(card: CardFacts, draws: Sequence[Draw], amount: int) -> list[tuple[int, int]]:
    """Return what each account pays of an amount: the main purse all of it where nothing else was decided."""
    if not draws:
        return [(card.purse_account, amount)]
    return [(account_of(card, each.purse), each.amount) for each in draws]


def others(card: CardFacts, postings: Iterable[Posting]) -> tuple[PurseUpdate, ...]:
    """Return the rows of the purses beside the main one after postings."""
    if not card.purses:
        return ()
    moved: dict[int, int] = {}
    for posting in postings:
        moved[posting.account] = moved.get(posting.account, 0) + posting.amount
    return tuple(
        PurseUpdate(purse.account, purse.balance + moved[purse.account], "", 0, 0)
        for purse in card.purses
        if moved.get(purse.account)
    )


def set_aside(card: CardFacts, account: int, amount: int, paid: int = 0) -> PurseUpdate:
    """Return the row of a purse beside the main one with `amount` more set aside, and `paid` less in it."""
    purse = _only(each for each in card.purses if each.account == account)
    return PurseUpdate(account, purse.balance - paid, "", 0, 0, purse.held + amount)


def parts_of(hold: StoredRequest, card: CardFacts) -> tuple[tuple[int, int], ...]:
    """Return what a pre-authorization set aside in which account at first, in the order in which they would pay.

    Of the main purse alone nothing is said. Of others each amount stands in the journal as two entries that cancel
    each other; in former versions one entry of nothing named the account.
    """
    if not hold.postings:
        return ((card.purse_account, hold.authorized),)
    parts = tuple((each.account, -each.amount) for each in hold.postings if each.amount < 0)
    return parts or ((hold.postings[0].account, hold.authorized),)


def entries_of(parts: Sequence[tuple[int, int]], card: CardFacts, currency: str) -> tuple[Posting, ...]:
    """Return the entries that say what is set aside where: none where it is the main purse alone."""
    if [account for account, _ in parts] == [card.purse_account]:
        return ()
    return tuple(Posting(account, amount, currency) for account, part in parts for amount in (-part, part))


def paid_by(parts: Sequence[tuple[int, int]], amount: int) -> list[tuple[int, int]]:
    """Return what each account pays of an amount that was set aside in them, the first one first."""
    paid = []
    for account, part in parts:
        of_this = min(part, amount)
        amount -= of_this
        if of_this:
            paid.append((account, of_this))
    return paid


def balances(card: CardFacts) -> dict[str, str]:
    """Return what an enquiry is told of several purses: NAME:AMOUNT with commas between."""
    if not card.purses:
        return {}
    held: Mapping[str, int] = {MAIN_PURSE: card.balance, **{each.name: each.balance for each in card.purses}}
    return {"purses": ",".join(f"{name}:{format_amount(amount, card.currency)}" for name, amount in held.items())}


def told(draws: Sequence[Draw], currency: str) -> dict[str, str]:
    """Return what a terminal is told of the purses that paid."""
    if not draws:
        return {}
    return {"purses": ",".join(f"{each.purse}:{format_amount(each.amount, currency)}" for each in draws)}


def _only(purses: Iterable[PurseFacts]) -> PurseFacts:
    for purse in purses:
        return purse
    raise LedgerError("a purse of a cardholder was not read")
