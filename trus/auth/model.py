"""The facts that an authorization is decided from, and the decision that comes out.

Frozen values only: nothing here reads a clock, a database or a key. Amounts are integer
minor units. Facts never hold a card number, a track or a PIN.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from trus.auth.policy import Policy
from trus.auth.spending import Spent
from trus.values import CardRef, Frozen, ResponseCode, Result, ShopId, TerminalId

#: Wrong PINs in a row before a card is locked, unless the settings say otherwise.
PIN_TRIES: Final = 3


class State(StrEnum):
    """The standing of a card, terminal, shop, employee or company."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    LOST = "lost"
    STOLEN = "stolen"
    SUSPECTED = "suspected"
    CLOSED = "closed"


class TerminalFacts(Frozen, frozen=True):
    """A terminal and its shop. `merchant_account` is the shop's ledger account.

    `watch` is what the terminal has tried lately, as it is kept (trus.auth.watching); "" for nothing.
    `place` is where the shop is, "latitude,longitude" in degrees, "" where nobody said.
    """

    terminal: TerminalId
    state: State
    shop: ShopId
    shop_id: int
    shop_name: str
    shop_state: State
    mcc: str
    currency: str
    merchant_account: int
    watch: str = ""
    place: str = ""


class PurseFacts(Frozen, frozen=True):
    """A purse beside the main one, minor units; `held` is what pre-authorizations have set aside of it."""

    name: str
    account: int
    balance: int
    held: int = 0


class Draw(Frozen, frozen=True):
    """What a purse pays of a purchase, minor units."""

    purse: str
    amount: int


class CardFacts(Frozen, frozen=True):
    """A card, its holder and its purse, as they stand inside the batch.

    `expiry` is YYMM as on the stripe (ISO/IEC 7813), valid through the end of that month.
    `pin_reference` (17 bytes: the key's version and one AES block, trus.cards.pin) and the
    verification value are checked by the core, not by the rules. The purse may be shared by
    several cards of one holder.
    `held` is what pre-authorizations have set aside of the balance. `lots` is the part of it that
    ends (trus.auth.lots), as it is kept, and `ended` what of that has ended and was not posted away yet.
    The counters belong to `counter_day`, a local date of the company ("YYYY-MM-DD"); `spent` is of
    longer periods and of shops, None while no policy counted these. `purses` are those beside the main
    one, read where a policy of the company names any. `signals` is what the card did lately, as it is kept
    (trus.auth.signals).
    """

    card_id: int
    card: CardRef
    state: State
    expiry: str
    tries_left: int
    pin_reference: bytes
    employee_state: State
    company_id: int
    company_state: State
    purse_account: int
    balance: int
    currency: str
    counter_day: str
    day_amount: int
    day_count: int
    held: int = 0
    spent: Spent | None = None
    lots: str = ""
    ended: int = 0
    purses: tuple[PurseFacts, ...] = ()
    signals: str = ""

    @property
    def spendable(self) -> int:
        """What can be spent: what has ended backs first what is set aside, which keeps it from being posted away."""
        return self.balance - max(self.held, self.ended)

    def __repr__(self) -> str:
        """Name the card by the issuer's reference; the PIN reference and the purse stay out of tracebacks."""
        return f"<CardFacts {self.card}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show rich the same."""
        return [("card", self.card)]


class Kind(StrEnum):
    """What a terminal may ask of the engine."""

    PURCHASE = "purchase"
    BALANCE = "balance"


class Question(Frozen, frozen=True):
    """A request as the rules see it. `amount` is minor units; 0 for a balance enquiry.

    `read` is the number that the terminal gave to the reading of the stripe, 0 for none.
    """

    kind: Kind
    amount: int
    currency: str
    partial: bool = False
    read: int = 0


class Checks(Frozen, frozen=True):
    """What the core verified with the token before asking the rules.

    `track_expiry` is YYMM and `service_code` 3 digits, as read from the stripe.
    `verification_ok` is False for an unknown card too, after equal work. `pin_ok` is None
    when no PIN came; `pin_usable` is False when the PIN block did not open.
    `track_readable` is False when what came does not have the form of a track 2.
    """

    track_expiry: str
    service_code: str
    verification_ok: bool
    pin_ok: bool | None = None
    pin_usable: bool = True
    track_readable: bool = True


class Facts(Frozen, frozen=True):
    """All that a decision may depend on. A missing part is None, never guessed.

    `tries_allowed` is how many wrong PINs in a row lock a card.
    """

    terminal: TerminalFacts | None
    card: CardFacts | None
    checks: Checks
    policy: Policy | None
    tries_allowed: int = PIN_TRIES


class Reading(Frozen, frozen=True):
    """What the number of a stripe's reading said (trus.auth.readings), and the terminal's record after it.

    `highest` is the terminal's highest number, and `used` has a bit for each of the last that came. `signal` is "" for
    one in its order.
    """

    highest: int
    used: int
    signal: str = ""


class Decision(Frozen, frozen=True):
    """The answer, and why.

    `amount` is what is authorized in minor units (0 when declined). `rule` is the fixed
    name of the rule that settled it and `figures` the numbers it looked at, so that support
    can explain it. `tries_left` is the card's counter after this decision. `pin_wanted`
    means that no decision was made: the terminal must present a PIN. The counters are those
    of `counter_day` after this decision; `spent` is None where they stay as they are.
    `draws` is what each purse pays, empty where the main one pays all. `signals` is what is kept of what the card
    does lately, "" where that stays as it is. `reading` is None where none is kept.
    """

    result: Result
    code: ResponseCode
    amount: int
    rule: str
    figures: dict[str, int | str]
    tries_left: int | None = None
    pin_wanted: bool = False
    counter_day: str = ""
    day_amount: int = 0
    day_count: int = 0
    spent: Spent | None = None
    draws: tuple[Draw, ...] = ()
    signals: str = ""
    reading: Reading | None = None
