"""States what a shop may know of one answer, and hashes it into the chain of the slot that wrote it.

Stores nothing. A link is SHA-256 over a zero byte, the link before it, the digest of what the shop may not
know (internal numbers, entries, the commitment to personal columns), the receipt's mark, and the statement.
So a shop that is shown two digests computes the link from its own fields, and learns nothing else.
The zero byte tells a link, which is a leaf of the tree, from a node (RFC 9162, section 2.1.1).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trus.errors import TrusError
from trus.values import Frozen

LINK_VERSION: Final = 2
#: A mark is the number of the head before it (4 bytes, big-endian) and the code.
HEAD_BYTES: Final = 4
CODE_BYTES: Final = 12
MARK_BYTES: Final = HEAD_BYTES + CODE_BYTES
KEY_BYTES: Final = 32
DIGEST_BYTES: Final = 32
#: Signs the answers before the first head, whose key nobody has committed to.
NO_KEY: Final = bytes(KEY_BYTES)
LEAF: Final = b"\x00"
_KEY_CONTEXT: Final = b"trus receipt key v1\0"
_TEXT: Final = re.compile(r"([0-9]{1,5})-([0-9]{1,15})-([0-9A-Fa-f]{32})\Z", re.ASCII)
_encode: Final = msgspec.msgpack.Encoder().encode
_sha256: Final = hashlib.sha256


class ReceiptError(TrusError):
    """What was given is no receipt, no proof or no head; the message says which, in one sentence."""


class Receipt(Frozen, frozen=True):
    """The place of an answer in the journal and its mark: what a slip prints as the proof."""

    slot: int
    sequence: int
    mark: bytes

    @property
    def head(self) -> int:
        """The number of the newest head when the answer was stored, 0 before the first."""
        return int.from_bytes(self.mark[:HEAD_BYTES], "big")

    @property
    def code(self) -> bytes:
        """What only the network could have computed when it gave the answer, 12 bytes."""
        return self.mark[HEAD_BYTES:]

    def text(self) -> str:
        """Return it as it travels and is printed, such as "1-48213-0000004D4F2A90C1D2E3F4A5B6C7D8E9"."""
        return f"{self.slot}-{self.sequence}-{self.mark.hex().upper()}"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Return the receipt of a text; spaces, as a slip groups it, do not count. Raises ReceiptError."""
        match = _TEXT.match("".join(text.split()))
        if match is None or not int(match[1]) or not int(match[2]):
            raise ReceiptError("a proof code is SLOT-SEQUENCE-CODE with 32 hexadecimal digits")
        return cls(int(match[1]), int(match[2]), bytes.fromhex(match[3]))


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the journal says of one answer, as the shop that got it knows it. Amounts are minor units.

    `amount` was asked, `authorized` moved or was set aside (0 after a decline). The fields are columns
    of the journal (docs/reference/ledger.md).
    """

    kind: str
    terminal: str | None
    business_date: str | None
    stan: int | None
    amount: int
    authorized: int
    currency: str
    result: str
    code: str
    approval: str
    rrn: str


#: The columns of the journal that a statement is, in the order of its encoding.
STATED: Final = Statement.__struct_fields__


def encode_statement(slot: int, sequence: int, stated: Sequence[Any]) -> bytes:
    """Return the bytes of a statement at a place: a MessagePack array in smallest forms.

    `stated` holds the columns STATED, in that order.
    """
    return _encode((LINK_VERSION, slot, sequence, *stated))


def mark_of(head: bytes, key: bytes, statement: bytes) -> bytes:
    """Return the mark of an encoded statement: `head` (4 bytes), then SHA-256 over key and statement, cut to 12 bytes.

    A statement is one self-delimiting array and the digest is cut, so that a secret before it is enough.
    """
    return head + _sha256(key + statement).digest()[:CODE_BYTES]


def link_of(previous: bytes, rest: bytes, mark: bytes, statement: bytes) -> bytes:
    """Return the link after `previous`; `rest` is the digest of what a shop may not know."""
    return _sha256(LEAF + previous + rest + mark + statement).digest()


def commitment_to(key: bytes) -> bytes:
    """Return what a head says of the key of the receipts after it."""
    return _sha256(_KEY_CONTEXT + key).digest()
