"""What an audit says: which check failed, on which row, and how.

Holds no check. A finding names rows by their public names (event ids, account ids, head
numbers); it shows no card number and no name of a person.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

#: Findings kept of one check; a destroyed ledger need not be listed row by row.
MAX_FINDINGS: Final = 50


class Check(StrEnum):
    """The audit's checks, in the order in which they are made."""

    FILE = "file structure"
    BALANCED = "entries sum to zero"
    ACCOUNTS = "entries have event and account"
    BALANCES = "balances match entries"
    FLOORS = "floors hold"
    POSTED = "approved events are posted"
    REVERSALS = "reversals undo originals"
    REFUNDS = "refunds within purchases"
    HOLDS = "holds are set aside"
    LOTS = "lots match their moves"
    REFERENCES = "events name what exists"
    NUMBERS = "numbers fit dates"
    DAYS = "one business date is open"
    CHAIN = "chain unbroken"
    HEADS = "signed heads verify"
    EXPORT = "exported heads agree"


class Finding(msgspec.Struct, frozen=True):
    """One row that does not hold: `row` such as "event 73994000000017", and what is wrong with it."""

    check: Check
    row: str
    problem: str


class Findings:
    """Collects findings, at most MAX_FINDINGS of each check, and counts the rest."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.counts: dict[Check, int] = dict.fromkeys(Check, 0)
        self.examined: dict[Check, int] = {}

    def examine(self, check: Check, rows: int) -> None:
        """Note that a check looked at so many more rows."""
        self.examined[check] = self.examined.get(check, 0) + rows

    def add(self, check: Check, row: str, problem: str) -> None:
        """Note a row that does not hold."""
        self.counts[check] += 1
        if self.counts[check] <= MAX_FINDINGS:
            self.listed.append(Finding(check, row, problem))


class AuditReport(msgspec.Struct, frozen=True):
    """The outcome of an audit.

    `examined` tells how many rows each check looked at (a check that is missing was not made) and
    `counts` how many of them do not hold; `findings` lists the first of these.
    """

    ledger: str
    events: int
    entries: int
    heads: int
    examined: dict[Check, int]
    counts: dict[Check, int]
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether every row held."""
        return not any(self.counts.values())
