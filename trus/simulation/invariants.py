"""Judges a run by what people know and what the ledger holds: the invariants I1 to I6.

What needs the ledger alone is trus.simulation.balances'. Every finding names its invariant, and the run's step at
which somebody was told what does not hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from trus.auth.ports import EventKind
from trus.core.closing import DIFFERS, ITEMS_DIFFER
from trus.device.journal import Asked
from trus.device.orders import NOT_FINAL
from trus.ledger.dump import Dump, EventRow
from trus.simulation.balances import balanced, dates_follow, floors_hold, guesses_count
from trus.simulation.books import APPROVED, Books, Finding, named
from trus.simulation.papers import Papers, Written
from trus.values import Identity, Result, TerminalId

__all__ = ["Books", "Finding", "judge"]

#: Requests whose stripe and PIN are gone after a restart: they are taken back, never said again.
_TAKEN_BACK: Final = frozenset({Asked.PURCHASE, Asked.HOLD, Asked.REFUND})
_NEVER_AGAIN: Final = _TAKEN_BACK | {Asked.PIN, Asked.BALANCE}
#: Requests that are repeated until they are answered, over restarts.
_LASTING: Final = frozenset({Asked.REVERSE, Asked.VOID, Asked.CAPTURE, Asked.RELEASE, Asked.ADVICE, Asked.CLOSE})
#: Requests for which the cardholder's PIN must be right.
_WITH_PIN: Final = frozenset({Asked.PURCHASE, Asked.HOLD})
#: Events of the amount that was asked for, unless they are said to be of a part.
_WHOLE: Final = frozenset({EventKind.PURCHASE, EventKind.COMPLETION, EventKind.REFUND, EventKind.HOLD})
_MOVES: Final = frozenset({EventKind.PURCHASE, EventKind.COMPLETION, EventKind.REFUND, EventKind.HOLD})


# ------------------------------------------------------------------------------------------ I2


def exactly_once(books: Books, papers: Papers) -> Iterator[Finding]:
    """I2: every answer that a terminal saw is in the ledger, once, as it was told."""
    for identity in books.doubled:
        yield Finding("I2", f"two events bear the identity {named(identity)}")
    for identity, written in papers.written.items():
        if written.settled is not None:
            yield from _as_told(books, identity, written)
    yield from _cashiers(papers)
    for identity, rid, amount, rrn, step in papers.thefts:
        event = books.by_identity.get(identity)
        if event is not None and event.kind == EventKind.TOMBSTONE:
            yield Finding("I6", f"a thief was approved {named(identity)}, which was taken back before it came", step)
        elif event is None or event.rid != rid or event.rrn != rrn or event.result not in APPROVED:
            yield Finding("I2", f"a thief was approved {named(identity)} ({rrn}), and the ledger holds another", step)
        elif amount and event.authorized != amount:
            yield Finding("I2", f"a thief was approved {amount} for {named(identity)}, not {event.authorized}", step)
    yield from _admin_once(books, papers)


def _cashiers(papers: Papers) -> Iterator[Finding]:
    """Compare what cashiers were told with what their terminals recorded."""
    seen: dict[Identity, int] = {}
    for ordered in papers.orders:
        answer = ordered.answer
        if answer is None or answer.reference is None or not answer.approved:
            continue
        identity = answer.reference.identity
        if identity in seen:
            yield Finding("I2", f"{named(identity)} was approved to two cashiers", ordered.step)
        seen[identity] = ordered.step
        recorded = papers.written.get(identity)
        if recorded is None or recorded.settled is None or recorded.settled.result is not answer.result:
            yield Finding("I2", f"{named(identity)} was approved to a cashier and not recorded so", ordered.step)
        if ordered.asked in _WITH_PIN and not ordered.right_pin:
            yield Finding("I2", f"{named(identity)} was approved with a wrong PIN", ordered.step)


def _as_told(books: Books, identity: Identity, written: Written) -> Iterator[Finding]:
    """Compare what a terminal recorded of an answer with the event of that identity."""
    settled, step = written.settled, written.settled_step
    if settled is None:
        return
    event = books.by_identity.get(identity)
    told = settled.result.value in APPROVED
    if told and written.opened.asked in _NEVER_AGAIN and written.settled_in != written.opened_in:
        where = f"incarnation {written.opened_in} and approved in {written.settled_in}"
        yield Finding("I2", f"{named(identity)} was opened in {where}: it was sent again", step)
    check = _TOLD.get(written.opened.asked)
    if check is not None:
        for what in check(books, written, event):
            yield Finding("I2", f"{named(identity)} {what}", step)
    if event is not None and event.rid.hex() != written.opened.rid:
        yield Finding("I2", f"{named(identity)} is somebody else's in the ledger", step)
    if settled.rrn and settled.result is not Result.REVERSED:
        if event is None or event.rrn != settled.rrn:
            yield Finding("I2", f"{named(identity)} was answered with {settled.rrn}, which is not its event", step)
        elif (event.result, event.code) != (settled.result.value, settled.code):
            said = f"{settled.result.value} {settled.code}"
            yield Finding("I2", f"{named(identity)} was told {said}, recorded {event.result} {event.code}", step)


def _approved_as(kind: EventKind) -> Callable[[Books, Written, EventRow | None], Iterator[str]]:
    """Return the check of an approval: an event of this kind, of the same amount and approval code."""

    def check(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
        settled = written.settled
        if settled is None or settled.result.value not in APPROVED:
            return
        if event is None or event.kind != kind or event.result not in APPROVED:
            yield f"was approved ({settled.rrn}) and is not so in the ledger"
        elif kind in _WHOLE and settled.result is Result.APPROVED and settled.amount != written.opened.amount:
            yield f"asked for {written.opened.amount} and was approved, not in part, for {settled.amount}"
        elif (event.authorized, event.approval) != (settled.amount, settled.approval):
            said = f"{settled.amount} as {settled.approval!r}"
            yield f"was approved for {said}, recorded {event.authorized} {event.approval!r}"

    return check


def _reversal_told(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
    settled, original = written.settled, written.opened.original
    if settled is None or original is None:
        return
    if settled.result is not Result.REVERSED:
        yield f"asks to take back {named(original)} and was told {settled.result.value} {settled.code}"
        return
    found = books.by_identity.get(original)
    if found is None:
        yield f"took back {named(original)}, and neither it nor a tombstone is there"
    elif books.standing(found):
        yield f"took back {named(original)}, which still stands"


def _ended_told(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
    """A void, a completion or a release that was approved is what ended its original."""
    if event is None or event.result not in APPROVED or event.original is None:
        return
    if books.ended_by.get(event.original) is not event:
        yield f"ended event {event.original}, which something else has ended"


def _void_told(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
    yield from _approved_as(EventKind.VOID)(books, written, event)
    yield from _ended_told(books, written, event)


def _capture_told(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
    yield from _approved_as(EventKind.COMPLETION)(books, written, event)
    yield from _ended_told(books, written, event)


def _release_told(books: Books, written: Written, event: EventRow | None) -> Iterator[str]:
    yield from _approved_as(EventKind.RELEASE)(books, written, event)
    yield from _ended_told(books, written, event)


#: What the answer to each kind of request must have left in the ledger. A new transaction adds its line.
_TOLD: Final[dict[Asked, Callable[[Books, Written, EventRow | None], Iterator[str]]]] = {
    Asked.PURCHASE: _approved_as(EventKind.PURCHASE),
    Asked.ADVICE: _approved_as(EventKind.PURCHASE),
    Asked.HOLD: _approved_as(EventKind.HOLD),
    Asked.REFUND: _approved_as(EventKind.REFUND),
    Asked.PIN: _approved_as(EventKind.PIN_CHANGE),
    Asked.BALANCE: _approved_as(EventKind.BALANCE),
    Asked.VOID: _void_told,
    Asked.CAPTURE: _capture_told,
    Asked.RELEASE: _release_told,
    Asked.REVERSE: _reversal_told,
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


def batches_agree(books: Books, papers: Papers) -> Iterator[Finding]:
    """I2: both sides counted the same in every batch, unless the terminal has lost the answer to an advice."""
    unsure = {identity.terminal for identity, each in papers.written.items() if _lost_advice(each)}
    honest = {identity.terminal for identity in papers.written} - unsure
    for event in books.dump.events:
        if event.kind != EventKind.CLOSE_BATCH or event.rule not in (DIFFERS, ITEMS_DIFFER):
            continue
        if event.terminal is not None and TerminalId(event.terminal) in honest:
            yield Finding("I2", f"{event.terminal} closed a batch ({event.rrn}) that differs: {event.figures}")


def _lost_advice(written: Written) -> bool:
    """Return whether a terminal does not know if its advice was taken over: the shop's own risk."""
    settled = written.settled
    return written.opened.asked is Asked.ADVICE and (settled is None or not settled.code)


