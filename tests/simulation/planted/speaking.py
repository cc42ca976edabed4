"""Bugs of terminals, sessions and gateways: what is written down before it is said, and what is believed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.simulation.planted import Bug, Replace, caught
from trus.auth.model import CardFacts
from trus.core import checking
from trus.core.asked import Asked
from trus.device.book import Book
from trus.device.client import TerminalClient
from trus.device.journal import FileJournal
from trus.device.requests import Request
from trus.device.terminal import Terminal
from trus.protocol.errors import SessionEnded
from trus.protocol.keyschedule import IV_BYTES
from trus.protocol.records import Direction
from trus.simulation.sweep import Plan


def _says_before_it_writes(replace: Replace) -> None:
    """The journal is written when something else is to be written anyway: every second time."""
    sync = FileJournal.sync
    turns: defaultdict[int, int] = defaultdict(int)

    def lazily(self: FileJournal) -> None:
        turns[id(self)] += 1
        if turns[id(self)] % 2 == 0:
            sync(self)

    replace(FileJournal, "sync", lazily)


def _does_not_sync(replace: Replace) -> None:
    """The journal is written before anything is said, and the system will put it on the disk some time."""
    sync = FileJournal.sync

    def hasty(self: FileJournal) -> None:
        flush, self._fsync = self._fsync, lambda file: None
        try:
            sync(self)
        finally:
            self._fsync = flush

    replace(FileJournal, "sync", hasty)


def _reuses_nonces(replace: Replace) -> None:
    """The count of records is kept in four bits."""

    def wrapping(self: Direction) -> bytes:
        sequence = self.sequence
        self.sequence = sequence + 1
        return (self._iv ^ (sequence & 15)).to_bytes(IV_BYTES, "big")

    replace(Direction, "_next_nonce", wrapping)


def _accepts_replays(replace: Replace) -> None:
    """A line that does not open under the next count is tried under those before: it may only be late."""
    open_next = Direction.open

    def lenient(self: Direction, clear: bytes, sealed: bytes) -> bytes:
        reached = self.sequence
        try:
            return open_next(self, clear, sealed)
        except SessionEnded:
            for sequence in range(max(0, reached - 8), reached):
                self.sequence = sequence
                try:
                    plaintext = open_next(self, clear, sealed)
                except SessionEnded:
                    continue
                self.sequence = reached
                return plaintext
            raise

    replace(Direction, "open", lenient)


def _gives_up_reversals(replace: Replace) -> None:
    """A reversal is said once; if nobody answers, it was probably done."""
    say = Terminal._repeat

    def once(self: Terminal, request: Request, wait: float) -> None:
        if request.asked.value == "reverse":
            self._abandon(request)
            self._book.strike(request)
            return
        say(self, request, wait)

    replace(Terminal, "_repeat", once)


def _resends_after_a_restart(replace: Replace) -> None:
    """What was unfinished when the power failed is forgotten, since nobody waits for it any more."""
    replace(Book, "resume", lambda self: None)


def _believes_no_answer(replace: Replace) -> None:
    """A purchase without an answer is taken for declined, and not taken back."""

    def declined(self: Terminal, request: Request, reason: str, text: str, code: str = "") -> None:
        self._abandon(request)
        answer = self._unanswered(request, text, code)
        self._tell(request, answer)
        self._book.settle(request, answer)

    replace(Terminal, "_break_off", declined)


def _accepts_any_pin(replace: Replace) -> None:
    """A PIN block that opens is a PIN that is right."""
    check = checking.CardChecker.check

    def generous(self: Any, asked: Sequence[Asked], cards: Mapping[bytes, CardFacts]) -> None:
        check(self, asked, cards)
        for each in asked:
            if each.checks is not None and each.checks.pin_ok is False:
                each.checks = msgspec.structs.replace(each.checks, pin_ok=True)

    replace(checking.CardChecker, "check", generous)


def _gives_up_to_connect(replace: Replace) -> None:
    """A terminal tries four times to connect, and then waits for somebody to switch it off and on."""
    not_connected = TerminalClient._not_connected

    def patient(self: TerminalClient, why: str) -> None:
        if self._attempts < 4:
            not_connected(self, why)

    replace(TerminalClient, "_not_connected", patient)


BUGS = (
    Bug(
        "says before it writes",
        caught("I4", "I2"),
        _says_before_it_writes,
        within=100,
        plan=Plan(400, quick=True, faults=("terminal killed", "terminal's power cut", "died at an await")),
    ),
    Bug(
        "does not sync its journal",
        caught("I4", "I2"),
        _does_not_sync,
        within=100,
        plan=Plan(400, quick=True, faults=("terminal's power cut",)),
    ),
    Bug("reuses nonces", caught("NONCE"), _reuses_nonces, within=20),
    Bug(
        "accepts a gateway's replay",
        caught("NONCE"),
        _accepts_replays,
        within=60,
        plan=Plan(400, quick=True, faults=("dishonest gateway",)),
    ),
    Bug("says a reversal once", caught("I4", "I7"), _gives_up_reversals, within=150),
    Bug("forgets what was unfinished at a restart", caught("I4", "I7"), _resends_after_a_restart),
    Bug("takes no answer for a decline", caught("I2", "I4"), _believes_no_answer, within=300),
    Bug("gives up to connect", caught("I7"), _gives_up_to_connect, within=100),
    Bug("takes any PIN for right", caught("I2", "PIN"), _accepts_any_pin, within=150),
)
