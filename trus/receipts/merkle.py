"""Computes and checks the tree over the links of a slot: roots, inclusion, consistency.

Reads no storage: hashes of subtrees come from a function. The shapes and the checks are those of RFC 9162,
section 2.1; a link is a leaf's hash already (trus.receipts.links), and a node's begins with the byte 1.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

NODE: Final = b"\x01"
_sha256: Final = hashlib.sha256

#: Returns the hash of the perfect subtree over leaves number << level up to (number + 1) << level.
Subtree = Callable[[int, int], bytes]


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash over two subtrees."""
    return _sha256(NODE + left + right).digest()


def merkle_root(entries: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of a list of data entries (RFC 9162, section 2.1.1)."""
    leaves = [_sha256(b"\x00" + each).digest() for each in entries]
    return tree_root(len(leaves), lambda level, number: perfect_root(leaves[number << level : (number + 1) << level]))


def perfect_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of leaf hashes."""
    level = list(leaves)
    while len(level) > 1:
        pairs = iter(level)
        level = [_sha256(NODE + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return level[0]


def tree_root(size: int, subtree: Subtree) -> bytes:
    """Return the root over the first `size` leaves; SHA-256 of nothing for none."""
    return _range(0, size, subtree) if size else _sha256(b"").digest()


def inclusion_path(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return the path from leaf `index` (from 0) to the root over `size` leaves, the leaf's neighbour first."""
    path = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _below(high - low)
        if index < middle:
            path.append(_range(middle, high, subtree))
            high = middle
        else:
            path.append(_range(low, middle, subtree))
            low = middle
    return path[::-1]


def consistency_path(older: int, newer: int, subtree: Subtree) -> list[bytes]:
    """Return the proof that the tree over `older` leaves is the beginning of that over `newer` (0 < older <= newer)."""
    path = []
    low, high = 0, newer
    while older != high:
        middle = low + _below(high - low)
        if older <= middle:
            path.append(_range(middle, high, subtree))
            high = middle
        else:
            path.append(_range(low, middle, subtree))
            low = middle
    if low:
        path.append(_range(low, high, subtree))
    return path[::-1]


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to, None when it cannot be one of that index and size.

    RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    first, last, found = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return None
        if first & 1 or first == last:
            found = node(beside, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node(found, beside)
        first, last = first >> 1, last >> 1
    return found if last == 0 else None


def is_consistent(older: int, root: bytes, newer: int, newer_root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether `path` proves that the older tree is the beginning of the newer one.

    RFC 9162, section 2.1.4.2. Every tree begins with the empty one.
    """
    if older == 0:
        return not path
    if older == newer:
        return not path and hmac.compare_digest(root, newer_root)
    if not 0 < older < newer or not path:
        return False
    steps = [root, *path] if older & (older - 1) == 0 else list(path)
    first, last = older - 1, newer - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old = new = steps[0]
    for beside in steps[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            old, new = node(beside, old), node(beside, new)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new = node(new, beside)
        first, last = first >> 1, last >> 1
    return last == 0 and hmac.compare_digest(old, root) and hmac.compare_digest(new, newer_root)


def _below(size: int) -> int:
    """Return the largest power of two below a size above 1."""
    return 1 << ((size - 1).bit_length() - 1)


def _range(low: int, high: int, subtree: Subtree) -> bytes:
    """Return the hash over leaves `low` up to `high`, where `low` is a multiple of what the tree splits by."""
    size = high - low
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return subtree(level, low >> level)
    middle = low + _below(size)
    return node(_range(low, middle, subtree), _range(middle, high, subtree))
