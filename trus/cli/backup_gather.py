"""Gathers what a backup holds: the files of a deployment, under names that a restored one can use.

Writes nothing and copies no clear PIN. What is on nobody's list stays out on purpose: PINs, admins'
bundles, personalisation files, the off-line root's token, logs; each has another place to be kept.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs

from trus.backup.errors import BackupRefused
from trus.backup.manifest import FileEntry, check_name
from trus.cli.keystore import objects_path
from trus.hsm.sealing import is_sealed
from trus.settings import kinds
from trus.settings.model import BackendSettings, Settings
from trus.settings.sections import Section

#: Where files go whose place is outside the folder of the settings.
ELSEWHERE: Final = "elsewhere"
#: Looks at a folder that changes while it is read, and the pause between them.
_LOOKS: Final = 10
_PAUSE_SECONDS: Final = 0.2
_PIECE: Final = 1 << 20
_TOKENDIR: Final = re.compile(r"^[ \t]*directories\.tokendir[ \t]*=[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)


class Content:
    """A file for the archive: small ones in memory, large ones read twice from where they are.

    A large file may grow meanwhile (an object file, exported heads): only its first `size` bytes count.
    """

    def __init__(self, name: str, source: Path | bytes) -> None:
        self.name = check_name(name)
        self._source = source
        self.size = len(source) if isinstance(source, bytes) else source.stat().st_size

    def pieces(self) -> Iterator[bytes]:
        """Yield the content. Raises BackupRefused when the file has become shorter."""
        if isinstance(self._source, bytes):
            yield self._source
            return
        left = self.size
        with self._source.open("rb") as file:
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise BackupRefused(f"{self._source} became shorter while it was read")
                left -= len(piece)
                yield piece

    def entry(self) -> FileEntry:
        """Return what the manifest says of it."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return FileEntry(self.name, self.size, digest.hexdigest())

    def write(self, put: Callable[[bytes], object]) -> None:
        """Hand the content to `put`, piece by piece."""
        for piece in self.pieces():
            put(piece)


class Names:
    """Names within a backup for paths of a deployment; remembers those whose place is outside its folder."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self.moved: dict[str, str] = {}

    def of(self, path: Path) -> str:
        """Return the name of a path: the same below the folder, or one of its own elsewhere."""
        absolute = path.absolute()
        try:
            return check_name(absolute.relative_to(self._base).as_posix())
        except ValueError:
            known = self.moved.get(str(absolute))
            if known is None:
                known = self.moved[str(absolute)] = check_name(f"{ELSEWHERE}/{len(self.moved) + 1}-{absolute.name}")
            return known


def token_folder(backend: BackendSettings) -> Path:
    """Return the folder of the token's files. Raises BackupRefused for a token that is not kept in files."""
    conf = backend.token.softhsm_conf
    if conf is None:
        raise BackupRefused(
            "this token is not SoftHSM: back its keys up with its vendor's means, together with the database"
        )
    found = _TOKENDIR.search(conf.read_text("utf-8"))
    if found is None:
        raise BackupRefused(f"{conf} does not say where SoftHSM keeps its tokens")
    folder = Path(found.group(1))
    if not folder.is_dir():
        raise BackupRefused(f"the token's folder {folder} is not there")
    return folder


def read_token(folder: Path) -> dict[str, bytes]:
    """Return the content of a token's files by relative name, of one moment at which nobody wrote to them.

    Raises BackupRefused when there is none.
    """
    for _ in range(_LOOKS):
        before = _stamps(folder)
        try:
            content = {name: (folder / name).read_bytes() for name in before}
        except FileNotFoundError:
            content = {}
        if content and _stamps(folder) == before:
            return content
        time.sleep(_PAUSE_SECONDS)
    raise BackupRefused(f"the token's files in {folder} do not keep still long enough to be copied")


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = (status.st_mtime_ns, status.st_size)
    return found


def plain_files(config: Path, settings: Settings, backend: BackendSettings, names: Names) -> list[Content]:
    """Return the settings' file, every certificate, key and list that settings name, and their folders' others."""
    paths: dict[Path, None] = {config.absolute(): None}
    for path in _named_files(settings):
        paths[path.absolute()] = None
    pki = backend.identity.anchor.absolute().parent
    if pki != config.absolute().parent:
        for path in sorted(pki.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                paths[path] = None
    if is_sealed(_content(backend.token.pin_file)):
        paths[backend.token.pin_file.absolute()] = None
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise BackupRefused(f"there is no file {missing[0]}, which the settings name")
    return [Content(names.of(path), path.read_bytes()) for path in paths]


def exported_heads(folder: Path, names: Names) -> list[Content]:
    """Return the exported heads as they are now: later ones would tell of what the database's copy has not."""
    return [Content(names.of(path), path) for path in sorted(folder.glob("heads-*.jsonl"))]


def left_out(config: Path, backend: BackendSettings) -> list[str]:
    """Return what lies in the deployment's folder and is kept elsewhere on purpose."""
    base = config.absolute().parent
    known = ("admins", "personalisation", "root-token")
    found = [name for name in known if (base / name).is_dir()]
    if not is_sealed(_content(backend.token.pin_file)):
        found.append("the token's PIN")
    return found


def wrapped_objects(backend: BackendSettings, names: Names) -> Content | None:
    """Return the file of wrapped objects, None when there is none yet."""
    path = objects_path(backend)
    return Content(names.of(path), path) if path.is_file() else None


def _named_files(section: Section) -> Iterator[Path]:
    """Yield every file that settings name, but for those of token and database."""
    for field in attrs.fields(type(section)):
        value = getattr(section, field.name)
        if isinstance(value, Section):
            yield from _named_files(value)
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Section):
                    yield from _named_files(item)
        elif isinstance(value, Path) and field.metadata["kind"] is kinds.FILE and field.name not in _APART:
            yield value


#: PINs stay where they are, and SoftHSM's configuration is written anew: it holds absolute paths.
_APART: Final = frozenset({"pin_file", "softhsm_conf"})


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
