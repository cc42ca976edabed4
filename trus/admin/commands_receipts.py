"""The part of the table of commands that is about receipts: proofs of answers, and the keys of their codes.

Carries nothing out; trus.issuing.receipts does.
"""

from __future__ import annotations

from typing import Final

from trus.admin import arguments as kinds
from trus.admin.model import AdminRole, Argument, Command

RECEIPT_COMMANDS: Final = (
    Command(
        "RECEIPT",
        "Proves an answer under the newest signed head: its proof code, and the file that a shop checks.",
        frozenset(AdminRole),
        (
            Argument("rrn", kinds.digits(12), "RRN", "retrieval reference number, 12 digits (ISO 8583 field 37)"),
            Argument(
                "since",
                kinds.whole_number(1, 999_999_999),
                "HEAD",
                "prove also that the journal has only grown since this head",
                required=False,
            ),
        ),
    ),
    Command(
        "RECEIPT-KEY",
        "Opens the key of the receipts between a signed head and the next, for an arbiter; once it is out of use.",
        frozenset({AdminRole.ADMINISTRATOR}),
        (Argument("head", kinds.whole_number(1, 999_999_999), "HEAD", "the head that commits to it"),),
        mutating=True,
    ),
)
