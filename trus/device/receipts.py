"""Holds what a terminal noted of its answers against what the network proves of them.

Believes nothing: what the backend offers is written down as it is, and checked by whoever has the network's
public key (`trus verify-receipt`), the terminal's owner or a court.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from trus.clock import Clock, Entropy
from trus.device.connection import DeviceConnection
from trus.device.conversation import Conversation
from trus.device.home import DeviceHome
from trus.device.records import Asked, Purchased
from trus.device.renewal import NotRenewed, Visit
from trus.errors import TrusError
from trus.protocol.fields import parse_octets
from trus.protocol.messages import Message
from trus.receipts.documents import ExportedLine
from trus.receipts.links import LINK_VERSION, STATED, ReceiptError, Statement
from trus.receipts.proofs import EVIDENCE_VERSION, Continuation, Evidence, Proof
from trus.values import ResponseCode

_HASH_BYTES: Final = 32
#: What the journal of the network calls the requests that a terminal keeps.
_KINDS: Final = {Asked.PURCHASE: "purchase", Asked.ADVICE: "purchase", Asked.CAPTURE: "completion"}


class NotProved(TrusError):
    """The network gave no proof; `code` is its answer (field 39), empty when none was heard."""

    def __init__(self, why: str, code: str = "") -> None:
        super().__init__(why)
        self.code = code

    @property
    def too_early(self) -> bool:
        """Whether no signed head covers the answer yet."""
        return self.code == ResponseCode.INVALID_TRANSACTION


def slip_of(purchase: Purchased) -> dict[str, Any]:
    """Return what the terminal noted of an approved purchase, by the names of a statement."""
    opened, settled = purchase.opened, purchase.settled
    return {
        "kind": _KINDS[opened.asked],
        "terminal": opened.identity.terminal,
        "business_date": opened.identity.business_date,
        "stan": opened.identity.stan,
        "amount": opened.amount,
        "authorized": settled.amount,
        "currency": opened.currency,
        "result": settled.result.value,
        "code": settled.code,
        "approval": settled.approval,
        "rrn": settled.rrn,
    }


async def ask_proof(
    home: DeviceHome,
    proof: str,
    since: int = 0,
    *,
    endpoint: IStreamClientEndpoint,
    reactor: IReactorTime,
    clock: Clock,
    entropy: Entropy,
) -> tuple[Proof, Continuation | None]:
    """Ask the backend to prove the answer with proof code `proof`, and that its head continues head `since`.

    Raises NotProved, ConfigurationError, and what the network raises when the gateway does not answer.
    """

    def converse(binding: bytes) -> Conversation:
        return Conversation(
            identity=home.identity(), trust=home.trust(), clock=clock, entropy=entropy, channel_binding=binding
        )

    visit = Visit("PROVE", {"proof": proof, **({"since": str(since)} if since else {})})
    factory = Factory.forProtocol(lambda: DeviceConnection(reactor, converse, visit))
    await endpoint.connect(home.channel().wrap(factory, reactor))
    try:
        heard = await visit.result
    except NotRenewed as problem:
        words = {ResponseCode.INVALID_TRANSACTION: "no signed head covers the answer yet"}
        said = words.get(ResponseCode(problem.code), f"the backend said {problem.code}") if problem.code else ""
        raise NotProved(said or "the backend did not answer", problem.code) from None
    if heard is None:
        raise NotProved("the backend did not answer")
    try:
        return _read(heard)
    except (ReceiptError, msgspec.MsgspecError, UnicodeDecodeError, ValueError, TypeError):
        raise NotProved("the backend gave what is no proof") from None


def evidence_of(proof: str, slip: dict[str, Any], given: tuple[Proof, Continuation | None] | None) -> Evidence:
    """Return the file of a receipt: what the slip says, and what the network gave, if anything."""
    offered, since = given or (None, None)
    return Evidence(EVIDENCE_VERSION, proof, slip, offered, since)


def _read(heard: Message) -> tuple[Proof, Continuation | None]:
    fields = {name: parse_octets(value) for name, value in heard.fields.items()}
    version, _, _, *stated = msgspec.msgpack.decode(fields["statement"], type=list[Any])
    if version != LINK_VERSION or len(stated) != len(STATED):
        raise ReceiptError("a statement of another version")
    proof = Proof(
        msgspec.convert(dict(zip(STATED, stated, strict=True)), Statement),
        fields["previous"].hex(),
        fields["rest"].hex(),
        _hashes(fields.get("path", b"")),
        ExportedLine(fields["head"].decode("utf-8"), fields["signature"].hex()),
    )
    if "older" not in fields:
        return proof, None
    older = ExportedLine(fields["older"].decode("utf-8"), fields["older-signature"].hex())
    return proof, Continuation(older, _hashes(fields.get("consistency", b"")))


def _hashes(octets: bytes) -> list[str]:
    return [octets[begin : begin + _HASH_BYTES].hex() for begin in range(0, len(octets), _HASH_BYTES)]
