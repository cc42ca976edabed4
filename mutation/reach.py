"""Learns which tests run which lines, so that a mutant is tried by the tests that can notice it and by no other.

Runs each test once on the unchanged files, in a process of its own (so that no cache that an earlier test filled
hides a line), under a tracer. What runs while the tests are loaded is reached by all of them. Judges no mutant.
"""

from __future__ import annotations

import ast
import os
import pickle
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs

from mutation.mutants import Mutant
from mutation.running import fails, loaded, settle
from mutation.subjects import ROOT

#: A line of a file: the path in the checkout, and the number from 1.
Line = tuple[str, int]


class TestsFail(Exception):
    """The tests do not pass on the unchanged files: no mutant can be judged."""


@attrs.frozen
class Test:
    """A test by its trial name, and the CPU seconds that it takes on the unchanged files, traced."""

    name: str
    seconds: float


@attrs.frozen
class Reach:
    """What the tests of a subject run, quickest test first."""

    tests: Sequence[Test]
    lines: Mapping[str, frozenset[Line]]  #: by the test's name
    loading: frozenset[Line]  #: while the tests are loaded

    def of(self, mutant: Mutant) -> list[Test]:
        """Return the tests that run the statement a mutant changes, quickest first; none when none does."""
        original = (ROOT / mutant.path).read_text(encoding="utf-8")
        places = {(mutant.path, line) for line in statement(original, mutant.line)}
        if places & self.loading:
            return list(self.tests)
        return [each for each in self.tests if places & self.lines[each.name]]


def statement(source: str, line: int) -> set[int]:
    """Return the lines of the innermost statement at a line, without those of the statements inside it.

    A line between statements stands for itself.
    """
    around = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.stmt) and line in _span(each)]
    if not around:
        return {line}
    inner = around[-1]  # the walk goes from the outermost inwards
    inside = (each for each in ast.walk(inner) if isinstance(each, ast.stmt) and each is not inner)
    return set(_span(inner)).difference(*map(_span, inside)) | {line}


def _span(node: ast.stmt) -> range:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    return range(first, (node.end_lineno or node.lineno) + 1)


def learn(files: Sequence[Path], targets: Sequence[str]) -> Reach:
    """Run the tests, each once.

    Raises:
        TestsFail: one of them fails.
    """
    found: Reach | str = apart(lambda: _learn(files, targets))
    if isinstance(found, str):
        raise TestsFail(found)
    return found


def apart(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a process of its own; the text of the error when it raises one."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            try:
                try:
                    told = work()
                except BaseException as error:  # noqa: BLE001 - it is told in the process that asked
                    told = f"{type(error).__name__}: {error}"
                answer.write(pickle.dumps(told))
                answer.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        answer.seek(0)
        return pickle.loads(answer.read())  # noqa: S301 - written by the lines above


def _learn(files: Sequence[Path], targets: Sequence[str]) -> Reach:
    settle()
    tracer = _Tracer(files)
    with tracer:
        cases = list(loaded(targets))
    lines: dict[str, frozenset[Line]] = {}
    seconds: dict[str, float] = {}
    for case in cases:
        told = apart(partial(_traced, case, files))
        if isinstance(told, str):
            raise TestsFail(told)
        lines[case.id()], seconds[case.id()] = told
    tests = sorted((Test(name, taken) for name, taken in seconds.items()), key=lambda each: each.seconds)
    return Reach(tests, lines, tracer.found())


def _traced(case: Any, files: Sequence[Path]) -> tuple[frozenset[Line], float]:
    with tempfile.TemporaryDirectory(prefix="trus-reach-") as folder:
        os.chdir(folder)
        tracer = _Tracer(files)
        began = time.process_time()
        with tracer:
            failures = fails(case)
        taken = time.process_time() - began
        os.chdir(ROOT)
    if failures:
        raise TestsFail(failures)
    return tracer.found(), taken


class _Tracer:
    """Notes the lines of some files that run while it is entered, in every thread begun meanwhile."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._paths: Final = {str(path): path.relative_to(ROOT).as_posix() for path in files}
        self._found: set[tuple[str, int]] = set()

    def __enter__(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def found(self) -> frozenset[Line]:
        """Return the lines."""
        return frozenset((self._paths[name], line) for name, line in self._found)

    def _call(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        name = frame.f_code.co_filename
        if name not in self._paths:
            return None
        self._found.add((name, frame.f_lineno))
        return self._line

    def _line(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        self._found.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line
