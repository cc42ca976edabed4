"""Notices a stripe that no reader read: its number was given before, is far too low or too high, or is missing.

Pure figures, kept in the terminal's row and in the card's, for companies whose policy asks for them. A terminal
numbers the readings of its stripe reader upwards, at least from the seconds of its clock on
(docs/protocol.md, "Readings of the stripe"); a request that is repeated never gets here, since its answer is stored.
"""

from __future__ import annotations

from typing import Final

from trus.auth.case import Case, Figures
from trus.auth.model import Decision, Reading
from trus.auth.signals import signals_of, with_reading
from trus.auth.watching import watch_from_text

#: Numbers below the highest that may still come: sales off-line are told later, and requests overtake each other.
WINDOW: Final = 64
#: Seconds by which a terminal's clock may be ahead: numbers beyond are not believed, and never kept.
AHEAD_SECONDS: Final = 86_400

REPLAYED: Final = "used before"
BEHIND: Final = "far below"
AHEAD: Final = "ahead of time"
MISSING: Final = "not numbered"

#: The figures that say which of them, what came, what the terminal's highest is, how often it happened to the card.
FIGURES: Final = ("reading", "read", "highest", "card_signals")
#: Name of the rule that declines.
RULE: Final = "stripe-read"

_MASK: Final = (1 << WINDOW) - 1


def reading_of(case: Case) -> Reading:
    """Return what the number of a reading says, and the terminal's record after it."""
    if case.reading is None:
        watch, signals = watch_from_text(case.terminal.watch), signals_of(case)
        last = signals.read if signals.read_at == case.terminal.terminal else 0
        number, highest, used = case.question.read, watch.read, watch.reads
        signal = _signal(number, highest, used, last, case.moment)
        if number and not signal:
            highest, used = _with(number, highest, used)
        case.reading = Reading(highest, used, signal)
    return case.reading


def refused(case: Case) -> Figures | None:
    """The stripe was not read now by the reader of this terminal: its number says so."""
    reading = reading_of(case)
    return _figures(case, reading) if reading.signal else None


def noted(case: Case, decision: Decision) -> Decision:
    """Return the decision with what is kept of the reading; a signal is among its figures."""
    reading = reading_of(case)
    figures = {**decision.figures, **figures_of(case)}
    signals = signals_after(case, decision.signals)
    return Decision(
        decision.result,
        decision.code,
        decision.amount,
        decision.rule,
        figures,
        decision.tries_left,
        decision.pin_wanted,
        decision.counter_day,
        decision.day_amount,
        decision.day_count,
        decision.spent,
        decision.draws,
        signals,
        reading,
    )


def figures_of(case: Case) -> Figures:
    """Return what support is told of a reading: nothing of one in its order."""
    reading = reading_of(case)
    return _figures(case, reading) if reading.signal else {}


def signals_after(case: Case, kept: str = "") -> str:
    """Return what is kept of the card after this reading; `kept` is what the rules made of it, "" for nothing new."""
    odd = bool(reading_of(case).signal)
    return with_reading(kept or case.card.signals, case.terminal.terminal, case.question.read, odd=odd)


def watches(case: Case) -> bool:
    """Return whether readings of this card count: its company asks for it, and the stripe is genuine."""
    return case.policy.watches_readings and case.known and case.checks.verification_ok


def _figures(case: Case, reading: Reading) -> Figures:
    values = (reading.signal, case.question.read, reading.highest, signals_of(case).odd + 1)
    return dict(zip(FIGURES, values, strict=True))


def _signal(number: int, highest: int, used: int, last: int, moment: int) -> str:
    if not number:
        return MISSING if highest or last else ""
    if number == last:
        return REPLAYED
    if number <= max(highest, last) - WINDOW:
        return BEHIND
    if number <= highest:
        return REPLAYED if used >> (highest - number) & 1 else ""
    return AHEAD if number > moment + AHEAD_SECONDS else ""


def _with(number: int, highest: int, used: int) -> tuple[int, int]:
    """Return the record with one more number in it: the highest, and a bit for each of the last that came."""
    if number <= highest:
        return highest, used | 1 << (highest - number)
    ahead = number - highest
    return number, (used << ahead | 1) & _MASK if ahead < WINDOW else 1
