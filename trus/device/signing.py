"""Signs a terminal off and on: each order is said until it is answered, one after the other.

Sends nothing and asks nothing else. While the core is away the backend cannot make sure that the terminal still
stands, and answers SIGN-ON with INFO ERROR; the terminal then stays signed off and says it again later. An order that
gets no answer at all ends the session: the next one begins signed on.
Specification: docs/protocol.md, "Keeping in touch".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from trus.device import wire
from trus.device.effects import Effect, HangUp, Signed
from trus.device.requests import Timing
from trus.protocol.messages import Kind


@attrs.define
class _Order:
    """`moment` is in monotonic seconds: when it is said (again), or when its answer counts as lost."""

    on: bool
    dialogue: str | None = None
    moment: float = 0.0
    attempts: int = 0


class Signing:
    """Whether a terminal is signed on in its session, and what was ordered about it."""

    def __init__(self, later: Callable[[float], float], timing: Timing) -> None:
        """`later` returns the monotonic second after so many seconds and a random share more."""
        self._later = later
        self._timing = timing
        self._orders: deque[_Order] = deque()
        self._off = False

    @property
    def quiet(self) -> bool:
        """Whether nothing but reversals may be asked: from the order to sign off to the answer to SIGN-ON."""
        return self._off or any(not each.on for each in self._orders)

    def order(self, *, on: bool) -> None:
        """Take in an order to sign on, or off."""
        self._orders.append(_Order(on))

    def began(self) -> None:
        """Forget everything: another session begins, signed on."""
        self._orders.clear()
        self._off = False

    def say(self, now: float, open_dialogue: Callable[[], str]) -> list[tuple[str, wire.Line]]:
        """Return what is to be said at the monotonic second `now`, in a dialogue of its own."""
        first = self._first
        if first is None or first.dialogue is not None or first.moment > now:
            return []
        first.dialogue, first.moment = open_dialogue(), self._later(self._timing.answer)
        first.attempts += 1
        return [(first.dialogue, wire.Line(Kind.COMMAND, "SIGN-ON" if first.on else "SIGN-OFF", {}, {}))]

    def answered(self, dialogue: str, *, on: bool) -> list[Effect]:
        """Take in SIGNED-ON or SIGNED-OFF; tell the owner when it answers what was said."""
        first = self._first
        if first is None or first.dialogue != dialogue or first.on is not on:
            return []
        self._orders.popleft()
        self._off = not on
        return [Signed(on)]

    def refused(self, dialogue: str) -> bool:
        """Take in INFO ERROR: say it again, ever later. Return whether it answers what was said."""
        first = self._first
        if first is None or first.dialogue != dialogue:
            return False
        first.dialogue, first.moment = None, self._later(self._timing.back_off(first.attempts))
        return True

    def silent(self, now: float) -> list[Effect]:
        """Hang up when an answer counts as lost at the monotonic second `now`."""
        first = self._first
        if first is None or first.dialogue is None or first.moment > now:
            return []
        first.moment = self._later(self._timing.answer)
        return [HangUp("no-answer")]

    def moments(self) -> list[float]:
        """Return the monotonic second at which something is due, if anything is."""
        first = self._first
        return [] if first is None else [first.moment]

    @property
    def _first(self) -> _Order | None:
        return self._orders[0] if self._orders else None
