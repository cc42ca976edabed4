"""The answers that are settled by what is stored: repeats, duplicates, late originals, reversals.

Decides nothing new and stores nothing. An answer is a function of the stored request alone, so
that it is the same however often, and after whatever accident, it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from trus.auth.ports import USED_UP, EventKind, StoredRequest
from trus.auth.texts import LATE_TEXT, REVERSED_TEXT, cashier_text
from trus.core.asked import Asked
from trus.core.messages import Outcome, Reverse
from trus.values import Identity, ResponseCode, Result

_decode: Final = msgspec.msgpack.Decoder(Outcome).decode
encode_outcome: Final = msgspec.msgpack.Encoder().encode


def declined(code: ResponseCode, text: str = "") -> Outcome:
    """Return a decline that is not stored: it says nothing but its code."""
    return Outcome(Result.DECLINED.value, code.value, text=text or cashier_text(code))


def taken_back(rrn: str, amount: int, currency: str) -> Outcome:
    """Return the answer to a reversal: `amount` minor units were given back, 0 when nothing had moved.

    `rrn` is that of the original, or of the tombstone in its place.
    """
    return Outcome(
        Result.REVERSED.value,
        ResponseCode.APPROVED.value,
        rrn=rrn,
        amount=amount if currency else None,
        currency=currency,
        text=REVERSED_TEXT,
    )


def settled(asked: Asked, requests: Mapping[Identity, StoredRequest]) -> Outcome | None:
    """Return the answer that follows from what is stored, None when the request is new."""
    if isinstance(asked.request, Reverse):
        return _settled_reversal(asked, asked.request, requests)
    stored = requests.get(asked.identity)
    if stored is None:
        return None
    if stored.kind == EventKind.TOMBSTONE and stored.rid == asked.rid:
        return declined(ResponseCode.LATE_RESPONSE, LATE_TEXT)
    if stored.rid != asked.rid or not asked.repeats(stored.digest):
        return declined(ResponseCode.DUPLICATE)
    if stored.reversed_by and stored.ended not in USED_UP:
        return declined(ResponseCode.LATE_RESPONSE, LATE_TEXT)
    return _decode(stored.answer).with_receipt(stored.receipt)


def _settled_reversal(asked: Asked, request: Reverse, requests: Mapping[Identity, StoredRequest]) -> Outcome | None:
    own = requests.get(asked.identity)
    if own is not None and (own.kind != EventKind.REVERSAL or own.rid != asked.rid or own.digest != asked.digest):
        return declined(ResponseCode.DUPLICATE)
    original = requests.get(request.original)
    if original is None:
        return None
    if original.rid != request.original_rid or original.amount != request.amount:
        return declined(ResponseCode.RECORD_NOT_FOUND)
    if original.amount and original.currency != request.currency:
        return declined(ResponseCode.RECORD_NOT_FOUND)
    if original.kind not in _REVERSIBLE:
        return declined(ResponseCode.INVALID_TRANSACTION)
    if original.ended == EventKind.COMPLETION:
        # What was paid out of it is a request of its own, and taken back under its own name.
        return declined(ResponseCode.INVALID_TRANSACTION)
    if original.kind == EventKind.TOMBSTONE:
        return taken_back(original.rrn, original.given_back, original.currency).with_receipt(original.receipt)
    if original.reversed_by:
        return taken_back(original.rrn, original.given_back, original.currency).with_receipt(original.ended_receipt)
    return None


_REVERSIBLE: Final = frozenset(
    {
        EventKind.PURCHASE,
        EventKind.BALANCE,
        EventKind.REFUND,
        EventKind.HOLD,
        EventKind.COMPLETION,
        EventKind.TOMBSTONE,
    }
)
