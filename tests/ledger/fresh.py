"""A new database at once: made once in a process as the program makes it, then copied."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from trus.clock import Clock, Entropy
from trus.ledger.compose import create_database
from trus.values import BusinessDate


@cache
def _made(db_key: bytes, business_date: BusinessDate, clock: type[Clock], entropy: type[Entropy]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trus.db"
        create_database(path, db_key=db_key, clock=clock(), entropy=entropy(), business_date=business_date)
        return path.read_bytes()


def put_database(
    path: Path, *, db_key: bytes, business_date: BusinessDate, clock: type[Clock], entropy: type[Entropy]
) -> None:
    """Put what `create_database` makes at `path`, the owner's alone; `clock` and `entropy` make always the same."""
    content = _made(db_key, business_date, clock, entropy)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
