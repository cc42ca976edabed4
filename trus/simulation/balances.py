"""Judges the money of a ledger: what each event moved, what purses held meanwhile, how PINs and days went on.

Works everything out again from the rows of a dump (I1, I3, PIN, DAY); what people know is not needed here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from trus.auth.advice import OVER_FLOOR
from trus.auth.model import PIN_TRIES
from trus.auth.ports import EventKind
from trus.core.advising import ADVISED
from trus.core.messages import Outcome
from trus.ledger.dump import EventRow
from trus.money import MAX_MINOR_UNITS
from trus.simulation.books import APPROVED, Books, Finding

_outcome = msgspec.msgpack.Decoder(Outcome).decode

#: What an event of a kind puts into the shop's account, as a multiple of its authorized amount.
_INTO_SHOP: Final = {
    EventKind.PURCHASE.value: 1,
    EventKind.COMPLETION.value: 1,
    EventKind.REFUND.value: -1,
    EventKind.VOID.value: -1,
    EventKind.HOLD.value: 0,
    EventKind.RELEASE.value: 0,
    EventKind.EXPIRY.value: 0,
    EventKind.BALANCE.value: 0,
    EventKind.PIN_CHANGE.value: 0,
    EventKind.CLOSE_BATCH.value: 0,
    EventKind.TOMBSTONE.value: 0,
}
#: Kinds that only a terminal asks for.
_ASKED_FOR: Final = frozenset({*_INTO_SHOP, EventKind.REVERSAL.value}) - {EventKind.EXPIRY.value}
#: Kinds that take a completion back: its pre-authorization stands again, as this event.
_RESTORING: Final = frozenset({EventKind.REVERSAL.value, EventKind.VOID.value})
#: Kinds for which a PIN is looked at.
_WITH_PIN: Final = frozenset(
    {EventKind.PURCHASE.value, EventKind.BALANCE.value, EventKind.HOLD.value, EventKind.PIN_CHANGE.value}
)


def balanced(books: Books) -> Iterator[Finding]:
    """I1: the entries of every event sum to zero for each currency, and say what the event says."""
    for number, entries in books.entries.items():
        sums: dict[str, int] = defaultdict(int)
        for _, amount, currency in entries:
            sums[currency] += amount
        if any(sums.values()):
            yield Finding("I1", f"the entries of event {number} sum to {dict(sums)}")
    for event in books.dump.events:
        if event.terminal is not None:
            yield from _moved_as_said(books, event)
        elif event.kind in _ASKED_FOR:
            yield Finding("I1", f"{event.kind} {event.rrn} of {event.authorized} was asked for by nobody")
        if books.is_sale(event):
            yield from _sale_adds_up(books, event)
            yield from _nobody_gains(books, event)
    for event in books.ended_twice:
        yield Finding("I1", f"{event.kind} {event.rrn} ends event {event.original}, which was ended already")


def _moved_as_said(books: Books, event: EventRow) -> Iterator[Finding]:
    """Compare what an event moved with its kind and its authorized amount."""
    moved = {account: amount for account, amount in books.moved(event).items() if amount}
    share = _INTO_SHOP.get(event.kind)
    original = None if event.original is None else books.events.get(event.original)
    if event.kind == EventKind.REVERSAL:
        share = 0 if original is None else -_INTO_SHOP.get(original.kind, 0)
    if share is None:
        return
    approved = event.result in APPROVED or event.kind == EventKind.REVERSAL
    wanted = share * event.authorized if approved else 0
    shop = moved.pop(books.dump.merchants.get(event.terminal or "", 0), 0)
    purse = moved.pop(books.purse_of.get(event.card_id or 0, 0), 0)
    elsewhere = [account for account in moved if account not in books.risk]
    if shop != wanted or elsewhere or purse + sum(moved.values()) != -wanted:
        yield Finding("I1", f"{event.kind} {event.rrn} of {event.authorized} moved {books.entries.get(event.id)}")
    if moved and event.kind in (EventKind.PURCHASE, EventKind.COMPLETION) and event.rule != ADVISED:
        yield Finding("I1", f"{event.kind} {event.rrn} was decided on-line and moved the issuer's own money")
    if not 0 <= event.amount <= MAX_MINOR_UNITS:
        yield Finding("I1", f"{event.kind} {event.rrn} asked {event.amount}")
    if event.kind in (EventKind.PURCHASE, EventKind.HOLD, EventKind.REFUND) and event.authorized > event.amount:
        yield Finding("I1", f"{event.kind} {event.rrn} asked {event.amount} and authorized {event.authorized}")
    if event.kind == EventKind.COMPLETION and original is not None and event.authorized > _aside(original):
        yield Finding("I1", f"completion {event.rrn} took {event.authorized} of a hold of {original.authorized}")


def _sale_adds_up(books: Books, sale: EventRow) -> Iterator[Finding]:
    """A sale, less its refunds and its end, is never less than nothing, and nothing once it has ended."""
    left = sale.authorized - books.refunded(sale) - books.taken_back(sale)
    if left < 0:
        yield Finding("I1", f"{sale.kind} {sale.rrn} of {sale.authorized} was given back with {-left} too much")
    elif left and sale.id in books.ended_by:
        yield Finding("I1", f"{sale.kind} {sale.rrn} of {sale.authorized} was taken back but for {left}")


def _nobody_gains(books: Books, sale: EventRow) -> Iterator[Finding]:
    """Over a sale, its refunds and what took these back, the shop receives or nothing, and everybody else gives."""
    ends = (books.ended_by.get(each.id) for each in (sale, *books.refunds.get(sale.id, ())))
    net: dict[int, int] = defaultdict(int)
    for event in (sale, *books.refunds.get(sale.id, ()), *(each for each in ends if each is not None)):
        for account, amount in books.moved(event).items():
            net[account] += amount
    shop = books.dump.merchants.get(sale.terminal or "", 0)
    for account, amount in net.items():
        if (amount < 0) if account == shop else (amount > 0):
            yield Finding("I1", f"{sale.kind} {sale.rrn} leaves account {account} with {amount}, on the wrong side")


def floors_hold(books: Books) -> Iterator[Finding]:
    """I3: no purse or prepaid account was below its floor after any event, and all balances follow."""
    held: dict[int, int] = defaultdict(int)
    aside: dict[int, int] = defaultdict(int)
    for event in books.dump.events:
        for number, amount, _ in books.entries.get(event.id, ()):
            held[number] += amount
        _set_aside(books, event, aside)
        yield from _above_floor(books, event, held, aside)
        if event.kind == EventKind.BALANCE and event.result in APPROVED:
            told = _outcome(event.answer).balance
            purse = books.purse_of.get(event.card_id or 0, 0)
            if told != held[purse]:
                yield Finding("I3", f"{event.rrn} was told a balance of {told}, the purse held {held[purse]}")
    for account in books.dump.accounts:
        if account.balance is not None and account.balance != held[account.id]:
            yield Finding("I3", f"{account.kind} {account.owner} holds {account.balance}, entries {held[account.id]}")
        if account.held != aside[account.id]:
            yield Finding("I3", f"{account.kind} {account.owner} has {account.held} aside, holds {aside[account.id]}")
    if sum(held.values()):
        yield Finding("I1", f"all accounts together hold {sum(held.values())}")


def _aside(hold: EventRow) -> int:
    """Return what a pre-authorization, or the event as which it stands again, has set aside."""
    return hold.authorized if hold.kind == EventKind.HOLD else int(hold.figures.get("restored", 0))


def _set_aside(books: Books, event: EventRow, aside: dict[int, int]) -> None:
    """Follow what pre-authorizations have set aside in each purse."""
    if event.result == "declined":
        return
    purse = books.purse_of.get(event.card_id or 0, 0)
    if event.kind == EventKind.HOLD:
        aside[purse] += event.authorized
        return
    original = None if event.original is None else books.events.get(event.original)
    if original is not None and original.kind == EventKind.HOLD and books.ended_by.get(original.id) is event:
        aside[purse] -= original.authorized
    elif original is not None and original.kind in _RESTORING and books.ended_by.get(original.id) is event:
        aside[purse] -= int(original.figures.get("restored", 0))
    if event.kind in _RESTORING:
        # The pre-authorization of a completion that is taken back stands again.
        aside[purse] += int(event.figures.get("restored", 0))


def _above_floor(books: Books, event: EventRow, held: dict[int, int], aside: dict[int, int]) -> Iterator[Finding]:
    for number in {account for account, _, _ in books.entries.get(event.id, ())}:
        account = books.accounts.get(number)
        if account is None:
            yield Finding("I3", f"event {event.rrn} moves account {number}, which does not exist")
        elif account.floor is not None and held[number] < account.floor:
            yield Finding("I3", f"{account.kind} {account.owner} held {held[number]} after {event.rrn}")
    purse = books.purse_of.get(event.card_id or 0, 0)
    if purse and held[purse] < aside[purse]:
        yield Finding("I3", f"a purse held {held[purse]} with {aside[purse]} aside after {event.kind} {event.rrn}")


def guesses_count(books: Books) -> Iterator[Finding]:
    """PIN: no wrong PIN is forgotten: the tries go down with every one, and three lock the card."""
    left: dict[int, int] = {}
    numbers = {each.card: each.id for each in books.dump.cards}
    for event in books.dump.events:
        card = event.card_id
        if event.rule == _TRIES_AGAIN:
            number = numbers[str(event.figures["card"])]
            # Not known after a request that may have been decided without its PIN.
            before, said = left.pop(number, None), event.figures["tries-before"]
            if before is not None and said != before:
                yield Finding("PIN", f"{event.rrn} gave {said} tries back, the card had {before}")
        if card is None or event.kind not in _WITH_PIN or event.rule in _NO_PIN_LOOKED_AT:
            continue
        before = left.get(card, PIN_TRIES)
        if event.rule == "pin-wrong":
            now = int(event.figures["tries_left"])
            if now >= before or now < 0:
                yield Finding("PIN", f"{event.rrn} left {now} tries after {before}")
            left[card] = now
        elif event.rule == "pin-locked":
            if before:
                yield Finding("PIN", f"{event.rrn} found a card locked that had {before} tries")
        else:
            if not before and event.result in APPROVED and event.kind == EventKind.BALANCE:
                yield Finding("PIN", f"{event.rrn} was approved on a locked card")
            left.pop(card, None)
    tries = {each.id: each.tries_left for each in books.dump.cards}
    for card, now in left.items():
        if tries.get(card) != now:
            yield Finding("PIN", f"card {card} has {tries.get(card)} tries, its last event left {now}")


#: An admin gives a card its tries back.
_TRIES_AGAIN: Final = "CARD-TRIES"
#: Rules that settle a request before its PIN is looked at, or without.
_NO_PIN_LOOKED_AT: Final = frozenset(
    {
        *("terminal-unknown", "terminal-not-active", "shop-not-active", "currency-of-terminal", "amount"),
        *("track-unreadable", "card-not-genuine", "card-lost", "card-stolen", "card-suspected", "card-not-active"),
        *("card-expired", "card-replaced", "service-code", "employee-not-active", "company-not-active"),
        *("pin-unusable", "business-date", ADVISED, OVER_FLOOR),
    }
)


def dates_follow(books: Books) -> Iterator[Finding]:
    """DAY: along every chain the ledger dates never go back, and no number is used twice."""
    last: dict[int, tuple[str, int]] = {}
    for event in books.dump.events:
        date, number = last.get(event.slot, ("", 0))
        if event.ledger_date < date:
            yield Finding("DAY", f"{event.rrn} of {event.ledger_date} follows an event of {date}")
        elif event.ledger_date == date and event.id <= number:
            yield Finding("DAY", f"event {event.id} follows event {number}")
        last[event.slot] = (event.ledger_date, event.id)
