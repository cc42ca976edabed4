"""docs/vectors/receipts.json: what the specification says, checked with hashes and signatures alone."""

from __future__ import annotations

import hashlib
import json

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from twisted.trial.unittest import SynchronousTestCase

from tests.receipts.vectors import VECTORS, text


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


class VectorsCase(SynchronousTestCase):
    """A reader who has the page and the file, and nothing of trus."""

    def setUp(self) -> None:
        self.vectors = json.loads(VECTORS.read_text(encoding="utf-8"))

    def test_renewed(self) -> None:
        """The file is what `python -m tests.receipts.vectors` writes."""
        self.assertEqual(VECTORS.read_text(encoding="utf-8"), text())

    def test_heads(self) -> None:
        """Every head is signed as the page says, and names the head before it."""
        public = load_pem_public_key(self.vectors["public-key"].encode())
        assert isinstance(public, ec.EllipticCurvePublicKey)
        before = "00" * 32
        for head in self.vectors["heads"]:
            document = head["document"].encode()
            payload = b"trus ledger head v1\0" + document
            public.verify(bytes.fromhex(head["signature"]), payload, ec.ECDSA(hashes.SHA256()))
            said = json.loads(document)
            self.assertEqual(said["previous"], before)
            self.assertEqual(said["receipts"], sha256(b"trus receipt key v1\0", bytes.fromhex(head["key"])).hex())
            before = sha256(document).hex()

    def test_answers(self) -> None:
        """Every statement, mark and link is made as the page says, and every path leads to the tree of its head."""
        keys = [bytes(32), *(bytes.fromhex(head["key"]) for head in self.vectors["heads"])]
        for answer in self.vectors["answers"]:
            slot, sequence, mark = answer["proof"].split("-")
            statement = msgspec.msgpack.encode([2, int(slot), int(sequence), *answer["slip"].values()])
            self.assertEqual(statement.hex(), answer["statement"])
            octets = bytes.fromhex(mark)
            key = keys[int.from_bytes(octets[:4], "big")]
            self.assertEqual(octets[4:], sha256(key, statement)[:12])
            previous, rest = bytes.fromhex(answer["previous"]), bytes.fromhex(answer["rest"])
            link = sha256(b"\0", previous, rest, octets, statement)
            self.assertEqual(link.hex(), answer["link"])
            for number, path in answer["paths"].items():
                [[_, size, _, tree]] = json.loads(self.vectors["heads"][int(number) - 1]["document"])["slots"]
                self.assertEqual(self.climb(link, int(sequence) - 1, size, path).hex(), tree)

    def climb(self, found: bytes, index: int, size: int, path: list[str]) -> bytes:
        """Go up by recursion, unlike the program."""
        if size == 1:
            return found
        split = 1
        while split * 2 < size:
            split *= 2
        *below, top = path
        if index < split:
            return sha256(b"\1", self.climb(found, index, split, below), bytes.fromhex(top))
        return sha256(b"\1", bytes.fromhex(top), self.climb(found, index - split, size - split, below))
