"""Follows one request of a terminal from the cashier's key to its end.

Sends nothing and writes nothing: it holds the phase, the deadlines and, in memory alone,
the stripe and PIN of a request that is not settled yet. Every transition is in one table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from trus.device.journal import Asked, Opened
from trus.device.orders import AnyOrder, Reference
from trus.errors import TrusError
from trus.values import Difference


class OutOfOrder(TrusError):
    """This program tried what a request's phase does not allow; the message is for its author."""


class Phase(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"  #: for a session, a free dialogue, or the moment to repeat it
    SAID = "said"  #: the answer is awaited
    ASKING = "asking"  #: the cardholder is asked for the PIN
    OVER = "over"  #: settled, or taken over by its reversal


class Event(StrEnum):
    """What happens to a request."""

    SAY = "say"
    PIN_WANTED = "pin wanted"
    PIN_PRESENTED = "pin presented"
    LOST = "lost"  #: the session ended, or the answer took too long, or was not final
    SETTLE = "settle"


#: What may follow what; anything else is a mistake of this program.
TRANSITIONS: Final[dict[tuple[Phase, Event], Phase]] = {
    (Phase.WAITING, Event.SAY): Phase.SAID,
    (Phase.WAITING, Event.LOST): Phase.WAITING,
    (Phase.WAITING, Event.SETTLE): Phase.OVER,
    (Phase.SAID, Event.PIN_WANTED): Phase.ASKING,
    (Phase.SAID, Event.LOST): Phase.WAITING,
    (Phase.SAID, Event.SETTLE): Phase.OVER,
    (Phase.ASKING, Event.PIN_PRESENTED): Phase.SAID,
    (Phase.ASKING, Event.LOST): Phase.WAITING,
    (Phase.ASKING, Event.SETTLE): Phase.OVER,
}


#: What is repeated until it is answered. An advice survives a restart if its stripe could be sealed.
_LASTING: Final = frozenset(
    {Asked.REVERSE, Asked.VOID, Asked.CAPTURE, Asked.RELEASE, Asked.ADVICE, Asked.CLOSE, Asked.RECONCILE}
)


@attrs.frozen
class Timing:
    """How long a terminal waits, in seconds."""

    #: For an answer before the request is repeated: a backend answers within one.
    answer: float = 8.0
    #: For a final answer before the request is given up and taken back: a queue's patience.
    give_up: float = 30.0
    #: For the cardholder at the pinpad.
    pin: float = 60.0
    #: Before the first repetition of a reversal; doubled each time.
    reversal_first: float = 2.0
    #: Between two repetitions of a reversal, at most.
    reversal_most: float = 60.0
    #: Every wait is longer by up to this share, so that a thousand terminals do not come at once.
    jitter: float = 0.25

    def back_off(self, attempts: int) -> float:
        """Return how many seconds to wait before what was said `attempts` times is said again."""
        return min(self.reversal_first * 2.0 ** min(attempts - 1, 16), self.reversal_most)


@attrs.define
class Request:
    """One request; `key` names it to the terminal's owner.

    `opened` is None until the request has an identity, which it gets when it is first said:
    the business date is only known once a session is open. `again_at`, `given_up_at` and
    `pin_until` are monotonic seconds. `told` says that the owner has its answer: a reversal
    goes on in the background afterwards.
    """

    key: int
    asked: Asked
    given_up_at: float
    order: AnyOrder | None = None
    original: Reference | None = None
    reason: str = ""
    opened: Opened | None = None
    again_at: float = 0.0
    pin_until: float = 0.0
    phase: Phase = Phase.WAITING
    dialogue: str | None = None
    attempts: int = 0
    told: bool = False
    pin: str | None = attrs.field(default=None, repr=False)
    pin_said: bool = False
    differences: list[Difference] = attrs.field(factory=list)

    @property
    def lasting(self) -> bool:
        """Whether it is repeated until it is answered, across restarts too.

        Reversals, voids, what ends a pre-authorization and a batch's closing hold no secret, and are
        harmless when repeated.
        """
        return self.asked in _LASTING

    @property
    def moves_money(self) -> bool:
        """Whether it is taken back when its answer is not known."""
        return self.asked in (Asked.PURCHASE, Asked.HOLD, Asked.REFUND)

    def happen(self, event: Event) -> None:
        """Move on. Raises OutOfOrder."""
        following = TRANSITIONS.get((self.phase, event))
        if following is None:
            raise OutOfOrder(f"{event} does not follow {self.phase}")
        self.phase = following
        if following in (Phase.WAITING, Phase.OVER):
            self.dialogue = None
            self.differences = []
        if following is Phase.OVER:
            self.order = self.pin = None
