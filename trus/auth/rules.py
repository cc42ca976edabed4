"""Every reason for which a request is declined, one small named function each, in the order of asking.

Decides nothing alone: trus.auth.decide walks the tuples below. A rule's name is stored with
every decline and shown by support: renaming one changes what old records say.

The order protects the cardholder and the purse. First the place and the request, which say
nothing about a card; then whether the card is genuine, which costs no PIN try and tells an
unknown card from a made-up stripe to nobody; then what its holder may be told by anybody who
holds the card (lost, expired); then the PIN; and only after it what the company allows, what was
spent today and what the purse holds.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from trus.auth import periods, purses, readings, signals
from trus.auth.case import NO_POLICY, Case
from trus.auth.case import Figures as Figures
from trus.auth.model import Kind, State
from trus.auth.policy import REFUSE, Policy
from trus.money import MAX_MINOR_UNITS
from trus.values import ResponseCode

#: ISO/IEC 7813, third digit of the service code: no restriction, or goods and services.
_GOODS_AND_SERVICES: Final = frozenset("012567")


class Effect(Enum):
    """What else happens when a rule applies."""

    DECLINE = "declines"
    WANT_PIN = "no decision: the terminal asks for the PIN"
    COUNT_TRY = "declines and takes one PIN try"


def _always(_: Policy) -> bool:
    return True


class Rule(NamedTuple):
    """A named reason. `applies` returns the figures when the rule applies, None when it does not.

    `needed` says whether a policy makes it worth asking at all.
    """

    name: str
    code: ResponseCode
    applies: Callable[[Case], Figures | None]
    effect: Effect = Effect.DECLINE
    needed: Callable[[Policy], bool] = _always

    @property
    def reason(self) -> str:
        """The first sentence of the rule's docstring."""
        return (self.applies.__doc__ or "").strip().splitlines()[0]


class Limit(NamedTuple):
    """A rule on the amount. `room` returns how much may still be paid, None for no limit.

    `looked_at` returns the figures for support, `needed` as for a Rule.
    """

    name: str
    code: ResponseCode
    room: Callable[[Case], int | None]
    looked_at: Callable[[Case], Figures]
    needed: Callable[[Policy], bool] = _always

    @property
    def reason(self) -> str:
        """The first sentence of the limit's docstring."""
        return (self.room.__doc__ or "").strip().splitlines()[0]


# Looked up once: a member of an enumeration costs a tenth of a microsecond each time.
_ACTIVE: Final = State.ACTIVE
_LOST: Final = State.LOST
_STOLEN: Final = State.STOLEN
_SUSPECTED: Final = State.SUSPECTED
_BALANCE: Final = Kind.BALANCE
_PURCHASE: Final = Kind.PURCHASE


# -------------------------------------------------------------------------------- the place


def _terminal_unknown(case: Case) -> Figures | None:
    """The terminal is not registered."""
    return None if case.terminal.shop_id else {}


def _terminal_not_active(case: Case) -> Figures | None:
    """The terminal is blocked or closed."""
    return None if case.terminal.state == _ACTIVE else {"state": str(case.terminal.state)}


def _shop_not_active(case: Case) -> Figures | None:
    """The shop is blocked or closed."""
    return None if case.terminal.shop_state == _ACTIVE else {"state": str(case.terminal.shop_state)}


# ------------------------------------------------------------------------------ the request


def _currency_of_terminal(case: Case) -> Figures | None:
    """The amount is not in the currency of the shop."""
    if case.question.currency == case.terminal.currency:
        return None
    return {"currency": case.question.currency, "shop_currency": case.terminal.currency}


def _amount(case: Case) -> Figures | None:
    """A purchase is not above zero or over 12 digits, or an enquiry has an amount."""
    if case.question.kind is _BALANCE:
        return None if case.amount == 0 else _asked(case)
    return None if 0 < case.amount <= MAX_MINOR_UNITS else _asked(case)


# --------------------------------------------------------------------------- the bare card


