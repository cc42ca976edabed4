"""Translates between the wire and the core: opened messages to requests, outcomes to fields.

Pure and stateless: opens no seal, keeps no dialogue, decides nothing. The field names are
those of the table of verbs (docs/protocol.md, "Payments").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from trus.core.closing import LISTED
from trus.core.messages import (
    Advise,
    Answer,
    Balance,
    Capture,
    ChangePin,
    CloseBatch,
    Failed,
    MoneyRequest,
    Outcome,
    PinWanted,
    PreAuthorize,
    Purchase,
    Refund,
    Refused,
    Release,
    Reverse,
    Void,
)
from trus.money import AmountError, exponent
from trus.protocol.errors import ErrorCode, RemoteProtocolError
from trus.protocol.fields import format_amount, parse_amount, parse_count, parse_octets, parse_stan, parse_sum
from trus.protocol.messages import Message
from trus.values import (
    BusinessDate,
    Identity,
    PeerIdentity,
    PinMaterial,
    ResponseCode,
    Result,
    TerminalId,
    TrackTwo,
)


class Reply(NamedTuple):
    """What the front says for an answer of the core: the verb's clear and sealed fields."""

    kind: str
    verb: str
    clear: dict[str, str]
    sealed: dict[str, str]


def request_of(message: Message, peer: PeerIdentity, pin_key: bytes) -> MoneyRequest:
    """Return the request that an opened COMMAND makes.

    Raises RemoteProtocolError (bad-field) for values that the grammar allows and the verb
    does not, such as the wrong number of decimals.
    """
    build = _BUILDERS.get(message.verb)
    if build is None:
        raise RemoteProtocolError(ErrorCode.UNKNOWN_VERB, "dispatch")
    return build(message.fields, peer, pin_key)


def with_pin(request: MoneyRequest, block: str, pin_key: bytes) -> MoneyRequest:
    """Return the same request with the PIN block that the terminal presented (base64url)."""
    pin = PinMaterial(pin_key, parse_octets(block))
    if isinstance(request, (Purchase, PreAuthorize)):
        return type(request)(
            request.peer,
            request.identity,
            request.rid,
            request.amount,
            request.currency,
            request.track2,
            pin,
            request.partial,
            request.repeat,
            request.read,
        )
    if isinstance(request, Balance):
        return Balance(request.peer, request.identity, request.rid, request.track2, pin, request.repeat, request.read)
    raise RemoteProtocolError(ErrorCode.OUT_OF_ORDER, "pin")


def reply_to(answer: Answer) -> Reply:
    """Return what the terminal is told for an answer of the core."""
    if type(answer) is Outcome:
        return _result(answer)
    match answer:
        case PinWanted():
            tries = {} if answer.tries_left is None else {"tries": str(answer.tries_left)}
            return Reply("COMMAND", "PRESENT-PIN", {}, tries)
        case Failed() | Refused():
            return declined(answer.code)
        case _:
            return declined(ResponseCode.SYSTEM_ERROR)


def declined(code: str) -> Reply:
    """Return the answer that settles a dialogue with `code` (field 39) and nothing more."""
    return Reply("INFO", "RESULT", {"result": Result.DECLINED.value, "code": str(code)}, {})


def _result(outcome: Outcome) -> Reply:
    clear = {"result": outcome.result, "code": outcome.code}
    if outcome.approval:
        clear["approval"] = outcome.approval
    if outcome.rrn:
        clear["rrn"] = outcome.rrn
    sealed: dict[str, str] = {}
    currency = outcome.currency
    if outcome.amount is not None:
        sealed["amount"] = format_amount(outcome.amount, currency)
    if outcome.balance is not None:
        sealed["balance"] = format_amount(outcome.balance, currency)
    if sealed:
        sealed["currency"] = currency
    if outcome.tries_left is not None:
        sealed["tries"] = str(outcome.tries_left)
    if outcome.text:
        sealed["text"] = outcome.text
    if outcome.receipt is not None:
        sealed["proof"] = outcome.receipt.text()
    sealed.update((name, value) for name, value in outcome.details.items() if name != LISTED)
    return Reply("INFO", "RESULT", clear, sealed)


def identity_of(fields: Mapping[str, str], peer: PeerIdentity) -> Identity:
    """Return the name of a request. Raises RemoteProtocolError (bad-field)."""
    return Identity(TerminalId(peer.name), BusinessDate(fields["date"]), parse_stan(fields["stan"]))


def _pin(fields: Mapping[str, str], pin_key: bytes) -> PinMaterial | None:
    block = fields.get("pin")
    return None if block is None else PinMaterial(pin_key, parse_octets(block))


def _read(fields: Mapping[str, str]) -> int:
    """Return the number of the stripe's reading, 0 where a terminal gives none."""
    return int(fields.get("read", "0"))


