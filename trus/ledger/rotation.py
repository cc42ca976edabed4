"""Rotates K_DB: a new version in the token, rows re-ciphered and hashed anew, the file under a new key.

Stops no payment: the work is done in small pieces between batches, by the process that writes.
Resumes after a kill at any moment, since each piece is stored together with how far it brought the
rotation. Destroys a version only when nothing needs it (trus.ledger.retired), and only when told.

| moment | what holds |
|---|---|
| `generated` | the token has a version that nothing uses: the next beginning takes it |
| `begun` | new fields and hashes are under the new version; old ones are found under both |
| `rows` | some rows more are under the new version |
| `rows-done` | no row needs the old version; the file does |
| `copying` | part of the file is copied; a kill throws the copy away |
| `copied` | the copy is whole; the file is still the old one |
| `closed` | the log of the old file is empty and nobody writes |
| `renamed` | the file opens under the new version |
| `exchanged` | the new file is written to; the rotation is not told done yet |
| `done` | only requests that may be repeated, codes and backups need the old version |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection

from trus.clock import Clock, Entropy
from trus.errors import LedgerError
from trus.ledger.backups import BackupRow, backups
from trus.ledger.keyring import KeySource, Marker, write_marker
from trus.ledger.lookup import CardLookup, FieldCipher
from trus.ledger.posting import post
from trus.ledger.retired import Need, needs_of
from trus.ledger.rotation_file import At, FileCopy, Serve, discard_copy
from trus.ledger.rotation_rows import next_rows
from trus.ledger.rotation_state import (
    Phase,
    RotationRow,
    add_rotation,
    current_version,
    keys_in_use,
    rotations,
    save,
)
from trus.ledger.store import SqlLedger
from trus.values import Frozen

#: Rows re-ciphered in one transaction: about two milliseconds.
ROWS_A_STEP: Final = 32
#: A sealed field says its version in one byte.
MAX_VERSION: Final = 255
#: The kind of the events that tell of keys, and who does what nobody ordered.
EVENT_KIND: Final = "admin"
ROTATION: Final = "rotation"
Figures = Mapping[str, int | str]
NO_FIGURES: Final[Figures] = {}


class RotationRefused(LedgerError):
    """The order about K_DB cannot be carried out now; the message says why in one sentence."""


class KeyStatus(Frozen, frozen=True):
    """Which versions of K_DB there are, which is used for what, and how far a rotation is.

    `last` is the newest rotation, None before the first; `left` and `total` count the file's pages
    while it is copied. `needs` says, by version, what still needs it, the versions in use left out.
    """

    versions: tuple[int, ...]
    file: int
    rows: int
    last: RotationRow | None
    left: int
    total: int
    needs: dict[int, tuple[Need, ...]]

    @property
    def under_way(self) -> bool:
        """Whether a rotation is not done."""
        return self.last is not None and self.last.under_way

    @property
    def told(self) -> str:
        """How far the rotation is, in one sentence."""
        last = self.last
        if last is None or not last.under_way:
            return f"The database is under version {self.file} of K_DB."
        goes = f"K_DB goes from version {last.from_version} to {last.to_version}"
        if last.phase == Phase.ROWS:
            return f"{goes}: {last.rows} of {last.total} rows are done."
        return f"{goes}: the rows are done, {self.total - self.left} of {self.total} pages of the file are copied."

    def use_of(self, version: int) -> str:
        """Return what a version is used for, in words separated by commas; "" for an older one."""
        uses = {"file": version == self.file, "rows": version == self.rows}
        if self.last is not None and self.last.phase == Phase.ROWS:
            uses["rows"] |= version == self.last.from_version
        return ",".join(use for use, is_so in uses.items() if is_so)

    def need_of(self, version: int) -> str:
        """Return what still needs a version that is used for nothing new; "" when nothing does."""
        return "; ".join(need.told for need in self.needs.get(version, ()))


def look(connection: Connection, path: Path, source: KeySource, file_version: int, now: datetime) -> KeyStatus:
    """Return which versions are used for what in the database at `path`, which opens under `file_version`.

    Raises KeyStoreError; StorageFailed for a note of a backup that cannot be read.
    """
    known = rotations(connection)
    versions = tuple(source.versions())
    current = current_version(known, file_version)
    older = [version for version in versions if version < min(file_version, current)]
    needs = {version: needs_of(connection, version, known, path, now) for version in older}
    return KeyStatus(versions, file_version, current, known[-1] if known else None, 0, 0, needs)


class KeyRotation:
    """The rotation of K_DB in the process that writes a ledger."""

    def __init__(
        self,
        ledger: SqlLedger,
        path: Path,
        source: KeySource,
        clock: Clock,
        entropy: Entropy,
        file_version: int,
        at: At = lambda step: None,
    ) -> None:
        """`file_version` is what the file at `path` was opened under. `at` hears of each named step.

        Takes up a rotation that was broken off. Raises KeyStoreError, StorageFailed.
        """
        self._ledger = ledger
        self._path = path
        self._source = source
        self._clock = clock
        self._entropy = entropy
        self._file = file_version
        self._at = at
        self._copy: FileCopy | None = None
        self._keys: tuple[CardLookup, FieldCipher] | None = None
        self._known = self._read()
        discard_copy(path)
        if self.waiting and self._row.phase == Phase.FILE and self._row.to_version == file_version:
            self._finish()  # killed between the rename and its record

    @property
    def waiting(self) -> bool:
        """Whether a rotation is under way and wants to go on."""
        return bool(self._known) and self._known[-1].under_way

    @property
    def _row(self) -> RotationRow:
        return self._known[-1]

    # ---------------------------------------------------------------------------------- orders

    def begin(self, actor: str, more: Figures = NO_FIGURES) -> RotationRow:
        """Begin a rotation to a new version of K_DB; `more` goes into the event, such as who approved it.

        Raises RotationRefused, KeyStoreError, StorageFailed.
        """
        if self.waiting:
            raise RotationRefused("a rotation of K_DB is under way already")
        current = current_version(self._known, self._file)
        if current >= MAX_VERSION:
            raise RotationRefused(f"K_DB has no version after {MAX_VERSION}")
        held = self._source.versions()
        # A version above the one in use was made before a kill: nothing is under it yet.
        target = max(held) if held and max(held) > current else self._generate(current)
        self._at("generated")
        with self._ledger.order(self._clock.now()) as unit:
            row = add_rotation(unit.connection, current, target, actor, at=unit.at, on=unit.business_date)
            figures = {"from": current, "to": target, "rows": row.total, **more}
            post(unit, kind=EVENT_KIND, postings=(), actor=actor, rule="KEY-ROTATE", figures=figures)
        self._at("begun")
        self._known.append(row)
        self._adopt()
        return row

    def destroy(self, version: int, actor: str, more: Figures = NO_FIGURES) -> None:
        """Destroy a version that nothing needs, for ever; `more` goes into the event.

        Raises RotationRefused, KeyStoreError, StorageFailed.
        """
        if version not in self._source.versions():
            raise RotationRefused(f"the token holds no version {version} of K_DB")
        if self.waiting:
            raise RotationRefused("a rotation of K_DB is under way: let it come to its end first")
        current = current_version(self._known, self._file)
        if version in {self._file, current}:
            raise RotationRefused(f"version {version} of K_DB is in use")
        if version > current:
            raise RotationRefused(f"version {version} of K_DB was made for a rotation that has yet to begin")
        needs = self.status().needs.get(version, ())
        if needs:
            raise RotationRefused(f"version {version} of K_DB is needed: {'; '.join(each.told for each in needs)}")
        # On record first: a key must not be gone before anybody can know why.
        with self._ledger.order(self._clock.now()) as unit:
            figures = {"version": version, **more}
            post(unit, kind=EVENT_KIND, postings=(), actor=actor, rule="KEY-DESTROY", figures=figures)
        self._at("destroy-recorded")
        self._source.destroy(version)
        self._adopt()

    def status(self) -> KeyStatus:
        """Return which versions are used for what. Raises KeyStoreError, StorageFailed."""
        with self._ledger.reading() as connection:
            status = look(connection, self._path, self._source, self._file, self._clock.now())
        copy = self._copy
        return status if copy is None else msgspec.structs.replace(status, left=copy.left, total=copy.total)

    def backups(self) -> list[BackupRow]:
        """Return the backups on record, oldest first. Raises StorageFailed."""
        with self._ledger.reading() as connection:
            return backups(connection)

    # ------------------------------------------------------------------------------------ work

    def work(self, serve: Serve) -> None:
        """Do the next piece. `serve(seconds)` answers what waits, for at least that long; what it raises is raised.

        A piece of rows takes milliseconds and serves nobody; the copying of the file takes as long as
        the file is large, and serves between its steps. Raises LedgerError, KeyStoreError: nothing is
        lost then, and the next call tries again.
        """
        if not self.waiting:
            return
        if self._row.phase == Phase.ROWS:
            self._work_on_rows()
        else:
            self._work_on_file(serve)

    def _work_on_rows(self) -> None:
        lookup, fields = self._keys or self._adopt()
        with self._ledger.order(self._clock.now()) as unit:
            row = next_rows(unit.connection, self._row, lookup, fields, ROWS_A_STEP)
            if row.rows == self._row.rows:
                row = msgspec.structs.replace(row, phase=Phase.FILE.value)
                figures = {"to": row.to_version, "rows": row.rows}
                post(unit, kind=EVENT_KIND, postings=(), actor=ROTATION, rule="KEY-ROWS", figures=figures)
            save(unit.connection, row)
        self._known[-1] = row
        if row.phase == Phase.ROWS:
            self._at("rows")
            return
        self._at("rows-done")
        self._adopt()

    def _work_on_file(self, serve: Serve) -> None:
        old, new = self._source.keys(self._file), self._source.keys(self._row.to_version)
        write_marker(self._path, Marker(old.version, new.version))
        self._copy = FileCopy(self._ledger, self._path, old.file, new.file, self._at)
        try:
            self._copy.make(serve)
            self._copy.put_in_place(self._clock.now())
        finally:
            self._copy = None
        self._file = new.version
        self._at("exchanged")
        self._finish()

    def _finish(self) -> None:
        now = self._clock.now()
        with self._ledger.order(now) as unit:
            row = msgspec.structs.replace(self._row, phase=Phase.DONE.value, ended_at=unit.at)
            save(unit.connection, row)
            figures = {"from": row.from_version, "to": row.to_version}
            post(unit, kind=EVENT_KIND, postings=(), actor=ROTATION, rule="KEY-FILE", figures=figures)
        self._known[-1] = row
        write_marker(self._path, Marker(self._file))
        self._at("done")
        self._adopt()

    # ------------------------------------------------------------------------------------ keys

    def _generate(self, current: int) -> int:
        made = self._source.generate()
        if made <= current:
            raise RotationRefused(f"the token made version {made} of K_DB after version {current}")
        return made

    def _adopt(self) -> tuple[CardLookup, FieldCipher]:
        """Have the ledger use what follows from how far the rotations are, and return it."""
        today = self._ledger.business_date()
        self._keys = keys_in_use(self._known, self._source, self._file, self._entropy, today)
        self._ledger.use_keys(*self._keys)
        return self._keys

    def _read(self) -> list[RotationRow]:
        with self._ledger.reading() as connection:
            return rotations(connection)
