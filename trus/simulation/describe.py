"""Writes the tables of docs/reference/simulation.md that the code knows better than any author.

Adds nothing; a test compares the page with what this writes. Run `python -m trus.simulation.describe FILE` after
changing a kind of fault, of order, of crime, or an invariant.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from trus.simulation.faults import FAULTS, MEDDLING
from trus.simulation.orders import KINDS
from trus.simulation.sweep import INVARIANTS
from trus.simulation.thieves import CRIMES

_BLOCK: Final = re.compile(r"(<!-- generated: ([a-z]+) -->\n).*?(<!-- end of generated: \2 -->)", re.DOTALL)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def faults_table() -> str:
    """Return the table of the kinds of fault, in Markdown."""
    rows = ((f"`{each.name}`", each.where, str(each.weight), each.what) for each in FAULTS)
    return _table(("fault", "where", "weight", "what happens"), rows)


def orders_table() -> str:
    """Return the table of what cashiers order, in Markdown."""
    whole = sum(weight for weight, _ in KINDS)
    rows = (((kind.__doc__ or "").splitlines()[0], f"{100 * weight / whole:.0f} %") for weight, kind in KINDS)
    return _table(("order", "share"), rows)


def crimes_table() -> str:
    """Return the list of what a criminal's terminal does, in Markdown."""
    whole = sum(weight for weight, _ in CRIMES)
    return _table(("crime", "share"), ((name, f"{100 * weight / whole:.0f} %") for weight, (name, _) in CRIMES))


def invariants_table() -> str:
    """Return the table of the invariants, in Markdown."""
    return _table(("invariant", "what must hold"), INVARIANTS.items())


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "faults": faults_table,
    "meddling": lambda: ", ".join(MEDDLING) + ".",
    "orders": orders_table,
    "crimes": crimes_table,
    "invariants": invariants_table,
}


def fill(page: str) -> str:
    """Return the page with each generated part renewed. Raises KeyError for a part that nobody writes."""
    return _BLOCK.sub(lambda block: f"{block[1]}{PARTS[block[2]]()}\n{block[3]}", page)


def main() -> None:
    """Renew the pages named on the command line."""
    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
