"""Names every step of a transaction at which a process may die, in the order of a purchase.

The shipped code knows nothing of this table and has no switch for it: a process of the tests is
started through tests.faults.entry, which wraps the functions named here (tests.faults.hooks). A step
that names a function which does not exist any more fails the start, and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

import attrs

from trus.core.codec import Answers
from trus.core.messages import Outcome, Purchase, Refund, Reverse
from trus.device.journal import Asked, Opened, Settled

#: The requests whose steps are counted.
PROCESS: Final = "PROCESS"
REVERSE: Final = "REVERSE"
REFUND: Final = "REFUND"
#: An answer on the wire does not say what it answers: it stands for any of them.
ANY: Final = "*"

Verbs = frozenset[str]
NOTHING: Final[Verbs] = frozenset()


class Part(StrEnum):
    """Which process a step belongs to."""

    TERMINAL = "terminal"
    GATEWAY = "gateway"
    FRONT = "front"
    CORE = "core"


class Moment(StrEnum):
    """When, of the function's call, the process dies."""

    BEFORE = "before"
    AFTER = "after"
    LEFT = "a moment after"  #: when what it handed to the system had time to leave the machine


@attrs.frozen
class Step:
    """One failpoint; `place` is module:qualified name, `concerns` tells from its arguments which verbs pass."""

    name: str
    part: Part
    place: str
    moment: Moment
    concerns: Callable[[tuple[Any, ...]], Verbs]
    what: str

    @property
    def file(self) -> str:
        """The name of the file that arms it."""
        return self.name.replace(" ", "-").replace(":", "")


def _named(lines: Iterable[bytes]) -> Verbs:
    """Return the verbs of requests in lines, and ANY for a result."""
    found = set()
    for line in lines:
        found |= {verb for verb in (PROCESS, REVERSE, REFUND) if b"COMMAND " + verb.encode() + b" " in line}
        if b"INFO RESULT " in line:
            found.add(ANY)
    return frozenset(found)


def _lines(arguments: tuple[Any, ...]) -> Verbs:
    return _named(arguments[-1])


def _line(arguments: tuple[Any, ...]) -> Verbs:
    return _named([arguments[-1]])


def _requests(lines: Verbs) -> Verbs:
    return lines - {ANY}


def _results(lines: Verbs) -> Verbs:
    return lines & {ANY}


_ASKED: Final = {Asked.PURCHASE: PROCESS, Asked.REVERSE: REVERSE, Asked.REFUND: REFUND}
_CLASSES: Final[dict[type, str]] = {Purchase: PROCESS, Reverse: REVERSE, Refund: REFUND}


def _opening(arguments: tuple[Any, ...]) -> Verbs:
    waiting = arguments[0]._waiting
    return frozenset(_ASKED[each.asked] for each in waiting if isinstance(each, Opened) and each.asked in _ASKED)


def _settling(arguments: tuple[Any, ...]) -> Verbs:
    return frozenset({ANY}) if any(isinstance(each, Settled) for each in arguments[0]._waiting) else NOTHING


def _heard(arguments: tuple[Any, ...]) -> Verbs:
    return frozenset({ANY}) if arguments[1].verb == "RESULT" else NOTHING


def _always(arguments: tuple[Any, ...]) -> Verbs:
    return frozenset({ANY})


def _of(requests: Iterable[object]) -> Verbs:
    return frozenset(_CLASSES[type(each)] for each in requests if type(each) in _CLASSES)


def _batch(arguments: tuple[Any, ...]) -> Verbs:
    return _of(arguments[1])


def _wrapped(arguments: tuple[Any, ...]) -> Verbs:
    return _of(each.request for each in arguments[1])


def _request(arguments: tuple[Any, ...]) -> Verbs:
    return _of(arguments[-1:])


def _flying(arguments: tuple[Any, ...]) -> Verbs:
    return _of(request for flight in arguments[0]._flying.values() for request in flight.requests)


_KINDS: Final = {"purchase": PROCESS, "reversal": REVERSE, "tombstone": REVERSE, "refund": REFUND}


def _events(events: Iterable[Any]) -> Verbs:
    return frozenset(_KINDS[each.kind] for each in events if each.identity and each.kind in _KINDS)


def _recorded(arguments: tuple[Any, ...]) -> Verbs:
    return _events(arguments[1:2])


def _unit(arguments: tuple[Any, ...]) -> Verbs:
    return _events(arguments[0]._events)


def _answers(arguments: tuple[Any, ...]) -> Verbs:
    said = arguments[1]
    told = isinstance(said, Answers) and any(isinstance(each, Outcome) for each in said.answers)
    return frozenset({ANY}) if told else NOTHING


def _replied(arguments: tuple[Any, ...]) -> Verbs:
    return frozenset({ANY}) if arguments[3].verb == "RESULT" else NOTHING


_JOURNAL: Final = "trus.device.journal:FileJournal"
_DEVICE: Final = "trus.gateway.devices:DeviceConnection"
_LINK: Final = "trus.gateway.links:BackendLink"
_SESSION: Final = "trus.backend.sessions:DeviceConnection"
_B, _A, _L = Moment.BEFORE, Moment.AFTER, Moment.LEFT
_T, _G, _F, _C = Part.TERMINAL, Part.GATEWAY, Part.FRONT, Part.CORE


