"""Holds what the lines of the device protocol share: who may say them, and the fields that several have.

Lists no line: trus.protocol.verbs does.
"""

from __future__ import annotations

from typing import Final

from trus.protocol import fields as f
from trus.protocol.fields import FieldType
from trus.protocol.spec import FieldSpec, Need, Side


def may(name: str, kind: FieldType, meaning: str) -> FieldSpec:
    """Return a field that need not be there."""
    return FieldSpec(name, kind, meaning, Need.MAY)


INITIATOR: Final = (Side.INITIATOR,)
RESPONDER: Final = (Side.RESPONDER,)
BOTH: Final = (Side.INITIATOR, Side.RESPONDER)
ANYBODY: Final = (Side.INITIATOR, Side.RESPONDER, Side.GATEWAY)

STAN: Final = FieldSpec("stan", f.STAN, "trace number of this request")
DATE: Final = FieldSpec("date", f.DATE, "business date of this request, as announced")
AMOUNT: Final = FieldSpec("amount", f.AMOUNT, "amount asked for")
CURRENCY: Final = FieldSpec("currency", f.CURRENCY, "currency of the amount")
REPEAT: Final = may("repeat", f.FLAG, "this identity was sent before")
RID: Final = FieldSpec("rid", f.RID, "random name of this request, stored before it is sent")
TRACK2: Final = FieldSpec("track2", f.TRACK2, "the card's stripe")
PIN: Final = may("pin", f.BLOCK, "the PIN block, when a PIN is known to be needed")
FORMAT: Final = may("format", f.FORMAT, "the PIN block's format; there whenever pin is")
READ: Final = may("read", f.READING, "number of this reading of the stripe at the terminal")
ENTRY: Final = may("entry", f.WORD, "how the card was read: stripe, manual, phone")
ORIGINAL: Final = (
    FieldSpec("original-stan", f.STAN, "trace number of the request taken back"),
    FieldSpec("original-date", f.DATE, "business date of the request taken back"),
    FieldSpec("original-rid", f.RID, "rid of the request taken back"),
)
#: What the terminal knows of an earlier purchase beside its reference; checked when it is there.
NAMED: Final = (
    may("original-stan", f.STAN, "trace number of the purchase"),
    may("original-date", f.DATE, "business date of the purchase"),
    may("original-rid", f.RID, "rid of the purchase"),
)
TICKET: Final = (
    may("ticket", f.BLOB, "opaque; resumes this session later"),
    may("lifetime", f.COUNT, "seconds until the ticket ends"),
)
TOTALS: Final = (
    FieldSpec("purchase-count", f.COUNT, "approved purchases of the batch"),
    FieldSpec("purchase-amount", f.SUM, "their sum"),
    FieldSpec("reversal-count", f.COUNT, "reversals of the batch"),
    FieldSpec("reversal-amount", f.SUM, "their sum"),
    may("refund-count", f.COUNT, "refunds of the batch"),
    may("refund-amount", f.SUM, "their sum"),
    may("void-count", f.COUNT, "voids of the batch"),
    may("void-amount", f.SUM, "their sum"),
    may("completion-count", f.COUNT, "completions of the batch"),
    may("completion-amount", f.SUM, "their sum"),
)
