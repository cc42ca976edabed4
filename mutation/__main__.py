"""Tries mutants and says which no test noticed: `python -m mutation`, or script/mutate.

Returns 1 when the score of a subject is below the mark, 2 when its tests fail on the unchanged files.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import attrs

from mutation.kept import Kept
from mutation.mutants import Mutant, drawn
from mutation.page import record, tables
from mutation.reach import TestsFail, learn
from mutation.running import load_libraries
from mutation.subjects import SUBJECTS, Subject
from mutation.trials import Task, Verdict, try_all
from mutation.verdicts import Tally, judgements, tally

#: The least share of mutants, in percent, that tests must notice.
MARK: Final = 80.0
#: A line about the progress after so many mutants.
_TOLD_EVERY: Final = 200


def main() -> int:
    """Try what was asked for."""
    options = _options()
    load_libraries()
    tallies = []
    for subject in SUBJECTS:
        if options.only in (None, subject.name):
            found = _try(subject, options)
            if found is None:
                return 2
            tallies.append(found)
    text = tables(datetime.now(UTC).date().isoformat(), tallies, judgements())
    if options.record:
        record(text)
    print(text)
    return 0 if all(each.score >= MARK for each in tallies) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=[each.name for each in SUBJECTS], help="one subject")
    parser.add_argument("--sample", type=int, help="so many mutants of each subject; all of them unless told")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin no more trials of a subject after so long"
    )
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--file", help="only the mutants of this file")
    parser.add_argument("--afresh", action="store_true", help="forget the verdicts of earlier runs")
    parser.add_argument("--record", action="store_true", help="write the tables of docs/reference/mutation.md")
    return parser.parse_args()


def _try(subject: Subject, options: argparse.Namespace) -> Tally | None:
    """Try a subject's mutants; None when its tests fail as it is."""
    try:
        reach = learn(subject.files(), subject.tests)
    except TestsFail as error:
        print(f"{subject.name}: the tests fail on the unchanged files: {error}", file=sys.stderr)
        return None
    chosen = subject if options.file is None else attrs.evolve(subject, paths=(options.file,))
    mutants, changes = drawn(chosen, options.sample, options.seed)
    tasks = [Task(each, reach.of(each)) for each in mutants]
    # What an interrupted run has tried is then a fair sample of the whole.
    random.Random(options.seed).shuffle(tasks)  # noqa: S311 - a sample, no secret
    print(f"{subject.name}: {len(tasks)} mutants of {changes} changes", file=sys.stderr)
    kept = Kept()
    end = time.monotonic() + 60 * options.minutes
    verdicts: list[tuple[Mutant, Verdict]] = []

    def unknown() -> Iterator[Task]:
        for task in tasks:
            if time.monotonic() > end:
                return
            found = None if options.afresh else kept.find(task)
            if found is None:
                yield task
            else:
                verdicts.append((task.mutant, found.verdict))

    for task, outcome in try_all(unknown(), options.jobs):
        kept.keep(task, outcome)
        verdicts.append((task.mutant, outcome.verdict))
        if len(verdicts) % _TOLD_EVERY == 0:
            print(f"{subject.name}: {len(verdicts)} of {len(tasks)}", file=sys.stderr)
    return tally(subject.name, changes, len(tasks), verdicts)


if __name__ == "__main__":
    sys.exit(main())
