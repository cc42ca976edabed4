"""Lists the lines about an earlier purchase: what gives money back, cancels or goes on from one.

Decides nothing (trus.protocol.verbs).
"""

from __future__ import annotations

from typing import Final

from trus.protocol import fields as f
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, VerbSpec
from trus.protocol.verbs_parts import AMOUNT, CURRENCY, DATE, INITIATOR, NAMED, ORIGINAL, REPEAT, RID, STAN, TRACK2, may

EARLIER: Final = (
    VerbSpec(
        Kind.COMMAND,
        "REFUND",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (STAN, AMOUNT, CURRENCY, DATE, REPEAT),
        (
            RID,
            FieldSpec("original-rrn", f.RRN, "retrieval reference of the purchase"),
            may(*TRACK2[:3]),
            *NAMED,
        ),
        "Give back money of a purchase.",
        together=("original-stan", "original-date", "original-rid"),
    ),
    VerbSpec(
        Kind.COMMAND,
        "VOID",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (STAN, AMOUNT, CURRENCY, DATE, REPEAT),
        (RID, *ORIGINAL, FieldSpec("reason", f.WORD, "customer or cashier")),
        "Cancel a purchase of the batch that is open.",
    ),
    VerbSpec(
        Kind.COMMAND,
        "CAPTURE",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (STAN, AMOUNT, CURRENCY, DATE, REPEAT),
        (RID, FieldSpec("original-rrn", f.RRN, "retrieval reference of the pre-authorization"), *NAMED),
        "Complete a pre-authorization: this amount is paid, the rest is free again.",
        together=("original-stan", "original-date", "original-rid"),
    ),
    VerbSpec(
        Kind.COMMAND,
        "RELEASE",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (STAN, DATE, REPEAT),
        (RID, FieldSpec("original-rrn", f.RRN, "retrieval reference of the pre-authorization"), *NAMED),
        "Give a pre-authorization up: all of it is free again.",
        together=("original-stan", "original-date", "original-rid"),
    ),
)
