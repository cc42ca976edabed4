"""Verifies the receipts that terminals hold as a shop would: by what the network proves, and the public key alone.

Asks the ledger's own prover for each proof and believes nothing of it (trus.receipts.verdicts). At the end of a run
everything has settled and a last head was signed: an answer that no head covers by then is a finding too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from trus.device.journal import Asked
from trus.ledger.proving import prove_all
from trus.receipts.links import Receipt
from trus.receipts.proofs import EVIDENCE_VERSION, Evidence, pack
from trus.receipts.verdicts import Verdict, judge
from trus.simulation.books import APPROVED, Finding, named
from trus.simulation.papers import Papers, Written

#: Answers about the terminal's own request; a reversal's receipt is of what took the original back, whoever did.
_OWN: Final = frozenset({Asked.PURCHASE, Asked.ADVICE, Asked.CAPTURE, Asked.HOLD, Asked.REFUND, Asked.VOID})


def signed_by(pem: bytes) -> Callable[[bytes, bytes], bool]:
    """Return what checks a head's signature (ECDSA P-256, SHA-256, DER) under this public key and no other."""
    public = load_pem_public_key(pem)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise TypeError("heads are signed by a key on an elliptic curve")

    def signed(payload: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    return signed


def receipts_verify(engine: Any, papers: Papers, pem: bytes) -> Iterator[Finding]:
    """RECEIPT: every approval that a terminal holds is proven by its receipt, as it was told."""
    held = [each for each in papers.written.values() if _is_held(each)]
    receipts = [_receipt(each) for each in held]
    signed = signed_by(pem)
    heads: dict[tuple[bytes, bytes], bool] = {}

    def signed_once(payload: bytes, signature: bytes) -> bool:
        # Nearly all proofs of a run lead to the same head.
        if (payload, signature) not in heads:
            heads[payload, signature] = signed(payload, signature)
        return heads[payload, signature]

    for written, receipt, shown in zip(held, receipts, prove_all(engine, receipts), strict=True):
        proof = None if shown is None else pack(shown)[0]
        evidence = Evidence(EVIDENCE_VERSION, receipt.text(), _slip(written), proof)
        found = judge(evidence, signed_once)
        if found.verdict is not Verdict.INCLUDED:
            why = "; ".join(each.words for each in found.findings if each.holds is not True)
            what = f"the receipt of {named(written.opened.identity)} is {found.verdict.value}: {why}"
            yield Finding("RECEIPT", what, written.settled_step)


def _is_held(written: Written) -> bool:
    settled = written.settled
    return settled is not None and bool(settled.proof) and settled.result.value in APPROVED


def _receipt(written: Written) -> Receipt:
    return Receipt.parse("" if written.settled is None else written.settled.proof)


def _slip(written: Written) -> dict[str, Any]:
    """Return what the terminal printed, by the names of a statement (trus.receipts.links.STATED)."""
    opened, settled = written.opened, written.settled
    if settled is None or opened.asked not in _OWN:
        return {}
    return {
        "terminal": opened.identity.terminal,
        "business_date": opened.identity.business_date,
        "stan": opened.identity.stan,
        "authorized": settled.amount,
        "result": settled.result.value,
        "code": settled.code,
        "approval": settled.approval,
        "rrn": settled.rrn,
    }
