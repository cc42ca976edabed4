"""Says which of a cardholder's purses pay for a purchase, by the order in which the company's policy names them.

Asked only of companies whose policy names purses; all others pay from the main purse, by the rules of
trus.auth.rules. A purse is named by the issuer; MAIN is the one that every cardholder has.
"""

from __future__ import annotations

from trus.auth.case import Case, Figures, Held
from trus.auth.model import CardFacts, Draw
from trus.auth.policy import MAIN_PURSE, PurseRule


def room_of(card: CardFacts, name: str) -> int | None:
    """Return what a purse can spend, None when the cardholder has none of that name."""
    if name == MAIN_PURSE:
        return card.spendable
    return next((purse.balance - purse.held for purse in card.purses if purse.name == name), None)


def purse_category(case: Case) -> Figures | None:
    """None of the company's purses pays for this kind of shop."""
    return None if any(_pays(rule, case) for rule in case.policy.purses) else {"mcc": case.terminal.mcc}


def purses_room(case: Case) -> int | None:
    """More is asked than the purses hold that pay for this kind of shop: one of them, or all where they may share."""
    rooms = [held.room for held in usable(case)]
    if _share(case):
        return sum(rooms)
    return max(rooms, default=0)


def purses_figures(case: Case) -> Figures:
    """Return what the purses held."""
    return {"purses": ",".join(f"{held.name}:{held.room}" for held in usable(case))}


def usable(case: Case) -> list[Held]:
    """Return the purses that may pay this purchase and what they can spend, in the policy's order."""
    if case.usable is not None:
        return case.usable
    found: list[Held] = []
    for rule in case.policy.purses:
        room = room_of(case.card, rule.name) if _pays(rule, case) else None
        if room is not None:
            found.append(Held(rule.name, max(0, room)))
    case.usable = found
    return found


def draw(case: Case, amount: int) -> tuple[Draw, ...]:
    """Return what each purse pays of an amount that their room allows, in order.

    Where purses do not share, the first one that holds all of it pays.
    """
    held = usable(case)
    if not _share(case):
        return tuple(Draw(each.name, amount) for each in held if each.room >= amount)[:1]
    draws: list[Draw] = []
    for each in held:
        part = min(each.room, amount)
        if part:
            draws.append(Draw(each.name, part))
            amount -= part
    return tuple(draws)


def draw_off_line(case: Case, amount: int) -> tuple[Draw, ...]:
    """Return what the purses pay of an amount that was sold off-line already: each what it holds, in order."""
    whole = draw(case, amount)
    if whole or not amount:
        return whole
    held = usable(case)
    best = max(held, key=lambda each: each.room, default=None)
    return (Draw(best.name, best.room),) if best is not None and best.room else ()


def paid_from(draws: tuple[Draw, ...]) -> str:
    """Return draws as they are kept with a decision: "SNACK:250,MAIN:1000", minor units."""
    return ",".join(f"{each.purse}:{each.amount}" for each in draws)


def _share(case: Case) -> bool:
    return case.policy.split_purses


def _pays(rule: PurseRule, case: Case) -> bool:
    return not rule.categories or case.terminal.mcc in rule.categories
