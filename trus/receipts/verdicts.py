"""Says what a receipt, a proof and a few signed heads amount to: one word, and every check in a sentence.

Decides by the public keys that it is given and by nothing else; opens no file and no connection. What each
word is worth, and against whom, is told in docs/explanation/receipts.md.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from trus.receipts.documents import CONTEXT, Document, ExportedLine, HeadDocument
from trus.receipts.links import (
    HEAD_BYTES,
    STATED,
    Receipt,
    ReceiptError,
    commitment_to,
    encode_statement,
    mark_of,
)
from trus.receipts.proofs import Evidence, end_of


class Verdict(StrEnum):
    """What the evidence proves."""

    INCLUDED = "included"  #: the journal held the answer, as the slip says it, when the head was signed
    CHANGED = "changed"  #: what the network offers is not what the slip says, or leads to no signed head
    NOT_INCLUDED = "not-included"  #: a head that must cover the answer is there, and no proof of it
    INCONSISTENT = "inconsistent"  #: two signed heads contradict each other
    NOT_YET = "not-yet"  #: no head covers the answer yet: nothing is proved either way
    NOT_SIGNED = "not-signed"  #: a head was not signed by the key given: nothing is proved either way


#: The network is shown to be wrong.
CONTRADICTED = frozenset({Verdict.CHANGED, Verdict.NOT_INCLUDED, Verdict.INCONSISTENT})


class Finding(msgspec.Struct, frozen=True):
    """One check: what was looked at, whether it holds (None: it says nothing), and a sentence."""

    check: str
    holds: bool | None
    words: str


class Judgement(msgspec.Struct, frozen=True):
    """The verdict and the checks that led to it. `head` is the newest head looked at, 0 for none."""

    verdict: Verdict
    receipt: str
    head: int
    findings: list[Finding]


class SignatureCheck(Protocol):
    """Checks a signature under a public key."""

    def __call__(self, payload: bytes, signature: bytes, /) -> bool:
        """Return whether one of the keys made it."""
        ...


def judge(
    evidence: Evidence, signed: SignatureCheck, heads: Sequence[ExportedLine] = (), opening: bytes = b""
) -> Judgement:
    """Return what the evidence proves, with further heads that were kept, and the key that an arbiter had opened.

    Raises ReceiptError for what cannot be read.
    """
    receipt = Receipt.parse(evidence.receipt)
    lines = [*heads]
    if evidence.proof is not None:
        lines.append(evidence.proof.head)
    if evidence.since is not None:
        lines.append(evidence.since.head)
    findings: list[Finding] = []
    known = sorted(
        {each.document: (each.read(), each) for each in lines}.values(), key=lambda head: (head[0].number, head[0].at)
    )
    documents = [document for document, _ in known]
    newest = documents[-1].number if documents else 0
    forged = [document for document, line in known if not _is_signed(line, signed)]
    for document in forged:
        findings.append(Finding("signature", False, f"head {document.number} was not signed by the key given"))
    if forged:
        return Judgement(Verdict.NOT_SIGNED, receipt.text(), newest, findings)
    if documents:
        numbers = ", ".join(str(document.number) for document in documents)
        findings.append(Finding("signature", True, f"the network signed head {numbers}"))
    contradiction = _contradiction(documents, evidence, receipt.slot, findings)
    if opening:
        findings.append(_opened(opening, receipt, evidence, documents))
    if contradiction:
        return Judgement(Verdict.INCONSISTENT, receipt.text(), newest, findings)
    return Judgement(_included(evidence, receipt, documents, findings), receipt.text(), newest, findings)


def _is_signed(line: ExportedLine, signed: SignatureCheck) -> bool:
    try:
        signature = bytes.fromhex(line.signature)
    except ValueError:
        return False
    return signed(CONTEXT + line.document.encode("utf-8"), signature)


def _included(evidence: Evidence, receipt: Receipt, documents: Sequence[Document], findings: list[Finding]) -> Verdict:
    proof = evidence.proof
    if proof is None:
        return _missing(receipt, documents, findings)
    differing = [
        Finding("slip", False, f"{name}: the slip says {said}, the journal {getattr(proof.statement, name)}")
        for name, said in evidence.slip.items()
        if said != getattr(proof.statement, name)
    ]
    findings += differing
    if not differing and evidence.slip:
        findings.append(Finding("slip", True, f"the journal says what the slip says ({len(evidence.slip)} fields)"))
    end = end_of(proof.head.read(), receipt.slot)
    if end is None or end.sequence < receipt.sequence:
        findings.append(Finding("path", None, "the head of the proof is older than the answer"))
        return _missing(receipt, documents, findings)
    number = proof.head.read().number
    if not proof.leads(receipt):
        findings.append(Finding("path", False, f"statement, code and path do not lead to what head {number} signs"))
        return Verdict.CHANGED
    findings.append(Finding("path", True, f"entry {receipt.sequence} of slot {receipt.slot} is under head {number}"))
    return Verdict.CHANGED if differing else Verdict.INCLUDED


def _missing(receipt: Receipt, documents: Sequence[Document], findings: list[Finding]) -> Verdict:
    """Judge an answer without proof. A head after the next one of its time must cover it."""
    owed = [document for document in documents if document.number >= receipt.head + 2]
    if not owed:
        findings.append(
            Finding(
                "inclusion", None, f"the answer is after head {receipt.head}; head {receipt.head + 2} must cover it"
            )
        )
        return Verdict.NOT_YET
    last = owed[-1]
    end = end_of(last, receipt.slot)
    covered = 0 if end is None else end.sequence
    words = (
        f"head {last.number} ends at entry {covered}, before the answer's {receipt.sequence}"
        if covered < receipt.sequence
        else f"head {last.number} covers entry {receipt.sequence}, and the network proves no such answer there"
    )
    findings.append(Finding("inclusion", False, words))
    return Verdict.NOT_INCLUDED


def _contradiction(documents: Sequence[Document], evidence: Evidence, slot: int, findings: list[Finding]) -> bool:
    """Look for heads that cannot both be of one journal that only grows; return whether there are any."""
    found = []
    for number, older in enumerate(documents):
        for newer in documents[number + 1 :]:
            found += [Finding("heads", False, words) for words in _quarrel(older, newer)]
    since, proof = evidence.since, evidence.proof
    if since is not None and proof is not None:
        newer = proof.head.read()
        older = since.head.read()
        if older.number <= newer.number and not since.continues(newer, slot):
            words = f"head {newer.number} does not continue head {older.number}: the journal was rewritten"
            found.append(Finding("heads", False, words))
        elif not found:
            findings.append(Finding("heads", True, f"head {newer.number} continues head {older.number}"))
    findings += found
    return bool(found)


def _quarrel(older: Document, newer: Document) -> list[str]:
    """Return why two heads, ordered by number, are not of one journal that only grows."""
    if older.ledger != newer.ledger:
        return [f"heads {older.number} and {newer.number} are of two ledgers"]
    if older.number == newer.number:
        return [f"there are two heads {older.number}"]
    if older.at > newer.at:
        return [f"head {newer.number} is older than head {older.number}: the journal was set back"]
    digest = hashlib.sha256(msgspec.json.encode(older, order="sorted")).hexdigest()
    if newer.number == older.number + 1 and newer.previous != digest:
        return [f"head {newer.number} does not name head {older.number}"]
    wrong = []
    for slot, sequence, *_ in older.slots:
        before, after = end_of(older, slot), end_of(newer, slot)
        if after is None or after.sequence < sequence:
            wrong.append(f"head {newer.number} has less of slot {slot} than head {older.number}")
        elif before is not None and after.sequence == sequence and after != before:
            wrong.append(f"head {newer.number} says another thing of slot {slot} than head {older.number}")
    return wrong


def _opened(opening: bytes, receipt: Receipt, evidence: Evidence, documents: Sequence[Document]) -> Finding:
    """Judge the code by the key that the network opened: nobody else could have made it."""
    wanted = commitment_to(opening).hex()
    committed = [each for each in documents if isinstance(each, HeadDocument) and each.number == receipt.head]
    if not committed:
        return Finding("code", None, f"head {receipt.head}, which commits to the key, is not among the heads")
    if not hmac.compare_digest(committed[0].receipts, wanted):
        return Finding("code", False, f"the key that was opened is not the one that head {receipt.head} commits to")
    missing = [name for name in STATED if name not in evidence.slip]
    if missing:
        return Finding("code", None, f"the slip does not say {', '.join(missing)}")
    statement = encode_statement(receipt.slot, receipt.sequence, [evidence.slip[name] for name in STATED])
    mark = mark_of(receipt.head.to_bytes(HEAD_BYTES, "big"), opening, statement)
    if hmac.compare_digest(mark, receipt.mark):
        return Finding("code", True, "the network gave this answer: its code is under the key that it opened")
    return Finding("code", False, "the code is not under the key that was opened: the network did not give this answer")


__all__ = ["CONTRADICTED", "Finding", "Judgement", "ReceiptError", "SignatureCheck", "Verdict", "judge"]
