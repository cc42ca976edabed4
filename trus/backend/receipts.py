"""Translates between a terminal's question for a proof and the core's words.

Pure and stateless, like trus.backend.dispatch: proves nothing, believes nothing.
"""

from __future__ import annotations

from trus.backend.dispatch import Reply, declined
from trus.core.messages import Answer, Failed, Refused
from trus.core.messages_receipts import ProveReceipt, ReceiptProved
from trus.protocol.fields import format_octets, parse_count
from trus.protocol.messages import Message
from trus.receipts.links import Receipt
from trus.values import PeerIdentity, ResponseCode


def proof_asked(message: Message, peer: PeerIdentity) -> ProveReceipt:
    """Return what an opened COMMAND PROVE of a session's holder asks the core."""
    fields = message.fields
    return ProveReceipt(Receipt.parse(fields["proof"]), parse_count(fields.get("since", "0")), peer.name)


def proof_told(answer: Answer) -> Reply:
    """Return what the terminal is told for an answer of the core."""
    match answer:
        case ReceiptProved():
            return Reply("DATA", "PROOF", {}, _fields(answer))
        case Refused() | Failed():
            return declined(answer.code)
        case _:
            return declined(ResponseCode.SYSTEM_ERROR)


def _fields(proved: ReceiptProved) -> dict[str, str]:
    octets = {
        "statement": proved.statement,
        "previous": proved.previous,
        "rest": proved.rest,
        "path": b"".join(proved.path),
        "head": proved.head,
        "signature": proved.signature,
        "older": proved.older,
        "older-signature": proved.older_signature,
        "consistency": b"".join(proved.consistency),
    }
    return {name: format_octets(value) for name, value in octets.items() if value}