def _only(keep: Callable[[Verbs], Verbs], of: Callable[[tuple[Any, ...]], Verbs]) -> Callable[[tuple[Any, ...]], Verbs]:
    return lambda arguments: keep(of(arguments))


STEPS: Final[tuple[Step, ...]] = (
    Step("terminal: to be written", _T, f"{_JOURNAL}.sync", _B, _opening, "a request is about to enter the journal"),
    Step("terminal: written", _T, f"{_JOURNAL}.sync", _A, _opening, "the request is durable, nothing was said"),
    Step(
        "terminal: to be sent",
        _T,
        "trus.device.connection:DeviceConnection.send_lines",
        _B,
        _only(_requests, _lines),
        "the request is sealed",
    ),
    Step(
        "terminal: sent",
        _T,
        "trus.device.connection:DeviceConnection.send_lines",
        _L,
        _only(_requests, _lines),
        "the request is on the wire",
    ),
    Step("gateway: received", _G, f"{_DEVICE}.lines_received", _B, _only(_requests, _lines), "a device's line came in"),
    Step("gateway: forwarded", _G, f"{_LINK}.send_block", _L, _only(_requests, _line), "the line is on the link"),
    Step("front: received", _F, f"{_SESSION}.line_received", _B, _only(_requests, _line), "the line is still sealed"),
    Step("front: opened", _F, f"{_SESSION}._decide", _B, _request, "the seal is open, the request is read"),
    Step("front: to be submitted", _F, "trus.backend.corelink:CoreProcess.submit", _B, _batch, "a batch is gathered"),
    Step("front: submitted", _F, "trus.backend.corelink:CoreProcess.submit", _L, _batch, "the core has the batch"),
    Step("core: received", _C, "trus.core.pipeline:MoneyPipeline.handle", _B, _batch, "the batch is decoded"),
    Step("core: read", _C, "trus.core.pipeline:MoneyPipeline._read", _A, _wrapped, "facts of all are read"),
    Step(
        "core: checked", _C, "trus.core.checking:CardChecker.check", _A, _wrapped, "the token has checked card and PIN"
    ),
    Step("core: decided", _C, "trus.ledger.unit:SqlUnit.record", _A, _recorded, "an event is recorded in memory"),
    Step("core: to be written", _C, "trus.ledger.unit:SqlUnit._write", _B, _unit, "the whole batch is decided"),
    Step("core: written", _C, "trus.ledger.unit:SqlUnit._write", _A, _unit, "rows are in the open transaction"),
    Step("core: to be committed", _C, "trus.ledger.unit:SqlUnit.commit", _B, _unit, "the unit of work is about to end"),
    Step("core: committed", _C, "trus.ledger.unit:SqlUnit.commit", _A, _unit, "durable, and told to nobody"),
    Step("core: to be answered", _C, "trus.core.worker:BlockingFrames.send", _B, _answers, "the answers are encoded"),
    Step("core: answered", _C, "trus.core.worker:BlockingFrames.send", _A, _answers, "the answers are in the pair"),
    Step(
        "front: answered", _F, "trus.backend.corelink:CoreProcess.frame_received", _B, _flying, "the core's frame came"
    ),
    Step("front: to be sealed", _F, f"{_SESSION}._say", _B, _replied, "the result is in clear"),
    Step("front: sealed", _F, f"{_SESSION}._say", _A, _replied, "the result is sealed"),
    Step(
        "front: sent",
        _F,
        "trus.backend.linkserver:LinkServer.send_block",
        _L,
        _only(_results, _line),
        "the result is on the link",
    ),
    Step("gateway: answered", _G, f"{_LINK}.lines_received", _B, _only(_results, _lines), "the result came in"),
    Step("gateway: returned", _G, f"{_DEVICE}.send_lines", _L, _only(_results, _lines), "the result is on the wire"),
    Step("terminal: received", _T, "trus.device.terminal:Terminal.heard", _B, _heard, "the result is opened"),
    Step("terminal: to be settled", _T, f"{_JOURNAL}.sync", _B, _settling, "the end is about to enter the journal"),
    Step("terminal: settled", _T, f"{_JOURNAL}.sync", _A, _settling, "the end is durable, the cashier has not heard"),
    Step("terminal: told", _T, "trus.device.client:TerminalClient._finished", _A, _always, "the cashier has heard"),
    Step("terminal: compacting", _T, f"{_JOURNAL}._compact", _B, _always, "the journal has grown"),
    Step("terminal: compacted", _T, f"{_JOURNAL}._compact", _A, _always, "the journal was rewritten, or not yet"),
)

BY_NAME: Final = {step.name: step for step in STEPS}


def table() -> str:
    """Return the steps as a Markdown table, for docs/reliability.md."""
    rows = [f"| {step.name} | {step.moment.value} `{step.place.rpartition(':')[2]}` | {step.what} |" for step in STEPS]
    return "\n".join(["| step | where | what has happened |", "|---|---|---|", *rows])
