"""Opens a ledger from explicit arguments: path, keys, clock, entropy, slot.

Reads no configuration and asks no token: the composition roots derive the keys (DATA_KEYS
names them) and call these functions. A database of another version is refused, never guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, insert, select

from trus.clock import Clock, Entropy
from trus.errors import StorageFailed
from trus.ledger import migrations
from trus.ledger.days import microseconds
from trus.ledger.dialect import DATABASE_ERRORS, Direct, cause
from trus.ledger.engine import WriterLock, create_file, open_engine
from trus.ledger.keyring import KeySource, find_file_version
from trus.ledger.lookup import CardLookup, FieldCipher
from trus.ledger.restoring import restore_epoch
from trus.ledger.rotation_state import keys_in_use, rotations
from trus.ledger.store import SqlLedger
from trus.ledger.tables import business_day, meta, metadata
from trus.values import BusinessDate

#: Labels under which the ledger's data keys are derived from K_DB (trus.hsm.datakeys.DataKeys).
FILE_KEY_LABEL: Final = "ledger file"
LOOKUP_KEY_LABEL: Final = "card lookup"
FIELD_KEY_LABEL: Final = "ledger fields"
#: The slot of a deployment's only writing process.
ONLY_SLOT: Final = 1
_ID_BYTES: Final = 16


def create_database(
    path: Path,
    *,
    db_key: bytes,
    clock: Clock,
    entropy: Entropy,
    business_date: BusinessDate | None = None,
) -> None:
    """Make a new ciphered database at `path` with this version's schema and an open business date.

    `db_key` is 32 bytes. `business_date` is the date of `clock` in UTC unless told. The ledger gets
    an id of its own, which its audit chain begins with. Raises StorageFailed, also when the file
    exists; what was begun is removed then.
    """
    create_file(path)
    try:
        engine = open_engine(path, lambda: db_key)
        try:
            _fill(engine, clock, entropy, business_date)
        finally:
            engine.dispose()
    except DATABASE_ERRORS as failure:
        _remove(path)
        raise StorageFailed(f"the database {path} cannot be made: {cause(failure)}") from None
    except BaseException:
        _remove(path)
        raise


def open_ledger(
    path: Path,
    *,
    db_key: bytes,
    lookup_key: bytes,
    field_keys: Mapping[int, bytes],
    clock: Clock,
    entropy: Entropy,
    slot: int = ONLY_SLOT,
    direct: Callable[[Connection], Direct] = Direct,
    open_file: Callable[..., Engine] = open_engine,
) -> SqlLedger:
    """Open the database at `path` for writing in `slot`, bringing its schema up to date first.

    Every key is 32 bytes; `field_keys` maps the version of K_DB to the key derived under it. `direct`
    makes the writing connection's way to the driver; `open_file` does what `open_engine` does.
    Raises WrongDatabaseKey; StorageFailed when there is no ledger at `path`, it is a later
    version's, another process writes it, or its disk fails.
    """
    lookup = CardLookup(lookup_key)
    fields = FieldCipher(field_keys, entropy)
    with ExitStack() as undo:
        lock = WriterLock(path)
        undo.callback(lock.release)
        engine = open_file(path, lambda: db_key)
        undo.callback(engine.dispose)
        try:
            _check_version(engine, path, upgrade=True)
        except DATABASE_ERRORS as failure:
            raise StorageFailed(f"the database {path} cannot be opened: {cause(failure)}") from None
        ledger = SqlLedger(
            engine, lookup, fields, entropy, slot=slot, now=clock.now(), release=lock.release, direct=direct
        )
        undo.pop_all()
    return ledger


class Opened(NamedTuple):
    """A ledger open for writing, the version of K_DB that its file opens under, how often it was restored."""

    ledger: SqlLedger
    file_version: int
    epoch: int


def open_under(path: Path, source: KeySource, *, clock: Clock, entropy: Entropy) -> Opened:
    """Open the database at `path` for writing, under whichever version of K_DB it stands, rotations included.

    The slot is the deployment's only one, or the one that follows from how often it was restored: what was
    lost with a restored state had links of its own in the former slot. Raises as `open_ledger` does, and KeyStoreError.
    """
    with ExitStack() as undo:
        lock = WriterLock(path)
        undo.callback(lock.release)
        version = find_file_version(path, source)
        key = source.keys(version).file
        engine = open_engine(path, lambda: key)
        undo.callback(engine.dispose)
        try:
            _check_version(engine, path, upgrade=True)
            with engine.connect() as connection:
                known = rotations(connection)
                open_day = select(business_day.c.date).where(business_day.c.state == "open")
                today = connection.execute(open_day).scalar() or ""
                epoch = restore_epoch(connection)
        except DATABASE_ERRORS as failure:
            raise StorageFailed(f"the database {path} cannot be opened: {cause(failure)}") from None
        lookup, fields = keys_in_use(known, source, version, entropy, today)
        slot = ONLY_SLOT + epoch
        ledger = SqlLedger(engine, lookup, fields, entropy, slot=slot, now=clock.now(), release=lock.release)
        undo.pop_all()
    return Opened(ledger, version, epoch)


def open_for_reading(path: Path, *, db_key: bytes, open_file: Callable[..., Engine] = open_engine) -> Engine:
    """Open the database at `path` for reading alone, for the audit; it may be in use meanwhile.

    `open_file` does what `open_engine` does. Raises WrongDatabaseKey, StorageFailed.
    """
    engine = open_file(path, lambda: db_key, read_only=True)
    try:
        _check_version(engine, path, upgrade=False)
    except DATABASE_ERRORS as failure:
        engine.dispose()
        raise StorageFailed(f"the database {path} cannot be read: {cause(failure)}") from None
    except BaseException:
        engine.dispose()
        raise
    return engine


def _fill(engine: Engine, clock: Clock, entropy: Entropy, business_date: BusinessDate | None) -> None:
    now = clock.now()
    day = now.date().isoformat() if business_date is None else business_date
    with engine.connect() as connection:
        Direct(connection).begin()
        metadata.create_all(connection, checkfirst=False)
        migrations.stamp(connection)
        connection.execute(insert(meta).values(name="ledger_id", value=entropy.draw(_ID_BYTES).hex()))
        connection.execute(insert(meta).values(name="revocation_epoch", value="0"))
        connection.execute(
            insert(business_day).values(date=day, previous="", state="open", next_number=1, opened_at=microseconds(now))
        )
        connection.commit()
        Direct(connection).checkpoint(truncate=True)


def _check_version(engine: Engine, path: Path, *, upgrade: bool) -> None:
    with engine.connect() as connection:
        found = migrations.current(connection)
        if found is None:
            raise StorageFailed(f"the database {path} holds no ledger")
        if found == migrations.head():
            return
        if not migrations.known(found):
            raise StorageFailed(f"the database {path} was changed by a later version of trus (schema {found})")
        if not upgrade:
            raise StorageFailed(f"the database {path} has the older schema {found}: start the backend once")
        connection.rollback()
        Direct(connection).begin()
        migrations.upgrade(connection)
        connection.commit()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