# ------------------------------------------------------------------------------------ I4 and I6


def everything_ends(books: Books, papers: Papers) -> Iterator[Finding]:
    """I4: a request that nobody has an answer of is absent, reversed, or declined; none is left standing."""
    taking_back = {
        each.opened.original: each
        for each in papers.written.values()
        if each.opened.asked in (Asked.REVERSE, Asked.VOID) and each.opened.original is not None
    }
    for identity, written in papers.written.items():
        if written.opened.asked in _TAKEN_BACK:
            yield from _known_to_end(books, identity, written, taking_back)
        elif written.settled is None and not written.ended and written.opened.asked in _LASTING:
            yield Finding("I4", f"{written.opened.asked.value} {named(identity)} was forgotten", written.step)
    honest = {each.terminal for each in papers.written}
    for identity, stored in books.by_identity.items():
        known = identity in papers.written or identity.terminal not in honest
        if not known and stored.kind in _MOVES and books.standing(stored):
            yield Finding("I4", f"{named(identity)} stands in the ledger, and its terminal knows nothing of it")
    for ordered in papers.orders:
        answer = ordered.answer
        if answer is None or answer.approved or answer.reference is None or ordered.asked not in _TAKEN_BACK:
            continue
        told = books.by_identity.get(answer.reference.identity)
        if told is not None and books.standing(told):
            what = "no answer" if answer.code in NOT_FINAL else f"declined {answer.code}"
            yield Finding("I4", f"{named(answer.reference.identity)} was told as {what}, and stands", ordered.step)


