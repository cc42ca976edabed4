"""Judges a run by what people know and what the ledger holds: the invariants I1 to I6.

Trusts neither the network's own audit nor its constraints: sums, orders and ends are worked out
again from a read-only dump. Every finding names its invariant, and the run's step at which somebody
was told what does not hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

import attrs
import msgspec

from trus.auth.model import PIN_TRIES
from trus.core.messages import Outcome
from trus.device.journal import Asked
from trus.device.orders import NOT_FINAL
from trus.ledger.dump import Dump, EventRow
from trus.money import MAX_MINOR_UNITS
from trus.simulation.papers import Papers, Written
from trus.values import BusinessDate, Identity, Result, TerminalId

_APPROVED: Final = frozenset({Result.APPROVED.value, Result.PARTIAL.value})
_outcome = msgspec.msgpack.Decoder(Outcome).decode


@attrs.frozen
class Finding:
    """Something that does not hold: the invariant's name, what it is, and the step, 0 when unknown."""

    invariant: str
    what: str
    step: int = 0

    def __str__(self) -> str:
        return f"{self.invariant}{f' at step {self.step}' if self.step else ''}: {self.what}"


class Books:
    """A dump, indexed for questions."""

    def __init__(self, dump: Dump) -> None:
        self.dump = dump
        self.events = {each.id: each for each in dump.events}
        self.by_identity: dict[Identity, EventRow] = {}
        self.doubled: list[Identity] = []
        self.reversed_by: dict[int, EventRow] = {}
        self.entries: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
        for each in dump.events:
            if each.terminal is not None and each.business_date is not None and each.stan is not None:
                identity = Identity(TerminalId(each.terminal), BusinessDate(each.business_date), each.stan)
                if identity in self.by_identity:
                    self.doubled.append(identity)
                self.by_identity[identity] = each
            if each.kind == "reversal" and each.original is not None:
                self.reversed_by[each.original] = each
        for moved in dump.entries:
            self.entries[moved.event_id].append((moved.account, moved.amount, moved.currency))
        self.accounts = {each.id: each for each in dump.accounts}
        self.purse_of = {each.id: each.purse for each in dump.cards}

    def standing(self, event: EventRow) -> bool:
        """Return whether an event has moved money that nobody has given back."""
        return event.result in _APPROVED and event.authorized > 0 and event.id not in self.reversed_by


# ------------------------------------------------------------------------------------ I1 to I3


def balanced(books: Books, papers: Papers) -> Iterator[Finding]:
    """I1: the entries of every event sum to zero for each currency, and say what the event says."""
    for number, entries in books.entries.items():
        sums: dict[str, int] = defaultdict(int)
        for _, amount, currency in entries:
            sums[currency] += amount
        if any(sums.values()):
            yield Finding("I1", f"the entries of event {number} sum to {dict(sums)}")
    for event in books.dump.events:
        if event.kind == "purchase" and event.terminal is not None:
            moved = sorted((account, amount) for account, amount, _ in books.entries.get(event.id, ()))
            purse = books.purse_of.get(event.card_id or 0, 0)
            merchant = books.dump.merchants.get(event.terminal, 0)
            wanted = sorted([(purse, -event.authorized), (merchant, event.authorized)]) if event.authorized else []
            if moved != wanted:
                yield Finding("I1", f"purchase {event.rrn} of {event.authorized} moved {moved}")
            if event.authorized > event.amount or not 0 <= event.amount <= MAX_MINOR_UNITS:
                yield Finding("I1", f"purchase {event.rrn} asked {event.amount} and authorized {event.authorized}")
        if event.kind == "reversal" and event.original is not None:
            original = books.events.get(event.original)
            given = sorted((account, -amount) for account, amount, _ in books.entries.get(event.id, ()))
            taken = sorted((account, amount) for account, amount, _ in books.entries.get(event.original, ()))
            if original is None or given != taken:
                yield Finding("I1", f"reversal {event.rrn} does not undo event {event.original}")


