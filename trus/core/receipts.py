"""Proves answers to the terminals that got them, and asks for a head where none covers one yet.

Finds nothing itself: the ledger does. A mark that is not the answer's own finds nothing. A proof costs the core as
much as some payments do, so a terminal gets so many a minute, whatever it asks and over however many sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from trus.clock import Clock
from trus.core.messages import Refused
from trus.core.messages_receipts import ProveReceipt, ReceiptProved
from trus.errors import LedgerError
from trus.receipts.links import Receipt, encode_statement
from trus.receipts.proofs import NotCovered, ShownProof
from trus.values import ResponseCode

#: Why a question has no proof for an answer.
UNKNOWN: Final = "unknown-receipt"
TOO_EARLY: Final = "too-early"
TOO_MANY: Final = "too-many"
#: Proofs that a terminal may ask for in a minute, unless the operator says otherwise: a day's batch in the evening.
PROOFS_A_MINUTE: Final = 60
#: Terminals remembered; the one that asked longest ago is forgotten first.
MAX_TERMINALS: Final = 4096


class Allowance:
    """How many proofs each terminal may still ask for: a minute's at once, then as fast as they come back."""

    def __init__(self, clock: Clock, a_minute: int = PROOFS_A_MINUTE) -> None:
        self._clock = clock
        self._most = float(a_minute)
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, terminal: str) -> bool:
        """Take one of a terminal's; False when it has none left now."""
        now = self._clock.monotonic()
        left, since = self._left.pop(terminal, (self._most, now))
        left = min(self._most, left + (now - since) * self._most / 60.0)
        self._left[terminal] = (left - 1.0 if left >= 1.0 else left, now)
        if len(self._left) > MAX_TERMINALS:
            del self._left[next(iter(self._left))]
        return left >= 1.0


class Prover(Protocol):
    """What the desk needs of a ledger."""

    def prove(self, receipt: Receipt, since: int) -> ShownProof | None:
        """Return the proof of an answer, None when there is none. Raises NotCovered, StorageFailed."""
        ...


class ReceiptDesk:
    """trus.core.core.ReceiptHandler on a ledger."""

    def __init__(
        self,
        prover: Prover,
        want_head: Callable[[], None],
        note: Callable[[str, str], None],
        allowance: Allowance,
    ) -> None:
        """`want_head()` has the next head signed soon."""
        self._prover = prover
        self._allowance = allowance
        self._want_head = want_head
        self._note = note

    def prove(self, asked: ProveReceipt) -> ReceiptProved | Refused:
        """Return the proof, or why there is none."""
        receipt = asked.receipt
        if not self._allowance.take(asked.terminal):
            return Refused(ResponseCode.ISSUER_UNAVAILABLE, TOO_MANY)
        try:
            shown = self._prover.prove(receipt, asked.since)
        except NotCovered:
            self._want_head()
            return Refused(ResponseCode.INVALID_TRANSACTION, TOO_EARLY)
        except LedgerError as failure:
            self._note("error", f"an answer could not be proved: {failure}")
            return Refused(ResponseCode.SYSTEM_ERROR, "storage")
        if shown is None:
            return Refused(ResponseCode.RECORD_NOT_FOUND, UNKNOWN)
        return ReceiptProved(
            encode_statement(receipt.slot, receipt.sequence, shown.statement),
            shown.previous,
            shown.rest,
            shown.path,
            *shown.head,
            *(shown.older or (b"", b"")),
            shown.consistency,
        )
