"""A seed is a whole run: the same seed does the same, byte for byte, wherever and whenever it runs."""

from __future__ import annotations

from twisted.trial import unittest

from tests.simulation.acting import python


def digests(hash_seed: str, *wanted: str) -> dict[str, str]:
    """Return the digest of each run's trace, from a fresh process."""
    said = python("-m", "tests.simulation.digests", *wanted, PYTHONHASHSEED=hash_seed).stdout
    return {line.split()[0]: line.split(None, 1)[1] for line in said.splitlines()}


class Replaying(unittest.SynchronousTestCase):
    def test_two_processes(self) -> None:
        """TR-11: traces are the same in two processes that hash differently, and with other runs before them."""
        quick = [f"quick:200:{seed}" for seed in range(1, 13)]
        forth = digests("1", "full:1200:11", *quick)
        back = digests("random", *reversed(quick), "full:1200:3", "full:1200:11")
        self.assertNotEqual(back.pop("full:1200:3"), forth["full:1200:11"])
        self.assertEqual(forth, back)
        self.assertEqual(len(set(forth.values())), 13)