def exactly_once(books: Books, papers: Papers) -> Iterator[Finding]:
    """I2: every answer that a terminal saw is in the ledger, once, as it was told."""
    for identity in books.doubled:
        yield Finding("I2", f"two events bear the identity {_named(identity)}")
    for identity, written in papers.written.items():
        if written.settled is not None:
            yield from _as_told(books, identity, written)
    seen: dict[Identity, int] = {}
    for ordered in papers.orders:
        answer = ordered.answer
        if answer is None or answer.reference is None or not answer.approved:
            continue
        identity = answer.reference.identity
        if identity in seen:
            yield Finding("I2", f"{_named(identity)} was approved to two cashiers", ordered.step)
        seen[identity] = ordered.step
        recorded = papers.written.get(identity)
        if recorded is None or recorded.settled is None or recorded.settled.result is not answer.result:
            yield Finding("I2", f"{_named(identity)} was approved to a cashier and not recorded so", ordered.step)
        if ordered.asked is Asked.PURCHASE and not ordered.right_pin:
            yield Finding("I2", f"{_named(identity)} was approved with a wrong PIN", ordered.step)
    for identity, rid, amount, rrn, step in papers.thefts:
        event = books.by_identity.get(identity)
        if event is None or event.rid != rid or event.rrn != rrn or event.result not in _APPROVED:
            yield Finding("I2", f"a thief was approved {_named(identity)} ({rrn}), and the ledger holds another", step)
        elif amount and event.authorized != amount:
            yield Finding("I2", f"a thief was approved {amount} for {_named(identity)}, not {event.authorized}", step)
    yield from _admin_once(books, papers)


def _as_told(books: Books, identity: Identity, written: Written) -> Iterator[Finding]:
    """Compare what a terminal recorded of an answer with the event of that identity."""
    settled, step = written.settled, written.settled_step
    if settled is None:
        return
    event = books.by_identity.get(identity)
    check = _TOLD.get(written.opened.asked)
    if check is not None:
        for what in check(books, written, event):
            yield Finding("I2", f"{_named(identity)} {what}", step)
    if event is not None and event.rid.hex() != written.opened.rid:
        yield Finding("I2", f"{_named(identity)} is somebody else's in the ledger", step)
    if settled.rrn and settled.result is not Result.REVERSED:
        if event is None or event.rrn != settled.rrn:
            yield Finding("I2", f"{_named(identity)} was answered with {settled.rrn}, which is not its event", step)
        elif (event.result, event.code) != (settled.result.value, settled.code):
            told = f"{settled.result.value} {settled.code}"
            yield Finding("I2", f"{_named(identity)} was told {told}, recorded {event.result} {event.code}", step)


