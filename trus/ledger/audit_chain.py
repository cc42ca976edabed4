"""Walks the chain of every slot: each link recomputed, each event weighed against its entries.

Reads in pieces, in one snapshot, and writes nothing. An event whose personal columns were erased by
law is proved by the commitment that was kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, select

from trus.ledger.chain import CHAINED, PERSONAL, ChainHead, commit_personal, follow, genesis
from trus.ledger.days import NUMBERS_A_DAY, first_event, rrn_prefix
from trus.ledger.findings import Check, Findings
from trus.ledger.prepared import Prepared
from trus.ledger.tables import entry, event
from trus.ledger.tree import Tail, stored_nodes
from trus.ledger.writer import ledger_id

#: Events read at once.
PIECE: Final = 1000
_CHAINED: Final = len(CHAINED)
_PERSONAL: Final = _CHAINED + len(PERSONAL)
#: Below every number that a column can hold.
_BEFORE_ALL: Final = -(1 << 63)
_FIELD: Final = {name: place for place, name in enumerate(CHAINED)}
_SLOTS: Final = Prepared(select(event.c.slot).distinct().order_by(event.c.slot))
_COLUMNS: Final = tuple(
    event.c[each] for each in (*CHAINED, *PERSONAL, "sequence", "salt", "link", "commitment", "mark")
)
_SEQUENCES: Final = Prepared(
    select(event.c.sequence)
    .where(event.c.slot == bindparam("slot"), event.c.sequence > bindparam("after"))
    .order_by(event.c.sequence)
    .limit(PIECE)
)
_TOGETHER: Final = Prepared(
    select(*_COLUMNS, entry.c.account, entry.c.amount, entry.c.currency)
    .outerjoin_from(event, entry, entry.c.event_id == event.c.id)
    .where(and_(event.c.slot == bindparam("slot"), event.c.sequence.between(bindparam("first"), bindparam("last"))))
    .order_by(event.c.sequence, entry.c.number)
)


def walk_chains(connection: Connection, findings: Findings) -> tuple[int, int]:
    """Walk every slot that holds events. Returns (events, entries) seen."""
    events = entries = 0
    name = ledger_id(connection)
    for slot in _SLOTS.column(connection):
        seen = _walk(connection, name, slot, findings)
        events += seen[0]
        entries += seen[1]
    for check in (Check.CHAIN, Check.POSTED, Check.NUMBERS):
        findings.examine(check, events)
    return events, entries


def _walk(connection: Connection, name: str, slot: int, findings: Findings) -> tuple[int, int]:
    head = genesis(name, slot)
    events = entries = 0
    links: list[bytes] = []
    tree = TreeCheck(connection, slot, findings)
    for row, moved in _events(connection, slot):
        events += 1
        entries += len(moved)
        try:
            _follow(head, row, moved, findings)
            _weigh(row[:_CHAINED], moved, findings)
        except (TypeError, ValueError, OverflowError):
            # The engine keeps any value in any column; trus writes none that cannot be read.
            findings.add(Check.CHAIN, f"event {row[0]}", "a column holds a value of another type")
        # The walk goes on from what is stored, so that one altered row is one finding.
        head = ChainHead(slot, row[_PERSONAL], _link_of(row))
        links.append(head.link)
        if len(links) == PIECE:
            tree.take(links)
            links.clear()
    tree.take(links)
    tree.end()
    return events, entries


class TreeCheck:
    """Compares the hashes that are kept over pieces of a slot with those of its links."""

    def __init__(self, connection: Connection, slot: int, findings: Findings) -> None:
        """Read what is kept: a row for 128 events."""
        self._slot = slot
        self._findings = findings
        self._kept = stored_nodes(connection, slot)
        self._tail = Tail()

    def take(self, links: list[bytes]) -> None:
        """Take the next links of the walk."""
        self._tail, rows = self._tail.grow(self._slot, links)
        for _, level, number, found in rows:
            if self._kept.pop((level, number), found) != found:
                self._tell(level, number)

    def end(self) -> None:
        """Tell of what is kept over links that are not there."""
        for level, number in self._kept:
            self._tell(level, number)

    def _tell(self, level: int, number: int) -> None:
        first = number << level
        named = f"slot {self._slot} sequence {first + 1} to {first + (1 << level)}"
        self._findings.add(Check.CHAIN, named, "the hash that is kept over these links is not theirs")


def _follow(head: ChainHead, row: tuple[Any, ...], moved: list[tuple[int, int, str]], findings: Findings) -> None:
    """Check that an event follows the one before it in its slot."""
    chained, personal = row[:_CHAINED], row[_CHAINED:_PERSONAL]
    sequence, salt, link, kept, mark = row[_PERSONAL:]
    named = f"event {chained[0]}"
    if sequence != head.sequence + 1:
        findings.add(Check.CHAIN, named, f"slot {head.slot} goes from sequence {head.sequence} to {sequence}")
    if kept is not None:
        commitment = kept
        if any(each is not None for each in personal):
            findings.add(Check.CHAIN, named, "it was erased, yet personal columns are filled")
    elif salt is not None:
        commitment = commit_personal(salt, personal)
    else:
        commitment = b""
        findings.add(Check.CHAIN, named, "its personal columns are gone and no commitment was kept")
    expected = follow(ChainHead(head.slot, sequence - 1, head.link), chained, moved, commitment, mark)
    if not hmac.compare_digest(expected.link, link):
        findings.add(Check.CHAIN, named, f"its link (slot {head.slot}, sequence {sequence}) does not follow")


def _link_of(row: tuple[Any, ...]) -> bytes:
    link = row[_PERSONAL + 2]
    return link if isinstance(link, bytes) else b""


def _weigh(chained: tuple[Any, ...], moved: list[tuple[int, int, str]], findings: Findings) -> None:
    """Check what one event says of itself: what moved, when, and under which number."""
    event_id, rrn = chained[0], chained[_FIELD["rrn"]]
    named = f"event {event_id}"
    authorized = chained[_FIELD["authorized"]]
    gained = sum(amount for _, amount, _ in moved if amount > 0)
    # A hold sets money aside without moving it: entries that cancel each other say in which of several purses.
    if gained != authorized and (gained or chained[_FIELD["kind"]] != "hold"):
        findings.add(Check.POSTED, named, f"it authorized {authorized} and its entries move {gained}")
    if authorized and chained[_FIELD["result"]] == "declined":
        findings.add(Check.POSTED, named, f"it was declined and authorized {authorized}")
    day = chained[_FIELD["ledger_date"]]
    if not 0 < event_id - first_event(day) < NUMBERS_A_DAY:
        findings.add(Check.NUMBERS, named, f"its id is not of its ledger date {day}")
    elif rrn != rrn_prefix(day) + str(event_id % NUMBERS_A_DAY).rjust(8, "0"):
        findings.add(Check.NUMBERS, named, f"its reference {rrn} is not that of its id")


def _events(connection: Connection, slot: int) -> Iterator[tuple[tuple[Any, ...], list[tuple[int, int, str]]]]:
    """Yield a slot's events in order of sequence, each with its entries in order."""
    width = len(_COLUMNS)
    reached = _BEFORE_ALL
    while True:
        wanted = _SEQUENCES.column(connection, slot=slot, after=reached)
        if not wanted:
            return
        rows = _TOGETHER.rows(connection, slot=slot, first=wanted[0], last=wanted[-1])
        for _, group in groupby(rows, key=lambda row: row[_PERSONAL]):
            together = list(group)
            moved = [(row[width], row[width + 1], row[width + 2]) for row in together if row[width] is not None]
            yield together[0][:width], moved
        reached = wanted[-1]
