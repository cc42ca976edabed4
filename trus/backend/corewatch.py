"""Judges from the front whether the core is late or lost, by what it shows and not by what it says.

Decides nothing about requests and ends no process: trus.backend.corelink does. Three cases are told
apart, because they differ in what may safely be done (docs/explanation/when-the-token-fails.md): a call
of the token that is late, one that has lasted so long that it will not come back, and a batch that
is late for another reason, such as a disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from trus.core.messages import AdminAnswer, AdminCommand, Answer, Failed, Request
from trus.core.pulse import Beat
from trus.values import ResponseCode

#: Seconds between two looks while an answer is awaited.
LOOK_SECONDS: Final = 0.5
#: Seconds between two lines for the operator about one lasting trouble.
REMINDER_SECONDS: Final = 60.0
#: Fixed word for the audit of what a stuck core could not be asked.
STUCK: Final = "core-stuck"


class WatchLimits(NamedTuple):
    """How long, in seconds, before what is late is given up."""

    token: float = 5.0  #: a call of the token: what waits is answered 91
    abandon: float = 60.0  #: a call of the token: the core is replaced
    answer: float = 20.0  #: a batch, whatever the core is doing: what waits is answered 91


class Judgement(Enum):
    """How the core is."""

    WELL = "well"
    LATE = "late"  #: ask it nothing more until it answers
    LOST = "lost"  #: it hangs in a call of the token, and nothing is being committed: replace it


class Verdict(NamedTuple):
    """A judgement, and the sentence for the operator."""

    judgement: Judgement
    sentence: str = ""


def judge(limits: WatchLimits, waited: float, beat: Beat | None) -> Verdict:
    """Judge a core whose oldest unanswered batch was sent `waited` seconds ago."""
    if beat is not None and beat.seconds >= limits.token:
        sentence = f"the core has been waiting for the token for {beat.seconds:.0f} s ({beat.doing})"
        return Verdict(Judgement.LOST if beat.seconds >= limits.abandon else Judgement.LATE, sentence)
    if waited >= limits.answer:
        return Verdict(Judgement.LATE, f"the core has not answered a batch for {waited:.0f} s")
    return Verdict(Judgement.WELL)


def never_received(requests: Sequence[Request], reason: str, sentence: str) -> list[Answer]:
    """Return what requests are answered that the core was certainly not given: 91."""
    return _answers(requests, ResponseCode.ISSUER_UNAVAILABLE, reason, f"{sentence}; nothing was done")


def perhaps_done(requests: Sequence[Request], reason: str, sentence: str) -> list[Answer]:
    """Return what requests are answered that the core has and may still carry out: 96, and terminals reverse."""
    return _answers(requests, ResponseCode.SYSTEM_ERROR, reason, f"{sentence}; whether it was done is not known yet")


def _answers(requests: Sequence[Request], code: ResponseCode, reason: str, text: str) -> list[Answer]:
    return [
        AdminAnswer(code, text) if isinstance(request, AdminCommand) else Failed(code, reason) for request in requests
    ]
