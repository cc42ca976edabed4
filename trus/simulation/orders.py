"""What cashiers order: one kind of order for each kind of transaction, weighted in KINDS.

A new transaction joins the simulation by one more class here, with `possible` and `place`, and by a
line in the checks of trus.simulation.invariants about what it leaves in the ledger. An order puts
itself on paper before it is placed and its answer as soon as it is heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from trus.device.journal import Asked
from trus.simulation.orders_linked import Advice, Capture, Hold, PinChange, Refund, Release, Void
from trus.simulation.orders_network import KeyChange, SignOff
from trus.simulation.slips import asked_pin, right_pin, some_amount, some_card, wrong_pin
from trus.simulation.town import CURRENCY

if TYPE_CHECKING:
    from trus.simulation.tills import SimulatedTill


class OrderKind(Protocol):
    """One kind of order."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether it can be ordered now."""
        ...

    async def place(self, till: SimulatedTill) -> None:
        """Order it, and put it and its answer on paper. Raises Stopped, JournalError."""
        ...


class Purchase:
    """A purchase with the PIN, sometimes a wrong one, sometimes one that is typed only when asked for."""

    def __init__(self, *, partial: bool = False) -> None:
        """`partial` accepts less than the whole."""
        self._partial = partial

    def possible(self, till: SimulatedTill) -> bool:
        """Return True: shops sell."""
        return True

    async def place(self, till: SimulatedTill) -> None:
        """Sell something."""
        if till.client is None:
            return
        card, amount = some_card(till), some_amount(till.chance)
        mood, shift = till.chance.below(24), till.shift
        pin: str | None = right_pin(till, card)
        if mood == 0:
            pin = wrong_pin(till, card)
        elif mood < 5 and shift.at_pinpad is None:
            pin, shift.at_pinpad = None, card
        ordered = till.note(Asked.PURCHASE, amount, card, right_pin=mood != 0, pin=pin)
        answer = await till.client.purchase(amount, card.track2, pin, currency=CURRENCY, partial=self._partial)
        if shift.at_pinpad is card:
            shift.at_pinpad = None
        till.heard(ordered, answer)


class Balance:
    """A question for what a purse holds."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return True."""
        return True

    async def place(self, till: SimulatedTill) -> None:
        """Ask."""
        if till.client is None:
            return
        card = some_card(till)
        pin, right = asked_pin(till, card, seldom=16)
        ordered = till.note(Asked.BALANCE, 0, card, right_pin=right, pin=pin)
        till.heard(ordered, await till.client.balance(card.track2, pin))


class Reversal:
    """A customer changes their mind: an approved purchase of this terminal is taken back."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether there is one."""
        return bool(till.reversible())

    async def place(self, till: SimulatedTill) -> None:
        """Take one back."""
        if till.client is None:
            return
        original = till.chance.choose(till.reversible())
        ordered = till.note(Asked.REVERSE, original.amount)
        ordered.original = original.identity
        till.heard(ordered, await till.client.reverse(original))


class BatchClose:
    """The end of a shift: everything is settled first, then both sides compare what they counted."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether nobody closes already."""
        return not till.shift.closing

    async def place(self, till: SimulatedTill) -> None:
        """Close the batch when the terminal has settled; nobody sells meanwhile."""
        client, part, shift = till.client, till.part, till.shift
        if client is None or part is None:
            return
        shift.closing = True
        try:
            await till.until_settled(part.reactor)
            ordered = till.note(Asked.CLOSE)
            till.heard(ordered, await client.close_batch())
            await till.until_settled(part.reactor)
        finally:
            shift.closing = False


#: What cashiers order, and how often.
KINDS: Final[tuple[tuple[int, OrderKind], ...]] = (
    (60, Purchase()),
    (8, Purchase(partial=True)),
    (6, Balance()),
    (6, Reversal()),
    (6, Refund()),
    (4, Void()),
    (6, Hold()),
    (5, Capture()),
    (2, Release()),
    (5, Advice()),
    (3, PinChange()),
    (3, BatchClose()),
    (1, SignOff()),
    (1, KeyChange()),
)
