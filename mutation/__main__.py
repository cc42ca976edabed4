"""Tries mutants and says which no test noticed: `python -m mutation`, or script/mutate.

Returns 1 when the score of a subject is below the mark, 2 when its tests fail on the unchanged files.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from typing import Final

from mutation.mutants import Mutant, drawn
from mutation.page import record, tables
from mutation.subjects import ROOT, SUBJECTS, Subject
from mutation.trials import Verdict, load_libraries, try_all
from mutation.verdicts import Tally, judgements, tally

#: The least share of mutants, in percent, that tests must notice.
MARK: Final = 80.0
#: A mutant gets so many times what the unchanged tests take, and at least so many seconds.
_PATIENCE: Final = 4.0
_LEAST_SECONDS: Final = 20.0


def main() -> int:
    """Try what was asked for."""
    options = _options()
    load_libraries()
    tallies = []
    for subject in SUBJECTS:
        if options.only in (None, subject.name):
            found = _try(subject, options.sample, options.seed, options.jobs)
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
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--record", action="store_true", help="write the tables of docs/reference/mutation.md")
    return parser.parse_args()


def _try(subject: Subject, sample: int | None, seed: int, jobs: int) -> Tally | None:
    """Try a subject's mutants; None when its tests fail as it is."""
    path = subject.files()[0]
    unchanged = Mutant(path.relative_to(ROOT).as_posix(), 1, "", "", path.read_text(encoding="utf-8"))
    began = time.monotonic()
    [(_, verdict)] = try_all([unchanged], subject.tests, 3600.0, 1)
    if verdict is not Verdict.SURVIVED:
        print(f"{subject.name}: the tests fail on the unchanged files", file=sys.stderr)
        return None
    seconds = max(_LEAST_SECONDS, _PATIENCE * jobs * (time.monotonic() - began))
    mutants, changes = drawn(subject, sample, seed)
    print(f"{subject.name}: {len(mutants)} mutants, drawn among {changes} changes", file=sys.stderr)
    verdicts = []
    for mutant, verdict in try_all(mutants, subject.tests, seconds, jobs):
        verdicts.append((mutant, verdict))
        if verdict is Verdict.SURVIVED:
            print(f"  {mutant.path}:{mutant.line}: {mutant.before}  ->  {mutant.after}", file=sys.stderr)
    return tally(subject.name, changes, verdicts)


if __name__ == "__main__":
    sys.exit(main())
