"""Lists the lines by which a terminal and the backend close a batch, by totals or item by item.

Decides nothing (trus.protocol.verbs).
"""

from __future__ import annotations

from typing import Final

from trus.protocol import fields as f
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, VerbSpec
from trus.protocol.verbs_parts import CURRENCY, DATE, INITIATOR, REPEAT, RESPONDER, RID, STAN, TOTALS

#: Most items of a batch that can be compared; a terminal that sells more closes more often.
MAX_ITEMS: Final = 4096

BATCHES: Final = (
    VerbSpec(
        Kind.COMMAND,
        "CLOSE-BATCH",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (STAN, CURRENCY, DATE, REPEAT),
        (RID, *TOTALS),
        "Compare the terminal's totals with the backend's and close its batch.",
        together=tuple(each.name for each in TOTALS if each.need is Need.MAY),
    ),
    VerbSpec(
        Kind.COMMAND,
        "RECONCILE",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (STAN, CURRENCY, DATE, REPEAT),
        (RID, FieldSpec("count", f.COUNT, "items that follow in DATA ITEMS, at most 4,096")),
        "Compare the batch item by item and close it.",
    ),
    VerbSpec(
        Kind.DATA,
        "ITEMS",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (FieldSpec("items", f.ITEMS, "the next items of the batch"),),
        "What the terminal has written down, as far as one line holds it.",
    ),
    VerbSpec(
        Kind.DATA,
        "DIFFERENCES",
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (FieldSpec("differences", f.DIFFERENCES, "the next items about which both sides differ"),),
        "Where the two sides differ, as far as one line holds it.",
    ),
)