def _track_unreadable(case: Case) -> Figures | None:
    """What was sent is not a track 2."""
    return None if case.checks.track_readable else {}


def _card_not_genuine(case: Case) -> Figures | None:
    """The card does not exist, or its verification value is wrong; which, is not said.

    The record says it for support; no PIN try is taken either way.
    """
    if case.known and case.checks.verification_ok:
        return None
    return {"known": "yes" if case.known else "no"}


def _card_lost(case: Case) -> Figures | None:
    """The card was reported lost."""
    return {} if case.card.state == _LOST else None


def _card_stolen(case: Case) -> Figures | None:
    """The card was reported stolen."""
    return {} if case.card.state == _STOLEN else None


def _card_suspected(case: Case) -> Figures | None:
    """The card is under suspicion of fraud."""
    return {} if case.card.state == _SUSPECTED else None


def _card_not_active(case: Case) -> Figures | None:
    """The card is blocked or closed."""
    return None if case.card.state == _ACTIVE else {"state": str(case.card.state)}


def _card_expired(case: Case) -> Figures | None:
    """The month of expiry is over where the company is."""
    expiry = min(case.card.expiry, case.checks.track_expiry)
    return None if case.month <= expiry else {"expiry": expiry, "month": case.month}


def _card_replaced(case: Case) -> Figures | None:
    """The stripe is genuine but of an older card of the same number."""
    if case.checks.track_expiry == case.card.expiry:
        return None
    return {"expiry": case.card.expiry, "track_expiry": case.checks.track_expiry}


def _service_code(case: Case) -> Figures | None:
    """The card was not issued for goods and services."""
    if case.checks.service_code[2:3] in _GOODS_AND_SERVICES:
        return None
    return {"service_code": case.checks.service_code}


def _employee_not_active(case: Case) -> Figures | None:
    """The cardholder is blocked or has left the company."""
    return None if case.card.employee_state == _ACTIVE else {"state": str(case.card.employee_state)}


def _company_not_active(case: Case) -> Figures | None:
    """The company is blocked or closed."""
    return None if case.card.company_state == _ACTIVE else {"state": str(case.card.company_state)}


# ----------------------------------------------------------------------------------- the PIN


def _pin_locked(case: Case) -> Figures | None:
    """No PIN try is left; a right PIN does not help either."""
    return None if case.card.tries_left > 0 else {"tries_allowed": case.tries_allowed}


def _pin_wanted(case: Case) -> Figures | None:
    """No PIN came, and the company's policy needs one.

    A balance enquiry always does. The stripe's service code instructs terminals that decide by
    themselves; here every request is decided on line, so the policy alone counts.
    """
    if case.checks.pin_ok is not None or not case.checks.pin_usable:
        return None
    if case.question.kind is _PURCHASE and 0 < case.amount <= case.policy.pin_above:
        return None
    return {"pin_above": case.policy.pin_above}


def _pin_unusable(case: Case) -> Figures | None:
    """The PIN block does not open, which is no fault of the cardholder: no try is taken."""
    return None if case.checks.pin_usable else {}


def _pin_wrong(case: Case) -> Figures | None:
    """The PIN is wrong."""
    return {"tries_left": case.card.tries_left - 1} if case.checks.pin_ok is False else None


# ----------------------------------------------------------------- what the company allows


def _currency_of_purse(case: Case) -> Figures | None:
    """The purse holds another currency than the shop takes."""
    if case.card.currency == case.question.currency:
        return None
    return {"currency": case.question.currency, "purse_currency": case.card.currency}


def _no_policy(case: Case) -> Figures | None:
    """The company has no policy in force, so that nothing is allowed."""
    return {} if case.policy is NO_POLICY else None


def _category(case: Case) -> Figures | None:
    """The shop's merchant category (ISO 18245) is not one that the company pays for."""
    return None if case.terminal.mcc in case.policy.categories else {"mcc": case.terminal.mcc}


def _week_day(case: Case) -> Figures | None:
    """The company pays for nothing on this day of the week."""
    if case.week_day in case.policy.week_days:
        return None
    return {"week_day": case.week_day, "allowed": ",".join(map(str, case.policy.week_days))}


