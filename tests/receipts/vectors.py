"""Makes docs/vectors/receipts.json: a small journal with fixed keys, its heads, and proofs of its answers.

    python -m tests.receipts.vectors

writes the file anew; a test compares it, and checks it with hashes and signatures alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trus.receipts.documents import CONTEXT, HeadDocument, SlotHead, encode_document, root_of
from trus.receipts.links import STATED, commitment_to, encode_statement, link_of, mark_of
from trus.receipts.merkle import consistency_path, inclusion_path, perfect_root, tree_root

VECTORS: Final = Path(__file__).resolve().parents[2] / "docs" / "vectors" / "receipts.json"
SLOT: Final = 1
#: Heads: how many answers each covers. Head 1 covers none and commits to the first receipt key.
SIZES: Final = (0, 4, 9)
_SCALAR: Final = int.from_bytes(hashlib.sha256(b"trus receipt vectors").digest(), "big")


def made() -> dict[str, Any]:
    """Return everything that the file holds."""
    key = private_key()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    start = previous = hashlib.sha256(b"the link before the first").digest()
    answers: list[dict[str, Any]] = []
    links: list[bytes] = []
    for sequence in range(1, SIZES[-1] + 1):
        head = sum(size < sequence for size in SIZES[:-1])
        stated = _stated(sequence)
        statement = encode_statement(SLOT, sequence, stated)
        mark = mark_of(head.to_bytes(4, "big"), _receipt_key(head), statement)
        rest = hashlib.sha256(b"rest %d" % sequence).digest()
        link = link_of(previous, rest, mark, statement)
        answers.append(
            {
                "proof": f"{SLOT}-{sequence}-{mark.hex().upper()}",
                "slip": dict(zip(STATED, stated, strict=True)),
                "statement": statement.hex(),
                "previous": previous.hex(),
                "rest": rest.hex(),
                "link": link.hex(),
            }
        )
        previous = link
        links.append(link)

    def subtree(level: int, number: int) -> bytes:
        return perfect_root(links[number << level : (number + 1) << level])

    heads: list[dict[str, Any]] = []
    before = "00" * 32
    for number, size in enumerate(SIZES, start=1):
        end = SlotHead(SLOT, size, links[size - 1] if size else start, tree_root(size, subtree))
        document = encode_document(
            HeadDocument(
                at=1_795_176_000_000_000 + number * 60_000_000,
                key="audit-head/1",
                ledger="0" * 32,
                number=number,
                previous=before,
                receipts=commitment_to(_receipt_key(number)).hex(),
                root=root_of([end]).hex(),
                slots=[(SLOT, size, end.link.hex(), end.tree.hex())],
                version=2,
            )
        )
        before = hashlib.sha256(document).hexdigest()
        heads.append({**sign(document), "key": _receipt_key(number).hex()})
    for sequence, answer in enumerate(answers, start=1):
        answer["paths"] = {
            str(number): [each.hex() for each in inclusion_path(sequence - 1, size, subtree)]
            for number, size in enumerate(SIZES, start=1)
            if size >= sequence
        }
    consistency = {"2-3": [each.hex() for each in consistency_path(SIZES[1], SIZES[2], subtree)]}
    return {"public-key": public, "answers": answers, "heads": heads, "consistency": consistency}


def private_key() -> ec.EllipticCurvePrivateKey:
    """Return the key that signs the vectors' heads."""
    return ec.derive_private_key(_SCALAR, ec.SECP256R1())


def sign(document: bytes) -> dict[str, str]:
    """Return a head of these bytes."""
    signature = private_key().sign(CONTEXT + document, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return {"document": document.decode("ascii"), "signature": signature.hex()}


def _receipt_key(head: int) -> bytes:
    return hashlib.sha256(b"receipt key %d" % head).digest()


def _stated(sequence: int) -> tuple[Any, ...]:
    declined = sequence % 4 == 0
    amount = 100 * sequence
    return (
        *("purchase", "T0000001", "2026-11-20", 40 + sequence, amount, 0 if declined else amount, "USD"),
        *(("declined", "51", "") if declined else ("approved", "00", f"A1B2C{sequence}")),
        f"63240000{40 + sequence:04d}",
    )


def text() -> str:
    """Return the file's text."""
    return json.dumps(made(), indent=1) + "\n"


if __name__ == "__main__":
    VECTORS.write_text(text(), encoding="utf-8")
