"""Holds what a terminal has tried against it: no check while it is slowed down, an alarm when it is blocked.

Judges by trus.auth.watching and records in the batch's book, so that a terminal that sweeps inside one batch gets
no further. What is counted is durable with the answer that it was counted for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from trus.auth.model import CardFacts, Checks, Decision, Reading, State, TerminalFacts
from trus.auth.policy import Policy
from trus.auth.ports import Event, EventKind
from trus.auth.readings import MISSING
from trus.auth.watching import (
    UNWATCHED,
    Watch,
    WatchLimits,
    is_swept,
    lately,
    right_pin,
    seconds_left,
    watch_from_text,
    watch_to_text,
    with_readings,
    wrong_pin,
    wrong_value,
)
from trus.core.asked import Asked
from trus.core.book import Book
from trus.core.ranges import Ranges
from trus.values import ResponseCode, Result, TerminalId

#: The rule that answers while a terminal is slowed down, and the one under which it is blocked.
SLOWED: Final = "terminal-slowed"
SWEPT: Final = "terminal-swept"
#: The rule of the alarm about a range of card numbers.
RANGE_SWEPT: Final = "range-swept"
#: Who blocks it.
NETWORK: Final = "network"

_NOT_GENUINE: Final = "card-not-genuine"
_WRONG_PIN: Final = "pin-wrong"
_NO_RID: Final = bytes(16)
_NO_DIGEST: Final = bytes(32)

#: A terminal, what is held against it from now on, and whether it is blocked.
WatchUpdate = tuple[TerminalId, str, bool]


class Guard:
    """Watches what terminals try."""

    def __init__(self, limits: WatchLimits, ranges: Ranges, note: Callable[[str, str], None]) -> None:
        """`note(level, text)` receives alarms for the operator's log."""
        self._limits = limits
        self._ranges = ranges
        self._note = note

    def policy(self, asked: Asked, policy: Policy | None, book: Book) -> Policy | None:
        """Return the policy of a card: while its range of numbers is swept, one that always wants the PIN."""
        stripe = asked.stripe
        if policy is None or stripe is None or not policy.pin_above:
            return policy
        if not self._ranges.is_swept(stripe.number.digits, int(book.now.timestamp())):
            return policy
        return msgspec.structs.replace(policy, pin_above=0)

    def learn_range(self, asked: Asked, rule: str, book: Book) -> None:
        """Count a stripe that is not genuine for its range, with an alarm when that is swept. Raises LedgerError."""
        if rule != _NOT_GENUINE or asked.stripe is None:
            return
        digits = asked.stripe.number.digits
        count = self._ranges.wrong(digits, int(book.now.timestamp()))
        name, wrong, since, swept = self._ranges.kept(digits)
        book.watch_range(name, wrong, since, swept=swept)
        if count:
            rrn = _alarm(book, RANGE_SWEPT, {"wrong_values": count})
            self._note("critical", f"alarm {rrn}: a range of card numbers is swept: {count} wrong verification values")

    def slowed(self, terminal: TerminalFacts | None, book: Book) -> Decision | None:
        """Return the decline of a terminal for which nothing is checked yet, None when it may ask."""
        if terminal is None or not terminal.watch or terminal.state != State.ACTIVE:
            return None
        now = int(book.now.timestamp())
        watch = lately(watch_from_text(terminal.watch), now, self._limits)
        wait = seconds_left(watch, now)
        if not wait:
            return None
        figures: dict[str, int | str] = {"wrong_values": watch.values, "wrong_cards": watch.pins, "wait": wait}
        return Decision(Result.DECLINED, ResponseCode.DO_NOT_HONOUR, 0, SLOWED, figures)

    def learn(
        self,
        terminal: TerminalFacts | None,
        card: CardFacts | None,
        rule: str,
        checks: Checks,
        book: Book,
        reading: Reading | None = None,
    ) -> WatchUpdate | None:
        """Return what is held against a terminal after a decision, None where that stays as it is.

        A reading out of its order counts like a wrong verification value; one without a number, which an older
        terminal sends, does not.
        """
        if terminal is None or terminal.state != State.ACTIVE:
            return None
        proved = bool(terminal.watch) and card is not None and checks.pin_ok
        if reading is None and rule not in (_NOT_GENUINE, _WRONG_PIN) and not proved:
            return None
        odd = reading is not None and reading.signal not in ("", MISSING)
        now, change = int(book.now.timestamp()), _watch(terminal)
        if rule == _NOT_GENUINE or odd:
            change = wrong_value(change, now, self._limits)
        if rule == _WRONG_PIN and card is not None:
            change = wrong_pin(change, card.card_id, now, self._limits)
        elif proved and card is not None:
            change = right_pin(change, card.card_id, now, self._limits)
        if reading is not None:
            change = with_readings(change, reading.highest, reading.used)
        text = watch_to_text(change)
        return None if text == terminal.watch else (terminal.terminal, text, False)

    def block_if_swept(self, terminal: TerminalFacts | None, book: Book, update: WatchUpdate | None) -> None:
        """Block a terminal that has tried too much, with an event of its own and an alarm. Raises LedgerError."""
        if terminal is None or update is None:
            return
        watch = watch_from_text(update[1])
        if not is_swept(watch, self._limits):
            return
        figures: dict[str, int | str] = {
            "terminal": terminal.terminal,
            "wrong_values": watch.values,
            "wrong_cards": watch.pins,
        }
        rrn = _alarm(book, SWEPT, figures, terminal.shop_id, (update[0], update[1], True))
        self._note(
            "critical",
            f"alarm {rrn}: terminal {terminal.terminal} of {terminal.shop} is blocked after {watch.values} wrong"
            f" verification values and wrong PINs of {watch.pins} cards",
        )


def _alarm(
    book: Book,
    rule: str,
    figures: dict[str, int | str],
    shop_id: int | None = None,
    watch: tuple[str, str, bool] | None = None,
) -> str:
    """Record an event of the network's own and return its reference number. Raises LedgerError."""
    event_id, rrn = book.number()
    book.record(
        Event(
            event_id=event_id,
            kind=EventKind.ALARM.value,
            identity=None,
            rid=_NO_RID,
            digest=_NO_DIGEST,
            card_id=None,
            shop_id=shop_id,
            amount=0,
            currency="",
            result=Result.DECLINED.value,
            code=ResponseCode.SECURITY_VIOLATION.value,
            approval="",
            rrn=rrn,
            rule=rule,
            figures=figures,
            answer=b"",
            actor=NETWORK,
            watch=watch,
        )
    )
    return rrn


def _watch(terminal: TerminalFacts) -> Watch:
    return watch_from_text(terminal.watch) if terminal.watch else UNWATCHED