def _hours(case: Case) -> Figures | None:
    """It is outside the company's hours, by its own clocks."""
    opens, closes, time = case.policy.opens, case.policy.closes, case.local_time
    if opens <= closes:
        inside = opens <= time < closes
    else:
        inside = time >= opens or time < closes
    return None if inside else {"time": time, "opens": opens, "closes": closes}


def _daily_count(case: Case) -> Figures | None:
    """As many purchases as the company allows a day were made; a smaller amount would not help."""
    limit = case.policy.daily_count
    if limit is None or case.day_count < limit:
        return None
    return {"count": case.day_count, "count_limit": limit, "day": case.counter_day}


# ----------------------------------------------------------------------------------- amounts


def _single_amount(case: Case) -> int | None:
    """More is asked than the company pays for one purchase."""
    return case.policy.single_amount


def _single_figures(case: Case) -> Figures:
    return {"limit": case.policy.single_amount or 0}


def _daily_amount(case: Case) -> int | None:
    """More is asked than is left of what the company pays a day."""
    limit = case.policy.daily_amount
    return None if limit is None else limit - case.day_amount


def _daily_figures(case: Case) -> Figures:
    return {"limit": case.policy.daily_amount or 0, "spent": case.day_amount, "day": case.counter_day}


def _funds(case: Case) -> int | None:
    """More is asked than the purse holds, less what is set aside for pre-authorizations or has ended."""
    card = case.card
    return card.balance - (card.held if card.held >= card.ended else card.ended)


def _funds_figures(case: Case) -> Figures:
    card = case.card
    return {
        "balance": card.spendable,
        **({"held": card.held} if card.held else {}),
        **({"ended": card.ended} if card.ended else {}),
    }


def _asked(case: Case) -> Figures:
    return {"asked": case.amount, "currency": case.question.currency}


# ------------------------------------------------------------- what makes a rule worth asking


def _has_hours(policy: Policy) -> bool:
    return (policy.opens, policy.closes) != ("00:00", "24:00")


def _limits(name: str) -> Callable[[Policy], bool]:
    return lambda policy: getattr(policy, name) is not None


def _has_purses(policy: Policy) -> bool:
    return bool(policy.purses)


def _limits_shops(policy: Policy) -> bool:
    return bool(policy.shop_limits)


_C = ResponseCode

