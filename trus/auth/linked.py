"""The reasons for which a request about an earlier purchase is declined: one small named function each.

Decides about money that was paid already: no card is shown and no PIN is asked, so that the rules look at
the terminal, the amount and what is stored of the purchase. They are asked in the order of the
tuples below; a rule's name is stored with every decline and shown by support.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from trus.auth.model import State, TerminalFacts
from trus.auth.ports import SOLD, EventKind, StoredRequest
from trus.auth.rules import Figures
from trus.money import MAX_MINOR_UNITS
from trus.values import ResponseCode


class LinkedCase(NamedTuple):
    """What is asked of which earlier request, by whom.

    `earlier` is None when no request of the shop bears the reference number, or when what the terminal
    says of it (identity, rid, card) is not true of it.
    """

    amount: int
    currency: str
    terminal: TerminalFacts | None
    earlier: StoredRequest | None
    closed: bool = False  #: whether the batch of the earlier request was closed

    @property
    def left(self) -> int:
        """What of the purchase was not given back yet, in minor units."""
        return 0 if self.earlier is None else self.earlier.authorized - self.earlier.refunded


class LinkedRule(NamedTuple):
    """A named reason. `applies` returns the figures when the rule applies, None when it does not."""

    name: str
    code: ResponseCode
    applies: Callable[[LinkedCase], Figures | None]

    @property
    def reason(self) -> str:
        """The first sentence of the rule's docstring."""
        return (self.applies.__doc__ or "").strip().splitlines()[0]


class Verdict(NamedTuple):
    """The rule that declines a linked request, and the figures that it looked at."""

    rule: str
    code: ResponseCode
    figures: Figures


def judge(rules: Sequence[LinkedRule], case: LinkedCase) -> Verdict | None:
    """Return the first rule that declines, None when none does."""
    for rule in rules:
        figures = rule.applies(case)
        if figures is not None:
            return Verdict(rule.name, rule.code, figures)
    return None


def _terminal_unknown(case: LinkedCase) -> Figures | None:
    """The terminal is not registered."""
    return {} if case.terminal is None else None


def _terminal_not_active(case: LinkedCase) -> Figures | None:
    """The terminal is blocked or closed."""
    terminal = case.terminal
    return None if terminal is None or terminal.state == State.ACTIVE else {"state": str(terminal.state)}


def _shop_not_active(case: LinkedCase) -> Figures | None:
    """The shop is blocked or closed."""
    terminal = case.terminal
    return None if terminal is None or terminal.shop_state == State.ACTIVE else {"state": str(terminal.shop_state)}


def _amount(case: LinkedCase) -> Figures | None:
    """The amount is not above zero, or over 12 digits."""
    return None if 0 < case.amount <= MAX_MINOR_UNITS else {"asked": case.amount, "currency": case.currency}


def _purchase_unknown(case: LinkedCase) -> Figures | None:
    """No purchase of this shop bears that reference, or what the terminal says of it is not true."""
    earlier = case.earlier
    return None if earlier is not None and earlier.kind in SOLD and earlier.authorized > 0 else {}


def _purchase_taken_back(case: LinkedCase) -> Figures | None:
    """The purchase was taken back or cancelled: nothing of it is left to give back."""
    return {} if case.earlier is not None and case.earlier.reversed_by else None


def _purchase_refunded(case: LinkedCase) -> Figures | None:
    """The purchase was refunded whole: nothing of it is left to cancel."""
    if case.earlier is None or case.left > 0:
        return None
    return {"refunded": case.earlier.refunded, "currency": case.earlier.currency}


def _batch_closed(case: LinkedCase) -> Figures | None:
    """The batch of the purchase is closed; its money can be refunded."""
    return {} if case.closed else None


def _currency_of_purchase(case: LinkedCase) -> Figures | None:
    """The request is in another currency than the purchase."""
    earlier = case.earlier
    if earlier is None or earlier.currency == case.currency:
        return None
    return {"currency": case.currency, "purchase_currency": earlier.currency}


