"""One money request on its way through a batch: what was asked, and what was found out about it so far.

Shows nothing of the request in its repr. The digest names the business fields of a request, so
that a repeat is told from another request under the same number: SHA-256 over a MessagePack
array in shortest form, FORM first; left out are id, s, seal, repeat and PIN. A card is in it by
its keyed hash, never by its number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container
from typing import Final

import msgspec

from trus.auth.model import Checks
from trus.auth.ports import CardNames, EventKind
from trus.cards import sealed
from trus.cards.errors import CardDataRefused
from trus.cards.tracks import StripeData, parse_track_two
from trus.core.messages import (
    Advise,
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
    Reconcile,
    Refund,
    Refused,
    Release,
    Reverse,
    Void,
)
from trus.values import Identity, PinMaterial, Secret, TrackTwo

#: Version of the canonical form of a request.
FORM: Final = 1

MoneyAnswer = Outcome | PinWanted | Failed | Refused

_encode: Final = msgspec.msgpack.Encoder().encode

#: How each request is recorded.
_KINDS: Final[dict[type, EventKind]] = {
    Purchase: EventKind.PURCHASE,
    Balance: EventKind.BALANCE,
    Reverse: EventKind.REVERSAL,
    Refund: EventKind.REFUND,
    Void: EventKind.VOID,
    PreAuthorize: EventKind.HOLD,
    Capture: EventKind.COMPLETION,
    Release: EventKind.RELEASE,
    Advise: EventKind.PURCHASE,
    ChangePin: EventKind.PIN_CHANGE,
    CloseBatch: EventKind.CLOSE_BATCH,
    Reconcile: EventKind.CLOSE_BATCH,
}


#: Opens a sealed stripe for what it is bound to, None when it does not open.
OpenStripe = Callable[[bytes, bytes], TrackTwo | None]


def opens_nothing(stripe: bytes, bound: bytes) -> TrackTwo | None:
    """Open no stripe: where no terminal was told a key."""
    return None


def bound_to(request: Advise) -> bytes:
    """Return what the sealed stripe of an advice must belong to."""
    return sealed.binding(request.identity, request.rid, request.amount, request.currency, request.read)


class NewPin(Secret, frozen=True):
    """What came of the PIN that a cardholder wants: its reference, or a fixed word for why it cannot be."""

    reference: bytes = b""
    fault: str = ""


class Asked:
    """A request under way.

    `stripe` is None when the track cannot be read, or none belongs to the request; `card_key` is
    then empty. Otherwise it is the keyed hash that the ledger knows the card by. `checks` is None
    until the token has been asked. `unopened` says that a sealed stripe does not open for this request.
    `answer` is the answer as soon as there is one, and `durable`
    says whether it holds whatever becomes of the batch.
    """

    __slots__ = (
        "answer",
        "card_key",
        "checks",
        "digest",
        "durable",
        "identity",
        "kind",
        "names",
        "new_pin",
        "pin",
        "request",
        "rid",
        "stripe",
        "unopened",
    )

    def __init__(
        self, request: MoneyRequest, card_names: Callable[[str], CardNames], open_stripe: OpenStripe = opens_nothing
    ) -> None:
        """`card_names` returns the ledger's keyed hashes of a card number."""
        self.request = request
        self.identity: Identity = request.identity
        self.rid: bytes = request.rid
        self.stripe: StripeData | None = None
        self.unopened = False
        self.pin: PinMaterial | None = None
        self.card_key = b""
        self.names: CardNames | None = None
        self.new_pin: NewPin | None = None
        self.checks: Checks | None = None
        self.answer: MoneyAnswer | None = None
        self.durable = False
        self.kind = _KINDS[type(request)]
        track = None
        if isinstance(request, (Purchase, PreAuthorize, Balance, ChangePin)):
            track, self.pin = request.track2, request.pin
        elif isinstance(request, (Refund, Advise)):
            track = request.track2
            if isinstance(request, Advise) and request.sealed:
                track = open_stripe(request.sealed, bound_to(request))
                self.unopened = track is None
        if track is not None:
            try:
                self.stripe = parse_track_two(track)
            except CardDataRefused:
                # A rule says so to the terminal, after equal work.
                self.stripe = None
            else:
                self.names = card_names(self.stripe.number.digits)
                self.card_key = self.names.current
        self.digest = digest_of(request, self.card_key)

    @property
    def card_keys(self) -> tuple[bytes, ...]:
        """The keyed hashes that the card's row may be found by."""
        return () if self.names is None else (self.names.current, *self.names.former)

    def settle_card(self, cards: Container[bytes]) -> None:
        """Take the hash that a row was found by; only while the keys change can it be another one."""
        if self.names is not None and self.names.former and self.card_key not in cards:
            self.card_key = next((each for each in self.names.former if each in cards), self.card_key)

    def repeats(self, digest: bytes) -> bool:
        """Return whether a stored digest is of this request, whichever key its card was hashed under."""
        if digest == self.digest:
            return True
        names = self.names
        older = () if names is None else (*names.former, *names.repeated)
        return any(digest == digest_of(self.request, each) for each in older)

    def __repr__(self) -> str:
        """Name the kind and nothing more."""
        return f"<Asked {self.kind} redacted>"


def digest_of(request: MoneyRequest, card_key: bytes) -> bytes:
    """Return the 32-byte digest of a request's business fields."""
    identity = request.identity
    name = (identity.terminal, identity.business_date, identity.stan, request.rid)
    fields: tuple[object, ...]
    match request:
        case Purchase() | PreAuthorize():
            kind = "purchase" if isinstance(request, Purchase) else "hold"
            fields = (kind, *name, request.amount, request.currency, request.partial, card_key)
        case Balance():
            fields = ("balance", *name, card_key)
        case Reverse() | Void():
            original = request.original
            fields = (
                "reversal" if isinstance(request, Reverse) else "void",
                *name,
                original.terminal,
                original.business_date,
                original.stan,
                request.original_rid,
                request.amount,
                request.currency,
            )
        case Refund():
            purchase = request.original
            fields = (
                "refund",
                *name,
                request.amount,
                request.currency,
                request.reference,
                *(() if purchase is None else (purchase.business_date, purchase.stan, request.original_rid)),
                card_key,
            )
        case ChangePin():
            fields = ("pin-change", *name, card_key)
        case Advise():
            fields = ("advice", *name, request.amount, request.currency, card_key)
        case Capture() | Release():
            hold = request.original
            fields = (
                *(
                    ("completion", *name, request.amount, request.currency)
                    if isinstance(request, Capture)
                    else ("release", *name)
                ),
                request.reference,
                *(() if hold is None else (hold.business_date, hold.stan, request.original_rid)),
            )
        case Reconcile():
            items = [(each.business_date, each.stan, each.kind, each.state, each.amount) for each in request.items]
            fields = ("reconcile", *name, request.currency, items)
        case CloseBatch():
            totals = (request.purchase_count, request.purchase_amount, request.reversal_count, request.reversal_amount)
            # Totals of a later version count when there are any, so that older digests stay what they are.
            later = (
                *(request.refund_count, request.refund_amount, request.void_count, request.void_amount),
                *(request.completion_count, request.completion_amount),
            )
            fields = ("close-batch", *name, request.currency, *totals, *(later if any(later) else ()))
    return hashlib.sha256(_encode((FORM, *fields))).digest()
