"""Finds and parses the project's own source files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).resolve().parents[2]
_FOLDERS: Final = ("trus", "twisted", "proofs", "mutation", "tests", "script", "docs")


def _parts(node: ast.expr) -> list[str]:
    """Return a dotted name's parts; the first is empty when it hangs on anything but a name."""
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.append(node.attr)
        node = node.value
    return [node.id if isinstance(node, ast.Name) else "", *reversed(rest)]


@attrs.frozen
class Source:
    """One Python file: its path relative to the checkout, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self.text.count("\n")

    def imports(self) -> Iterator[str]:
        """Yield the dotted name of every module and every name imported from a module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (each.name for each in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module
                yield from (f"{node.module}.{each.name}" for each in node.names)

    def dotted_names(self) -> Iterator[tuple[int, str]]:
        """Yield (line, name) of every attribute access, with imported names spelt out in full."""
        aliases: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                aliases.update({each.asname or each.name: each.name for each in node.names})
            elif isinstance(node, ast.ImportFrom) and node.module:
                aliases.update({each.asname or each.name: f"{node.module}.{each.name}" for each in node.names})
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute | ast.Name):
                head, *rest = _parts(node)
                if head in aliases:
                    yield node.lineno, ".".join((aliases[head], *rest))


@cache
def _below(folder: str) -> tuple[Source, ...]:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Source(path.relative_to(ROOT).as_posix(), text, ast.parse(text)))
    return tuple(found)


def sources(*folders: str) -> list[Source]:
    """Return the project's Python files below these folders (all of its own unless told)."""
    return [each for folder in folders or _FOLDERS for each in _below(folder)]
