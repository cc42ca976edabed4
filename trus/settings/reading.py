"""Reads YAML text into plain values, and remembers on which line each stands.

Interprets no setting. A key that stands twice is a problem here, since plain YAML would
quietly keep the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import yaml

from trus.settings.problems import Problem, join_path, show

#: A configuration is a page or two; more is a wrong file.
MAX_FILE_BYTES: Final = 1 << 20

#: A configuration has hundreds of values. Aliases of aliases can name billions in half a page.
MAX_VALUES: Final = 10_000

#: What a setting may be; dates, binary data and everything else that YAML knows may not.
_PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))

Path = tuple[str | int, ...]


@attrs.frozen
class Document:
    """What a file says: plain values, the line of each, and what is wrong already."""

    value: Any
    lines: Mapping[Path, int]
    problems: tuple[Problem, ...]

    def line_of(self, path: Path) -> int:
        """Return the line of the value at `path`, or of what it would stand in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


class _TooManyValues(Exception):
    """The text names more values than a configuration can have."""


class _Reader:
    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._open: list[yaml.Node] = []
        self._values = 0
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _TooManyValues
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if any(node is outer for outer in self._open):
            self.problems.append(Problem(join_path(path), "an alias of what it stands in", "a value", line))
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._read_mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._read_scalar(node, path)
        finally:
            self._open.pop()

    def _read_scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            if node.tag in _PLAIN_TAGS:
                return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            pass
        line = node.start_mark.line + 1
        self.problems.append(
            Problem(join_path(path), "a value of another kind", "a word, a number, true or false", line)
        )
        return None

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str) or key_node.tag != "tag:yaml.org,2002:str":
                self.problems.append(
                    Problem(join_path(path), "a key that is not a word", "the name of a setting", line)
                )
                continue
            here = (*path, key)
            if key in found:
                first = self.lines[here]
                self.problems.append(
                    Problem(join_path(here), "the same key again", f"it once (it stands on line {first})", line)
                )
                continue
            self.lines[here] = line
            found[key] = self.read(value_node, here)
        return found


def read_document(text: str) -> Document:
    """Return what the YAML `text` says; malformed text is a problem, never an exception."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError:
        return Document(None, {}, (Problem("", "characters that YAML forbids", "a YAML mapping of sections"),))
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else 0
        found = f"malformed YAML ({error.problem})"
        return Document(None, {}, (Problem("", found, "a YAML mapping of sections", line),))
    except RecursionError:
        return Document(None, {}, (Problem("", "values inside values without end", "a YAML mapping of sections"),))
    finally:
        loader.dispose()
    if node is None:
        return Document(None, {}, (Problem("", "an empty file", "a YAML mapping of sections"),))
    reader = _Reader(loader)
    try:
        value = reader.read(node, ())
    except _TooManyValues:
        return Document(None, {}, (Problem("", f"more than {MAX_VALUES} values", "a YAML mapping of sections"),))
    if not isinstance(value, dict) and not reader.problems:
        reader.problems.append(Problem("", show(value), "a YAML mapping of sections", 1))
    return Document(value, reader.lines, tuple(reader.problems))
