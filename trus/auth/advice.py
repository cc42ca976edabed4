"""The reasons for which a purchase that a terminal made off-line is not taken over.

The goods are gone: what the purse holds, what the company allows and whether the card was reported since
are no reasons. What is left is a terminal that may not ask, a card that is not genuine, and an amount
above the floor limit, which the shop risked by itself.
"""

from __future__ import annotations

from typing import Final

from trus.auth.case import Case
from trus.auth.linked import Verdict
from trus.auth.policy import Policy
from trus.auth.rules import AFTER_PIN, BEFORE_PIN, Rule
from trus.values import ResponseCode

#: Names of the rules that are asked of advices too.
_ASKED: Final = frozenset(
    {
        "terminal-unknown",
        "terminal-not-active",
        "shop-not-active",
        "currency-of-terminal",
        "amount",
        "track-unreadable",
        "card-not-genuine",
        "currency-of-purse",
    }
)
ADVICE: Final[tuple[Rule, ...]] = tuple(rule for rule in (*BEFORE_PIN, *AFTER_PIN) if rule.name in _ASKED)
OVER_FLOOR: Final = "over-floor"
UNOPENED: Final = "stripe-unopened"


def floor_of(policy: Policy | None, network: int) -> int:
    """Return what a terminal may sell off-line at once to a company's card: the lower of two limits, minor units."""
    own = None if policy is None else policy.floor_limit
    return network if own is None else min(own, network)


def judge_advice(case: Case, floor_limit: int, *, unopened: bool = False) -> Verdict | None:
    """Return the first reason against an advice, None when it is posted.

    `floor_limit` is in minor units. `unopened` says that its stripe is sealed, and not for this request or to no key
    that is still held.
    """
    for rule in ADVICE:
        figures = rule.applies(case)
        if figures is not None:
            if unopened and rule.name == "track-unreadable":
                return Verdict(UNOPENED, ResponseCode.CRYPTOGRAPHIC_FAILURE, {})
            return Verdict(rule.name, rule.code, figures)
    if case.amount > floor_limit:
        figures = {"asked": case.amount, "currency": case.question.currency, "limit": floor_limit}
        return Verdict(OVER_FLOOR, ResponseCode.OVER_AMOUNT_LIMIT, figures)
    return None
