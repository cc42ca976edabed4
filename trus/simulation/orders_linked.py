"""What cashiers order about earlier sales and reservations, and what they tell of afterwards.

As trus.simulation.orders: each kind puts itself on paper before it is placed, and its answer as soon as it is heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trus.device.journal import Asked
from trus.simulation.papers import Reserved
from trus.simulation.slips import asked_pin, some_amount, some_card
from trus.simulation.town import CURRENCY

if TYPE_CHECKING:
    from trus.simulation.chance import Chance
    from trus.simulation.tills import SimulatedTill

#: Off-line sales are small: most are below what the network takes over.
_ADVICE_MOST: Final = 2_500


class Refund:
    """A customer brings something back: a part of the purchase, the whole, at times more than was paid."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether there is a purchase."""
        return bool(till.sold())

    async def place(self, till: SimulatedTill) -> None:
        """Give money back."""
        if till.client is None:
            return
        sale = till.chance.choose(till.sold())
        amount = _part(till.chance, sale.settled.amount)
        original = sale.reference if till.chance.below(2) else None
        ordered = till.note(Asked.REFUND, amount)
        till.heard(
            ordered,
            await till.client.refund(amount, sale.settled.rrn, currency=sale.opened.currency, original=original),
        )


class Void:
    """The cashier cancels a purchase of the open batch."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether there is one."""
        return bool(till.reversible())

    async def place(self, till: SimulatedTill) -> None:
        """Cancel it."""
        if till.client is None:
            return
        original = till.chance.choose(till.reversible())
        ordered = till.note(Asked.VOID, original.amount)
        ordered.original = original.identity
        till.heard(ordered, await till.client.void(original))


class Hold:
    """A pre-authorization: money is set aside until it is completed, given up, or expires."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return True."""
        return True

    async def place(self, till: SimulatedTill) -> None:
        """Reserve something."""
        if till.client is None:
            return
        card, amount = some_card(till), some_amount(till.chance)
        pin, right = asked_pin(till, card)
        ordered = till.note(Asked.HOLD, amount, card, right_pin=right, pin=pin)
        answer = await till.client.hold(amount, card.track2, pin, currency=CURRENCY, partial=till.chance.below(4) == 0)
        till.heard(ordered, answer)
        if answer.approved and answer.reference is not None:
            till.papers.reserved.append(Reserved(answer.rrn, answer.amount or 0, till.name))


class Capture:
    """The guest leaves: a part of what was set aside is paid, the whole, at times more."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether something is reserved."""
        return bool(till.reserved())

    async def place(self, till: SimulatedTill) -> None:
        """Complete one."""
        if till.client is None:
            return
        reserved = till.chance.choose(till.reserved())
        amount = _part(till.chance, reserved.amount)
        ordered = till.note(Asked.CAPTURE, amount)
        till.heard(ordered, await till.client.capture(amount, reserved.rrn, currency=CURRENCY))


class Release:
    """The guest never came: what was set aside is given up."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether something is reserved."""
        return bool(till.reserved())

    async def place(self, till: SimulatedTill) -> None:
        """Give one up."""
        if till.client is None:
            return
        ordered = till.note(Asked.RELEASE)
        till.heard(ordered, await till.client.release(till.chance.choose(till.reserved()).rrn))


class Advice:
    """A sale that was made while nothing answered, told of now."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return True."""
        return True

    async def place(self, till: SimulatedTill) -> None:
        """Tell of it."""
        if till.client is None:
            return
        card, amount = some_card(till), till.chance.between(1, _ADVICE_MOST)
        ordered = till.note(Asked.ADVICE, amount, card)
        till.heard(ordered, await till.client.advise(amount, card.track2, currency=CURRENCY))


class PinChange:
    """A cardholder chooses another PIN at the pinpad."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return True."""
        return True

    async def place(self, till: SimulatedTill) -> None:
        """Change it; nobody changes the same card's PIN at two terminals at once."""
        card, papers = some_card(till), till.papers
        if till.client is None or card.name in papers.changing:
            return
        old = till.chance.choose(papers.pins_of(card.name, card.pin))
        new = f"{till.chance.below(1000):03d}{till.chance.choose('02468')}"
        papers.changing.add(card.name)
        papers.pins[card.name] = sorted({*papers.pins_of(card.name, card.pin), new})
        ordered = till.note(Asked.PIN, 0, card)
        try:
            answer = await till.client.change_pin(card.track2, old, new)
        finally:
            papers.changing.discard(card.name)
        till.heard(ordered, answer)
        if answer.approved:
            papers.pins[card.name] = [new]
        elif answer.answered:
            papers.pins[card.name] = [each for each in papers.pins[card.name] if each != new or each == old] or [old]


def _part(chance: Chance, whole: int) -> int:
    """Return an amount up to `whole`: often all of it, at times one unit, at times too much."""
    match chance.below(6):
        case 0:
            return whole + chance.between(1, 100)
        case 1:
            return 1
        case 2 | 3:
            return max(1, whole)
        case _:
            return chance.between(1, max(1, whole))