def _refund_too_large(case: LinkedCase) -> Figures | None:
    """More is asked than is left of the purchase."""
    earlier = case.earlier
    if earlier is None or case.amount <= case.left:
        return None
    return {
        "asked": case.amount,
        "currency": case.currency,
        "paid": earlier.authorized,
        "refunded": earlier.refunded,
        "left": case.left,
    }


def _hold_unknown(case: LinkedCase) -> Figures | None:
    """No pre-authorization of this shop bears that reference, or what the terminal says of it is not true."""
    earlier = case.earlier
    return None if earlier is not None and earlier.kind == EventKind.HOLD and earlier.authorized > 0 else {}


def _hold_ended(case: LinkedCase) -> Figures | None:
    """The pre-authorization was completed, cancelled or taken back, or has expired."""
    earlier = case.earlier
    return {"ended": earlier.ended} if earlier is not None and earlier.reversed_by else None


def _over_hold(case: LinkedCase) -> Figures | None:
    """More is asked than the pre-authorization has set aside."""
    earlier = case.earlier
    if earlier is None or case.amount <= earlier.aside:
        return None
    return {"asked": case.amount, "currency": case.currency, "held": earlier.aside}


_C = ResponseCode

#: Asked of every linked request: the place, then the amount.
_PLACE: Final = (
    LinkedRule("terminal-unknown", _C.NOT_PERMITTED_TO_TERMINAL, _terminal_unknown),
    LinkedRule("terminal-not-active", _C.NOT_PERMITTED_TO_TERMINAL, _terminal_not_active),
    LinkedRule("shop-not-active", _C.INVALID_MERCHANT, _shop_not_active),
)
#: Asked of a refund.
REFUND: Final[tuple[LinkedRule, ...]] = (
    *_PLACE,
    LinkedRule("amount", _C.INVALID_AMOUNT, _amount),
    LinkedRule("purchase-unknown", _C.RECORD_NOT_FOUND, _purchase_unknown),
    LinkedRule("purchase-taken-back", _C.RECORD_NOT_FOUND, _purchase_taken_back),
    LinkedRule("currency-of-purchase", _C.INVALID_TRANSACTION, _currency_of_purchase),
    LinkedRule("refund-too-large", _C.INVALID_AMOUNT, _refund_too_large),
)
#: Asked of a void.
VOID: Final[tuple[LinkedRule, ...]] = (
    *_PLACE,
    LinkedRule("purchase-unknown", _C.RECORD_NOT_FOUND, _purchase_unknown),
    LinkedRule("purchase-taken-back", _C.RECORD_NOT_FOUND, _purchase_taken_back),
    LinkedRule("purchase-refunded", _C.RECORD_NOT_FOUND, _purchase_refunded),
    LinkedRule("batch-closed", _C.INVALID_TRANSACTION, _batch_closed),
)
#: Asked of the release of a pre-authorization.
RELEASE: Final[tuple[LinkedRule, ...]] = (
    *_PLACE,
    LinkedRule("hold-unknown", _C.RECORD_NOT_FOUND, _hold_unknown),
    LinkedRule("hold-ended", _C.RECORD_NOT_FOUND, _hold_ended),
)
#: Asked of the completion of a pre-authorization: never more than was set aside.
COMPLETION: Final[tuple[LinkedRule, ...]] = (
    *_PLACE,
    LinkedRule("amount", _C.INVALID_AMOUNT, _amount),
    *RELEASE[len(_PLACE) :],
    LinkedRule("currency-of-purchase", _C.INVALID_TRANSACTION, _currency_of_purchase),
    LinkedRule("over-hold", _C.INVALID_AMOUNT, _over_hold),
)
#: The verdict on a request about something that is not there.
UNKNOWN: Final = Verdict("purchase-unknown", _C.RECORD_NOT_FOUND, {})
#: The rules of each kind of linked request.
LINKED: Final = {"refund": REFUND, "void": VOID, "completion": COMPLETION, "release": RELEASE}
