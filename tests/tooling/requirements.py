"""Writes docs/requirements.md: the register of requirements with the tests that prove each line.

Judges nothing: a requirement is named by the docstring of a test, and by nothing else.

    .venv/bin/python -m tests.tooling.requirements
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final

from tests.tooling.register import PARTS, Requirement, State
from tests.tooling.sources import ROOT, Source, sources

PAGE: Final = ROOT / "docs" / "requirements.md"
_ID: Final = re.compile(r"\b(?:DC|TR|UP|CK|TD)-[0-9]+\b")
_CELL: Final = re.compile(r"`(tests/[a-z0-9_/]+\.py)`")

_HEAD: Final = """\
# Requirements, and what proves them

What trus has to do, line by line: where it lives, and the tests whose docstrings name it. A line is *done*
when it works on the real stack (two-way TLS, PKCS#11 token, ciphered database), a *first cut* when part of it
does, and the last column says what is missing. `tests/tooling/test_requirements.py` refuses a line that claims
more than its tests, and a test that names a line which does not exist.

This page is written by `python -m tests.tooling.requirements` from `tests/tooling/register.py`.
"""


def named(source: Source) -> Iterator[str]:
    """Yield the ids that a test file's docstrings name: of test functions and of classes with tests."""
    for node in ast.walk(source.tree):
        is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if is_test or isinstance(node, ast.ClassDef):
            yield from _ID.findall(ast.get_docstring(node) or "")  # type: ignore[arg-type]


def proofs(files: Iterable[Source] | None = None) -> dict[str, list[str]]:
    """Return the test files that name each id, sorted."""
    found: dict[str, set[str]] = {}
    for source in sources("tests") if files is None else files:
        for ident in named(source):
            found.setdefault(ident, set()).add(source.path)
    return {ident: sorted(paths) for ident, paths in found.items()}


def row(requirement: Requirement, tests: Iterable[str]) -> str:
    """Return a line of the table."""
    where = ", ".join(f"`{place}`" for place in requirement.where)
    listed = ", ".join(f"`{path}`" for path in tests)
    return (
        f"| {requirement.id} | {requirement.wording} | {where} | {listed} | {requirement.state} | {requirement.open} |"
    )


def page() -> str:
    """Return the whole page as it should be now."""
    proven = proofs()
    parts = [_HEAD]
    for title, requirements in PARTS:
        counts = {state: sum(each.state is state for each in requirements) for state in State}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        parts.append(f"## {title}\n\n{said}.\n")
        lines = ["| id | what | where | tests | state | missing |", "|---|---|---|---|---|---|"]
        lines += [row(each, proven.get(each.id, ())) for each in requirements]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def rows_of(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return each id's line of a page without its tests, and the tests apart."""
    found = {}
    for line in text.splitlines():
        cells = line.split(" | ")
        if _ID.fullmatch(cells[0].lstrip("| ")) and len(cells) == 6:
            found[cells[0].lstrip("| ")] = (" | ".join(cells[:3] + cells[4:]), _CELL.findall(cells[3]))
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
