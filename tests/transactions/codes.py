"""Which response codes a request can be answered with: the rules' own, and those that no rule gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.auth.advice import ADVICE
from trus.auth.linked import LINKED
from trus.auth.ports import EventKind
from trus.auth.rules import AFTER_PIN, BEFORE_PIN, LIMITS, PIN, Effect
from trus.values import ResponseCode as C

_COMMON: Final = frozenset(
    {
        C.APPROVED,
        C.INVALID_TRANSACTION,  # a business date that is neither the open one nor the one before
        C.FORMAT_ERROR,  # genuine fields that make no sense
        C.NOT_PERMITTED_TO_TERMINAL,  # signed off; not a terminal's certificate, or another shop's
        C.SECURITY_VIOLATION,  # in another's name
        C.LATE_RESPONSE,  # taken back before it came, or since
        C.ISSUER_UNAVAILABLE,
        C.DUPLICATE,  # the number is another request's
        C.SYSTEM_ERROR,
    }
)
_BEFORE: Final = frozenset(rule.code for rule in BEFORE_PIN)
_PIN: Final = frozenset(rule.code for rule in PIN if rule.effect is not Effect.WANT_PIN)
_AFTER: Final = frozenset(rule.code for rule in AFTER_PIN) | frozenset(limit.code for limit in LIMITS)
_SLOWED: Final = frozenset({C.DO_NOT_HONOUR})
_PAYING: Final = _COMMON | _BEFORE | _PIN | _AFTER | _SLOWED | {C.PARTIAL_APPROVAL}


def _linked(kind: EventKind) -> frozenset[C]:
    return _COMMON | {rule.code for rule in LINKED[kind.value]}


#: By verb, in the order of the page.
CODES: Final[Mapping[str, frozenset[C]]] = {
    "PROCESS": _PAYING,
    "PRE-AUTHORIZE": _PAYING,
    "ADVISE": _COMMON | {rule.code for rule in ADVICE} | {C.OVER_AMOUNT_LIMIT},
    "BALANCE": _COMMON | _BEFORE | _PIN | _SLOWED,
    "CHANGE-PIN": _COMMON | _BEFORE | _PIN | _SLOWED,
    "CAPTURE": _linked(EventKind.COMPLETION),
    "RELEASE": _linked(EventKind.RELEASE),
    "REFUND": _linked(EventKind.REFUND),
    "VOID": _linked(EventKind.VOID),
    "REVERSE": _COMMON - {C.LATE_RESPONSE} | {C.RECORD_NOT_FOUND},
    "CLOSE-BATCH": _COMMON | {C.OUT_OF_BALANCE},
    "RECONCILE": _COMMON,
}


def matrix() -> str:
    """Return a row for each code, with a mark for each verb that can be answered with it."""
    codes = sorted({code for codes in CODES.values() for code in codes}, key=lambda each: each.value)
    lines = [["code", *(f"`{verb}`" for verb in CODES)], ["---", *("---" for _ in CODES)]]
    for code in codes:
        lines.append([f"`{code.value}`", *("x" if code in held else "" for held in CODES.values())])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
