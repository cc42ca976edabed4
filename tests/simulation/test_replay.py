"""A seed is a whole run: the same seed does the same, byte for byte, wherever and whenever it runs."""

from __future__ import annotations

from twisted.trial import unittest

from tests.simulation.acting import python


def digests(hash_seed: str, kind: str, steps: int, *seeds: int) -> dict[int, str]:
    """Return the digest of each seed's trace, from a fresh process."""
    said = python("-m", "tests.simulation.digests", kind, str(steps), *map(str, seeds), PYTHONHASHSEED=hash_seed).stdout
    return {int(line.split()[0]): line.split(None, 1)[1] for line in said.splitlines()}


class Replaying(unittest.SynchronousTestCase):
    def test_full(self) -> None:
        """TR-11: a seed's trace is the same in two processes that hash differently, and with other seeds before it."""
        alone = digests("1", "full", 1200, 11)
        after = digests("4242", "full", 1200, 3, 11)
        self.assertEqual(after[11], alone[11])
        self.assertNotEqual(after[3], alone[11])

    def test_quick(self) -> None:
        """The quick runs that are many replay as well."""
        forth = digests("7", "quick", 200, *range(1, 13))
        back = digests("random", "quick", 200, *range(12, 0, -1))
        self.assertEqual(forth, back)
        self.assertEqual(len(set(forth.values())), 12)
