"""Chains every event to the one before it in its writer's slot, so that no row changes unnoticed.

Stores nothing: computes commitments and links from values. A link is SHA-256 over the previous
link and the canonical encoding of the event, version 1: a MessagePack array of the fields in the
order of CHAINED, smallest forms. What names a person enters as a salted commitment, so that it can
be erased by law and the chain still proves the rest (docs/reference/ledger.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

ENCODING_VERSION: Final = 1
SALT_BYTES: Final = 16
#: Columns of `event` that a link covers as they are, in the order of the encoding. Never reordered:
#: a change is a new encoding version.
CHAINED: Final = (
    "id",
    "kind",
    "terminal",
    "business_date",
    "stan",
    "rid",
    "digest",
    "shop_id",
    "amount",
    "authorized",
    "currency",
    "result",
    "code",
    "approval",
    "rrn",
    "rule",
    "original",
    "counter_day",
    "at",
    "ledger_date",
)
#: Columns that name a person or tell of one: covered by the commitment, and erasable.
PERSONAL: Final = ("card_id", "actor", "figures", "answer")
_encode = msgspec.msgpack.Encoder().encode

#: An entry as it is chained: (account, amount, currency).
ChainedEntry = tuple[int, int, str]


class ChainHead(msgspec.Struct, frozen=True):
    """The last link of a slot. `sequence` 0 is the slot's beginning, before any event."""

    slot: int
    sequence: int
    link: bytes


def genesis(ledger_id: str, slot: int) -> ChainHead:
    """Return the head of a slot that has no event yet: no two ledgers share one."""
    text = f"trus chain {ENCODING_VERSION}\0{ledger_id}\0{slot}"
    return ChainHead(slot, 0, hashlib.sha256(text.encode("utf-8")).digest())


def commit_personal(salt: bytes, personal: tuple[Any, ...]) -> bytes:
    """Return the commitment to the columns PERSONAL: SHA-256 over salt and their encoding.

    The random salt (16 bytes) keeps the few possible values from being tried one by one after
    an erasure.
    """
    return hashlib.sha256(salt + _encode((ENCODING_VERSION, personal))).digest()


def extend(head: ChainHead, chained: tuple[Any, ...], entries: Sequence[ChainedEntry], commitment: bytes) -> ChainHead:
    """Return the slot's head after an event: `chained` holds the columns CHAINED, in that order."""
    sequence = head.sequence + 1
    body = _encode((ENCODING_VERSION, head.slot, sequence, chained, entries, commitment))
    return ChainHead(head.slot, sequence, hashlib.sha256(head.link + body).digest())