def _purchase_told(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
    settled = written.settled
    if settled is None or settled.result.value not in _APPROVED:
        return
    if written.settled_in != written.opened_in:
        yield f"was opened in incarnation {written.opened_in} and approved in {written.settled_in}: it was sent again"
    if event is None or event.kind != "purchase" or event.result not in _APPROVED:
        yield f"was approved ({settled.rrn}) and is not so in the ledger"
    elif event.authorized != settled.amount or event.approval != settled.approval:
        yield f"was approved for {settled.amount} as {settled.approval}, recorded {event.authorized} {event.approval}"


def _reversal_told(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
    settled, original = written.settled, written.opened.original
    if settled is None or original is None:
        return
    if settled.result is not Result.REVERSED:
        yield f"asks to take back {_named(original)} and was told {settled.result.value} {settled.code}"
        return
    found = books.by_identity.get(original)
    if found is None:
        yield f"took back {_named(original)}, and neither it nor a tombstone is there"
    elif books.standing(found):
        yield f"took back {_named(original)}, which still stands"


def _close_told(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
    if event is not None and event.result == Result.APPROVED.value and event.rule != "batch-balanced":
        yield f"closed a batch that differs: {event.figures}"


#: What the answer to each kind of request must have left in the ledger. A new transaction adds its line.
_TOLD: Final[dict[Asked, Callable[[Books, Written, EventRow | None], Iterator[str]]]] = {
    Asked.PURCHASE: _purchase_told,
    Asked.REVERSE: _reversal_told,
    Asked.CLOSE: _close_told,
}


def _admin_once(books: Books, papers: Papers) -> Iterator[Finding]:
    """Compare what the admin was told of money with the events of its references."""
    found: dict[str, list[EventRow]] = defaultdict(list)
    for event in books.dump.events:
        if event.kind in ("funding", "refill"):
            found[str(event.figures.get("reference", ""))].append(event)
    for order in papers.admin:
        events = found.get(order.reference, [])
        if len(events) > 1 or (order.code == "00" and not events):
            yield Finding("I2", f"{order.verb} {order.reference} is {len(events)} times in the ledger", order.step)
        if any(event.authorized != order.amount for event in events):
            yield Finding("I2", f"{order.verb} {order.reference} moved another amount", order.step)


def floors_hold(books: Books, papers: Papers) -> Iterator[Finding]:
    """I3: no purse or prepaid account was below its floor after any event, and all balances follow."""
    held: dict[int, int] = defaultdict(int)
    for event in books.dump.events:
        for number, amount, _ in books.entries.get(event.id, ()):
            held[number] += amount
        for number, _, _ in books.entries.get(event.id, ()):
            account = books.accounts.get(number)
            if account is None:
                yield Finding("I3", f"event {event.rrn} moves account {number}, which does not exist")
            elif account.floor is not None and held[number] < account.floor:
                yield Finding("I3", f"{account.kind} {account.owner} held {held[number]} after {event.rrn}")
        if event.kind == "balance" and event.result in _APPROVED:
            told = _outcome(event.answer).balance
            purse = books.purse_of.get(event.card_id or 0, 0)
            if told != held[purse]:
                yield Finding("I3", f"{event.rrn} was told a balance of {told}, the purse held {held[purse]}")
    for account in books.dump.accounts:
        if account.balance is not None and account.balance != held[account.id]:
            yield Finding("I3", f"{account.kind} {account.owner} holds {account.balance}, entries {held[account.id]}")
    if sum(held.values()):
        yield Finding("I1", f"all accounts together hold {sum(held.values())}")


# ------------------------------------------------------------------------------------ I4 to I6


def everything_ends(books: Books, papers: Papers) -> Iterator[Finding]:
    """I4: a request that nobody has an answer of is absent, reversed, or declined; none is left standing."""
    written_by = {each.opened.original: each for each in papers.written.values() if each.opened.asked is Asked.REVERSE}
    for identity, written in papers.written.items():
        if written.opened.asked is not Asked.PURCHASE:
            lasting = written.opened.asked in (Asked.REVERSE, Asked.CLOSE)
            if written.settled is None and not written.ended and lasting:
                yield Finding("I4", f"{written.opened.asked.value} {_named(identity)} was forgotten", written.step)
            continue
        event = books.by_identity.get(identity)
        standing = event is not None and books.standing(event)
        approved = written.settled is not None and written.settled.result.value in _APPROVED
        if standing and not approved:
            yield Finding("I4", f"{_named(identity)} stands in the ledger and was approved to nobody", written.step)
        if approved and event is not None and not standing and identity not in written_by:
            yield Finding("I4", f"{_named(identity)} was approved, and taken back by nobody", written.settled_step)
        if written.settled is None and not written.ended and identity not in written_by:
            yield Finding("I4", f"{_named(identity)} has neither answer nor reversal", written.step)
    honest = {each.terminal: None for each in papers.written}
    for identity, stored in books.by_identity.items():
        if identity not in papers.written and identity.terminal in honest and books.standing(stored):
            yield Finding("I4", f"{_named(identity)} stands in the ledger, and its terminal knows nothing of it")
    for ordered in papers.orders:
        answer = ordered.answer
        if answer is None or answer.approved or answer.reference is None or ordered.asked is not Asked.PURCHASE:
            continue
        told = books.by_identity.get(answer.reference.identity)
        if told is not None and books.standing(told):
            what = "no answer" if answer.code in NOT_FINAL else f"declined {answer.code}"
            named = _named(answer.reference.identity)
            yield Finding("I4", f"{named} was told as {what} to a cashier, and stands", ordered.step)


def tombstones_hold(books: Books, papers: Papers) -> Iterator[Finding]:
    """I6: what was taken back before it came is a tombstone, and moved nothing."""
    for event in books.dump.events:
        if event.kind == "tombstone" and (event.authorized or books.entries.get(event.id)):
            yield Finding("I6", f"tombstone {event.rrn} moved money")
    for identity, written in papers.written.items():
        stored = books.by_identity.get(identity)
        approved = written.settled is not None and written.settled.result.value in _APPROVED
        if approved and stored is not None and stored.kind == "tombstone":
            yield Finding("I6", f"{_named(identity)} is a tombstone, and was approved", written.settled_step)


def guesses_count(books: Books, papers: Papers) -> Iterator[Finding]:
    """PIN: no wrong PIN is forgotten: the tries go down with every one, and three lock the card."""
    left: dict[int, int] = {}
    for event in books.dump.events:
        card = event.card_id
        if card is None or event.kind not in ("purchase", "balance"):
            continue
        if event.rule == "pin-wrong":
            now = int(event.figures["tries_left"])
            if now >= left.get(card, PIN_TRIES) or now < 0:
                yield Finding("PIN", f"{event.rrn} left {now} tries after {left.get(card, PIN_TRIES)}")
            left[card] = now
        elif event.rule in _NO_PIN_LOOKED_AT:
            continue
        elif event.rule == "pin-locked":
            if left.get(card, PIN_TRIES):
                yield Finding("PIN", f"{event.rrn} found a card locked that had {left.get(card, PIN_TRIES)} tries")
        else:
            if left.get(card, PIN_TRIES) == 0 and event.result in _APPROVED and event.kind == "balance":
                yield Finding("PIN", f"{event.rrn} was approved on a locked card")
            left.pop(card, None)
    tries = {each.id: each.tries_left for each in books.dump.cards}
    for card, now in left.items():
        if tries.get(card) != now:
            yield Finding("PIN", f"card {card} has {tries.get(card)} tries, its last event left {now}")


#: Rules that settle a request before its PIN is looked at.
_NO_PIN_LOOKED_AT: Final = frozenset(
    {
        *("terminal-unknown", "terminal-not-active", "shop-not-active", "currency-of-terminal", "amount"),
        *("track-unreadable", "card-not-genuine", "card-lost", "card-stolen", "card-suspected", "card-not-active"),
        *("card-expired", "card-replaced", "service-code", "employee-not-active", "company-not-active"),
        *("pin-unusable", "business-date"),
    }
)


def dates_follow(books: Books, papers: Papers) -> Iterator[Finding]:
    """DAY: along every chain the ledger dates never go back, and no number is used twice."""
    last: dict[int, tuple[str, int]] = {}
    for event in books.dump.events:
        date, number = last.get(event.slot, ("", 0))
        if event.ledger_date < date:
            yield Finding("DAY", f"{event.rrn} of {event.ledger_date} follows an event of {date}")
        elif event.ledger_date == date and event.id <= number:
            yield Finding("DAY", f"event {event.id} follows event {number}")
        last[event.slot] = (event.ledger_date, event.id)


CHECKS: Final[tuple[Callable[[Books, Papers], Iterator[Finding]], ...]] = (
    balanced,
    exactly_once,
    floors_hold,
    everything_ends,
    tombstones_hold,
    guesses_count,
    dates_follow,
)


def judge(dump: Dump, papers: Papers) -> list[Finding]:
    """Return everything that does not hold."""
    books = Books(dump)
    return [finding for check in CHECKS for finding in check(books, papers)]


def _named(identity: Identity) -> str:
    return f"{identity.terminal}/{identity.business_date}/{identity.stan:06d}"
