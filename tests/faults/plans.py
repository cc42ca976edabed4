"""Chooses the faults of a run: every step once, one of every kind, then at random; and what cannot be done here.

Everything follows from the seed, as far as real processes let it: the same faults in the same order, at
other moments.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from tests.faults.disks import FailedFsync, FailedJournal, FullDisk, KilledInFsync
from tests.faults.hooks import Trap
from tests.faults.injections import ClockJump, DieAtStep, Fault, Flood, Kill, LinkTrouble, Stop, Together, TokenAway
from tests.faults.proxy import Spoil
from tests.faults.steps import ANY, PROCESS, REFUND, REVERSE, STEPS, Part
from tests.faults.tools import Tool

Draw = Callable[[random.Random], Fault]

#: Jumps of a wall clock in seconds: a correction, an hour, most of a day, either way.
JUMPS: Final = (-61_200, -3_600, -90, -5, 5, 90, 3_600, 61_200)
WIRES: Final = ("terminal to gateway", "gateway to backend")


#: Steps of each part in a short run: a restart costs the processor up to two seconds.
SHORT_STEPS: Final = {Part.TERMINAL: 4, Part.GATEWAY: 2, Part.FRONT: 2, Part.CORE: 4}


@attrs.frozen
class Missing:
    """A fault that is not injected on this machine, and why."""

    kind: str
    fault: str
    why: str


def enumerated() -> Iterator[DieAtStep]:
    """Yield a death at every step of a purchase, in its order."""
    for step in STEPS:
        yield DieAtStep(step, Trap(PROCESS))


def one_of_each(chance: random.Random) -> Iterator[Fault]:
    """Yield every other kind of fault once."""
    for part in Part:
        yield Kill(part)
        yield Stop(part, chance.uniform(1.0, 3.0))
    yield FullDisk(6.0)
    yield FailedFsync(chance.randint(1, 3))
    yield FailedJournal(chance.randint(1, 3))
    yield KilledInFsync(chance.randint(1, 3))
    for which in ("backend", "gateways"):
        yield ClockJump(which, chance.choice(JUMPS))
    yield TokenAway()
    for where in WIRES:
        for spoil in (Spoil.CUT, Spoil.DEAD, Spoil.SLOW):
            yield LinkTrouble(where, spoil, chance.uniform(0.5, 3.0))
    yield Flood(2.0)
    yield Together((Kill(Part.GATEWAY), Kill(Part.FRONT)))


_SINGLE: Final[tuple[tuple[int, Draw], ...]] = (
    (
        10,
        lambda chance: DieAtStep(
            chance.choice(STEPS), Trap(chance.choice((ANY, PROCESS, REVERSE, REFUND)), chance.randrange(4))
        ),
    ),
    (4, lambda chance: Kill(chance.choice(list(Part)))),
    (4, lambda chance: Stop(chance.choice(list(Part)), chance.uniform(0.2, 5.0))),
    (2, lambda chance: FullDisk(chance.uniform(2.0, 6.0))),
    (3, lambda chance: FailedFsync(chance.randint(1, 12))),
    (1, lambda chance: FailedJournal(chance.randint(1, 12))),
    (3, lambda chance: KilledInFsync(chance.randint(1, 12))),
    (2, lambda chance: ClockJump(chance.choice(("backend", "gateways")), chance.choice(JUMPS))),
    (2, lambda chance: TokenAway()),
    (5, lambda chance: LinkTrouble(chance.choice(WIRES), _spoil(chance), chance.uniform(0.2, 5.0))),
    (1, lambda chance: Flood(chance.uniform(0.5, 3.0))),
)
#: What can be struck with beside another one: it waits for nothing that the other one could prevent.
_BESIDE: Final[tuple[Draw, ...]] = (
    lambda chance: Kill(chance.choice(list(Part))),
    lambda chance: Stop(chance.choice((Part.GATEWAY, Part.TERMINAL)), chance.uniform(0.2, 2.0)),
    lambda chance: LinkTrouble(chance.choice(WIRES), _spoil(chance), chance.uniform(0.2, 2.0)),
)


def _spoil(chance: random.Random) -> Spoil:
    return chance.choice((Spoil.CUT, Spoil.DEAD, Spoil.SLOW))


def at_random(chance: random.Random) -> Iterator[Fault]:
    """Yield faults without end: most alone, some two at once."""
    weights = [weight for weight, _ in _SINGLE]
    while True:
        if chance.random() < 0.15:
            yield Together((chance.choice(_BESIDE)(chance), chance.choice(_BESIDE)(chance)))
        else:
            [(_, draw)] = chance.choices(_SINGLE, weights)
            yield draw(chance)


def short(chance: random.Random) -> Iterator[Fault]:
    """Yield the run of the tests: some steps of each part, drawn, and one of each other kind.

    A kill at any moment is left out: the steps are such kills.
    """
    drawn = [step for part in Part for step in chance.sample([s for s in STEPS if s.part is part], SHORT_STEPS[part])]
    yield from (fault for fault in enumerated() if fault.step in drawn)
    yield from (fault for fault in one_of_each(chance) if fault.kind != "kill")


def missing(strace: Tool, faketime: Tool) -> list[Missing]:
    """Return what cannot be injected here."""
    found = []
    if strace.missing:
        found += [Missing("fsync", "failing fsync, death inside fsync", strace.missing)]
    if faketime.missing:
        found += [Missing("clock", "clock jump", faketime.missing)]
    return found


def possible(fault: Fault, strace: Tool, faketime: Tool, only: Sequence[str]) -> bool:
    """Return whether a fault is asked for, and can be injected."""
    if only and fault.kind not in only:
        return False
    if fault.kind == "fsync":
        return not strace.missing
    return fault.kind != "clock" or not faketime.missing


KINDS: Final = ("step", "kill", "stop", "disk", "fsync", "clock", "token", "link", "flood", "together")
