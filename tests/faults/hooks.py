"""Makes a process die at a named step, when the harness has laid a trap there.

A trap is a file named after the step in a folder of the run. The first process that comes to the step with
a request of the kind takes the file away, leaves its process id in its place, and kills itself with a
signal that no program can catch. Without a trap a step costs one look for a file, and only in a
process that tests.faults.entry or tests.faults.till has prepared.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.faults.steps import ANY, STEPS, Moment, Part, Step, Verbs

#: How long "a moment after" is: the reactor has written what it was given.
LEAVE_SECONDS: Final = 0.02
_HIT: Final = ".hit"

Later = Callable[..., object]


class Trap(msgspec.Struct, frozen=True):
    """What waits at a step: the verb of the request, ANY for every one, and how many to let pass before."""

    verb: str = ANY
    skip: int = 0


class Traps:
    """The folder in which traps are laid and found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # ------------------------------------------------------------------------ for the harness

    def lay(self, step: Step, trap: Trap) -> None:
        """Arm a step."""
        self.folder.mkdir(exist_ok=True)
        self._hit(step).unlink(missing_ok=True)
        fresh = self.folder / (step.file + ".new")
        fresh.write_bytes(msgspec.json.encode(trap))
        fresh.replace(self.folder / step.file)

    def take_up(self, step: Step) -> None:
        """Disarm a step that nobody came to."""
        (self.folder / step.file).unlink(missing_ok=True)

    def caught(self, step: Step) -> int:
        """Return the id of the process that died there, 0 when none has."""
        try:
            return int(self._hit(step).read_text() or 0)
        except FileNotFoundError:
            return 0

    # ------------------------------------------------------------------------ for the process

    def sprung(self, step: Step, passed: dict[str, int], arguments: tuple[Any, ...]) -> bool:
        """Say whether this process dies at `step` now; `passed` counts those let through."""
        file = self.folder / step.file
        try:
            trap = msgspec.json.decode(file.read_bytes(), type=Trap)
        except FileNotFoundError:
            passed.pop(step.name, None)
            return False
        if not _fits(trap, step.concerns(arguments)):
            return False
        count = passed.get(step.name, 0)
        if count < trap.skip:
            passed[step.name] = count + 1
            return False
        try:
            file.rename(self._hit(step).with_suffix(".taken"))
        except FileNotFoundError:
            return False  # another process was faster
        return True

    def die(self, step: Step) -> None:
        """Leave the id of this process, and end it."""
        taken = self._hit(step).with_suffix(".taken")
        taken.write_text(str(os.getpid()))
        taken.rename(self._hit(step))
        os.kill(os.getpid(), signal.SIGKILL)

    def _hit(self, step: Step) -> Path:
        return self.folder / (step.file + _HIT)


def _fits(trap: Trap, verbs: Verbs) -> bool:
    return bool(verbs) and (trap.verb == ANY or ANY in verbs or trap.verb in verbs)


def install(traps: Traps, parts: Collection[Part], later: Later | None = None) -> None:
    """Prepare this process to die at the steps of `parts`; `later` is the reactor's callLater, where there is one."""
    places: dict[str, list[Step]] = defaultdict(list)
    for step in STEPS:
        if step.part in parts:
            places[step.place].append(step)
    for place, steps in places.items():
        owner, name = resolve(place)
        setattr(owner, name, _stepped(getattr(owner, name), steps, traps, later))


def resolve(place: str) -> tuple[Any, str]:
    """Return what holds the function of a step, and its name there. Raises AttributeError, ImportError."""
    module, _, qualified = place.partition(":")
    owner: Any = importlib.import_module(module)
    *path, name = qualified.split(".")
    for each in path:
        owner = getattr(owner, each)
    getattr(owner, name)
    return owner, name


def _stepped(original: Any, steps: list[Step], traps: Traps, later: Later | None) -> Any:
    passed: dict[str, int] = {}
    before = [step for step in steps if step.moment is Moment.BEFORE]
    after = [step for step in steps if step.moment is not Moment.BEFORE]

    @functools.wraps(original)
    def stepped(*arguments: Any, **named: Any) -> Any:
        for step in before:
            if traps.sprung(step, passed, arguments):
                traps.die(step)
        dying = [step for step in after if traps.sprung(step, passed, arguments)]
        result = original(*arguments, **named)
        for step in dying:
            if step.moment is Moment.LEFT and later is not None:
                later(LEAVE_SECONDS, traps.die, step)
            else:
                traps.die(step)
        return result

    return stepped
