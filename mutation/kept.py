"""Keeps verdicts, so that an interrupted run goes on where it was and a new test is tried on survivors alone.

A verdict stands as long as the changed file and the tests that gave it are what they were: of a mutant that was
noticed the test that noticed it, of another all the tests that reach it. Looks at no other file: --afresh forgets all.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from mutation.mutants import Mutant
from mutation.subjects import ROOT
from mutation.trials import Outcome, Task, Verdict

#: One JSON object a line, the latest of a mutant stands.
KEPT: Final = ROOT / ".tools" / "mutants.jsonl"


class Kept:
    """The verdicts in one file."""

    def __init__(self, file: Path = KEPT, tests: Path = ROOT) -> None:
        """`tests` is the folder that the package tests is in."""
        self._file = file
        self._root = tests
        self._texts: dict[Path, str] = {}
        self._known: dict[str, dict[str, str]] = {}
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self._known[entry["mutant"]] = entry

    def find(self, task: Task) -> Outcome | None:
        """Return what became of a mutant, None when that is not known any more."""
        entry = self._known.get(_name(task.mutant))
        if entry is None:
            return None
        outcome = Outcome(Verdict(entry["verdict"]), entry["last"])
        return outcome if entry["tests"] == self._digest(task, outcome) else None

    def keep(self, task: Task, outcome: Outcome) -> None:
        """Write down what became of a mutant."""
        entry = {
            "mutant": _name(task.mutant),
            "change": task.mutant.change,
            "verdict": outcome.verdict.value,
            "last": outcome.last,
            "tests": self._digest(task, outcome),
        }
        self._known[entry["mutant"]] = entry
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _digest(self, task: Task, outcome: Outcome) -> str:
        """Return a digest of what gave the outcome."""
        names = [outcome.last] if outcome.verdict is Verdict.NOTICED else sorted(each.name for each in task.tests)
        return hashlib.sha256("\n".join(f"{name} {self._text(name)}" for name in names).encode()).hexdigest()

    def _text(self, test: str) -> str:
        """Return a digest of a test's file and of what the tests beside it share; empty when the file is gone."""
        parts = test.split(".")
        for length in range(len(parts), 0, -1):
            path = self._root.joinpath(*parts[:length]).with_suffix(".py")
            if path in self._texts or path.is_file():
                if path not in self._texts:
                    self._texts[path] = _text_of(path)
                return self._texts[path]
        return ""


def _text_of(path: Path) -> str:
    shared = (each for each in path.parent.glob("*.py") if not each.name.startswith("test_"))
    return hashlib.sha256(b"".join(each.read_bytes() for each in sorted({path, *shared}))).hexdigest()


def _name(mutant: Mutant) -> str:
    return hashlib.sha256(f"{mutant.path}\0{mutant.source}".encode()).hexdigest()
