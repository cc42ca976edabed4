"""Decides: approved, approved in part, declined, or not without a PIN; and says which rule settled it.

A pure function: the same question, facts and moment give the same decision, and nothing is
read, written or drawn. The reasons and their order are trus.auth.rules; which of them a company's policy
needs is compiled once (trus.auth.plan).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from trus.auth import readings
from trus.auth.case import Case
from trus.auth.model import Decision, Draw, Facts, Kind, Question
from trus.auth.plan import Plan, plan_of
from trus.auth.policy import REFUSE
from trus.auth.purses import draw, paid_from
from trus.auth.rules import BEFORE_PIN, PIN, Effect, Figures, Limit
from trus.auth.signals import after
from trus.values import ResponseCode, Result

#: Names of what settled a request that no rule declined.
APPROVED: Final = "approved"
PARTIAL: Final = "partial"
#: Rules that answer by what a card did lately, and leave that as it is.
SIGNALLED: Final = frozenset({"velocity", "too-far"})

# Looked up once, for the purchases that go through.
_WHOLE: Final = Result.APPROVED
_PART: Final = Result.PARTIAL
_WHOLE_CODE: Final = ResponseCode.APPROVED
_PART_CODE: Final = ResponseCode.PARTIAL_APPROVAL
_BALANCE: Final = Kind.BALANCE


def decide(question: Question, facts: Facts, now: datetime) -> Decision:
    """Return the decision on a request at a moment (aware).

    Facts are those of the batch as it stands, with everything that was decided before in it.
    Never raises for facts of the right types.
    """
    case = Case(question, facts, now)
    decision = _decide(case)
    if case.policy.watches_readings and not decision.pin_wanted and readings.watches(case):
        return readings.noted(case, decision)
    return decision


def _decide(case: Case) -> Decision:
    card = case.card
    tries: int | None = card.tries_left if case.known else None
    for rule in BEFORE_PIN:
        figures = rule.applies(case)
        if figures is not None:
            return _declined(case, rule.code, rule.name, figures, tries)
    for rule in PIN:
        figures = rule.applies(case)
        if figures is not None:
            if rule.effect is Effect.COUNT_TRY:
                tries = card.tries_left - 1
            return _declined(case, rule.code, rule.name, figures, tries, rule.effect is Effect.WANT_PIN)
    if case.checks.pin_ok:
        # A right PIN gives the tries back whatever is decided next.
        tries = case.tries_allowed if case.tries_allowed > card.tries_left else card.tries_left
    if case.question.kind is _BALANCE:
        figures = readings.refused(case) if case.policy.stripe_reads == REFUSE else None
        if figures is not None:
            return _declined(case, ResponseCode.SUSPECTED_FRAUD, readings.RULE, figures, tries)
        return _approved(case, 0, APPROVED, {"currency": card.currency, "balance": card.balance}, tries)
    decision = _by_policy(case, plan_of(case.policy), tries)
    if case.policy.watches_cards and decision.rule not in SIGNALLED:
        return msgspec.structs.replace(decision, signals=after(case, decision.amount > 0))
    return decision


def _by_policy(case: Case, plan: Plan, tries: int | None) -> Decision:
    for rule in plan.rules:
        figures = rule.applies(case)
        if figures is not None:
            return _declined(case, rule.code, rule.name, figures, tries)
    return _by_amount(case, plan, tries)


def _by_amount(case: Case, plan: Plan, tries: int | None) -> Decision:
    asked = room = case.amount
    tightest: Limit | None = None
    for limit in plan.limits:
        space = limit.room(case)
        if space is not None and space < room:
            tightest, room = limit, space
            if not case.question.partial:
                break
    if tightest is None:
        figures: Figures = {
            "asked": asked,
            "currency": case.card.currency,
            "balance": case.card.balance,
            "policy": case.policy.policy_id,
        }
        return _approved(case, asked, APPROVED, figures, tries)
    figures = {"asked": asked, "currency": case.card.currency, "policy": case.policy.policy_id}
    figures.update(tightest.looked_at(case))
    if case.question.partial and room > 0:
        return _approved(case, room, PARTIAL, {**figures, "authorized": room, "limited_by": tightest.name}, tries)
    return _declined(case, tightest.code, tightest.name, figures, tries)


def _approved(case: Case, amount: int, rule: str, figures: Figures, tries: int | None) -> Decision:
    part, spent = rule == PARTIAL, case.spent
    draws: tuple[Draw, ...] = ()
    if case.policy.purses and amount:
        draws = draw(case, amount)
        figures["paid_from"] = paid_from(draws)
    return Decision(
        _PART if part else _WHOLE,
        _PART_CODE if part else _WHOLE_CODE,
        amount,
        rule,
        figures,
        tries,
        False,
        case.counter_day,
        case.day_amount + amount,
        case.day_count + (1 if amount else 0),
        None if spent is None or not amount else spent.plus(case.terminal.shop_id, amount),
        draws,
    )


def _declined(
    case: Case, code: ResponseCode, rule: str, figures: Figures, tries: int | None, pin_wanted: bool = False
) -> Decision:
    return Decision(
        Result.DECLINED,
        code,
        0,
        rule,
        figures,
        tries,
        pin_wanted,
        case.counter_day,
        case.day_amount,
        case.day_count,
    )
