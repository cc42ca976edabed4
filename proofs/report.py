"""Writes what the prover was asked and answered, as lines on a screen and tables of a page.

Asks nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from proofs.cases import CLAIMS, RECORD_CLAIMS, Case
from proofs.spass import Answer

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "security" / "proof.md"
_SEALED: Final = "sees and makes every line"


class Row(NamedTuple):
    """A question, the claim that must break ("" for none, "possible" for a possibility), and the answer."""

    case: Case
    breaks: str
    answer: Answer

    @property
    def expected(self) -> bool:
        """Whether the answer is the one that is expected: no way, or a way to `breaks`."""
        if not self.breaks:
            return not self.answer.broken
        return any(name == self.breaks or name.startswith(f"{self.breaks}_") for name in self.answer.broken)

    @property
    def attacker(self) -> str:
        """Against whom."""
        return self.case.attacker if self.case.setting is not None or self.breaks == "stolen_keys" else _SEALED

    @property
    def verdict(self) -> str:
        """The answer in a word or two."""
        if self.breaks == "possible":
            return "possible" if self.answer.broken else "impossible"
        return f"broken: {', '.join(self.answer.broken)}" if self.answer.broken else "holds"

    def line(self) -> str:
        """Return what a screen shows of it."""
        shown = f"  {self.case.name:<58} {self.attacker:<42} {self.verdict:<10} {self.answer.seconds:6.1f} s"
        return shown if self.expected else f"{shown}   NOT AS EXPECTED"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def claims() -> list[str]:
    """Return the table of what is promised."""
    rows = [(f"`{claim.name}`", claim.sentence, ", ".join(claim.modes)) for claim in CLAIMS]
    return table(
        ("claim", "in words", "modes"), [*rows, *((f"`{each.name}`", each.sentence, "-") for each in RECORD_CLAIMS)]
    )


def answers(rows: Sequence[Row]) -> list[str]:
    """Return the table of what was asked and answered."""
    return table(
        ("question", "attacker", "answer", "seconds"),
        [(row.case.name, row.attacker, row.verdict, f"{row.answer.seconds:.1f}") for row in rows],
    )


def page(before: str, tables: Mapping[str, Sequence[Row]]) -> str:
    """Return the page with its tables renewed. Raises ValueError when one has no place there."""
    for name, lines in {"claims": claims(), **{name: answers(rows) for name, rows in tables.items()}}.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of generated: {name} -->"
        head, found, rest = before.partition(begin)
        _, ended, tail = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"the page has no place for the table {name}")
        before = "\n".join((head + begin, "", *lines, "", end + tail))
    return before


def record(tables: Mapping[str, Sequence[Row]]) -> None:
    """Renew the tables of docs/security/proof.md."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
