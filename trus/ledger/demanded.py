"""Judges whether a ledger is as new as the last head of its audit chain that somebody kept elsewhere.

Decides nothing about what to do then. A head that is known by its exported line is checked to the last
detail: ledger, signature, the heads before it. One that is known by its digest alone is in this ledger
or it is not; how much is missing then, nobody can say.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec
from sqlalchemy import Connection

from trus.errors import LedgerError
from trus.ledger.compose import ONLY_SLOT
from trus.ledger.days import moment
from trus.ledger.heads import HeadVerifier, heads_after
from trus.ledger.writer import ledger_id
from trus.receipts.documents import CONTEXT, Document, ExportedLine, decode_document, slots_of
from trus.values import Frozen

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}\Z")


class ForeignHead(LedgerError):
    """The demanded head is of another ledger, another token, or another history: no state of this one has it."""


class KnownHead(Frozen, frozen=True):
    """A head as it was kept: its digest, and document and signature where the exported line was kept."""

    digest: bytes
    document: Document | None = None
    encoded: bytes = b""
    signature: bytes = b""


class Shortfall(Frozen, frozen=True):
    """What a ledger lacks of the demanded head.

    `head` is the demanded head's number, 0 when unknown; `events` how many events are missing at least,
    None when nobody can say; `day` the UTC date on which the head was signed, None when unknown.
    """

    head: int
    events: int | None
    day: date | None


def read_known(text: str) -> list[KnownHead]:
    """Return the heads that a text names, the last one last: a digest (64 hexadecimal digits) or exported lines.

    Raises LedgerError when it is neither.
    """
    if _DIGEST.match(text.strip()):
        return [KnownHead(bytes.fromhex(text.strip()))]
    heads = []
    for line in text.splitlines():
        try:
            exported = msgspec.json.decode(line, type=ExportedLine)
            encoded = exported.document.encode("utf-8")
            document, signature = decode_document(encoded), bytes.fromhex(exported.signature)
        except (msgspec.DecodeError, ValueError):
            raise LedgerError("the demanded head is neither a digest nor an exported line of heads") from None
        heads.append(KnownHead(hashlib.sha256(encoded).digest(), document, encoded, signature))
    if not heads:
        raise LedgerError("no head is demanded: the file is empty")
    return sorted(heads, key=lambda head: 0 if head.document is None else head.document.number)


def shortfall(
    connection: Connection, slots: Sequence[tuple[int, int]], known: Sequence[KnownHead], verifier: HeadVerifier
) -> Shortfall | None:
    """Return what a ledger lacks of the last head known, None when it has it. `slots` are its (slot, last sequence).

    Raises ForeignHead when the heads known contradict the ledger.
    """
    own = {head.number: head.digest for head in heads_after(connection, 0)}
    last = max(own, default=0)
    demanded = known[-1]
    if demanded.document is None:
        return None if demanded.digest in own.values() else Shortfall(0, None, None)
    for head in known:
        _check(head, ledger_id(connection), own, verifier)
    number = demanded.document.number
    if number <= last:
        return None
    after = [head for head in known if head.document is not None and head.document.number == last + 1]
    if after and after[0].document is not None and last and after[0].document.previous != own[last].hex():
        raise ForeignHead(f"head {last + 1} does not follow head {last} of this ledger: their histories differ")
    reached = dict(slots)
    missing = sum(max(each.sequence - reached.get(each.slot, 0), 0) for each in slots_of(demanded.document))
    return Shortfall(number, missing, moment(demanded.document.at).date())


def epoch_of(known: Sequence[KnownHead]) -> int:
    """Return how often the ledger of these heads had been restored: each time it wrote in another slot."""
    slots = [each.slot for head in known if head.document is not None for each in slots_of(head.document)]
    return max(slots, default=ONLY_SLOT) - ONLY_SLOT


def _check(head: KnownHead, ledger: str, own: dict[int, bytes], verifier: HeadVerifier) -> None:
    document = head.document
    if document is None:
        return
    if document.ledger != ledger:
        raise ForeignHead(f"the demanded head is of the ledger {document.ledger}, not of {ledger}")
    if not verifier.verify(document.key, CONTEXT + head.encoded, head.signature):
        raise ForeignHead(f"the demanded head {document.number} was not signed by the token's key {document.key}")
    if document.number in own and own[document.number] != head.digest:
        raise ForeignHead(f"head {document.number} of this ledger is another one: their histories differ")
