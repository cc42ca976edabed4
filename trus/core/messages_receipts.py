"""What front and core say to each other about receipts.

Holds shapes only, like trus.core.messages, whose unions name these. Nothing here is secret but the mark,
which only the terminal that got the answer knows, and the core.
"""

from __future__ import annotations

from trus.receipts.links import Receipt
from trus.values import Frozen


class ProveReceipt(Frozen, frozen=True, tag="prove-receipt"):
    """A terminal asks for the proof of an answer, and that the newest head continues head `since` (0: neither)."""

    receipt: Receipt
    since: int = 0
    terminal: str = ""  #: who asks


class ReceiptProved(Frozen, frozen=True, tag="receipt-proved"):
    """The proof (trus.receipts.proofs): the encoded statement, two digests, the path, the newest head.

    `older` and `consistency` answer `since`; empty without it, and when there is no such head.
    """

    statement: bytes
    previous: bytes
    rest: bytes
    path: list[bytes]
    head: bytes
    signature: bytes
    older: bytes
    older_signature: bytes
    consistency: list[bytes]
