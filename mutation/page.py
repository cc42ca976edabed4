"""Writes what was found into docs/reference/mutation.md, between its marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mutation.subjects import ROOT
from mutation.verdicts import Tally

PAGE: Final = ROOT / "docs" / "reference" / "mutation.md"
BEGIN: Final = "<!-- found: begin -->"
END: Final = "<!-- found: end -->"


def tables(day: str, tallies: Sequence[Tally], judged: Mapping[str, str]) -> str:
    """Return the tables of a run, as Markdown; `day` is an ISO 8601 date."""
    lines = [
        f"Found on {day}.",
        "",
        "| subject | places | tried | noticed | endless | survived | score |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in tallies:
        lines.append(
            f"| {each.name} | {each.changes} | {each.tried} | {each.noticed} | {each.endless} "
            f"| {len(each.survivors)} | {each.score:.0f} % |"
        )
    lines += ["", "| survivor | before | after | judged |", "|---|---|---|---|"]
    for each in tallies:
        for mutant in each.survivors:
            why = judged.get(mutant.change, "a test is missing")
            lines.append(f"| `{mutant.path}` | {_code(mutant.before)} | {_code(mutant.after)} | {why} |")
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
