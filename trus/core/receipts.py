"""Proves answers to the terminals that got them, and asks for a head where none covers one yet.

Finds nothing itself: the ledger does. A mark that is not the answer's own finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from trus.core.messages import Refused
from trus.core.messages_receipts import ProveReceipt, ReceiptProved
from trus.errors import LedgerError
from trus.receipts.links import Receipt, encode_statement
from trus.receipts.proofs import NotCovered, ShownProof
from trus.values import ResponseCode

#: Why a question has no proof for an answer.
UNKNOWN: Final = "unknown-receipt"
TOO_EARLY: Final = "too-early"


class Prover(Protocol):
    """What the desk needs of a ledger."""

    def prove(self, receipt: Receipt, since: int) -> ShownProof | None:
        """Return the proof of an answer, None when there is none. Raises NotCovered, StorageFailed."""
        ...


class ReceiptDesk:
    """trus.core.core.ReceiptHandler on a ledger."""

    def __init__(self, prover: Prover, want_head: Callable[[], None], note: Callable[[str, str], None]) -> None:
        """`want_head()` has the next head signed soon."""
        self._prover = prover
        self._want_head = want_head
        self._note = note

    def prove(self, asked: ProveReceipt) -> ReceiptProved | Refused:
        """Return the proof, or why there is none."""
        receipt = asked.receipt
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
