"""What a terminal wants its owner to do; values only, in the order in which they were returned."""

from __future__ import annotations

from typing import NamedTuple

from trus.device.orders import Answer


class Say(NamedTuple):
    """Write this sealed line (CR LF included) to the connection."""

    line: bytes


class Finished(NamedTuple):
    """The request has its answer, and the journal knows it."""

    key: int
    answer: Answer


class AskPin(NamedTuple):
    """Ask the cardholder for the PIN; answer with `present_pin`."""

    key: int
    tries_left: int | None


class Signed(NamedTuple):
    """The backend takes requests again, or takes none from now on."""

    on: bool


class HangUp(NamedTuple):
    """Close the connection and open another one; `reason` is a fixed word for the log."""

    reason: str


Effect = Say | Finished | AskPin | Signed | HangUp
