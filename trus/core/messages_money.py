"""What front and core say to each other about money: one frozen value a request, and its outcome.

Holds shapes only (trus.core.messages). A request that bears a stripe or a PIN has a redacted repr.
"""

from __future__ import annotations

import msgspec

from trus.receipts.links import Receipt
from trus.values import BatchItem, Frozen, Identity, PeerIdentity, PinMaterial, Secret, TrackTwo


class Purchase(Secret, frozen=True, tag="purchase"):
    """A terminal asks to pay `amount` minor units of `currency` from the card's purse.

    `peer` is the verified holder of the sealed session: its name must be the terminal of
    the identity. `rid` is 16 random bytes of the device's. `repeat` marks a resent request. `read` is the number
    that the terminal gave to this reading of the stripe, 0 for none; so everywhere.
    """

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    amount: int
    currency: str
    track2: TrackTwo
    pin: PinMaterial | None = None
    partial: bool = False
    repeat: bool = False
    read: int = 0


class Balance(Secret, frozen=True, tag="balance"):
    """A terminal asks what the card's purse holds; a PIN is always needed."""

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    track2: TrackTwo
    pin: PinMaterial | None = None
    repeat: bool = False
    read: int = 0


class Reverse(Frozen, frozen=True, tag="reverse"):
    """A terminal takes back a request of its own, whether or not it ever arrived.

    `original` and `original_rid` name the request taken back. The reversal is named by its
    original: repeating it is harmless and answers the same.
    """

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    original: Identity
    original_rid: bytes
    amount: int
    currency: str
    reason: str = "timeout"
    repeat: bool = False


class ChangePin(Secret, frozen=True, tag="change-pin"):
    """A cardholder replaces the PIN: both blocks are under the session's PIN key."""

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    track2: TrackTwo
    pin: PinMaterial
    new_pin: PinMaterial
    repeat: bool = False
    read: int = 0


class Advise(Secret, frozen=True, tag="advise"):
    """A terminal tells of a purchase that it made off-line, without PIN, below its floor limit.

    It is posted whatever the purse holds; `amount` is minor units. The stripe comes as it is, or as `sealed`
    (trus.cards.sealed) from a terminal that may have been off since; never both.
    """

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    amount: int
    currency: str
    track2: TrackTwo | None
    repeat: bool = False
    read: int = 0
    sealed: bytes = b""


class PreAuthorize(Secret, frozen=True, tag="pre-authorize"):
    """A terminal asks to set `amount` minor units aside in the card's purse, for a completion later.

    The fields are those of a purchase.
    """

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    amount: int
    currency: str
    track2: TrackTwo
    pin: PinMaterial | None = None
    partial: bool = False
    repeat: bool = False
    read: int = 0


class Capture(Frozen, frozen=True, tag="capture"):
    """A terminal completes a pre-authorization of its shop: `amount` is paid, the rest is free again.

    `reference`, `original` and `original_rid` name the pre-authorization as in a refund.
    """

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    amount: int
    currency: str
    reference: str
    original: Identity | None = None
    original_rid: bytes = b""
    repeat: bool = False


class Release(Frozen, frozen=True, tag="release"):
    """A terminal gives a pre-authorization of its shop up: all of it is free again."""

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    reference: str
    original: Identity | None = None
    original_rid: bytes = b""
    repeat: bool = False


class Refund(Secret, frozen=True, tag="refund"):
    """A terminal gives `amount` minor units of a purchase of its shop back to the card that paid.

    `reference` is the purchase's retrieval reference number. `original` and `original_rid`, where
    the terminal knows them, and `track2`, where the card is there, must be those of that purchase.
    """

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    amount: int
    currency: str
    reference: str
    original: Identity | None = None
    original_rid: bytes = b""
    track2: TrackTwo | None = None
    repeat: bool = False


class Void(Frozen, frozen=True, tag="void"):
    """A terminal cancels a purchase of its own batch, which is not closed yet; the whole of it.

    Unlike a reversal it can be declined, and lays no tombstone. `amount` is what was asked.
    """

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    original: Identity
    original_rid: bytes
    amount: int
    currency: str
    reason: str = "customer"
    repeat: bool = False


class CloseBatch(Frozen, frozen=True, tag="close-batch"):
    """A terminal closes its batch with its own totals, in minor units, for comparison."""

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    currency: str
    purchase_count: int
    purchase_amount: int
    reversal_count: int
    reversal_amount: int
    refund_count: int = 0
    refund_amount: int = 0
    void_count: int = 0
    void_amount: int = 0
    completion_count: int = 0
    completion_amount: int = 0


class Reconcile(Frozen, frozen=True, tag="reconcile"):
    """A terminal whose totals differ closes its batch item by item."""

    peer: PeerIdentity
    identity: Identity
    rid: bytes
    currency: str
    items: tuple[BatchItem, ...]
    repeat: bool = False


class Outcome(Frozen, frozen=True, tag="outcome"):
    """The answer to a money request, stored before it is said.

    `amount` is what was authorized (minor units), None when nothing was. `balance` is the
    purse after the decision, None where the terminal may not know it. `tries_left` only
    after a wrong PIN. `text` is a short line for the cashier's screen. `receipt` is known once it is
    stored, and so is none of what is stored of it.
    """

    result: str
    code: str
    approval: str = ""
    rrn: str = ""
    amount: int | None = None
    currency: str = ""
    balance: int | None = None
    tries_left: int | None = None
    text: str = ""
    details: dict[str, str] = msgspec.field(default_factory=dict)
    receipt: Receipt | None = None

    def with_receipt(self, receipt: Receipt | None) -> Outcome:
        """Return the same answer with the place and mark that it has in the journal."""
        return Outcome(
            self.result,
            self.code,
            self.approval,
            self.rrn,
            self.amount,
            self.currency,
            self.balance,
            self.tries_left,
            self.text,
            self.details,
            receipt,
        )


class PinWanted(Frozen, frozen=True, tag="pin-wanted"):
    """Not an outcome: the same request must be sent again with a PIN; nothing was stored."""

    tries_left: int | None = None


#: Every request that is decided and stored as one.
MoneyRequest = (
    Purchase
    | Balance
    | Reverse
    | Refund
    | Void
    | PreAuthorize
    | Capture
    | Release
    | Advise
    | ChangePin
    | CloseBatch
    | Reconcile
)
