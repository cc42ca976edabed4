"""A registry to change and to look things up in."""

from __future__ import annotations

from contextlib import AbstractContextManager

from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import NOON, Books
from trus.ledger.registry import Registry, RegistryChange


class RegistryCase(SynchronousTestCase):
    """A registry on a real file."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.registry = Registry(self.books.ledger)
        self._block: AbstractContextManager[RegistryChange] | None = None

    def change(self) -> RegistryChange:
        """Begin a change, which ends with `done` or with the test."""
        self._block = self.registry.changing(NOON)
        self.addCleanup(self.done)
        return self._block.__enter__()

    def done(self) -> None:
        """Make the change durable."""
        block, self._block = self._block, None
        if block is not None:
            block.__exit__(None, None, None)
