"""Posts credit away that has ended: back to the company that gave it, as an event of the journal.

Runs between batches, a few purses at a step, under the lock that every batch works under. Credit that has
ended cannot be spent from the cut-over on (trus.auth.model.CardFacts.spendable), so that nobody gains from a
step that comes late; what a pre-authorization has set aside stays until that has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import select

from trus.auth.lots import CREDIT_EXPIRY, EXPIRED, ended, read_lots, spend
from trus.auth.ports import Posting
from trus.clock import Clock
from trus.errors import LedgerError
from trus.ledger.posting import post
from trus.ledger.store import SqlLedger
from trus.ledger.tables import account
from trus.ledger.unit import SqlUnit

#: Purses that one step works on, so that no cardholder waits for it.
PURSES_A_STEP: Final = 32
#: Seconds between two looks; what has ended cannot be spent meanwhile.
LOOK_SECONDS: Final = 5.0

_BEFORE_ALL: Final = ("", 0)


class LotExpiry:
    """Keeps purses free of credit that has ended; part of the core's upkeep."""

    def __init__(self, ledger: SqlLedger, clock: Clock, note: Callable[[str, str], None]) -> None:
        """`note(level, text)` receives lines for the operator's log."""
        self._ledger = ledger
        self._clock = clock
        self._note = note
        self._looked_at = clock.monotonic()
        self._after = _BEFORE_ALL

    def keep(self) -> None:
        """Make a step when LOOK_SECONDS have passed since the last purse was done, and at once while more is due."""
        now = self._clock.monotonic()
        if (now - self._looked_at >= LOOK_SECONDS or self._after != _BEFORE_ALL) and self.step() < PURSES_A_STEP:
            self._looked_at = now

    def step(self) -> int:
        """Look at up to PURSES_A_STEP purses in one commit; return how many were looked at.

        A failure is noted; what was not stored is due again at the next step.
        """
        try:
            due = self._ledger.due_lots(PURSES_A_STEP, self._after)
            if due:
                with self._ledger.order(self._clock.now()) as unit:
                    for _, number in due:
                        _expire(unit, number)
        except LedgerError as failure:
            self._note("error", f"credit could not expire: {failure}")
            return 0
        self._after = due[-1] if len(due) == PURSES_A_STEP else _BEFORE_ALL
        return len(due)


def _expire(unit: SqlUnit, number: int) -> None:
    """Post what has ended of a purse away, less what is set aside."""
    row = unit.connection.execute(
        select(account.c.currency, account.c.held, account.c.lots).where(account.c.id == number)
    ).one()
    currency, held, kept = row
    lots = read_lots(kept)
    amount = ended(lots, unit.business_date) - held
    if amount <= 0:
        return
    gone = spend(lots, amount, "")
    origin = unit.origin(number)
    post(
        unit,
        kind=CREDIT_EXPIRY,
        postings=(Posting(number, -amount, currency), Posting(origin.account, amount, currency)),
        actor="",
        rule=EXPIRED,
        figures={
            "company": origin.company,
            "employee": origin.employee,
            "currency": currency,
            "lots": " ".join(f"{lot.expires_on}:{lot.amount}" for lot in gone),
        },
        lots=gone,
    )
