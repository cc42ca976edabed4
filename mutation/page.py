"""Writes what was found into docs/reference/mutation.md, between its marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mutation.subjects import ROOT
from mutation.verdicts import Tally

PAGE: Final = ROOT / "docs" / "reference" / "mutation.md"
BEGIN: Final = "<!-- found: begin -->"
#: What is said of a survivor that nobody has judged.
MISSING: Final = "a test is missing"
END: Final = "<!-- found: end -->"


def tables(day: str, tallies: Sequence[Tally], judged: Mapping[str, str]) -> str:
    """Return the tables of a run, as Markdown; `day` is an ISO 8601 date."""
    lines = [
        f"Found on {day}.",
        "",
        "| subject | places | mutants | tried | noticed | endless | survived | not reached | score | at least |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in tallies:
        lines.append(
            f"| {each.name} | {each.changes} | {each.mutants} | {each.tried} | {each.noticed} | {each.endless} "
            f"| {len(each.survivors)} | {each.unreached} | {each.score:.0f} % | {each.least:.0f} % |"
        )
    survivors = [mutant for each in tallies for mutant in each.survivors]
    for path in sorted({mutant.path for mutant in survivors}):
        lines += ["", f"### {path}", "", "| before | after | judged |", "|---|---|---|"]
        for mutant in survivors:
            if mutant.path == path:
                why = judged.get(mutant.change, MISSING)
                lines.append(f"| {_code(mutant.before)} | {_code(mutant.after)} | {why} |")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    escaped = text.replace("|", "\\|").replace("`", "'")
    return f"`{escaped}`" if escaped else "(the end)"


def record(text: str, page: Path = PAGE) -> None:
    """Put the tables between the marks of the page."""
    old = page.read_text(encoding="utf-8")
    head, _, rest = old.partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", encoding="utf-8")
