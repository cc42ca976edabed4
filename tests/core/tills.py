"""A till and cards of a test: requests as a terminal makes them, with real stripes and PIN blocks."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.core.worlds import TODAY, World
from trus.cards import verification
from trus.cards.numbers import CardNumber, compose_number
from trus.cards.pin import Pin, reference, reference_input, seal_pin
from trus.cards.sealed import StripeKeys
from trus.cards.tracks import SERVICE_CODE, StripeData, encode_track_two
from trus.core.keyring import find_card_keys
from trus.core.messages import (
    Advise,
    Balance,
    Capture,
    ChangePin,
    CloseBatch,
    MoneyRequest,
    Outcome,
    PreAuthorize,
    Purchase,
    Reconcile,
    Refund,
    Release,
    Reverse,
    Void,
)
from trus.core.pipeline import MoneyPipeline, PipelineSettings
from trus.hsm.memory import MemoryStore
from trus.hsm.ports import KeyHandle, KeyPurpose
from trus.values import (
    BatchItem,
    BusinessDate,
    DeviceRole,
    Frozen,
    Identity,
    ItemKind,
    ItemState,
    PeerIdentity,
    PinMaterial,
    TerminalId,
    TrackTwo,
)

SESSION_KEY = bytes(range(16))
EXPIRY = "2912"


class CountedEntropy:
    """Bytes that look random and are the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def draw(self, count: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._count.to_bytes(8, "big")).digest(count)


class CountedStore(MemoryStore):
    """Keys in memory that count what they are asked."""

    def __init__(self) -> None:
        super().__init__(CountedEntropy())
        self.calls: list[tuple[str, int]] = []
        self.lost_at = ""  #: the token is pulled out when the key of this label is used

    def encrypt_blocks(self, handle: KeyHandle, blocks: Any) -> list[bytes]:
        self.calls.append((handle.label, len(blocks)))
        self.available = self.available and handle.label != self.lost_at
        return super().encrypt_blocks(handle, blocks)


class CardInHand(Frozen, frozen=True):
    """What its holder has and knows."""

    number: CardNumber
    track: TrackTwo
    pin: str

    def forged(self) -> TrackTwo:
        """Return the stripe that somebody made up who knows the number and the date."""
        text = self.track.text
        return TrackTwo(text[:-1] + str((int(text[-1]) + 1) % 10))


