"""Turns a terminal's requests into lines of the protocol, and a RESULT into an answer.

Seals nothing and remembers nothing; a PIN enters only as its block. What does not hold
together in a RESULT (an unknown word, an approval of more than was asked) is never taken
for an approval.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from trus.device.journal import Asked, Opened
from trus.device.orders import Answer, AnyOrder, BalanceOrder, Order, PinOrder
from trus.protocol import fields
from trus.protocol.batches import item_lists
from trus.protocol.errors import RemoteProtocolError
from trus.protocol.messages import Kind, Message
from trus.values import ResponseCode, Result, Secret

_COMMANDS: Final = {
    Asked.PURCHASE: "PROCESS",
    Asked.BALANCE: "BALANCE",
    Asked.REFUND: "REFUND",
    Asked.REVERSE: "REVERSE",
    Asked.VOID: "VOID",
    Asked.HOLD: "PRE-AUTHORIZE",
    Asked.ADVICE: "ADVISE",
    Asked.PIN: "CHANGE-PIN",
    Asked.CAPTURE: "CAPTURE",
    Asked.RELEASE: "RELEASE",
    Asked.CLOSE: "CLOSE-BATCH",
    Asked.RECONCILE: "RECONCILE",
}

#: What is approved for the amount asked, or not at all (a part where the order welcomes it).
#: A purse and its amount, as the answer names them.
_PURSE: Final = re.compile(r"[A-Z0-9]{1,15}", re.ASCII)
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,3})?", re.ASCII)
_FOR_AMOUNT: Final = frozenset({Asked.PURCHASE, Asked.HOLD, Asked.ADVICE, Asked.REFUND, Asked.CAPTURE})
_WITH_AMOUNT: Final = _FOR_AMOUNT | {Asked.REVERSE, Asked.VOID}

#: Which codes go with which result; anything else is a contradiction.
_CODES: Final = {
    Result.APPROVED: ResponseCode.APPROVED,
    Result.PARTIAL: ResponseCode.PARTIAL_APPROVAL,
    Result.REVERSED: ResponseCode.APPROVED,
}


class Line(Secret, frozen=True):
    """A line that is not yet sealed: fields that travel in the clear and under the seal."""

    kind: Kind
    verb: str
    clear: dict[str, str]
    sealed: dict[str, str]


class Heard(NamedTuple):
    """What a RESULT says, and whether it makes sense as an answer to its request."""

    answer: Answer
    sensible: bool


def request_line(
    opened: Opened, order: AnyOrder | None, block: bytes | None, repeat: bool, new_block: bytes | None = None
) -> Line:
    """Return the line that asks for `opened`.

    `order` brings the stripe of a purchase or balance enquiry, `block` is the PIN's
    ISO 9564-1 format 4 block (16 bytes) under the session's PIN key, `new_block` that of a new PIN.
    """
    identity = opened.identity
    clear = {"stan": fields.format_stan(identity.stan), "date": identity.business_date}
    sealed = {"rid": fields.format_octets(bytes.fromhex(opened.rid))}
    if opened.asked in _WITH_AMOUNT:
        clear["amount"] = fields.format_amount(opened.amount, opened.currency)
    if opened.currency and opened.asked is not Asked.RELEASE:
        clear["currency"] = opened.currency
    if repeat:
        clear["repeat"] = "yes"
    if opened.rrn:
        sealed["original-rrn"] = opened.rrn
    if isinstance(order, Order | BalanceOrder | PinOrder):
        sealed["track2"] = order.track2
        sealed["entry"] = "stripe"
        if block is not None:
            sealed["pin"] = fields.format_octets(block)
            if new_block is not None:
                sealed["new-pin"] = fields.format_octets(new_block)
            sealed["format"] = "4"
        if isinstance(order, Order) and order.partial:
            clear["partial"] = "yes"
    if opened.read:
        sealed["read"] = str(opened.read)
    if opened.sealed:
        sealed |= {"stripe": opened.sealed, "entry": "stripe"}
    if opened.original is not None:
        sealed |= {
            "original-stan": fields.format_stan(opened.original.stan),
            "original-date": opened.original.business_date,
            "original-rid": fields.format_octets(bytes.fromhex(opened.original_rid)),
        }
    if opened.reason:
        sealed["reason"] = opened.reason
    if opened.asked is Asked.RECONCILE:
        sealed["count"] = str(len(opened.items or ()))
    elif opened.totals is not None:
        totals = opened.totals
        sealed |= {
            "purchase-count": str(totals.purchase_count),
            "purchase-amount": fields.format_amount(totals.purchase_amount, opened.currency),
            "reversal-count": str(totals.reversal_count),
            "reversal-amount": fields.format_amount(totals.reversal_amount, opened.currency),
            "refund-count": str(totals.refund_count),
            "refund-amount": fields.format_amount(totals.refund_amount, opened.currency),
            "void-count": str(totals.void_count),
            "void-amount": fields.format_amount(totals.void_amount, opened.currency),
            "completion-count": str(totals.completion_count),
            "completion-amount": fields.format_amount(totals.completion_amount, opened.currency),
        }
    return Line(Kind.COMMAND, _COMMANDS[opened.asked], clear, sealed)


def item_lines(opened: Opened) -> list[Line]:
    """Return the lines that list the items of a batch; none for any other request."""
    if opened.asked is not Asked.RECONCILE:
        return []
    return [Line(Kind.DATA, "ITEMS", {}, {"items": each}) for each in item_lists(opened.items or (), opened.currency)]


def pin_line(block: bytes) -> Line:
    """Return the line that presents a PIN block (16 bytes)."""
    return Line(Kind.DATA, "PIN-BLOCK", {"format": "4"}, {"block": fields.format_octets(block)})


def read_result(message: Message, opened: Opened, order: AnyOrder | None, attempts: int) -> Heard:
    """Return what an INFO RESULT says about `opened`.

    An answer that contradicts itself or the request comes back declined and not sensible:
    the terminal must not believe it, and takes the request back.
    """
    said = message.fields
    named = opened.reference
    code = said.get("code", "")
    text = said.get("text", "")
    declined = Answer(Result.DECLINED, code, named, text=text, attempts=attempts)
    try:
        result = Result(said.get("result", ""))
        currency = said.get("currency", opened.currency)
        amount = fields.parse_amount(said["amount"], currency) if "amount" in said else None
        balance = fields.parse_amount(said["balance"], currency) if "balance" in said else None
        tries = fields.parse_count(said["tries"]) if "tries" in said else None
        differing = fields.parse_count(said.get("differences", "0"))
    except (ValueError, RemoteProtocolError):
        return Heard(declined, False)
    if not _sensible(result, code, amount, currency, opened, order):
        return Heard(declined, False)
    if opened.asked in _FOR_AMOUNT and result is Result.APPROVED:
        amount = opened.amount
    answer = Answer(
        result,
        code,
        named,
        approval=said.get("approval", ""),
        rrn=said.get("rrn", ""),
        amount=amount,
        currency=currency,
        balance=balance,
        tries_left=tries,
        text=text,
        receipt=said.get("receipt", ""),
        balanced={"yes": True, "no": False}.get(said.get("balanced", "")),
        purses=_purses(said.get("purses", "")),
        differing=differing,
        attempts=attempts,
        proof=said.get("proof", ""),
    )
    return Heard(answer, True)


def _purses(text: str) -> tuple[tuple[str, str], ...]:
    """Return names and amounts of purses for the screen; nothing of a text that is no such list."""
    parts = [each.partition(":") for each in text.split(",") if each]
    if not all(_PURSE.fullmatch(name) and _AMOUNT.fullmatch(amount) for name, _, amount in parts):
        return ()
    return tuple((name, amount) for name, _, amount in parts)


def _sensible(
    result: Result,
    code: str,
    amount: int | None,
    currency: str,
    opened: Opened,
    order: AnyOrder | None,
) -> bool:
    """Say whether result, code, amount and request go together."""
    wanted = _CODES.get(result)
    if wanted is None:
        return code not in _CODES.values()
    if code != wanted or (result is Result.REVERSED) != (opened.asked is Asked.REVERSE):
        return False
    if opened.asked not in _FOR_AMOUNT:
        return result is not Result.PARTIAL
    if currency != opened.currency:
        return False
    if result is Result.APPROVED:
        return amount in (None, opened.amount)
    return isinstance(order, Order) and order.partial and amount is not None and 0 < amount < opened.amount
