"""Grows a tree over the links of each slot as they are stored, and gives out its roots and paths.

Changes no event: the tree is made of links alone (trus.receipts.merkle), its shape is that of RFC 9162,
section 2.1, and its size is the slot's last sequence. Roots over whole pieces of PIECE links are stored in
the commit that completes the piece, so that a path needs few rows; links of the last, unfinished piece are
carried from batch to batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, insert, select

from trus.ledger.prepared import Prepared
from trus.ledger.tables import event
from trus.ledger.tables_receipts import chain_node
from trus.receipts.merkle import Subtree, node, perfect_root, tree_root

#: The level of a piece: fewer rows cost longer reads for each path.
PIECE_LEVEL: Final = 8
PIECE: Final = 1 << PIECE_LEVEL
#: Links read at once when pieces are made up for.
_READ_PIECES: Final = 64

#: Stands for a link that is not in the journal any more.
GONE: Final = bytes(32)

_SLOT: Final[BindParameter[int]] = bindparam("slot")
_LAST_PIECE: Final = Prepared(
    select(chain_node.c.number)
    .where(chain_node.c.slot == _SLOT, chain_node.c.level == PIECE_LEVEL)
    .order_by(chain_node.c.number.desc())
    .limit(1)
)
_NODES: Final = Prepared(
    select(chain_node.c.level, chain_node.c.number, chain_node.c.hash).where(chain_node.c.slot == _SLOT)
)
_NODE: Final = Prepared(
    select(chain_node.c.hash).where(
        chain_node.c.slot == _SLOT,
        chain_node.c.level == bindparam("level"),
        chain_node.c.number == bindparam("number"),
    )
)
_LINKS: Final = Prepared(
    select(event.c.sequence, event.c.link).where(
        event.c.slot == _SLOT, event.c.sequence.between(bindparam("first"), bindparam("last"))
    )
)

#: A row of chain_node: (slot, level, number, hash).
NodeRow = tuple[int, int, int, bytes]


class Tail(msgspec.Struct, frozen=True):
    """Where a slot's tree grows: whole pieces so far, the roots of their largest perfect subtrees, links since."""

    pieces: int = 0
    peaks: tuple[bytes, ...] = ()
    links: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """The number of links, which is the last sequence."""
        return (self.pieces << PIECE_LEVEL) + len(self.links)

    def grow(self, slot: int, links: Sequence[bytes]) -> tuple[Tail, list[NodeRow]]:
        """Return the tail after more links, and the rows of the pieces that they complete."""
        waiting = (*self.links, *links)
        if len(waiting) < PIECE:
            return Tail(self.pieces, self.peaks, waiting), []
        pieces, peaks, rows, begin = self.pieces, list(self.peaks), [], 0
        while len(waiting) - begin >= PIECE:
            found = perfect_root(waiting[begin : begin + PIECE])
            level, number = PIECE_LEVEL, pieces
            rows.append((slot, level, number, found))
            while number & 1:
                found = node(peaks.pop(), found)
                level, number = level + 1, number >> 1
                rows.append((slot, level, number, found))
            peaks.append(found)
            pieces += 1
            begin += PIECE
        return Tail(pieces, tuple(peaks), waiting[begin:]), rows


def tail_of(connection: Connection, slot: int, size: int) -> Tail:
    """Return the tail of a slot with `size` events, and store the pieces that are missing.

    They are missing in a ledger of an earlier version. The caller commits.
    """
    last = _LAST_PIECE.value(connection, slot=slot)
    pieces = 0 if last is None else last + 1
    subtree = subtrees(connection, slot)
    tail = Tail(pieces, tuple(subtree(*place) for place in _peaks(pieces)))
    for begin in range(pieces << PIECE_LEVEL, size, PIECE * _READ_PIECES):
        links = _links(connection, slot, begin, min(size, begin + PIECE * _READ_PIECES))
        tail, rows = tail.grow(slot, links)
        for each in rows:
            connection.execute(insert(chain_node).values(each))
    return tail


def subtrees(connection: Connection, slot: int) -> Subtree:
    """Return what reads the hashes of a slot's perfect subtrees.

    A hash that is not stored is computed. A link that is gone counts as GONE, so that its place is not
    another's: no head was signed over that.
    """
    pieces: dict[int, list[bytes]] = {}

    def subtree(level: int, number: int) -> bytes:
        if level >= PIECE_LEVEL:
            stored = _stored(connection, slot, level, number)
            if stored is not None:
                return stored
            if level > PIECE_LEVEL:
                return node(subtree(level - 1, 2 * number), subtree(level - 1, 2 * number + 1))
        first = number << level
        piece = first >> PIECE_LEVEL
        if piece not in pieces:
            pieces[piece] = _links(connection, slot, piece << PIECE_LEVEL, (piece + 1) << PIECE_LEVEL)
        inside = first - (piece << PIECE_LEVEL)
        return perfect_root(pieces[piece][inside : inside + (1 << level)])

    return subtree


def stored_nodes(connection: Connection, slot: int) -> dict[tuple[int, int], bytes]:
    """Return the hashes that are kept of a slot, by (level, number), in order."""
    return {(level, number): kept for level, number, kept in _NODES.rows(connection, slot=slot)}


def root_of_slot(connection: Connection, slot: int, size: int) -> bytes:
    """Return the root over the first `size` links of a slot."""
    return tree_root(size, subtrees(connection, slot))


def _peaks(pieces: int) -> list[tuple[int, int]]:
    """Return (level, number) of the largest perfect subtrees of so many pieces, the first one first."""
    found, done = [], 0
    for bit in range(pieces.bit_length() - 1, -1, -1):
        if pieces >> bit & 1:
            found.append((PIECE_LEVEL + bit, done >> bit))
            done += 1 << bit
    return found


def _stored(connection: Connection, slot: int, level: int, number: int) -> bytes | None:
    found: bytes | None = _NODE.value(connection, slot=slot, level=level, number=number)
    return found


def _links(connection: Connection, slot: int, begin: int, end: int) -> list[bytes]:
    """Return the links of a slot after `begin` events up to `end`, in order."""
    rows = _LINKS.rows(connection, slot=slot, first=begin + 1, last=end)
    # Whoever altered a row may have put anything in the place of a link: that counts as gone, too.
    found = {row[0]: row[1] for row in rows if isinstance(row[1], bytes)}
    return [found.get(sequence, GONE) for sequence in range(begin + 1, end + 1)]
