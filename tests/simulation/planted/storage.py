"""Bugs of a ledger: what is durable, what is locked, what is chained, what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from tests.simulation.planted import Bug, Replace, caught
from trus.auth.model import CardFacts
from trus.auth.ports import BatchFacts, BatchTotals, Event, EventKind
from trus.errors import LedgerError
from trus.ledger import chain, engine, reopening, unit
from trus.ledger.chain import ChainHead
from trus.ledger.dialect import Direct
from trus.ledger.facts import FactsReader
from trus.ledger.store import SqlLedger
from trus.ledger.unit import SqlUnit
from trus.simulation.sweep import Plan


def _answers_before_the_commit(replace: Replace) -> None:
    """A commit is put off until the next transaction begins: it is cheaper so, and mostly it comes."""
    begin, commit = Direct.begin, Direct.commit
    waiting: dict[int, Direct] = {}

    def put_off(self: Direct) -> None:
        waiting[id(self)] = self

    def catch_up(self: Direct) -> None:
        if waiting.pop(id(self), None) is not None:
            commit(self)
        begin(self)

    replace(Direct, "commit", put_off)
    replace(Direct, "begin", catch_up)


def _does_not_wait_for_the_medium(replace: Replace) -> None:
    """Commits do not wait until the medium has them, as databases are often tuned."""
    open_connection = engine.open_connection

    def hasty(*arguments: Any, **options: Any) -> Any:
        connection = open_connection(*arguments, **options)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    replace(reopening, "open_connection", hasty)


def _approves_after_a_failed_commit(replace: Replace) -> None:
    """A commit that fails is somebody else's business."""
    commit = SqlUnit.commit

    def shrug(self: SqlUnit) -> None:
        with suppress(LedgerError):
            commit(self)

    replace(SqlUnit, "commit", shrug)


def _reads_before_the_lock(replace: Replace) -> None:
    """Balances are read first and locked afterwards: what was posted in between is lost."""
    read = FactsReader.read
    seen: dict[int, CardFacts] = {}

    def stale(self: FactsReader, *arguments: Any) -> BatchFacts:
        facts = read(self, *arguments)
        now = {**facts.cards_by_id}
        cards = {key: seen.get(card.card_id, card) for key, card in facts.cards.items()}
        by_id = {number: seen.get(number, card) for number, card in facts.cards_by_id.items()}
        seen.update(now)
        return msgspec.structs.replace(facts, cards=cards, cards_by_id=by_id)

    replace(FactsReader, "read", stale)


def _dates_by_the_clock(replace: Replace) -> None:
    """The ledger date is that of the machine's clock, which is the same on most days."""
    begin = SqlLedger.begin

    def by_the_clock(self: SqlLedger, now: datetime) -> SqlUnit:
        unit = begin(self, now)
        unit._day = now.date().isoformat()
        return unit

    replace(SqlLedger, "begin", by_the_clock)


def _skips_a_link(replace: Replace) -> None:
    """One event in five is chained to nothing instead of to the event before it."""
    extend: Any = chain.extend

    def skipping(head: ChainHead, *arguments: Any) -> Any:
        before = ChainHead(head.slot, head.sequence, bytes(32)) if head.sequence % 5 == 4 else head
        return extend(before, *arguments)

    replace(unit, "extend", skipping)


def _forgets_tries(replace: Replace) -> None:
    """A wrong PIN is answered, and not counted."""
    record = SqlUnit.record

    def forgetful(self: SqlUnit, event: Event) -> None:
        record(self, msgspec.structs.replace(event, tries=None))

    replace(SqlUnit, "record", forgetful)


def _forgets_the_new_pin(replace: Replace) -> None:
    """A changed PIN is answered, and the old one stays."""
    record = SqlUnit.record

    def forgetful(self: SqlUnit, event: Event) -> None:
        record(self, msgspec.structs.replace(event, pin=None))

    replace(SqlUnit, "record", forgetful)


def _counts_a_batch_twice(replace: Replace) -> None:
    """Totals are added up for each date, and what lies on a later date than the first is counted twice."""
    totals = FactsReader._totals

    def twice(self: FactsReader, direct: Direct, terminals: Sequence[str]) -> dict[str, BatchTotals]:
        found = totals(self, direct, terminals)
        dates = direct.rows(self._statements.text("dates"), ("",))
        if len(dates) < 2:
            return found
        return {
            name: each.plus("purchase", "", each.purchase_count, each.purchase_amount) for name, each in found.items()
        }

    replace(FactsReader, "_totals", twice)


def _expires_without_giving_back(replace: Replace) -> None:
    """A hold that expires is struck off the list, and its money stays aside for ever."""
    record = SqlUnit.record

    def kept(self: SqlUnit, event: Event) -> None:
        if event.kind == EventKind.EXPIRY:
            event = msgspec.structs.replace(
                event, purses=tuple(msgspec.structs.replace(each, held=None) for each in event.purses)
            )
        record(self, event)

    replace(SqlUnit, "record", kept)


def _forgets_to_store_declines(replace: Replace) -> None:
    """A decline moves nothing, so why write it down."""
    record = SqlUnit.record

    def thrifty(self: SqlUnit, event: Event) -> None:
        if event.kind != EventKind.PURCHASE or event.authorized or event.tries is not None:
            record(self, event)

    replace(SqlUnit, "record", thrifty)


BUGS = (
    Bug("answers before the commit", caught("I2", "I4", "RECEIPT"), _answers_before_the_commit, within=100),
    Bug(
        "does not wait for the medium",
        caught("I2", "I4"),
        _does_not_wait_for_the_medium,
        within=100,
        plan=Plan(400, quick=True, faults=("backend's power cut", "power cut at a commit")),
    ),
    Bug("approves after a failed commit", caught("I2", "I4"), _approves_after_a_failed_commit, within=250),
    Bug("reads balances before their lock", caught("I3", "I5"), _reads_before_the_lock),
    Bug("takes the ledger date from the clock", caught("DAY", "I5"), _dates_by_the_clock),
    Bug("skips a link of the chain", caught("I5"), _skips_a_link, within=5),
    Bug("forgets wrong PINs", caught("PIN"), _forgets_tries),
    Bug("forgets a changed PIN", caught("PIN", "I2"), _forgets_the_new_pin, within=150),
    Bug("counts a batch twice after cut-over", caught("I2"), _counts_a_batch_twice),
    Bug(
        "lets a hold expire and keeps the money",
        caught("I3"),
        _expires_without_giving_back,
        within=150,
        plan=Plan(400, quick=True, faults=("all suspended",)),
    ),
    Bug("stores no declines", caught("I2"), _forgets_to_store_declines),
)
