"""Tries one mutant: a process of its own reads the changed text in place of the file and runs the tests.

The process is forked from one that has loaded the libraries and nothing of trus, so that a trial costs the
tests and little more. The first failure ends it. A mutant that runs on without end is stopped, and counts as noticed.
"""

from __future__ import annotations

import enum
import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import attrs

from mutation.mutants import Mutant
from mutation.reach import Test
from mutation.running import fails, loaded, settle
from mutation.subjects import ROOT

#: A test gets so many times the CPU seconds that it takes on the unchanged files, and some more.
_PATIENCE: Final = 5.0
_MORE_SECONDS: Final = 3.0
#: A process that has waited so long for something waits for ever.
_ASLEEP_SECONDS: Final = 20.0
#: Something is wrong with what takes longer, whatever it does.
_WALL_SECONDS: Final = 1800.0
_MEMORY: Final = 4 << 30
_LOOK_SECONDS: Final = 0.01
#: Room for a test's name.
_NAME_BYTES: Final = 400


class Verdict(enum.Enum):
    """What became of a mutant."""

    NOTICED = "noticed"  #: a test failed
    ENDLESS = "endless"  #: it did not end in time
    SURVIVED = "survived"  #: no test noticed
    UNREACHED = "not reached"  #: no test runs its statement


@attrs.frozen(eq=False)
class Task:
    """A mutant, and the tests that can notice it, in the order in which they are run."""

    mutant: Mutant
    tests: Sequence[Test]


@attrs.frozen
class Outcome:
    """What became of a mutant, and the name of the last test that it was tried with."""

    verdict: Verdict
    last: str = ""


class _Loader(importlib.abc.SourceLoader):
    """Reads one module from a text."""

    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._source = source

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        return self._source.encode()


class _Finder(importlib.abc.MetaPathFinder):
    """Puts one module's changed text in place of its file."""

    def __init__(self, module: str, path: str, source: str) -> None:
        self._module = module
        self._path = path
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        loader = _Loader(self._path, self._source)
        inside = [os.path.dirname(self._path)] if self._path.endswith("__init__.py") else None
        return importlib.util.spec_from_file_location(
            fullname, self._path, loader=loader, submodule_search_locations=inside
        )


class Trial:
    """One mutant under its tests, begun at once."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the trial ends
        now = time.monotonic()
        self._deadline = now + _WALL_SECONDS
        self._awake = now
        self._child = os.fork()
        if self._child == 0:
            os._exit(_run(task, self._told.fileno()))

    def outcome(self) -> Outcome | None:
        """Return what became of it, None while it runs."""
        ended, status = os.waitpid(self._child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            if code == -signal.SIGXCPU:
                return self._ended(Verdict.ENDLESS)
            return self._ended(Verdict.NOTICED if code else Verdict.SURVIVED)
        now = time.monotonic()
        if not _sleeps(self._child):
            self._awake = now
        if now < min(self._awake + _ASLEEP_SECONDS, self._deadline):
            return None
        os.killpg(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        return self._ended(Verdict.ENDLESS)

    def _ended(self, verdict: Verdict) -> Outcome:
        with self._told:
            return Outcome(verdict, os.pread(self._told.fileno(), _NAME_BYTES, 0).decode().strip())


def _sleeps(process: int) -> bool:
    """Tell whether every thread of a process waits; a busy machine makes nothing look asleep that only waits for it."""
    states = []
    for file in Path(f"/proc/{process}/task").glob("*/stat"):
        try:
            states.append(file.read_text().rpartition(")")[2].split()[0])
        except (FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            return False
    return set(states) == {"S"}


def try_all(tasks: Iterable[Task], jobs: int) -> Iterator[tuple[Task, Outcome]]:
    """Try mutants, so many at once; yield each with its outcome as it is known."""
    waiting = iter(tasks)
    running: list[Trial] = []
    while True:
        while len(running) < jobs and (task := next(waiting, None)) is not None:
            if task.tests:
                running.append(Trial(task))
            else:
                yield task, Outcome(Verdict.UNREACHED)
        if not running:
            return
        for trial in list(running):
            outcome = trial.outcome()
            if outcome is not None:
                running.remove(trial)
                yield trial.task, outcome
        time.sleep(_LOOK_SECONDS)


def _run(task: Task, told: int) -> int:
    """Be the trial; return 0 when nothing was noticed."""
    mutant = task.mutant
    try:
        os.setpgrp()  # no session of its own: the scheduler would give it the share of another user
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        settle()
        sys.meta_path.insert(0, _Finder(mutant.module, str(ROOT / mutant.path), mutant.source))
        with tempfile.TemporaryDirectory(prefix="trus-mutant-") as folder:
            os.chdir(folder)
            return _passes(task.tests, told)
    except BaseException:  # noqa: BLE001 - whatever a changed program raises is noticed
        return 1


def _passes(tests: Sequence[Test], told: int) -> int:
    for test in tests:
        os.pwrite(told, test.name.encode().ljust(_NAME_BYTES), 0)
        allowed = time.process_time() + _MORE_SECONDS + _PATIENCE * test.seconds
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(allowed), resource.RLIM_INFINITY))
        if any(fails(case) for case in loaded([test.name])):
            return 1
    return 0
