"""Writes the file from which cards and PIN letters are made, on the backend's host and nowhere else.

Never logs or returns what is in it: card numbers, tracks and PINs in the clear. The folder
is its owner's alone (0700) and so is each file (0600). A file is complete on the medium
before the cards are in the database, and gets its name after: a crash between the two leaves
NAME.part, which then holds issued cards.
"""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trus.errors import StorageFailed
from trus.issuing.making import FreshCard

#: The columns of the file, in this order; tracks without sentinels and LRC (ISO/IEC 7813).
COLUMNS: Final = ("card", "company", "employee", "surname", "name", "expiry", "track1", "track2", "pin")
_UNFINISHED: Final = ".part"


class PersonalisationFolder:
    """The folder of personalisation files."""

    def __init__(self, path: Path) -> None:
        """`path` is made when the first file is written."""
        self._path = path

    def prepare(self, name: str, cards: Sequence[FreshCard]) -> PreparedFile:
        """Write the file and wait until it is on the medium; it has no name yet.

        Raises StorageFailed when that is not possible, or others may look into the folder.
        """
        final = self._path / name
        unfinished = self._path / (name + _UNFINISHED)
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self._path.stat().st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise StorageFailed(f"others may read the folder {self._path}: it needs mode 0700")
            _write(unfinished, _csv(cards))
        except OSError as failure:
            raise StorageFailed(f"the personalisation file cannot be written: {failure.strerror}") from None
        return PreparedFile(unfinished, final)


class PreparedFile:
    """A file that is written and waits for the commit of its cards."""

    def __init__(self, unfinished: Path, final: Path) -> None:
        self._unfinished = unfinished
        self._final = final

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return self._final.name

    @property
    def unfinished_name(self) -> str:
        """The file's name until it is published."""
        return self._unfinished.name

    def publish(self) -> None:
        """Give the file its name. Raises StorageFailed; the file then stays as NAME.part."""
        try:
            self._unfinished.rename(self._final)
            _sync_folder(self._final.parent)
        except OSError as failure:
            raise StorageFailed(f"the personalisation file stays {self._unfinished.name}: {failure.strerror}") from None

    def discard(self) -> None:
        """Remove the file of cards that were not stored. Raises StorageFailed."""
        try:
            self._unfinished.unlink()
        except OSError as failure:
            raise StorageFailed(
                f"{self._unfinished.name} holds cards that were not issued and cannot be removed: {failure.strerror}"
            ) from None


def _csv(cards: Sequence[FreshCard]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for card in cards:
        holder = card.holder
        writer.writerow(
            (
                card.stored.card,
                holder.company,
                holder.employee,
                holder.surname,
                holder.name,
                card.stored.expiry,
                card.track1,
                card.track2,
                card.pin,
            )
        )
    return text.getvalue().encode("utf-8")


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
