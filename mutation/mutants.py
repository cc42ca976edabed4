"""Finds every small change of a file that changes what it does, by the operators of Cosmic Ray.

Leaves out what cannot matter: annotations, which are never evaluated, texts that only a reader sees, and whether an
argument is passed by name or by place, which the type checker asks.
Two changes that give the same program are one mutant. Writes no file.
"""

from __future__ import annotations

import ast
import hashlib
import pickle
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from mutation.subjects import ROOT, Subject

#: What was found, by everything that it depends on.
KEPT: Final = ROOT / ".tools" / "mutants"
_LOCK: Final = ROOT / "requirements" / "mutation.txt"


@attrs.frozen
class Mutant:
    """One changed file: the change as a reader sees it, and the whole new text."""

    path: str
    line: int  #: the first line that differs, from 1
    before: str
    after: str
    source: str = attrs.field(repr=False)

    @property
    def module(self) -> str:
        """Its dotted name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def change(self) -> str:
        """What names it as long as the line stays as it is, whatever happens above it."""
        return f"{self.path}: {self.before} -> {self.after}"


class _Bare(ast.NodeTransformer):
    """Takes out what the program does not do: annotations, docstrings, and which arguments are passed by name alone."""

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.defaults = [*node.defaults, *filter(None, node.kw_defaults)]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(value=None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return ast.Pass() if isinstance(node.value, ast.Constant) else self.generic_visit(node)


def meaning(source: str) -> str:
    """Return what a program does, as a text that is equal for programs that do the same for certain."""
    return ast.dump(_Bare().visit(ast.parse(source)))


class Sieve:
    """Lets through what is a program of its own."""

    def __init__(self) -> None:
        self._known: dict[Path, set[str]] = {}

    def mutant(self, path: Path, original: str, source: str) -> Mutant | None:
        """Return the mutant, None when its program is the file's own, another mutant's, or none at all."""
        known = self._known.setdefault(path, {meaning(original)})
        try:
            told = meaning(source)
        except SyntaxError:
            return None
        if told in known:
            return None
        known.add(told)
        return _named(path, original, source)


def _named(path: Path, original: str, source: str) -> Mutant:
    old, new = original.splitlines(), source.splitlines()
    first = next((index for index, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(new))
    before = old[first].strip() if first < len(old) else ""
    after = new[first].strip() if first < len(new) else ""
    return Mutant(path.relative_to(ROOT).as_posix(), first + 1, before, after, source)


def drawn(subject: Subject, sample: int | None, seed: int) -> tuple[list[Mutant], int]:
    """Return mutants of a subject, as many as told (None: all), and how many changes its files have room for.

    Some of the changes are no mutants: they are within an annotation, or give the same program as another.
    """
    found: list[Mutant] = []
    changes = 0
    for path in subject.files():
        mutants, places = mutants_of(path)
        found += mutants
        changes += places
    random.Random(seed).shuffle(found)  # noqa: S311 - a sample, no secret
    return sorted(found[:sample], key=lambda each: (each.path, each.line, each.after)), changes


def mutants_of(path: Path, kept: Path = KEPT) -> tuple[list[Mutant], int]:
    """Return the mutants of a file and how many changes it has room for; found once as long as nothing changes."""
    original = path.read_text(encoding="utf-8")
    told = "\0".join(
        (
            path.relative_to(ROOT).as_posix(),
            original,
            Path(__file__).read_text(encoding="utf-8"),
            _LOCK.read_text("utf-8"),
        )
    )
    file = kept / f"{hashlib.sha256(told.encode()).hexdigest()}.pickle"
    if not file.exists():
        sieve = Sieve()
        sources = [_changed(original, operator, occurrence) for operator, occurrence in _changes(original)]
        found = [sieve.mutant(path, original, each) for each in sources if each is not None]
        kept.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(([each for each in found if each is not None], len(sources))))
    mutants, changes = pickle.loads(file.read_bytes())  # noqa: S301 - written by the lines above
    return mutants, changes


def _changes(source: str) -> Iterator[tuple[Any, int]]:
    """Yield the places of a text at which an operator of Cosmic Ray changes something."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = list(ast_nodes(get_ast(source)))
    for name in operator_names():
        operator = _made(get_operator(name))
        if operator is None:
            continue
        count = sum(1 for node in nodes for _ in operator.mutation_positions(node))
        yield from ((operator, occurrence) for occurrence in range(count))


def _changed(source: str, operator: Any, occurrence: int) -> str | None:
    from cosmic_ray.mutating import MutationVisitor

    changed: str | None = MutationVisitor.mutate_code(source, operator, occurrence)
    return changed


def _made(kind: Any) -> Any:
    """Return an operator, None for one that must be told what to replace."""
    required: Sequence[Any] = [each for each in kind.arguments() if getattr(each, "required", True)]
    return None if required else kind()
