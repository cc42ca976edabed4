"""Bugs of the core: what is looked up, compared, rounded, taken back, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tests.simulation.planted import Bug, Replace, caught
from trus.auth import decide
from trus.auth.case import Case
from trus.auth.linked import LinkedCase
from trus.auth.plan import Plan, plan_of
from trus.auth.policy import Policy
from trus.auth.ports import Event, PurseUpdate, StoredRequest
from trus.backend import dispatch
from trus.core import answers, linking, pipeline, refunding, reversing
from trus.core.answers import encode_outcome, taken_back
from trus.core.asked import Asked
from trus.core.book import Book
from trus.core.messages import Outcome, Reverse
from trus.ledger.unit import SqlUnit
from trus.simulation import sweep
from trus.values import Identity


def _loses_tombstones(replace: Replace) -> None:
    """A reversal of what never came is answered, and nothing is written down."""

    def lost(asked: Asked, request: Reverse, book: Book) -> Outcome:
        _, rrn = book.number()
        return taken_back(rrn, 0, request.currency)

    replace(reversing, "_lay_tombstone", lost)


def _acknowledges_without_storing(replace: Replace) -> None:
    """A reversal is answered at once; storing it is forgotten."""
    take_back = reversing.take_back

    def acknowledged(asked: Asked, request: Reverse, book: Book) -> Outcome:
        original = book.requests.get(request.original)
        if original is None or not original.authorized:
            return take_back(asked, request, book)
        return taken_back(original.rrn, original.authorized, original.currency)

    replace(pipeline, "take_back", acknowledged)


def _skips_the_rid(replace: Replace) -> None:
    """Whoever names an identity gets its stored answer, whatever the rid."""
    settled = answers.settled

    def careless(asked: Asked, requests: Mapping[Identity, StoredRequest]) -> Outcome | None:
        stored = requests.get(asked.identity)
        if stored is not None and not isinstance(asked.request, Reverse) and not stored.reversed_by and stored.answer:
            return answers._decode(stored.answer)
        return settled(asked, requests)

    replace(pipeline, "settled", careless)


def _posts_twice_on_a_repeat(replace: Replace) -> None:
    """A repeated purchase gets its stored answer, and is posted once more."""
    answer = pipeline.MoneyPipeline._answer

    def again(self: Any, each: Asked, book: Book) -> None:
        stored = book.requests.get(each.identity)
        answer(self, each, book)
        if stored is None or stored.kind != "purchase" or not stored.postings or stored.rid != each.rid:
            return
        card, (number, rrn) = book.card_of(stored.card_id), book.number()
        purse = PurseUpdate(
            card.purse_account,
            card.balance + linking.moved(stored.postings, card.purse_account),
            card.counter_day,
            card.day_amount,
            card.day_count,
        )
        book.record(
            Event(
                number, stored.kind, None, stored.rid, stored.digest, stored.card_id, stored.shop_id, stored.amount,
                stored.currency, stored.result, stored.code, "", rrn, "approved", {}, b"", postings=stored.postings,
                purses=(purse,), authorized=stored.authorized,
            )
        )  # fmt: skip

    replace(pipeline.MoneyPipeline, "_answer", again)


def _rounds(replace: Replace) -> None:
    """Amounts are read as binary fractions and cut off: 1.15 is 114 cents."""
    for reading in ("parse_amount", "parse_sum"):
        replace(dispatch, reading, lambda text, currency: int(float(text) * 100))


def _spends_what_is_set_aside(replace: Replace) -> None:
    """What pre-authorizations have set aside of a purse is spent as well."""

    def whole(case: Case) -> int:
        return case.card.balance

    def generous(policy: Policy) -> Plan:
        made = plan_of(policy)
        return made._replace(
            limits=tuple(each._replace(room=whole) if each.name == "funds" else each for each in made.limits)
        )

    replace(decide, "plan_of", generous)


def _refunds_too_much(replace: Replace) -> None:
    """A refund is compared with what was paid, not with what is left of it."""

    def paid(case: LinkedCase) -> int:
        return 0 if case.earlier is None else case.earlier.authorized

    replace(LinkedCase, "left", property(paid))
    replace(refunding, "come_back", lambda earlier, purse, amount: linking.come_back(
        msgspec.structs.replace(earlier, refunded=0, returned=()), purse, amount
    ))  # fmt: skip


def _stores_another_answer(replace: Replace) -> None:
    """What is stored as the answer of a partial approval is the whole amount's."""
    record = SqlUnit.record

    def rounded_up(self: SqlUnit, event: Event) -> None:
        if event.result == "partial":
            told = answers._decode(event.answer)
            event = msgspec.structs.replace(
                event,
                result="approved",
                code="00",
                answer=encode_outcome(msgspec.structs.replace(told, result="approved", code="00", amount=event.amount)),
            )
        record(self, event)

    replace(SqlUnit, "record", rounded_up)


def _approves_late_originals(replace: Replace) -> None:
    """What comes after its reversal is approved all the same: the reversal has been carried out, has it not."""

    def late(asked: Asked, requests: Mapping[Identity, StoredRequest]) -> Outcome | None:
        stored = requests.get(asked.identity)
        if stored is not None and stored.kind == "tombstone" and stored.rid == asked.rid:
            return Outcome("approved", "00", rrn=stored.rrn)
        return answers.settled(asked, requests)

    replace(pipeline, "settled", late)


BUGS = (
    Bug("loses tombstones", caught("I2", "I6"), _loses_tombstones),
    Bug("approves a late original", caught("I6"), _approves_late_originals, within=40, plan=sweep.Plan(2000)),
    Bug("acknowledges a reversal and does not store it", caught("I2", "I4"), _acknowledges_without_storing),
    Bug("skips the comparison of the rid", caught("I2"), _skips_the_rid, within=40, plan=sweep.Plan(2000)),
    Bug("posts twice on a repeat", caught("I1", "I2"), _posts_twice_on_a_repeat, within=150),
    Bug("rounds an amount", caught("I2", "I4"), _rounds, within=60),
    Bug(
        "ignores what is set aside",
        caught("I3"),
        _spends_what_is_set_aside,
        within=100,
        plan=sweep.Plan(1500, quick=True),
    ),
    Bug("refunds more than is left", caught("I1"), _refunds_too_much, within=150, plan=sweep.Plan(600, quick=True)),
    Bug("stores another answer than it gives", caught("I2", "I4"), _stores_another_answer, within=400),
)
