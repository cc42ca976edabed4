"""Where the ledger of a tested network is kept, and how its rows are read: one class for each engine.

The rounds know a store by this interface alone, so that another engine joins by another class. Reading
takes no part in the network: one snapshot, by a connection of its own, in the harness's process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from trus.cli.audit import audit
from trus.cli.compose import database_path
from trus.cli.database_keys import file_key
from trus.cli.keystore import open_token
from trus.cli.layout import Layout
from trus.errors import ConfigurationError
from trus.ledger.audit import verify
from trus.ledger.compose import open_for_reading
from trus.ledger.dump import Dump, read_dump
from trus.settings.loading import load
from trus.simulation.invariants import Finding


class Store(Protocol):
    """A ledger's engine, from outside."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where it writes on this machine's disk; None when it does so elsewhere."""
        ...

    def files(self) -> list[Path]:
        """Return the files whose fsync makes a commit durable, as the core names them."""
        ...

    def look(self) -> tuple[Dump, list[Finding]]:
        """Return the whole ledger, and what its own audit says of chain, sums and links. Raises StorageFailed."""
        ...

    def prove(self) -> list[Finding]:
        """Run `trus audit`, with the signed heads, through the token."""
        ...


class SqlCipherStore:
    """The ciphered file of a deployment."""

    def __init__(self, layout: Layout) -> None:
        """Derive the file's key from the token, once: later the token may be away."""
        self._config = layout.config
        backend = load(layout.config).backend
        if backend is None:
            raise ConfigurationError("the deployment has no backend")
        self._path = database_path(backend)
        with open_token(backend) as keys:
            self._key = file_key(self._path, keys)

    @property
    def name(self) -> str:
        """Its name."""
        return "SQLCipher"

    @property
    def folder(self) -> Path | None:
        """The database's folder."""
        return self._path.parent

    def files(self) -> list[Path]:
        """Return the main file and its log."""
        return [self._path, self._path.with_name(self._path.name + "-wal")]

    def look(self) -> tuple[Dump, list[Finding]]:
        """Read one snapshot for the dump and one for the audit: nobody trades meanwhile."""
        engine = open_for_reading(self._path, db_key=self._key)
        try:
            return read_dump(engine), list(_audited(engine))
        finally:
            engine.dispose()

    def prove(self) -> list[Finding]:
        """Run what `trus audit` runs."""
        report = audit(self._config)
        return [Finding("I5", f"audit: {each.check.value}: {each.row}: {each.problem}") for each in report.findings]


def _audited(engine: Engine) -> Iterator[Finding]:
    for each in verify(engine).findings:
        yield Finding("I5", f"{each.check.value}: {each.row}: {each.problem}")
