"""Translates between a session's questions about certificates and the core's words.

Pure and stateless, like trus.backend.dispatch: opens no seal, decides nothing. A list longer than a
line is asked for in parts, each by a question of its own.
"""

from __future__ import annotations

from typing import Final

from trus.backend.dispatch import Reply, declined
from trus.backend.receipts import proof_asked, proof_told
from trus.core import messages as core
from trus.core.messages import Answer, Request
from trus.core.messages_directory import AskChannel, ChannelGiven, LookedUp, Lookup, Renew, Renewed
from trus.protocol.fields import format_octets, parse_count, parse_octets
from trus.protocol.messages import Message
from trus.protocol.verbs_certificates import MAX_LIST_PART_BYTES
from trus.values import PeerIdentity, ResponseCode

#: The verbs that this module translates.
QUESTIONS: Final = frozenset({"RENEW", "LOOKUP", "CHANNEL", "PROVE"})
#: Certificates that fit into one line.
_MOST_CERTIFICATES: Final = 4
_WHATS: Final = frozenset({"certificate", "list"})


def question_of(message: Message, peer: PeerIdentity, address: str) -> Request:
    """Return what an opened COMMAND RENEW, LOOKUP, CHANNEL or PROVE asks the core; `address` is for the audit.

    Raises RemoteProtocolError for values that the grammar allows and the verb does not.
    """
    fields = message.fields
    if message.verb == "PROVE":
        return proof_asked(message, peer)
    if message.verb == "RENEW":
        return Renew(peer, parse_octets(fields["csr"]), address)
    if message.verb == "CHANNEL":
        return AskChannel(peer, parse_octets(fields["have"]))
    what = fields["what"] if fields["what"] in _WHATS else "nothing"
    return Lookup(what, fields["by"], parse_octets(fields["key"]))


def finding_of(asked: Message, answer: Answer) -> Reply:
    """Return what the device is told for an answer of the core."""
    if asked.verb == "PROVE":
        return proof_told(answer)
    match answer:
        case Renewed():
            return _chain(answer.chain)
        case ChannelGiven():
            return Reply("DATA", "CHANNEL", {}, {"p12": format_octets(answer.p12), "passphrase": answer.passphrase})
        case LookedUp() if answer.bodies and asked.fields["what"] == "list":
            return _part(answer.bodies[0], parse_count(asked.fields.get("offset", "0")))
        case LookedUp() if answer.bodies:
            return _chain(answer.bodies[:_MOST_CERTIFICATES])
        case LookedUp():
            return declined(ResponseCode.RECORD_NOT_FOUND)
        case core.Refused() | core.Failed():
            return declined(answer.code)
        case _:
            return declined(ResponseCode.SYSTEM_ERROR)


def _chain(chain: list[bytes]) -> Reply:
    return Reply("DATA", "CERTIFICATE", {}, {"chain": ",".join(map(format_octets, chain))})


def _part(crl: bytes, offset: int) -> Reply:
    part = crl[offset : offset + MAX_LIST_PART_BYTES]
    if not part:
        return declined(ResponseCode.RECORD_NOT_FOUND)
    sealed = {"offset": str(offset), "total": str(len(crl)), "part": format_octets(part)}
    return Reply("DATA", "CRL", {}, sealed)
