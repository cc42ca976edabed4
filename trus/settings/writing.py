"""Writes Settings as the YAML that loads as the same Settings, with a comment on each.

Writes no file. A setting that has its default is written as a comment, so that an operator
sees what can be changed without the file fixing it. A section without a live line is one
that may be left out: every optional section without a default spells out a setting.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import yaml

from trus.settings.kinds import Kind
from trus.settings.model import Settings
from trus.settings.sections import Section

_WIDTH: Final = 100


def dump(settings: Settings, base: Path, heading: str = "") -> str:
    """Return `settings` as commented YAML for a file in the folder `base`.

    Paths below `base` are written relative to it. `heading` becomes the first comment.
    """
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    lines += _section_lines(settings, base)
    return "\n".join(lines) + "\n"


def _section_lines(value: Section, base: Path, indent: str = "", live: bool = False) -> Iterator[str]:
    """Yield a section's lines; `live` has defaults written without a comment mark."""
    for field in attrs.fields(type(value)):
        kind: Kind | None = field.metadata.get("kind")
        current = getattr(value, field.name)
        if kind is not None:
            yield from _setting_lines(field, kind, current, base, indent, live)
        else:
            yield from _subsection_lines(field, current, base, indent)


def _setting_lines(
    field: attrs.Attribute[Any], kind: Kind, value: Any, base: Path, indent: str, live: bool
) -> Iterator[str]:
    yield from _comment(field.metadata["doc"], indent)
    is_default = field.default is not attrs.NOTHING and field.default == value
    mark = "" if live or field.metadata["spell"] or not is_default else "# "
    written = kind.write(value, base)
    yield f"{indent}{mark}{field.name}:" + ("" if written is None else f" {scalar(written)}")


def _subsection_lines(field: attrs.Attribute[Any], value: Any, base: Path, indent: str) -> Iterator[str]:
    if value is None:
        return
    if not indent:
        yield ""
    yield from _comment(field.metadata["doc"], indent)
    if isinstance(value, tuple):
        yield f"{indent}{field.name}:"
        for item in value:
            lines = list(_section_lines(item, base, indent + "    "))
            first = _first_live(lines)
            lines[first] = f"{indent}  - {lines[first].lstrip()}"
            yield from lines
        return
    lines = list(_section_lines(value, base, indent + "  "))
    if _first_live(lines) < len(lines):
        yield f"{indent}{field.name}:"
        yield from lines
    else:
        # Defaults alone: written as a comment the section means the same, and can be uncommented.
        yield f"{indent}# {field.name}:"
        whole = _section_lines(value, base, indent + "  ", live=True)
        yield from (f"{indent}# {line.removeprefix(indent)}" for line in whole)


def _first_live(lines: list[str]) -> int:
    return next((n for n, line in enumerate(lines) if not line.lstrip().startswith("#")), len(lines))


def _comment(doc: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(doc, _WIDTH - len(indent)):
        yield f"{indent}# {line}"


def scalar(value: Any) -> str:
    """Return a plain value or list as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
