"""The tree over the links of a slot, as it grows batch by batch and is read back."""

from __future__ import annotations

import hashlib

from sqlalchemy import delete, select, update
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import Books
from trus.ledger.audit_chain import TreeCheck, walk_chains
from trus.ledger.chain import genesis
from trus.ledger.findings import Findings
from trus.ledger.tables import event
from trus.ledger.tables_receipts import chain_node
from trus.ledger.tree import PIECE, Tail, root_of_slot, stored_nodes, subtrees, tail_of
from trus.receipts.merkle import consistency_path, inclusion_path, is_consistent, node, root_from_path

LINKS = [hashlib.sha256(b"%d" % number).digest() for number in range(5 * PIECE + 3)]


def by_the_book(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(by_the_book(leaves[:split]), by_the_book(leaves[split:]))


class TailCase(SynchronousTestCase):
    """Growing."""

    def test_batches_do_not_matter(self) -> None:
        """However the links were batched, the same pieces are stored, each once."""
        whole, rows = Tail().grow(1, LINKS)
        for size in (1, 7, 255, 256, 257, 600):
            tail, grown = Tail(), []
            for begin in range(0, len(LINKS), size):
                tail, more = tail.grow(1, LINKS[begin : begin + size])
                grown += more
            self.assertEqual((tail, grown), (whole, rows))
        self.assertEqual(whole.size, len(LINKS))
        self.assertEqual([row[1:3] for row in rows], [(8, 0), (8, 1), (9, 0), (8, 2), (8, 3), (9, 1), (10, 0), (8, 4)])


class TreeCase(SynchronousTestCase):
    """A tree in a database."""

    def setUp(self) -> None:
        self.books = Books(self)
        for _ in range(3):
            self.books.pay()
        with self.books.ledger.order(self.books.clock.now()) as unit:
            [row] = unit.connection.execute(select(event).order_by(event.c.sequence.desc()).limit(1))
            first = row.sequence
            self.size = 2 * PIECE + 5
            rows = [
                {**row._asdict(), "id": row.id + more, "sequence": first + more, "stan": 500_000 + more,
                 "link": LINKS[more]}
                for more in range(1, self.size - first + 1)
            ]  # fmt: skip
            for each in rows:
                unit.connection.execute(event.insert().values(each))
        self.books.reopen()

    def links(self) -> list[bytes]:
        with self.books.ledger.reading() as connection:
            return list(connection.execute(select(event.c.link).order_by(event.c.sequence)).scalars())

    def test_made_up_for(self) -> None:
        """Pieces that no earlier version stored are stored at the next start, and the writer goes on from there."""
        links = self.links()
        self.assertEqual(len(links), self.size)
        with self.books.ledger.reading() as connection:
            self.assertEqual(list(stored_nodes(connection, 1)), [(8, 0), (8, 1), (9, 0)])
            self.assertEqual(tail_of(connection, 1, self.size), Tail().grow(1, links)[0])
        self.books.pay()
        with self.books.ledger.reading() as connection:
            self.assertEqual(root_of_slot(connection, 1, self.size), by_the_book(links))
            self.assertEqual(root_of_slot(connection, 1, self.size + 1), by_the_book(self.links()))

    def test_paths(self) -> None:
        """Every place has its path to the root, and every size is the beginning of the next."""
        links = self.links()
        root = by_the_book(links)
        with self.books.ledger.reading() as connection:
            read = subtrees(connection, 1)
            for index in (0, 1, 255, 256, 511, 512, self.size - 1):
                path = inclusion_path(index, self.size, read)
                self.assertEqual(root_from_path(links[index], index, self.size, path), root)
            for older in (1, 255, 256, 300, 512, 513, self.size):
                path = consistency_path(older, self.size, read)
                self.assertTrue(is_consistent(older, by_the_book(links[:older]), self.size, root, path))

    def test_pieces_are_not_needed(self) -> None:
        """A hash that was taken out of the database is computed again."""
        with self.books.ledger.order(self.books.clock.now()) as unit:
            unit.connection.execute(delete(chain_node).where(chain_node.c.level > 8))
        with self.books.ledger.reading() as connection:
            self.assertEqual(root_of_slot(connection, 1, self.size), by_the_book(self.links()))
        with self.books.ledger.order(self.books.clock.now()) as unit:
            unit.connection.execute(delete(chain_node))
        with self.books.ledger.reading() as connection:
            self.assertEqual(root_of_slot(connection, 1, self.size), by_the_book(self.links()))

    def test_a_link_that_is_gone(self) -> None:
        """A row that was taken out leaves its place empty: what comes after keeps its own."""
        links = self.links()
        with self.books.ledger.order(self.books.clock.now()) as unit:
            unit.connection.execute(delete(event).where(event.c.sequence == self.size - 1))
        self.books.reopen()
        self.books.pay()
        with self.books.ledger.reading() as connection:
            root = root_of_slot(connection, 1, self.size)
        self.assertEqual(root, by_the_book([*links[:-2], bytes(32), links[-1]]))

    def test_audit(self) -> None:
        """The audit finds a piece whose hash is not that of its links, and one over links that are not there."""
        with self.books.ledger.order(self.books.clock.now()) as unit:
            unit.connection.execute(update(chain_node).where(chain_node.c.level == 9).values(hash=bytes(32)))
            unit.connection.execute(chain_node.insert().values(slot=1, level=8, number=7, hash=bytes(32)))
        findings = Findings()
        with self.books.ledger.reading() as connection:
            check = TreeCheck(connection, 1, findings)
            check.take(self.links())
            check.end()
        found = [each.row for each in findings.listed]
        self.assertEqual(found, ["slot 1 sequence 1 to 512", "slot 1 sequence 1793 to 2048"])

    def test_audit_of_a_journal_of_any_length(self) -> None:
        """The walk of the audit weighs the last, unfinished piece too: hashes that are right are no finding."""

        def wrong() -> int:
            findings = Findings()
            with self.books.ledger.reading() as connection:
                walk_chains(connection, findings)
            return sum(findings.counts.values())

        with_hashes = wrong()
        with self.books.ledger.order(self.books.clock.now()) as unit:
            unit.connection.execute(delete(chain_node))
        self.assertEqual(with_hashes, wrong())

    def test_empty(self) -> None:
        """A slot without events has no tree: its writer begins with nothing."""
        self.assertEqual(Tail().size, 0)
        self.assertEqual(genesis("0", 1).sequence, 0)
