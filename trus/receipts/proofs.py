"""Leads from one answer to a signed head, and from an older head to a newer one; as files that a shop keeps.

Believes nothing that is not computed here from the bytes. An evidence file is JSON: what the slip says, what
the network offers as proof, and an older head with the proof that the newer one continues it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from trus.receipts.documents import Document, ExportedLine, SlotHead, slots_of
from trus.receipts.links import STATED, Receipt, ReceiptError, Statement, encode_statement, link_of
from trus.receipts.merkle import is_consistent, root_from_path

#: Longest file that is read: a path has a few dozen hashes.
MAX_FILE_BYTES: Final = 1 << 20
EVIDENCE_VERSION: Final = 1


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network offers: the statement of its journal, two digests, the path, and the head it leads to.

    Digests are lower-case hexadecimal.
    """

    statement: Statement
    previous: str
    rest: str
    path: list[str]
    head: ExportedLine

    def leads(self, receipt: Receipt) -> bool:
        """Return whether statement, mark and path lead to the root that the head signs. Raises ReceiptError."""
        end = end_of(self.head.read(), receipt.slot)
        if end is None or not end.tree:
            return False
        stated = msgspec.structs.astuple(self.statement)
        statement = encode_statement(receipt.slot, receipt.sequence, stated)
        link = link_of(_digest(self.previous), _digest(self.rest), receipt.mark, statement)
        path = [_digest(each) for each in self.path]
        return root_from_path(link, receipt.sequence - 1, end.sequence, path) == end.tree


class ShownProof(NamedTuple):
    """A proof in bytes, before it is packed for a terminal or a file.

    `statement` is the columns STATED; a head is its document and its signature; `older` is the head asked for,
    from which `consistency` leads to `head`, None when there is no such head.
    """

    statement: tuple[Any, ...]
    previous: bytes
    rest: bytes
    path: list[bytes]
    head: tuple[bytes, bytes]
    older: tuple[bytes, bytes] | None
    consistency: list[bytes]


class NotCovered(ReceiptError):
    """No signed head covers the answer yet."""

    def __init__(self) -> None:
        super().__init__("no signed head covers the answer yet: ask again in a minute")


class Continuation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An older head, and the proof that the tree of the receipt's slot in the newer one continues it."""

    head: ExportedLine
    path: list[str]

    def continues(self, newer: Document, slot: int) -> bool:
        """Return whether the newer head continues the older one in a slot. Raises ReceiptError."""
        before, after = end_of(self.head.read(), slot), end_of(newer, slot)
        if before is None:
            return True
        if after is None:
            return False
        path = [_digest(each) for each in self.path]
        return is_consistent(before.sequence, before.tree, after.sequence, after.tree, path)


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a shop holds: its receipt, the words of its slip, and what it was given as proof.

    `slip` has names of Statement, amounts in minor units. Without `proof` the network gave none.
    """

    version: int
    receipt: str
    slip: dict[str, Any] = {}
    proof: Proof | None = None
    since: Continuation | None = None


def pack(shown: ShownProof) -> tuple[Proof, Continuation | None]:
    """Return a proof in the form of files."""
    path = [each.hex() for each in shown.path]
    statement = Statement(*shown.statement)
    proof = Proof(statement, shown.previous.hex(), shown.rest.hex(), path, _line(*shown.head))
    if shown.older is None:
        return proof, None
    return proof, Continuation(_line(*shown.older), [each.hex() for each in shown.consistency])


def _line(document: bytes, signature: bytes) -> ExportedLine:
    return ExportedLine(document.decode("utf-8"), signature.hex())


def read_evidence(content: bytes) -> Evidence:
    """Return the evidence of a file. Raises ReceiptError."""
    if len(content) > MAX_FILE_BYTES:
        raise ReceiptError("it is too long for an evidence file")
    try:
        evidence = msgspec.json.decode(content, type=Evidence)
    except msgspec.MsgspecError as problem:
        raise ReceiptError(f"it is no evidence file: {problem}") from None
    if evidence.version != EVIDENCE_VERSION or set(evidence.slip) - set(STATED):
        raise ReceiptError("it is no evidence file of this version")
    Receipt.parse(evidence.receipt)
    return evidence


def write_evidence(evidence: Evidence) -> bytes:
    """Return the file of an evidence: JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(evidence), indent=2) + b"\n"


def end_of(document: Document, slot: int) -> SlotHead | None:
    """Return what a head says of one slot, None when it does not know it."""
    return next((each for each in slots_of(document) if each.slot == slot), None)


def _digest(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise ReceiptError("a digest of the proof has not 32 bytes")
    return found
