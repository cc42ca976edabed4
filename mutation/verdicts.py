"""Judges mutants that no test noticed: mutation/judged.json says of each why that is right.

A judgement is about a change of a line, wherever the line stands; when the line changes it falls away.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from mutation.mutants import Mutant
from mutation.trials import Verdict

#: Of the normal distribution, for one side of 95 %.
_Z: Final = 1.645
JUDGED: Final = Path(__file__).with_name("judged.json")


@attrs.frozen
class Tally:
    """What became of the mutants of one subject."""

    name: str
    changes: int  #: places that can be changed
    mutants: int  #: how many programs these make
    tried: int
    noticed: int
    endless: int
    survivors: Sequence[Mutant]  #: in the order of the files
    unreached: int = 0  #: those survivors whose statement no test runs

    @property
    def score(self) -> float:
        """The share that was noticed, in percent; whatever survived counts, judged or not."""
        return 100.0 * (self.noticed + self.endless) / self.tried if self.tried else 0.0

    @property
    def least(self) -> float:
        """The least share of all mutants that these show, in percent, with 95 % confidence (Wilson's interval)."""
        if self.tried == self.mutants or not self.tried:
            return self.score
        count, share = self.tried, self.score / 100
        middle = share + _Z * _Z / (2 * count)
        wide = _Z * math.sqrt(share * (1 - share) / count + _Z * _Z / (4 * count * count))
        return 100.0 * (middle - wide) / (1 + _Z * _Z / count)


def tally(name: str, changes: int, mutants: int, verdicts: Sequence[tuple[Mutant, Verdict]]) -> Tally:
    """Count verdicts, of some mutants of a subject or of all."""
    counts = Counter(verdict for _, verdict in verdicts)
    survivors = [mutant for mutant, verdict in verdicts if verdict in (Verdict.SURVIVED, Verdict.UNREACHED)]
    survivors.sort(key=lambda each: (each.path, each.line, each.after))
    return Tally(
        name,
        changes,
        mutants,
        len(verdicts),
        counts[Verdict.NOTICED],
        counts[Verdict.ENDLESS],
        survivors,
        counts[Verdict.UNREACHED],
    )


def judgements(file: Path = JUDGED) -> Mapping[str, str]:
    """Return why it is right that no test notices a change, by the change."""
    read: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return read
