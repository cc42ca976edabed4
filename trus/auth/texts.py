"""The words for every response code: what it means, what the cashier reads, what the terminal does next.

The catalogue is English; nothing in it depends on the card, so that a text betrays no more than
the code does. The response codes are those of ISO 8583 field 39.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from trus.values import ResponseCode

#: The line for a reversal, and for a batch that was closed.
REVERSED_TEXT: Final = "Taken back"
LATE_TEXT: Final = "Taken back: start again"
BALANCED_TEXT: Final = "Batch closed"
SIMPLE_PIN_TEXT: Final = "PIN too simple: choose another"
SLOWED_TEXT: Final = "Too many bad cards: wait a few minutes"
DIFFERS_TEXT: Final = "Batch closed: see the differences"

#: A text-only pinpad shows two lines of 20 characters.
MAX_CASHIER_CHARACTERS: Final = 40


class NextStep(StrEnum):
    """What a terminal does after an answer."""

    DONE = "the request is settled"
    ASK_PIN = "ask for the PIN again, as a new request with a new STAN"
    OTHER_MEANS = "the cardholder pays by other means"
    KEEP_CARD = "keep the card where the law allows it, call the issuer"
    CALL_ISSUER = "the shop calls the issuer"
    NEW_REQUEST = "start again with a new STAN"
    SEND_ITEMS = "send the batch item by item; it is open still"
    REVERSE = "reverse: this answer settles nothing"


class CodeText(NamedTuple):
    """The words for one code: meaning (for people at the issuer), cashier's line, next step."""

    meaning: str
    cashier: str
    next_step: NextStep


_C = ResponseCode
_N = NextStep

CATALOGUE: Final[dict[ResponseCode, CodeText]] = {
    _C.APPROVED: CodeText("approved, or carried out", "Approved", _N.DONE),
    _C.INVALID_MERCHANT: CodeText("the shop is not active", "Shop not active: call issuer", _N.CALL_ISSUER),
    _C.DO_NOT_HONOUR: CodeText("the issuer gives no reason", "Declined", _N.OTHER_MEANS),
    _C.PARTIAL_APPROVAL: CodeText("approved for less than was asked", "Approved in part: see amount", _N.DONE),
    _C.INVALID_TRANSACTION: CodeText("the request makes no sense here", "Request not valid", _N.CALL_ISSUER),
    _C.INVALID_AMOUNT: CodeText("the amount cannot be paid", "Amount not valid", _N.NEW_REQUEST),
    _C.INVALID_CARD: CodeText("no such card, or a stripe that is not genuine", "Card not valid", _N.OTHER_MEANS),
    _C.RECORD_NOT_FOUND: CodeText("no request of that name and amount", "Transaction not found", _N.CALL_ISSUER),
    _C.FORMAT_ERROR: CodeText("the data does not have its form", "Card not readable: try again", _N.NEW_REQUEST),
    _C.SUSPECTED_FRAUD: CodeText("the card is under suspicion", "Declined: call issuer", _N.CALL_ISSUER),
    _C.NOT_SUPPORTED: CodeText("not carried out by this backend", "Not supported", _N.CALL_ISSUER),
    _C.LOST_CARD: CodeText("the card was reported lost", "Lost card: call issuer", _N.KEEP_CARD),
    _C.STOLEN_CARD: CodeText("the card was reported stolen", "Stolen card: call issuer", _N.KEEP_CARD),
    _C.INSUFFICIENT_FUNDS: CodeText("the purse holds less", "Balance too low", _N.OTHER_MEANS),
    _C.EXPIRED_CARD: CodeText("the card has expired", "Card expired", _N.OTHER_MEANS),
    _C.WRONG_PIN: CodeText("the PIN is wrong", "Wrong PIN", _N.ASK_PIN),
    _C.NOT_PERMITTED_TO_CARDHOLDER: CodeText(
        "the company's policy does not allow this purchase", "Not allowed by company policy", _N.OTHER_MEANS
    ),
    _C.NOT_PERMITTED_TO_TERMINAL: CodeText("the terminal may not do this", "Terminal not active", _N.CALL_ISSUER),
    _C.OVER_AMOUNT_LIMIT: CodeText("over the limit on amounts", "Over the amount limit", _N.OTHER_MEANS),
    _C.RESTRICTED_CARD: CodeText("the card or its holder is blocked", "Card blocked", _N.OTHER_MEANS),
    _C.SECURITY_VIOLATION: CodeText("asked in another's name", "Security violation", _N.CALL_ISSUER),
    _C.OVER_COUNT_LIMIT: CodeText("over the number of purchases a day", "Too many purchases today", _N.OTHER_MEANS),
    _C.LATE_RESPONSE: CodeText("the request was taken back before", "Taken back: start again", _N.NEW_REQUEST),
    _C.PIN_TRIES_EXCEEDED: CodeText("too many wrong PINs", "PIN locked", _N.OTHER_MEANS),
    _C.CRYPTOGRAPHIC_FAILURE: CodeText("the PIN block does not open", "PIN pad error: try again", _N.NEW_REQUEST),
    _C.CUT_OVER: CodeText("the business day is changing", "Day is closing: try again", _N.NEW_REQUEST),
    _C.ISSUER_UNAVAILABLE: CodeText("the key store cannot be reached", "Not available: try later", _N.REVERSE),
    _C.CANNOT_ROUTE: CodeText("nobody answers for this card", "Card not accepted here", _N.OTHER_MEANS),
    _C.DUPLICATE: CodeText("another request has this name", "Number already used", _N.NEW_REQUEST),
    _C.OUT_OF_BALANCE: CodeText("the totals of the batch differ", "Totals differ: comparing", _N.SEND_ITEMS),
    _C.SYSTEM_ERROR: CodeText("the backend failed", "Not available: try later", _N.REVERSE),
}


_LINES: Final[dict[str, str]] = {code.value: words.cashier for code, words in CATALOGUE.items()}


def cashier_text(code: str) -> str:
    """Return the line for the cashier's screen, at most 40 characters, for a code of field 39."""
    return _LINES[code]
