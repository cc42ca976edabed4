"""Chains every event to the one before it in its writer's slot, so that no row changes unnoticed.

Stores nothing: computes commitments and links from values. A link covers the link before it and the
canonical encoding of the event: MessagePack arrays in smallest forms. Since version 2 what a shop may
know of its answer is stated apart (trus.receipts.links), so that it can be proved without showing the
rest; a row without a mark is of version 1, where SHA-256 covers all of it at once. What names a person
enters as a salted commitment, so that it can be erased by law and the chain still proves the rest
(docs/reference/ledger.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trus.receipts.links import LINK_VERSION, STATED, encode_statement, link_of, mark_of

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
#: Of CHAINED, what a shop does not know: a link of version 2 covers it by its digest.
UNSTATED: Final = tuple(each for each in CHAINED if each not in STATED)
_encode = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256
_STATED_PLACES: Final = tuple(CHAINED.index(each) for each in STATED)
_UNSTATED_PLACES: Final = tuple(CHAINED.index(each) for each in UNSTATED)

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


def extend(
    head: ChainHead,
    stated: tuple[Any, ...],
    unstated: tuple[Any, ...],
    entries: Sequence[ChainedEntry],
    commitment: bytes,
    signing: tuple[bytes, bytes],
) -> tuple[ChainHead, bytes]:
    """Return the slot's head after an event, and the event's mark.

    `stated` and `unstated` hold the columns STATED and UNSTATED, in those orders; `signing` is the number
    of the newest head (4 bytes, big-endian) and the key of the receipts since.
    """
    slot, sequence = head.slot, head.sequence + 1
    statement = encode_statement(slot, sequence, stated)
    mark = mark_of(*signing, statement)
    rest = rest_of(unstated, entries, commitment)
    return ChainHead(slot, sequence, link_of(head.link, rest, mark, statement)), mark


def rest_of(unstated: tuple[Any, ...], entries: Sequence[ChainedEntry], commitment: bytes) -> bytes:
    """Return the digest of what a shop may not know of an event."""
    return _sha256(_encode((LINK_VERSION, unstated, entries, commitment))).digest()


def stated_of(chained: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the columns STATED and UNSTATED of the columns CHAINED."""
    return tuple(chained[place] for place in _STATED_PLACES), tuple(chained[place] for place in _UNSTATED_PLACES)


def follow(
    head: ChainHead, chained: tuple[Any, ...], entries: Sequence[ChainedEntry], commitment: bytes, mark: bytes | None
) -> ChainHead:
    """Return the slot's head after a stored event, of whichever version: `mark` is None in version 1."""
    sequence = head.sequence + 1
    if mark is None:
        body = _encode((ENCODING_VERSION, head.slot, sequence, chained, entries, commitment))
        return ChainHead(head.slot, sequence, _sha256(head.link + body).digest())
    stated, unstated = stated_of(chained)
    statement = encode_statement(head.slot, sequence, stated)
    link = link_of(head.link, rest_of(unstated, entries, commitment), mark, statement)
    return ChainHead(head.slot, sequence, link)
