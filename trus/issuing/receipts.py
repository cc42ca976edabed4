"""Proves answers to whoever asks the issuer, and opens the key of a dispute's minute to an arbiter.

Shows of an answer what its shop knows already. A key is opened when it is out of use, with an event
that says who did it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from trus.admin.model import RefusalCode
from trus.core.messages import AdminAnswer
from trus.issuing.desk import Desk, Handler, Order, audit, done, refuse
from trus.receipts.proofs import EVIDENCE_VERSION, Evidence, NotCovered, pack


def show_receipt(desk: Desk, order: Order) -> AdminAnswer:
    """RECEIPT."""
    today = desk.registry.business_date()
    since = int(order.arguments.get("since", "0"))
    with desk.registry.reading() as view:
        receipt = view.receipts.of(order.text("rrn"), today)
        if receipt is None:
            raise refuse(RefusalCode.NOT_FOUND, "No answer with a receipt has that retrieval reference number.")
        try:
            shown = view.receipts.prove(receipt, since)
        except NotCovered:
            raise refuse(RefusalCode.STATE, "No signed head covers this answer yet. Ask again in a minute.") from None
    if shown is None:
        raise refuse(RefusalCode.NOT_FOUND, "The journal cannot prove this answer: audit the ledger.")
    proof, older = pack(shown)
    evidence = Evidence(EVIDENCE_VERSION, receipt.text(), {}, proof, older)
    number = proof.head.read().number
    row = {
        "rrn": order.text("rrn"),
        "proof": receipt.text(),
        "head": str(number),
        "file": msgspec.json.encode(evidence).decode("utf-8"),
    }
    return done(f"Proved under head {number}.", [row])


def open_key(desk: Desk, order: Order) -> AdminAnswer:
    """RECEIPT-KEY."""
    number = int(order.text("head"))
    with desk.registry.changing(desk.clock.now()) as change:
        key, newest = change.receipts.key(number), change.receipts.newest()
        if key is None:
            raise refuse(RefusalCode.NOT_FOUND, "No such head commits to a key.")
        if number >= newest:
            raise refuse(RefusalCode.STATE, "This key is in use until the next head is signed. Ask again in a minute.")
        audit(change, order, {"head": number})
    return done(f"The key of the receipts after head {number} is open now.", [{"head": str(number), "key": key.hex()}])


HANDLERS: Final[Mapping[str, Handler]] = {"RECEIPT": show_receipt, "RECEIPT-KEY": open_key}
