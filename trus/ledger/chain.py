"""Chains every event to the one before it in its writer's slot, so that no row changes unnoticed.

Stores nothing: computes commitments and links from values. A link is SHA-256 over the previous
link and the canonical encoding of the event, version 1: a MessagePack array (smallest forms,
in the order of `_body`). What names a person enters as a salted commitment, so that it can be
erased by law and the chain still proves the rest (docs/reference/ledger.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

ENCODING_VERSION: Final = 1
SALT_BYTES: Final = 16
_encode = msgspec.msgpack.Encoder().encode


class ChainHead(msgspec.Struct, frozen=True):
    """The last link of a slot. `sequence` 0 is the slot's beginning, before any event."""

    slot: int
    sequence: int
    link: bytes


class Personal(msgspec.Struct, frozen=True, array_like=True):
    """The columns of an event that may be erased; `figures` is JSON text as stored."""

    card_id: int | None
    actor: str
    figures: str
    answer: bytes


class Chained(msgspec.Struct, frozen=True):
    """The columns of an event that the link covers in the clear, and its entries in order.

    An entry is (account, amount, currency).
    """

    event_id: int
    kind: str
    terminal: str | None
    business_date: str | None
    stan: int | None
    rid: bytes
    digest: bytes
    shop_id: int | None
    amount: int
    currency: str
    result: str
    code: str
    approval: str
    rrn: str
    rule: str
    original: int | None
    counter_day: str
    at: int
    ledger_date: str
    entries: Sequence[tuple[int, int, str]]


def genesis(ledger_id: str, slot: int) -> ChainHead:
    """Return the head of a slot that has no event yet: no two ledgers share one."""
    text = f"trus chain {ENCODING_VERSION}\0{ledger_id}\0{slot}"
    return ChainHead(slot, 0, hashlib.sha256(text.encode("utf-8")).digest())


def commit_personal(salt: bytes, personal: Personal) -> bytes:
    """Return the commitment to the personal columns: SHA-256 over salt and their encoding.

    The random salt (16 bytes) keeps the few possible values from being tried one by one after
    an erasure.
    """
    return hashlib.sha256(salt + _encode((ENCODING_VERSION, personal))).digest()


def extend(head: ChainHead, event: Chained, commitment: bytes) -> ChainHead:
    """Return the slot's head after `event`."""
    sequence = head.sequence + 1
    body = (
        ENCODING_VERSION,
        head.slot,
        sequence,
        event.event_id,
        event.kind,
        event.terminal,
        event.business_date,
        event.stan,
        event.rid,
        event.digest,
        event.shop_id,
        event.amount,
        event.currency,
        event.result,
        event.code,
        event.approval,
        event.rrn,
        event.rule,
        event.original,
        event.counter_day,
        event.at,
        event.ledger_date,
        event.entries,
        commitment,
    )
    return ChainHead(head.slot, sequence, hashlib.sha256(head.link + _encode(body)).digest())
