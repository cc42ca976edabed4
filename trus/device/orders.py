"""What a cashier asks of a terminal and what the terminal tells the cashier.

Frozen values without behaviour beyond plain questions; a value that bears a track or a PIN
shows nothing of it. Amounts are integer minor units.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from trus.money import MAX_MINOR_UNITS, AmountError, exponent
from trus.values import Difference, Frozen, Identity, ResponseCode, Result, Secret


class Order(Secret, frozen=True):
    """A purchase as the cashier composed it: `amount` minor units of `currency`.

    `track2` is the stripe as read, without sentinels (ISO/IEC 7813). `pin` is the clear PIN
    of the pinpad, None when the cardholder has not been asked. Both stay in memory, and only
    until the request is settled. `read` is the number that the reader gave to this reading of the stripe; the terminal
    numbers it where the reader does not (0), and so everywhere.
    """

    amount: int
    currency: str
    track2: str
    pin: str | None = None
    partial: bool = False
    read: int = 0


class BalanceOrder(Secret, frozen=True):
    """A question for what the card's purse holds; a PIN is always needed."""

    track2: str
    pin: str | None = None
    read: int = 0


class PinOrder(Secret, frozen=True):
    """Another PIN for a card: the clear PIN as it is, and as it shall be."""

    track2: str
    pin: str
    new_pin: str
    read: int = 0


class Reference(Frozen, frozen=True):
    """A request of this terminal that can be taken back: identity, rid, minor units, currency."""

    identity: Identity
    rid: bytes
    amount: int
    currency: str


class RefundOrder(Frozen, frozen=True):
    """Money of a purchase to give back, or of a pre-authorization to take: `rrn` is its retrieval reference.

    `original` names the purchase as this terminal knows it, None when another terminal made it.
    """

    amount: int
    currency: str
    rrn: str
    original: Reference | None = None


class Answer(Frozen, frozen=True):
    """How a request ended, in the terminal's eyes.

    `code` is ISO 8583 field 39, empty when no answer came. `result` is then declined, since
    an unknown result counts as declined, and the terminal reverses (`reversing`). `amount`
    is what was authorized (minor units), `balance` what the purse holds afterwards where the
    terminal may know it. `reference` names the request for a later reversal. `balanced` says, after a
    batch was closed, whether both sides counted the same; `differences` lists the first of the items
    about which they differ, `differing` of them in all. `attempts` counts how often the request was said.
    `purses` are names and amounts where the cardholder has several. `proof` is the answer's proof code.
    """

    result: Result
    code: str
    reference: Reference | None = None
    approval: str = ""
    rrn: str = ""
    amount: int | None = None
    currency: str = ""
    balance: int | None = None
    tries_left: int | None = None
    text: str = ""
    receipt: str = ""
    balanced: bool | None = None
    purses: tuple[tuple[str, str], ...] = ()
    differences: tuple[Difference, ...] = ()
    differing: int = 0
    attempts: int = 1
    reversing: bool = False
    proof: str = ""

    @property
    def approved(self) -> bool:
        """Whether goods may be handed over for (part of) the amount."""
        return self.result in (Result.APPROVED, Result.PARTIAL)

    @property
    def answered(self) -> bool:
        """Whether the backend gave a final answer."""
        return self.code not in NOT_FINAL


#: Codes after which a terminal must not believe anything: none, 91 and 96.
NOT_FINAL: Final = frozenset({"", ResponseCode.ISSUER_UNAVAILABLE.value, ResponseCode.SYSTEM_ERROR.value})

#: Whatever a request may carry that its record in the journal does not.
AnyOrder = Order | BalanceOrder | PinOrder | RefundOrder

#: Asks the cardholder for the PIN: gets the tries left (None when unknown), gives the clear
#: PIN or None when the cardholder gives up.
PinCallback = Callable[[int | None], Awaitable[str | None]]


def check_amount(order: Order | RefundOrder) -> None:
    """Raise AmountError for an amount that nobody can pay, and for a currency that is none."""
    exponent(order.currency)
    if not 0 < order.amount <= MAX_MINOR_UNITS:
        raise AmountError("an amount is at least one minor unit and has at most twelve digits")