#: Asked before the PIN: nothing here depends on balance, limits or policy.
BEFORE_PIN: Final[tuple[Rule, ...]] = (
    Rule("terminal-unknown", _C.NOT_PERMITTED_TO_TERMINAL, _terminal_unknown),
    Rule("terminal-not-active", _C.NOT_PERMITTED_TO_TERMINAL, _terminal_not_active),
    Rule("shop-not-active", _C.INVALID_MERCHANT, _shop_not_active),
    Rule("currency-of-terminal", _C.INVALID_TRANSACTION, _currency_of_terminal),
    Rule("amount", _C.INVALID_AMOUNT, _amount),
    Rule("track-unreadable", _C.FORMAT_ERROR, _track_unreadable),
    Rule("card-not-genuine", _C.INVALID_CARD, _card_not_genuine),
    Rule("card-lost", _C.LOST_CARD, _card_lost),
    Rule("card-stolen", _C.STOLEN_CARD, _card_stolen),
    Rule("card-suspected", _C.SUSPECTED_FRAUD, _card_suspected),
    Rule("card-not-active", _C.RESTRICTED_CARD, _card_not_active),
    Rule("card-expired", _C.EXPIRED_CARD, _card_expired),
    Rule("card-replaced", _C.EXPIRED_CARD, _card_replaced),
    Rule("service-code", _C.NOT_PERMITTED_TO_CARDHOLDER, _service_code),
    Rule("employee-not-active", _C.RESTRICTED_CARD, _employee_not_active),
    Rule("company-not-active", _C.NOT_PERMITTED_TO_CARDHOLDER, _company_not_active),
)
#: The PIN itself. The lock comes first, so that nobody learns whether a guess was right.
PIN: Final[tuple[Rule, ...]] = (
    Rule("pin-locked", _C.PIN_TRIES_EXCEEDED, _pin_locked),
    Rule("pin-wanted", _C.WRONG_PIN, _pin_wanted, Effect.WANT_PIN),
    Rule("pin-unusable", _C.CRYPTOGRAPHIC_FAILURE, _pin_unusable),
    Rule("pin-wrong", _C.WRONG_PIN, _pin_wrong, Effect.COUNT_TRY),
)
#: Asked of a purchase by a proved cardholder.
AFTER_PIN: Final[tuple[Rule, ...]] = (
    Rule("currency-of-purse", _C.NOT_PERMITTED_TO_CARDHOLDER, _currency_of_purse),
    Rule("no-policy", _C.NOT_PERMITTED_TO_CARDHOLDER, _no_policy, needed=lambda policy: policy is NO_POLICY),
    Rule(
        readings.RULE,
        _C.SUSPECTED_FRAUD,
        readings.refused,
        needed=lambda policy: policy.stripe_reads == REFUSE,
    ),
    Rule("velocity", _C.OVER_COUNT_LIMIT, signals.velocity, needed=_limits("velocity_count")),
    Rule("too-far", _C.SUSPECTED_FRAUD, signals.too_far, needed=_limits("travel_speed")),
    Rule("category", _C.NOT_PERMITTED_TO_CARDHOLDER, _category),
    Rule("purse-category", _C.NOT_PERMITTED_TO_CARDHOLDER, purses.purse_category, needed=_has_purses),
    Rule("holiday", _C.NOT_PERMITTED_TO_CARDHOLDER, periods.holiday, needed=lambda policy: bool(policy.holidays)),
    Rule("week-day", _C.NOT_PERMITTED_TO_CARDHOLDER, _week_day, needed=lambda policy: len(policy.week_days) < 7),
    Rule("hours", _C.NOT_PERMITTED_TO_CARDHOLDER, _hours, needed=_has_hours),
    Rule("daily-count", _C.OVER_COUNT_LIMIT, _daily_count, needed=_limits("daily_count")),
    Rule("weekly-count", _C.OVER_COUNT_LIMIT, periods.weekly_count, needed=_limits("weekly_count")),
    Rule("monthly-count", _C.OVER_COUNT_LIMIT, periods.monthly_count, needed=_limits("monthly_count")),
    Rule("shop-daily-count", _C.OVER_COUNT_LIMIT, periods.shop_daily_count, needed=_limits_shops),
)
#: Asked of the amount, last; with partial approval the smallest room is what is approved.
LIMITS: Final[tuple[Limit, ...]] = (
    Limit("single-amount", _C.OVER_AMOUNT_LIMIT, _single_amount, _single_figures, _limits("single_amount")),
    Limit("daily-amount", _C.OVER_AMOUNT_LIMIT, _daily_amount, _daily_figures, _limits("daily_amount")),
    Limit(
        "weekly-amount",
        _C.OVER_AMOUNT_LIMIT,
        periods.weekly_amount,
        periods.weekly_figures,
        _limits("weekly_amount"),
    ),
    Limit(
        "monthly-amount",
        _C.OVER_AMOUNT_LIMIT,
        periods.monthly_amount,
        periods.monthly_figures,
        _limits("monthly_amount"),
    ),
    Limit(
        "shop-daily-amount",
        _C.OVER_AMOUNT_LIMIT,
        periods.shop_daily_amount,
        periods.shop_daily_figures,
        _limits_shops,
    ),
    Limit("funds", _C.INSUFFICIENT_FUNDS, _funds, _funds_figures, lambda policy: not policy.purses),
    Limit("purses", _C.INSUFFICIENT_FUNDS, purses.purses_room, purses.purses_figures, _has_purses),
)
#: All rules that are not limits, in order.
RULES: Final = BEFORE_PIN + PIN + AFTER_PIN