def _known_to_end(
    books: Books, identity: Identity, written: Written, taking_back: dict[Identity, Written]
) -> Iterator[Finding]:
    """Check one request that is taken back when its answer is not known."""
    event = books.by_identity.get(identity)
    standing = event is not None and books.standing(event)
    approved = written.settled is not None and written.settled.result.value in APPROVED
    if standing and not approved:
        yield Finding("I4", f"{named(identity)} stands in the ledger and was approved to nobody", written.step)
    end = None if event is None else books.ended_by.get(event.id)
    taken = end is not None and end.kind in (EventKind.REVERSAL, EventKind.VOID)
    if approved and taken and identity not in taking_back:
        yield Finding("I4", f"{named(identity)} was approved, and taken back by nobody", written.settled_step)
    if written.settled is None and not written.ended and identity not in taking_back:
        yield Finding("I4", f"{named(identity)} has neither answer nor reversal", written.step)


def tombstones_hold(books: Books, papers: Papers) -> Iterator[Finding]:
    """I6: what was taken back before it came is a tombstone, and moved nothing."""
    for event in books.dump.events:
        if event.kind == EventKind.TOMBSTONE and (event.authorized or books.entries.get(event.id)):
            yield Finding("I6", f"tombstone {event.rrn} moved money")
    for identity, written in papers.written.items():
        stored = books.by_identity.get(identity)
        approved = written.settled is not None and written.settled.result.value in APPROVED
        if approved and stored is not None and stored.kind == EventKind.TOMBSTONE:
            yield Finding("I6", f"{named(identity)} is a tombstone, and was approved", written.settled_step)


def right_pins_pass(books: Books, papers: Papers) -> Iterator[Finding]:
    """PIN: nobody is told that a PIN is wrong which was the card's without any doubt."""
    for ordered in papers.orders:
        if ordered.pin_refused:
            yield Finding(
                "PIN", f"a {ordered.asked.value} of card {ordered.card} was told its PIN is wrong", ordered.step
            )


_OF_THE_LEDGER: Final = (balanced, floors_hold, guesses_count, dates_follow)
_OF_BOTH: Final = (exactly_once, batches_agree, everything_ends, tombstones_hold, right_pins_pass)


def judge(dump: Dump, papers: Papers) -> list[Finding]:
    """Return everything that does not hold."""
    books = Books(dump)
    found = [finding for look in _OF_THE_LEDGER for finding in look(books)]
    return found + [finding for check in _OF_BOTH for finding in check(books, papers)]
