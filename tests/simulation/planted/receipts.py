"""Bugs that only whoever holds a receipt notices: the ledger and its audit agree with themselves."""

from __future__ import annotations

from sqlalchemy import Connection

from tests.simulation.planted import Bug, Replace, caught
from trus.ledger import heads, tree


def _drops_from_the_tree(replace: Replace) -> None:
    """Every third answer is left out of the tree that the heads sign; signer and audit read the same tree."""
    links = tree._links

    def without(connection: Connection, slot: int, begin: int, end: int) -> list[bytes]:
        found = links(connection, slot, begin, end)
        return [tree.GONE if place % 3 == 0 else link for place, link in enumerate(found, begin + 1)]

    replace(tree, "_links", without)


def _forgets_a_slot(replace: Replace) -> None:
    """A head is signed over no slot at all: it is a head, it is signed, and it covers nothing."""
    replace(heads, "all_slot_heads", lambda connection: [])


BUGS = (
    Bug("drops answers from the tree", caught("RECEIPT"), _drops_from_the_tree, within=5),
    Bug("signs a head that forgets a slot", caught("RECEIPT"), _forgets_a_slot, within=5),
)