class Bank:
    """Issues cards into a world and runs the pipeline on it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys = CountedStore()
        self.keys.generate("K_PIN", KeyPurpose.PIN)
        self.keys.generate("K_CARD", KeyPurpose.CARD)
        self.entropy = CountedEntropy()
        self.notes: list[tuple[str, str]] = []
        self.stripes = StripeKeys(lambda: [bytes(range(1, 33))])
        self._issued = 0
        self.start()

    def start(self) -> None:
        """Start the pipeline, as after a restart or a new key."""
        self.pipeline = MoneyPipeline(
            self.world.ledger,
            self.keys,
            find_card_keys(self.keys),
            self.world.clock,
            self.entropy,
            PipelineSettings(),
            self.note,
            open_stripe=self.stripes.open,
        )

    def note(self, level: str, text: str) -> None:
        self.notes.append((level, text))

    def issue(self, company: str, employee: str, card: str, pin: str = "1234", expiry: str = EXPIRY) -> CardInHand:
        """Make a card with the newest keys and store it."""
        self._issued += 1
        number = compose_number(self._issued)
        made = self.make(number, pin, expiry)
        handle = self.keys.find("K_PIN")
        [kept] = self.keys.encrypt_blocks(handle, [reference_input(number, Pin(pin)).block])
        self.world.add_card(company, employee, card, number, expiry, reference(handle.version, kept))
        return made

    def make(self, number: CardNumber, pin: str = "1234", expiry: str = EXPIRY) -> CardInHand:
        """Make a genuine stripe without storing a card."""
        handle = self.keys.find("K_CARD")
        [value] = self.keys.encrypt_blocks(handle, [verification.input_block(number, expiry, SERVICE_CODE, 1)])
        data = StripeData(number, expiry, SERVICE_CODE, verification.discretionary(handle.version, 1, value))
        return CardInHand(number, encode_track_two(data), pin)

    def handle(self, *batch: MoneyRequest) -> list[Any]:
        """Give a batch to the pipeline."""
        return list(self.pipeline.handle(list(batch)))

    def one(self, request: MoneyRequest) -> Any:
        """Give a batch of one."""
        [answer] = self.handle(request)
        return answer

    def outcome(self, request: MoneyRequest) -> Outcome:
        """Give a batch of one that must end in an outcome."""
        answer = self.one(request)
        if not isinstance(answer, Outcome):
            raise AssertionError(f"no outcome: {answer!r}")
        return answer


class Till:
    """A terminal that numbers its requests."""

    def __init__(self, terminal: str = "T0000001", shop: str = "BISTRO") -> None:
        self.peer = PeerIdentity(DeviceRole.POS, terminal, "1f", shop)
        self.terminal = TerminalId(terminal)
        self.date = TODAY
        self._stan = 0

    def identity(self, date: BusinessDate | None = None) -> Identity:
        """Return a fresh identity."""
        self._stan += 1
        return Identity(self.terminal, self.date if date is None else date, self._stan)

    def purchase(self, card: CardInHand, amount: int = 1250, **changes: Any) -> Purchase:
        """Ask for a purchase; `pin` is the card's unless told, None for none."""
        identity = changes.pop("identity", None) or self.identity(changes.pop("date", None))
        pin = changes.pop("pin", card.pin)
        track = changes.pop("track", card.track)
        fields: dict[str, Any] = {
            "peer": self.peer,
            "identity": identity,
            "rid": rid_of(identity),
            "amount": amount,
            "currency": "USD",
            "track2": track,
            "pin": None if pin is None else pin_block(pin, card.number),
        }
        return Purchase(**{**fields, **changes})

    def balance(self, card: CardInHand, pin: str | None = None, **changes: Any) -> Balance:
        """Ask for the balance; without PIN unless told."""
        identity = self.identity()
        material = None if pin is None else pin_block(pin, card.number)
        return Balance(
            **{
                "peer": self.peer,
                "identity": identity,
                "rid": rid_of(identity),
                "track2": card.track,
                "pin": material,
                **changes,
            }
        )  # type: ignore[arg-type]

    def reverse(self, original: MoneyRequest, **changes: Any) -> Reverse:
        """Take a request back."""
        identity = self.identity()
        fields: dict[str, Any] = {
            "peer": self.peer,
            "identity": identity,
            "rid": rid_of(identity),
            "original": original.identity,
            "original_rid": original.rid,
            "amount": getattr(original, "amount", 0),
            "currency": "USD",
        }
        return Reverse(**{**fields, **changes})

    def void(self, purchase: MoneyRequest, **changes: Any) -> Void:
        """Cancel a purchase."""
        reversal = self.reverse(purchase)
        fields = {name: getattr(reversal, name) for name in reversal.__struct_fields__}
        return Void(**{**fields, "reason": "cashier", **changes})

    def hold(self, card: CardInHand, amount: int = 1250, **changes: Any) -> PreAuthorize:
        """Have an amount set aside."""
        purchase = self.purchase(card, amount, **changes)
        return PreAuthorize(**{name: getattr(purchase, name) for name in purchase.__struct_fields__})

    def change_pin(self, card: CardInHand, new: str, **changes: Any) -> ChangePin:
        """Ask for another PIN; `pin` is the card's unless told."""
        identity = self.identity(changes.pop("date", None))
        pin = changes.pop("pin", card.pin)
        fields: dict[str, Any] = {
            "peer": self.peer,
            "identity": identity,
            "rid": rid_of(identity),
            "track2": card.track,
            "pin": pin_block(pin, card.number),
            "new_pin": pin_block(new, card.number, b"12345678"),
        }
        return ChangePin(**{**fields, **changes})

    def advise(self, card: CardInHand, amount: int = 1250, **changes: Any) -> Advise:
        """Tell of a purchase made off-line."""
        purchase = self.purchase(card, amount, pin=None, **changes)
        return Advise(**{name: getattr(purchase, name) for name in Advise.__struct_fields__ if name != "sealed"})

    def capture(self, held: Outcome, amount: int, **changes: Any) -> Capture:
        """Complete a pre-authorization, by the reference number of its answer."""
        refund = self.refund(held, amount, **changes)
        return Capture(**{name: getattr(refund, name) for name in Capture.__struct_fields__})

    def release(self, held: Outcome, **changes: Any) -> Release:
        """Give a pre-authorization up."""
        refund = self.refund(held, 0, **changes)
        return Release(**{name: getattr(refund, name) for name in Release.__struct_fields__})

    def refund(self, paid: Outcome, amount: int, **changes: Any) -> Refund:
        """Give money of a purchase back, by the reference number of its answer."""
        identity = changes.pop("identity", None) or self.identity(changes.pop("date", None))
        fields: dict[str, Any] = {
            "peer": self.peer,
            "identity": identity,
            "rid": rid_of(identity),
            "amount": amount,
            "currency": "USD",
            "reference": paid.rrn,
        }
        return Refund(**{**fields, **changes})

    def close(self, purchases: int, amount: int, reversals: int = 0, back: int = 0, **changes: Any) -> CloseBatch:
        """Close the batch with these totals."""
        identity = self.identity()
        return CloseBatch(
            **{
                "peer": self.peer,
                "identity": identity,
                "rid": rid_of(identity),
                "currency": "USD",
                "purchase_count": purchases,
                "purchase_amount": amount,
                "reversal_count": reversals,
                "reversal_amount": back,
                **changes,
            }  # type: ignore[arg-type]
        )

    def reconcile(self, *items: BatchItem, **changes: Any) -> Reconcile:
        """Close the batch item by item."""
        identity = changes.pop("identity", None) or self.identity()
        fields: dict[str, Any] = {
            "peer": self.peer,
            "identity": identity,
            "rid": rid_of(identity),
            "currency": "USD",
            "items": items,
        }
        return Reconcile(**{**fields, **changes})


def item_of(
    request: MoneyRequest, answer: Outcome, kind: str = "purchase", state: str = "stands", **changes: Any
) -> BatchItem:
    """Return how a terminal writes an answered request down."""
    date, stan = request.identity.business_date, request.identity.stan
    item = BatchItem(date, stan, ItemKind(kind), ItemState(state), answer.amount or 0, answer.rrn)
    return msgspec.structs.replace(item, **changes)


def rid_of(identity: Identity) -> bytes:
    """Return a rid that looks random and is the same in every run."""
    return hashlib.blake2b(repr(identity).encode(), digest_size=16).digest()


def pin_block(pin: str, number: CardNumber, fill: bytes = b"87654321") -> PinMaterial:
    """Return what a pinpad sends."""
    cipher = Cipher(algorithms.AES(SESSION_KEY), modes.ECB())
    return PinMaterial(SESSION_KEY, seal_pin(Pin(pin), number, cipher.encryptor().update, fill))
