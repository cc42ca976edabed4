"""Looks at the files that settings name, and says which are not there or not private.

Reads none of them: whether a certificate opens or a PIN is right is for `trus doctor`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from trus.settings import kinds
from trus.settings.model import Settings
from trus.settings.problems import Problem
from trus.settings.sections import Section
from trus.settings.values import DatabaseUrl

#: Kinds of files that the program makes when they are not there.
_MADE: Final = (kinds.FILE_OR_AUTO, kinds.MADE_FILE)
#: Settings that name a file whose content opens something.
_SECRET_FILES = frozenset({"passphrase_file", "pin_file"})


def check_files(settings: Settings) -> list[Problem]:
    """Return a problem for each file or folder that settings name and that cannot be used."""
    return list(_section_problems(settings, ""))


def _section_problems(section: Section, place: str) -> Iterator[Problem]:
    for field in attrs.fields(type(section)):
        value = getattr(section, field.name)
        path = f"{place}.{field.name}" if place else field.name
        if isinstance(value, Section):
            yield from _section_problems(value, path)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Section):
                    yield from _section_problems(item, f"{path}[{index}]")
        elif isinstance(value, DatabaseUrl):
            if value.path is not None:
                yield from _file_problems(value.path, path, "a database file (trus init makes one)")
        elif isinstance(value, Path):
            if field.metadata["kind"] is kinds.FOLDER:
                yield from _folder_problems(value, path)
            elif field.metadata["kind"] not in _MADE or value.exists():  # else it is made at the start
                yield from _file_problems(value, path, "a readable file")
                if field.name in _SECRET_FILES:
                    yield from _privacy_problems(value, path)


def _file_problems(file: Path, place: str, expected: str) -> Iterator[Problem]:
    if not file.exists():
        yield Problem(place, f"no file {file}", expected)
    elif not file.is_file():
        yield Problem(place, f"{file}, which is no file", expected)
    elif not os.access(file, os.R_OK):
        yield Problem(place, f"{file}, which this user may not read", expected)


def _folder_problems(folder: Path, place: str) -> Iterator[Problem]:
    if not folder.is_dir():
        yield Problem(place, f"no folder {folder}", "a folder that exists")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Problem(place, f"{folder}, which this user may not write to", "a writable folder")


def _privacy_problems(file: Path, place: str) -> Iterator[Problem]:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        yield Problem(place, f"{file} with mode {mode:04o}", "mode 0600 or 0400: others may not read a secret")