def _purchase(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> Purchase:
    currency = known_currency(fields["currency"])
    return Purchase(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        parse_amount(fields["amount"], currency),
        currency,
        TrackTwo(fields["track2"]),
        _pin(fields, pin_key),
        fields.get("partial") == "yes",
        fields.get("repeat") == "yes",
        _read(fields),
    )


def _pre_authorize(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> PreAuthorize:
    asked = _purchase(fields, peer, pin_key)
    return PreAuthorize(
        asked.peer,
        asked.identity,
        asked.rid,
        asked.amount,
        asked.currency,
        asked.track2,
        asked.pin,
        asked.partial,
        asked.repeat,
        asked.read,
    )


def _advise(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> Advise:
    currency = known_currency(fields["currency"])
    track2, stripe = fields.get("track2"), fields.get("stripe")
    if (track2 is None) == (stripe is None):
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "stripe")
    return Advise(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        parse_amount(fields["amount"], currency),
        currency,
        None if track2 is None else TrackTwo(track2),
        fields.get("repeat") == "yes",
        _read(fields),
        b"" if stripe is None else parse_octets(stripe),
    )


def _change_pin(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> ChangePin:
    return ChangePin(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        TrackTwo(fields["track2"]),
        PinMaterial(pin_key, parse_octets(fields["pin"])),
        PinMaterial(pin_key, parse_octets(fields["new-pin"])),
        fields.get("repeat") == "yes",
        _read(fields),
    )


def _capture(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> Capture:
    currency = known_currency(fields["currency"])
    return Capture(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        parse_amount(fields["amount"], currency),
        currency,
        fields["original-rrn"],
        *_named(fields, peer),
        fields.get("repeat") == "yes",
    )


def _release(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> Release:
    return Release(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        fields["original-rrn"],
        *_named(fields, peer),
        fields.get("repeat") == "yes",
    )


def _balance(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> Balance:
    return Balance(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        TrackTwo(fields["track2"]),
        _pin(fields, pin_key),
        fields.get("repeat") == "yes",
        _read(fields),
    )


def _reverse(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> Reverse:
    currency = known_currency(fields["currency"])
    return Reverse(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        Identity(
            TerminalId(peer.name),
            BusinessDate(fields["original-date"]),
            parse_stan(fields["original-stan"]),
        ),
        parse_octets(fields["original-rid"]),
        parse_amount(fields["amount"], currency),
        currency,
        fields.get("reason", "timeout"),
        fields.get("repeat") == "yes",
    )


def _void(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> Void:
    asked = _reverse(fields, peer, pin_key)
    return Void(
        asked.peer,
        asked.identity,
        asked.rid,
        asked.original,
        asked.original_rid,
        asked.amount,
        asked.currency,
        asked.reason,
        asked.repeat,
    )


def _refund(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> Refund:
    currency = known_currency(fields["currency"])
    track2 = fields.get("track2")
    return Refund(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        parse_amount(fields["amount"], currency),
        currency,
        fields["original-rrn"],
        *_named(fields, peer),
        None if track2 is None else TrackTwo(track2),
        fields.get("repeat") == "yes",
    )


def _named(fields: Mapping[str, str], peer: PeerIdentity) -> tuple[Identity | None, bytes]:
    """Return the identity and rid of the request that another one is about, as far as they are told."""
    rid = fields.get("original-rid")
    if rid is None:
        return None, b""
    date, stan = BusinessDate(fields["original-date"]), parse_stan(fields["original-stan"])
    return Identity(TerminalId(peer.name), date, stan), parse_octets(rid)


def _close_batch(fields: Mapping[str, str], peer: PeerIdentity, pin_key: bytes) -> CloseBatch:
    currency = known_currency(fields["currency"])
    return CloseBatch(
        peer,
        identity_of(fields, peer),
        parse_octets(fields["rid"]),
        currency,
        parse_count(fields["purchase-count"]),
        parse_sum(fields["purchase-amount"], currency),
        parse_count(fields["reversal-count"]),
        parse_sum(fields["reversal-amount"], currency),
        *_total(fields, "refund", currency),
        *_total(fields, "void", currency),
        *_total(fields, "completion", currency),
    )


def _total(fields: Mapping[str, str], kind: str, currency: str) -> tuple[int, int]:
    """Return number and sum of a kind of event, none of which need to be told."""
    count, amount = fields.get(f"{kind}-count"), fields.get(f"{kind}-amount")
    return (0 if count is None else parse_count(count)), (0 if amount is None else parse_sum(amount, currency))


def known_currency(currency: str) -> str:
    """Return a currency that the network uses. Raises RemoteProtocolError (bad-field)."""
    try:
        exponent(currency)
    except AmountError:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "currency") from None
    return currency


_BUILDERS: Final[Mapping[str, Callable[[Mapping[str, str], PeerIdentity, bytes], MoneyRequest]]] = {
    "PROCESS": _purchase,
    "BALANCE": _balance,
    "REVERSE": _reverse,
    "REFUND": _refund,
    "VOID": _void,
    "PRE-AUTHORIZE": _pre_authorize,
    "ADVISE": _advise,
    "CHANGE-PIN": _change_pin,
    "CAPTURE": _capture,
    "RELEASE": _release,
    "CLOSE-BATCH": _close_batch,
}

#: The verbs that request_of makes requests of. All are commands inside a dialogue.
MONEY: Final = frozenset(_BUILDERS)
