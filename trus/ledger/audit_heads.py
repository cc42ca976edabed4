"""Checks the signed heads against the journal, and the exported copies against the database.

A head that is missing from the database but was exported proves that the database was set back; a
head whose slots are not in the journal proves that events were taken out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, select

from trus.ledger.chain import genesis
from trus.ledger.findings import Check, Findings
from trus.ledger.heads import Head, HeadVerifier, exported_lines, heads_after, line_of
from trus.ledger.prepared import Prepared
from trus.ledger.tables import event
from trus.ledger.tree import root_of_slot
from trus.ledger.writer import ledger_id
from trus.receipts.documents import CONTEXT, NO_PREVIOUS, Document, SlotHead, decode_document, root_of, slots_of

_LINK: Final = Prepared(
    select(event.c.link).where(event.c.slot == bindparam("slot"), event.c.sequence == bindparam("sequence"))
)


def check_heads(connection: Connection, verifier: HeadVerifier | None, findings: Findings) -> list[Head]:
    """Check every signed head: its number, the one before it, its signature, its slots. Returns them.

    Signatures are checked when there is a `verifier`.
    """
    name = ledger_id(connection)
    heads = heads_after(connection, 0)
    previous = NO_PREVIOUS
    reached: dict[int, int] = {}
    for place, head in enumerate(heads, start=1):
        named = f"head {head.number}"
        if head.number != place:
            findings.add(Check.HEADS, named, f"head {place} is missing before it")
        if hashlib.sha256(head.document).digest() != head.digest:
            findings.add(Check.HEADS, named, "its digest is not that of its document")
        try:
            said = decode_document(head.document)
        except msgspec.DecodeError:
            findings.add(Check.HEADS, named, "its document cannot be read")
            previous = head.digest.hex()
            continue
        if said.previous != previous:
            findings.add(Check.HEADS, named, "it does not follow the head before it")
        if said.number != head.number or said.ledger != name:
            findings.add(Check.HEADS, named, "it was made for another place or another ledger")
        if verifier is not None and not verifier.verify(said.key, CONTEXT + head.document, head.signature):
            findings.add(Check.HEADS, named, f"its signature does not verify under {said.key}")
        _check_slots(connection, name, named, said, reached, findings)
        previous = head.digest.hex()
    findings.examine(Check.HEADS, len(heads))
    return heads


def check_export(directory: Path, heads: list[Head], findings: Findings) -> None:
    """Check that every exported line is a head of the database, byte for byte, in order.

    Heads that are not exported yet are no finding: they follow the last exported one.
    """
    try:
        lines = exported_lines(directory)
    except OSError as failure:
        findings.add(Check.EXPORT, str(directory), f"it cannot be read: {failure.strerror}")
        return
    known = {line_of(head): head.number for head in heads}
    expected = 1
    for path, number, line in lines:
        place = f"{path.name} line {number}"
        found = known.get(line)
        if found is None:
            findings.add(Check.EXPORT, place, "the database does not hold this head: it was changed or set back")
            continue
        if found != expected:
            findings.add(Check.EXPORT, place, f"it is head {found} where head {expected} was exported")
        expected = found + 1
    findings.examine(Check.EXPORT, len(lines))


def _check_slots(
    connection: Connection, name: str, named: str, said: Document, reached: dict[int, int], findings: Findings
) -> None:
    slots = slots_of(said)
    if root_of(slots).hex() != said.root:
        findings.add(Check.HEADS, named, "its root is not that of its slots")
    for gone in sorted(reached.keys() - {each.slot for each in slots}):
        findings.add(Check.HEADS, named, f"slot {gone} is gone")
    for each in slots:
        if each.sequence < reached.get(each.slot, 0):
            findings.add(Check.HEADS, named, f"slot {each.slot} goes back to sequence {each.sequence}")
        reached[each.slot] = each.sequence
        if _link(connection, name, each) != each.link:
            findings.add(
                Check.HEADS,
                named,
                f"the journal has another event, or none, at slot {each.slot} sequence {each.sequence}",
            )
        if each.tree and root_of_slot(connection, each.slot, each.sequence) != each.tree:
            findings.add(Check.HEADS, named, f"its tree over slot {each.slot} is not that of the journal's links")


def _link(connection: Connection, name: str, head: SlotHead) -> bytes | None:
    if head.sequence == 0:
        return genesis(name, head.slot).link
    link: bytes | None = _LINK.value(connection, slot=head.slot, sequence=head.sequence)
    return link
