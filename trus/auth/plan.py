"""Compiles a policy once into the few checks that it needs, in their order.

Decides nothing: what a policy does not limit is not asked, so that a rule that a company does not use
costs its purchases nothing. What was compiled is kept with the policy for as long as that is in memory.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from trus.auth.case import NO_POLICY
from trus.auth.policy import Policy
from trus.auth.rules import AFTER_PIN, LIMITS, Limit, Rule

_KEPT: Final = "plan"


class Plan(NamedTuple):
    """The rules that are asked of a purchase after its PIN, and the limits on its amount."""

    rules: tuple[Rule, ...]
    limits: tuple[Limit, ...]


def plan_of(policy: Policy) -> Plan:
    """Return the checks of a policy, compiled at its first use."""
    kept: Plan | None = policy.__dict__.get(_KEPT)
    if kept is None:
        kept = policy.__dict__[_KEPT] = Plan(
            tuple(rule for rule in AFTER_PIN if rule.needed(policy)),
            tuple(limit for limit in LIMITS if limit.needed(policy)),
        )
    return kept


#: Compiled already, since nothing else is asked where a company has no policy.
NOTHING_ALLOWED: Final = plan_of(NO_POLICY)
