"""Tries one mutant: a process of its own reads the changed text in place of the file and runs the tests.

The process is forked from one that has loaded the libraries and nothing of trus, so that a trial costs the
tests and little more. The first failure ends it. A mutant that runs on without end is stopped, and counts as noticed.
"""

from __future__ import annotations

import enum
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, Final

from mutation.mutants import Mutant
from mutation.subjects import ROOT

#: What every trial needs, loaded once.
_LIBRARIES: Final = (
    "cryptography.x509",
    "hypothesis",
    "msgspec",
    "sqlalchemy",
    "alembic.command",
    "sqlcipher3",
    "twisted.trial.runner",
    "twisted.trial.unittest",
    "twisted.trial.reporter",
    "zoneinfo",
)
#: Examples that a property is tried with: a tenth of what the tests themselves want.
_EXAMPLES: Final = 40
_MEMORY: Final = 4 << 30
_LOOK_SECONDS: Final = 0.02


class Verdict(enum.Enum):
    """What became of a mutant."""

    NOTICED = "noticed"  #: a test failed
    ENDLESS = "endless"  #: it did not end in time
    SURVIVED = "survived"  #: no test noticed


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


def load_libraries() -> None:
    """Load what trials share. Must be called before the first one."""
    for name in _LIBRARIES:
        importlib.import_module(name)


class Trial:
    """One mutant under its tests, begun at once."""

    def __init__(self, mutant: Mutant, tests: Sequence[str], seconds: float) -> None:
        """The tests are given so many seconds in all."""
        self.mutant = mutant
        self._deadline = time.monotonic() + seconds
        self._child = os.fork()
        if self._child == 0:
            os._exit(_run(mutant, tests))

    def verdict(self) -> Verdict | None:
        """Return what became of it, None while it runs."""
        ended, status = os.waitpid(self._child, os.WNOHANG)
        if ended:
            return Verdict.SURVIVED if os.waitstatus_to_exitcode(status) == 0 else Verdict.NOTICED
        if time.monotonic() < self._deadline:
            return None
        os.killpg(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        return Verdict.ENDLESS


def try_all(
    mutants: Iterable[Mutant], tests: Sequence[str], seconds: float, jobs: int
) -> Iterator[tuple[Mutant, Verdict]]:
    """Try mutants, so many at once; yield each with its verdict as it is known."""
    waiting = iter(mutants)
    running: list[Trial] = []
    while True:
        while len(running) < jobs and (mutant := next(waiting, None)) is not None:
            running.append(Trial(mutant, tests, seconds))
        if not running:
            return
        for trial in list(running):
            verdict = trial.verdict()
            if verdict is not None:
                running.remove(trial)
                yield trial.mutant, verdict
        time.sleep(_LOOK_SECONDS)


def _run(mutant: Mutant, tests: Sequence[str]) -> int:
    """Be the trial; return 0 when nothing was noticed."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        if mutant.after:
            quiet = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(quiet, descriptor)
        for name in [name for name in sys.modules if name.partition(".")[0] in ("trus", "tests")]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Finder(mutant.module, str(ROOT / mutant.path), mutant.source))
        with tempfile.TemporaryDirectory(prefix="trus-mutant-") as folder:
            os.chdir(folder)
            return _passes(tests)
    except BaseException as error:  # noqa: BLE001 - whatever a changed program raises is noticed
        print(repr(error), file=sys.stderr)
        return 1


def _passes(tests: Sequence[str]) -> int:
    from hypothesis import Phase, settings
    from twisted.trial.reporter import TestResult
    from twisted.trial.runner import TestLoader

    class First(TestResult):
        """Stops at the first failure."""

        def addFailure(self, test: Any, fail: Any) -> None:  # noqa: N802 - trial's name
            self.shouldStop = True
            super().addFailure(test, fail)  # type: ignore[no-untyped-call]

        def addError(self, test: Any, error: Any) -> None:  # noqa: N802 - trial's name
            self.shouldStop = True
            super().addError(test, error)

    importlib.import_module("tests")
    settings.register_profile(
        "mutation",
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
    )
    settings.load_profile("mutation")
    ran = 0
    for name in tests:
        result = First()  # type: ignore[no-untyped-call]
        TestLoader().loadByName(name, recurse=True).run(result)
        ran += result.testsRun
        if not result.wasSuccessful():  # type: ignore[no-untyped-call]
            for test, failure in (*result.failures, *result.errors):
                print(test, failure, file=sys.stderr)
            return 1
    return 0 if ran else 1
