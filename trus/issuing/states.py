"""Says which state an order leads to, and from which it may: one table for cards, people and places.

Lost, stolen and closed are final: nothing comes back from them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from trus.admin.model import RefusalCode
from trus.auth.model import State
from trus.issuing.desk import refuse


class Change(NamedTuple):
    """The state that a verb leads to, and those it may start from."""

    to: State
    start: frozenset[State]


_PAUSED: Final = frozenset({State.BLOCKED, State.SUSPECTED})
_LIVE: Final = frozenset({State.ACTIVE, *_PAUSED})

CHANGES: Final[dict[str, Change]] = {
    "BLOCK": Change(State.BLOCKED, frozenset({State.ACTIVE, State.SUSPECTED})),
    "UNBLOCK": Change(State.ACTIVE, _PAUSED),
    "SUSPECT": Change(State.SUSPECTED, frozenset({State.ACTIVE, State.BLOCKED})),
    "LOST": Change(State.LOST, _LIVE),
    "STOLEN": Change(State.STOLEN, frozenset({*_LIVE, State.LOST})),
    "CLOSE": Change(State.CLOSED, frozenset(State) - {State.CLOSED}),
}


def next_state(verb: str, now: str) -> State | None:
    """Return the state that `verb` ("CARD-LOST") leads to from `now`, None when it is in it already.

    Raises CommandRefused (62) where that is not allowed.
    """
    change = CHANGES[verb.rpartition("-")[2]]
    if now == change.to:
        return None
    if now not in change.start:
        raise refuse(RefusalCode.STATE, f"It is {now}: that cannot become {change.to.value}.")
    return change.to
