"""Shows the issuer receipts, proofs and the keys of their codes (trus.ledger.proving).

Changes nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection

from trus.ledger.days import candidates
from trus.ledger.heads import last_head
from trus.ledger.proving import prove, receipt_key, receipt_of
from trus.receipts.links import Receipt
from trus.receipts.proofs import ShownProof


class ReceiptRegistry:
    """Receipts within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, rrn: str, today: str) -> Receipt | None:
        """Return the receipt of a retrieval reference number, None when no answer with a receipt has it."""
        return receipt_of(self._connection, rrn, list(candidates(rrn, today)))

    def prove(self, receipt: Receipt, since: int) -> ShownProof | None:
        """Return the proof of an answer, None when the journal has none. Raises NotCovered."""
        return prove(self._connection, receipt, since)

    def key(self, head: int) -> bytes | None:
        """Return the key that a head commits to, None when there is none."""
        return receipt_key(self._connection, head)

    def newest(self) -> int:
        """Return the number of the newest head, 0 without any."""
        head = last_head(self._connection)
        return 0 if head is None else head.number
