"""What customers bring to a till: a card, an amount, a PIN, right or wrong.

Draws only; what is ordered with it is trus.simulation.orders' and trus.simulation.orders_linked's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trus.simulation.chance import Chance
from trus.simulation.town import CardInHand

if TYPE_CHECKING:
    from trus.simulation.tills import SimulatedTill

#: Amounts that a factor of a hundred in floating point gets wrong.
_AWKWARD: Final = (1, 5, 29, 57, 58, 113, 115, 116, 201, 402, 435, 467, 1001, 1999, 3999)


def some_card(till: SimulatedTill) -> CardInHand:
    """Return the card of the next customer."""
    cards = till.shop.town.cards
    card = till.chance.choose(cards)
    # An expired card is a rare visitor.
    return till.chance.choose(cards) if card.expired else card


def some_amount(chance: Chance) -> int:
    """Return minor units: mostly a lunch, at times awkward, at times more than a purse holds."""
    kind = chance.below(16)
    if kind < 4:
        return chance.choose(_AWKWARD)
    if kind == 15:
        return chance.between(20_000, 60_000)
    return chance.between(1, 2_500)


def right_pin(till: SimulatedTill, card: CardInHand) -> str:
    """Return a PIN that may be the card's: after a change without an answer there are two of them."""
    return till.chance.choose(till.papers.pins_of(card.name, card.pin))


def wrong_pin(till: SimulatedTill, card: CardInHand) -> str:
    """Return a PIN that is certainly not the card's: its last digit is odd, as no changed PIN's is."""
    possible = till.papers.pins_of(card.name, card.pin)
    return next(each for digit in "13579" if (each := card.pin[:-1] + digit) not in possible)


def asked_pin(till: SimulatedTill, card: CardInHand, *, seldom: int = 20) -> tuple[str, bool]:
    """Return a PIN and whether it may be right; one in `seldom` is wrong."""
    if till.chance.below(seldom) == 0:
        return wrong_pin(till, card), False
    return right_pin(till, card), True
