"""Reads and writes signed heads: what the journal held at a moment, said under a key that never leaves its token.

Signs nothing: trus.ledger.heads does, and `trus verify-receipt` checks with the public key alone. A document
has one form in bytes (JSON, names in order, no spaces), so that its digest names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from trus.receipts.links import ReceiptError
from trus.receipts.merkle import merkle_root

HEAD_VERSION: Final = 2
#: What a signature is made over begins with this, so that it can be taken for nothing else.
CONTEXT: Final = b"trus ledger head v1\0"
#: What the first head names as the digest of the one before it.
NO_PREVIOUS: Final = "00" * 32


class SlotHead(NamedTuple):
    """What a head says of one slot: its last sequence, the last link, the root over all its links.

    `tree` is empty in heads of version 1.
    """

    slot: int
    sequence: int
    link: bytes
    tree: bytes = b""


class HeadDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed, as JSON with sorted names and no spaces.

    `at` is microseconds since 1970-01-01 UTC, `receipts` the commitment to the key that marks the answers
    after this head, `slots` the (slot, sequence, link, tree) of every slot in order, `root` the tree hash
    over these, `key` the signing key's name; digests and links are lower-case hexadecimal.
    """

    at: int
    key: str
    ledger: str
    number: int
    previous: str
    receipts: str
    root: str
    slots: list[tuple[int, int, str, str]]
    version: int


class FirstDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document of version 1, which says nothing of receipts."""

    at: int
    key: str
    ledger: str
    number: int
    previous: str
    root: str
    slots: list[tuple[int, int, str]]
    version: int


Document = HeadDocument | FirstDocument


class ExportedLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A head as it is exported and handed out, in JSON: the document's text and its signature in hexadecimal."""

    document: str
    signature: str

    def read(self) -> Document:
        """Return what it says. Raises ReceiptError."""
        try:
            return decode_document(self.document.encode("utf-8"))
        except msgspec.MsgspecError:
            raise ReceiptError("a head's document cannot be read") from None


def encode_document(document: Document) -> bytes:
    """Return the bytes of a document: the one form in which it is signed and stored."""
    return msgspec.json.encode(document, order="sorted")


def decode_document(encoded: bytes) -> Document:
    """Return the document of these bytes. Raises msgspec.MsgspecError, also for another version or form."""
    version = msgspec.json.decode(encoded, type=_Version).version
    kind: type[Document] = FirstDocument if version == 1 else HeadDocument
    document = msgspec.json.decode(encoded, type=kind)
    if version not in (1, HEAD_VERSION) or encode_document(document) != encoded:
        raise msgspec.DecodeError("not a head of this version in its one form")
    return document


class _Version(msgspec.Struct):
    version: int


def slots_of(document: Document) -> list[SlotHead]:
    """Return what a document says of its slots; text that is not hexadecimal reads as nothing."""
    return [
        SlotHead(each[0], each[1], _bytes(each[2]), _bytes(each[3]) if len(each) > 3 else b"")
        for each in document.slots
    ]


def root_of(slots: Sequence[SlotHead]) -> bytes:
    """Return the root over slots, which must be in order (RFC 9162, section 2.1.1)."""
    return merkle_root([msgspec.msgpack.encode(each if each.tree else each[:3]) for each in slots])


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
