"""The tree over links: roots, paths and consistency, at every size up to a few pieces."""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from trus.receipts.merkle import (
    consistency_path,
    inclusion_path,
    is_consistent,
    node,
    perfect_root,
    root_from_path,
    tree_root,
)

SIZES = 40
LEAVES = [hashlib.sha256(b"\0%d" % number).digest() for number in range(SIZES)]


def subtree(level: int, number: int) -> bytes:
    return perfect_root(LEAVES[number << level : (number + 1) << level])


def by_the_book(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word by word."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(by_the_book(leaves[:split]), by_the_book(leaves[split:]))


class MerkleCase(SynchronousTestCase):
    """Trees over links."""

    def test_roots(self) -> None:
        """Roots have the shape of RFC 9162 at every size; the root over nothing is the hash of nothing."""
        self.assertEqual(tree_root(0, subtree), hashlib.sha256(b"").digest())
        for size in range(1, SIZES):
            self.assertEqual(tree_root(size, subtree), by_the_book(LEAVES[:size]))

    def test_inclusion(self) -> None:
        """A path leads its own leaf to the root, and no other leaf, no other place, no other size, no part of it."""
        for size in range(1, SIZES):
            root = tree_root(size, subtree)
            for index in range(size):
                path = inclusion_path(index, size, subtree)
                self.assertEqual(root_from_path(LEAVES[index], index, size, path), root)
                other = LEAVES[(index + 1) % SIZES]
                self.assertNotEqual(root_from_path(other, index, size, path), root)
                self.assertNotEqual(root_from_path(LEAVES[index], index, size, [*path, other]), root)
                self.assertNotEqual(root_from_path(LEAVES[index], index + size, size, path), root)
                if path:
                    self.assertNotEqual(root_from_path(LEAVES[index], index, size, path[:-1]), root)
                    self.assertNotEqual(root_from_path(LEAVES[index], (index + 1) % size, size, path), root)

    def test_consistency(self) -> None:
        """An older tree is proved to be the beginning of a newer one; another older or newer tree is not."""
        for newer in range(1, SIZES):
            root = tree_root(newer, subtree)
            for older in range(1, newer + 1):
                old = tree_root(older, subtree)
                path = consistency_path(older, newer, subtree)
                self.assertTrue(is_consistent(older, old, newer, root, path), (older, newer))
                self.assertFalse(is_consistent(older, bytes(32), newer, root, path))
                self.assertFalse(is_consistent(older, old, newer, bytes(32), path))
                self.assertFalse(is_consistent(older, old, newer, root, [*path, bytes(32)]))
                if path:
                    self.assertFalse(is_consistent(older, old, newer, root, path[:-1]))
            self.assertTrue(is_consistent(0, bytes(32), newer, root, []))
            self.assertFalse(is_consistent(newer + 1, root, newer, root, []))
