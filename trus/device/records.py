"""Says what a terminal writes down: requests before they are said, how they ended, and what it all amounts to.

Has no place for a readable stripe, a PIN or a PIN block, so that no record can hold one. Writes nothing itself.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import astuple

from trus.device.orders import Reference
from trus.values import BatchItem, BusinessDate, Identity, Result


class Asked(StrEnum):
    """What a request asks for."""

    PURCHASE = "purchase"
    BALANCE = "balance"
    REFUND = "refund"
    REVERSE = "reverse"
    VOID = "void"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    ADVICE = "advice"
    PIN = "pin"
    CLOSE = "close"
    RECONCILE = "reconcile"


class Totals(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the batch holds since it was last closed, in minor units."""

    purchase_count: int = 0
    purchase_amount: int = 0
    reversal_count: int = 0
    reversal_amount: int = 0
    refund_count: int = 0
    refund_amount: int = 0
    void_count: int = 0
    void_amount: int = 0
    completion_count: int = 0
    completion_amount: int = 0

    def plus(self, kind: str, amount: int) -> Totals:
        """Return the totals with one more purchase, reversal, refund or void of `amount`."""
        count, sum_ = f"{kind}_count", f"{kind}_amount"
        return msgspec.structs.replace(self, **{count: getattr(self, count) + 1, sum_: getattr(self, sum_) + amount})

    def without_refund(self, amount: int) -> Totals:
        """Return the totals without a refund of `amount` that they hold and that was taken back."""
        return msgspec.structs.replace(
            self, refund_count=self.refund_count - 1, refund_amount=self.refund_amount - amount
        )

    def minus(self, other: Totals) -> Totals:
        """Return what is left when a part of the totals was closed.

        No figure is below zero: records of an earlier version may have counted a refund that does not count any more.
        """
        return Totals(*(max(0, mine - its) for mine, its in zip(astuple(self), astuple(other), strict=True)))


class Opened(msgspec.Struct, frozen=True, omit_defaults=True, tag="opened"):
    """A request that is about to be said for the first time.

    `rid` is 32 hexadecimal digits. `original` and `original_rid` name what a reversal takes
    back, or what a request is about; `rrn` is the reference number of that, and `reason` says
    why. `totals` is what the batch held when its closing was asked for, `items` what it was made of. `read` is the
    number of the reading of the stripe, 0 where none was read. `sealed` is the stripe of an advice in base64url, which
    this terminal cannot open (trus.cards.sealed); "" where it knew no key to seal it to.
    """

    identity: Identity
    asked: Asked
    rid: str
    amount: int = 0
    currency: str = ""
    original: Identity | None = None
    original_rid: str = ""
    reason: str = ""
    totals: Totals | None = None
    rrn: str = ""
    items: list[BatchItem] | None = None
    read: int = 0
    sealed: str = ""

    @property
    def reference(self) -> Reference:
        """The name under which it can be taken back."""
        return Reference(self.identity, bytes.fromhex(self.rid), self.amount, self.currency)


class Settled(msgspec.Struct, frozen=True, omit_defaults=True, tag="settled"):
    """A request's final answer; `amount` is what was authorized, in minor units."""

    identity: Identity
    result: Result
    code: str
    amount: int = 0
    approval: str = ""
    rrn: str = ""
    proof: str = ""


class Keyed(msgspec.Struct, frozen=True, tag="keyed"):
    """The backend's public key for stripes of advices, 64 hexadecimal digits, as it was announced."""

    advice_key: str


class Purchased(msgspec.Struct, frozen=True):
    """An approved purchase that can still be taken back."""

    opened: Opened
    settled: Settled

    @property
    def reference(self) -> Reference:
        """The name under which it can be taken back."""
        return self.opened.reference


class Summary(msgspec.Struct, frozen=True, omit_defaults=True, tag="summary"):
    """Everything that the records before it amount to; the first line after a compaction."""

    stan: int
    date: BusinessDate
    used: int
    totals: Totals
    unfinished: list[Opened]
    purchases: list[Purchased]
    items: list[BatchItem] = msgspec.field(default_factory=list)
    reads: int = 0
    advice_key: str = ""


Record = Opened | Settled | Keyed | Summary
