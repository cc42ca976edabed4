"""Writes what devices, backend and attacker do as clauses that a theorem prover reads.

Decides nothing and runs nothing. A clause says: who has all of this can have that. The form is
that of the TPTP library (`cnf`), which every first-order prover understands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Term(NamedTuple):
    """A variable (the name begins with a capital), a constant, or a function of terms."""

    name: str
    args: tuple[Term, ...] = ()

    def __str__(self) -> str:
        """Return the term as TPTP writes it."""
        return f"{self.name}({','.join(map(str, self.args))})" if self.args else self.name

    def replaced(self, values: Mapping[str, Term]) -> Term:
        """Return the term with variables replaced by `values`."""
        if not self.args:
            return values.get(self.name, self)
        return Term(self.name, tuple(arg.replaced(values) for arg in self.args))

    def variables(self) -> set[str]:
        """Return the names of its variables."""
        if not self.args:
            return {self.name} if self.name[0].isupper() else set()
        return set[str]().union(*(arg.variables() for arg in self.args))

    def functions(self) -> set[Symbol]:
        """Return its functions and constants."""
        own = set() if self.name[0].isupper() else {Symbol(self.name, len(self.args))}
        return own.union(*(arg.functions() for arg in self.args))


class Symbol(NamedTuple):
    """A function or predicate of fixed arity; calling it makes a term."""

    name: str
    arity: int

    def __call__(self, *args: Term) -> Term:
        """Return the term. Raises TypeError for a wrong number of arguments."""
        if len(args) != self.arity:
            raise TypeError(f"{self.name} takes {self.arity} terms, not {len(args)}")
        return Term(self.name, args)

    def of_variables(self, prefix: str = "X") -> Term:
        """Return the most general term; its variables are `prefix` and a number."""
        return self(*(Term(f"{prefix}{number}") for number in range(self.arity)))


class Clause(NamedTuple):
    """From all of `body` follows `head`; without a head: all of `body` together must not be."""

    name: str
    body: tuple[Term, ...]
    head: Term | None

    def __str__(self) -> str:
        """Return the clause in TPTP's cnf form."""
        literals = [f"~{atom}" for atom in self.body]
        if self.head is not None:
            literals.append(str(self.head))
        role = "negated_conjecture" if self.head is None else "axiom"
        return f"cnf({self.name}, {role}, {' | '.join(literals)})."


def variables(names: str) -> tuple[Term, ...]:
    """Return variables for names separated by spaces."""
    return tuple(Term(name) for name in names.split())


class Theory:
    """Clauses in order, each under a name of its own."""

    def __init__(self) -> None:
        """Begin empty."""
        self.clauses: list[Clause] = []

    def rule(self, name: str, body: Iterable[Term], head: Term | None) -> None:
        """Add a clause; `name` says in words what it stands for."""
        self.clauses.append(Clause(f"{name}__{len(self.clauses) + 1}", tuple(dict.fromkeys(body)), head))

    def functions(self) -> tuple[Symbol, ...]:
        """Return every function and constant of its terms, in the order of the alphabet."""
        found: set[Symbol] = set()
        for clause in self.clauses:
            for atom in (*clause.body, *(() if clause.head is None else (clause.head,))):
                for arg in atom.args:
                    found |= arg.functions()
        return tuple(sorted(found))

    def problem(self) -> str:
        """Return all of it as a TPTP problem."""
        return "".join(f"{clause}\n" for clause in self.clauses)
