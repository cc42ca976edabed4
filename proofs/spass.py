"""Asks the theorem prover SPASS, and reads its answer.

Believes nothing that it does not understand: an answer other than "there is no way" and "here is a way"
is an error, never a proof. SPASS (Weidenbach et al., version 3.9, in Debian and Ubuntu) is a saturation
prover whose treatment of one-place predicates is complete and, on what an attacker can know, comes to an end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from proofs.terms import Term, Theory

#: Names the prover to use; wins over every other.
PROVER_VARIABLE: Final = "TRUS_SPASS"
PROJECT: Final = Path(__file__).resolve().parents[1]
#: One question of the short form takes less than a minute of an old processor.
TIME_LIMIT_SECONDS: Final = 1200

#: Two reductions cost more than they save on terms of this size; what is concluded is the same.
_OPTIONS: Final = ("-TPTP", "-Stdin", "-DocProof=1", "-PGiven=0", "-PProblem=0", "-SatInput=0", "-RBMRR=0")
_VERDICT: Final = re.compile(r"^SPASS beiseite: (.*)\.$", re.MULTILINE)
_USED: Final = re.compile(r"^Formulae used in the proof :(.*)$", re.MULTILINE)
_COUNT: Final = re.compile(r"^SPASS derived (\d+) clauses", re.MULTILINE)
_NUMBER: Final = re.compile(r"__\d+\Z")


#: The provers at work.
_RUNNING: Final[set[subprocess.Popen[bytes]]] = set()


class ProverFailed(Exception):
    """The prover is missing or broke off, or its answer is not understood; str() says which."""


class Answer(NamedTuple):
    """What came of one question."""

    #: The claims that are broken; none when all of them hold.
    broken: tuple[str, ...]
    #: The steps of the way that was found, in the order of the model.
    steps: tuple[str, ...]
    #: How many conclusions were drawn.
    derived: int
    #: How many seconds of a processor that took.
    seconds: float


def find_prover(
    *, environment: Mapping[str, str] = os.environ, path: str | None = None, project: Path = PROJECT
) -> Path:
    """Return the program SPASS: of the environment, the system, or script/bootstrap's copy in .tools.

    Raises ProverFailed with one sentence that says what to do.
    """
    named = environment.get(PROVER_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise ProverFailed(f"{PROVER_VARIABLE} {named} does not exist")
        return Path(named).absolute()
    found = shutil.which("SPASS", path=path)
    unpacked = project / ".tools" / "spass" / "usr" / "bin" / "SPASS"
    if found is None and not unpacked.is_file():
        raise ProverFailed(f"the prover SPASS was not found: run script/bootstrap --dev or set {PROVER_VARIABLE}")
    return Path(found) if found else unpacked


def ask(theory: Theory, *, prover: Path | None = None, seconds: int = TIME_LIMIT_SECONDS) -> Answer:
    """Return whether any question of the theory has a way to yes.

    `seconds` is the most that the prover may take, by the clock on the wall. Raises ProverFailed.
    """
    command = [str(prover or find_prover()), *_OPTIONS, f"-TimeLimit={seconds}"]
    with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as said:
        question.write(theory.problem().encode("ascii"))
        question.seek(0)
        try:
            process = subprocess.Popen(command, stdin=question, stdout=said, stderr=subprocess.STDOUT)
        except OSError as problem:
            raise ProverFailed(f"the prover did not start: {problem}") from problem
        _RUNNING.add(process)
        _, status, used = os.wait4(process.pid, 0)
        _RUNNING.discard(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read().decode("ascii", "replace")
    return read(output, used.ru_utime + used.ru_stime)


def stop() -> None:
    """End every prover at work; who asked it gets ProverFailed."""
    for process in [*_RUNNING]:
        process.kill()


def read(output: str, seconds: float = 0.0) -> Answer:
    """Return what the prover's output says, and the processor's `seconds` that it took.

    Raises ProverFailed for anything but a clear answer.
    """
    verdict = _VERDICT.search(output)
    count = _COUNT.search(output)
    if verdict is None or count is None:
        raise ProverFailed(f"the prover broke off: {output.strip()[-300:] or 'it said nothing'}")
    derived = int(count[1])
    if verdict[1] == "Completion found":
        return Answer((), (), derived, seconds)
    used = _USED.search(output)
    if verdict[1] != "Proof found" or used is None:
        raise ProverFailed(f"the prover found no answer: {verdict[1]}")
    names = sorted(used[1].split(), key=_place)
    words = tuple(dict.fromkeys(_NUMBER.sub("", name) for name in names))
    claims = tuple(word.removeprefix("claim_") for word in words if word.startswith("claim_"))
    if not claims:
        raise ProverFailed("the prover contradicts the model without any question")
    return Answer(claims, tuple(word for word in words if not word.startswith("claim_")), derived, seconds)


def main() -> int:
    """Print the prover's path; return 1, with the reason on standard error, when it does not reason."""
    question = Theory()
    question.rule("all_men_are_mortal", [Term("man", (Term("X"),))], Term("mortal", (Term("X"),)))
    question.rule("a_man", (), Term("man", (Term("socrates"),)))
    question.rule("claim_immortal", [Term("mortal", (Term("socrates"),))], None)
    try:
        prover = find_prover()
        if ask(question, prover=prover, seconds=60).broken != ("immortal",):
            raise ProverFailed(f"{prover} draws no conclusions")
    except ProverFailed as problem:
        print(f"script/prove: {problem}", file=sys.stderr)
        return 1
    print(prover)
    return 0


def _place(name: str) -> int:
    return int(name.rpartition("__")[2])


if __name__ == "__main__":
    sys.exit(main())
