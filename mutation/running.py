"""Runs tests of this checkout within a process, a first failure at a time. Starts no process and changes no file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

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
#: Examples that a property is tried with at most, where most of them want hundreds.
_EXAMPLES: Final = 20


def load_libraries() -> None:
    """Load what trials share, and nothing of trus. Must be called before the first one."""
    for name in _LIBRARIES:
        importlib.import_module(name)


def settle() -> None:
    """Forget trus and its tests, as far as they are loaded, and make properties try the same few examples each time."""
    from hypothesis import Phase, settings

    for name in [name for name in sys.modules if name.partition(".")[0] in ("trus", "tests")]:
        del sys.modules[name]
    importlib.import_module("tests")
    settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate)
    )
    settings.load_profile("mutation")
    # The class forbids it: a program should set a profile. But what a test asks for itself goes before a profile.
    few = property(lambda asked: min(asked._max_examples, _EXAMPLES))
    type.__setattr__(settings, "max_examples", few)


def loaded(targets: Sequence[str]) -> Iterator[Any]:
    """Yield the test cases of packages, modules, classes or methods, each once."""
    from twisted.trial.runner import TestLoader

    seen = set()
    for name in targets:
        for case in _cases(TestLoader().loadByName(name, recurse=True)):
            if case.id() not in seen:
                seen.add(case.id())
                yield case


def _cases(suite: Any) -> Iterator[Any]:
    try:
        inside = list(suite)
    except TypeError:
        yield suite
        return
    for each in inside:
        yield from _cases(each)


def fails(case: Any) -> str:
    """Run one test case and return why it fails, the empty text when it passes."""
    from twisted.trial.reporter import TestResult

    result = TestResult()
    case.run(result)
    if result.wasSuccessful() and result.testsRun:
        return ""
    return "\n".join(f"{test.id()}: {failure}" for test, failure in (*result.failures, *result.errors)) or "no test ran"
