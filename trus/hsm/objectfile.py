"""Keeps named records in one file that is only ever added to: a record that was put is on the disk.

Knows no key and reads no content. One process writes (the file is locked); others may read
meanwhile. A copy of the file, taken at any moment, is a whole older state of it: a record that was
not written to its end is no record. The index beside it (trus.hsm.objectindex) can be made anew.

    file    = magic (16 bytes) identity (16, random) note (16, the owner's)
    record  = "tOBJ" length (4) crc (4) name (32) body (length bytes; empty: the name is removed)

Numbers are big-endian; the CRC-32 covers length, name and body and tells an unfinished write. It
is no protection against anybody: the body has to protect itself.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from trus.errors import KeyStoreError, KeyStoreUnavailable
from trus.hsm import objectindex

NAME_BYTES: Final = 32
NOTE_BYTES: Final = 16
_IDENTITY_BYTES: Final = 16
_MAGIC: Final = b"trus objects 1\r\n"
_FILE_HEADER: Final = len(_MAGIC) + _IDENTITY_BYTES + NOTE_BYTES
_RECORD: Final = struct.Struct(f">4sII{NAME_BYTES}s")
_RECORD_MAGIC: Final = b"tOBJ"
#: The longest body: a certificate of the network is below 2 KiB, a wrapped pair below 1 KiB.
MAX_BODY_BYTES: Final = 64 << 10
#: The most that is written before it is flushed, so the most that an interrupted write leaves behind.
_MAX_APPEND_BYTES: Final = 1 << 20
#: What one read of a record asks for: nearly all are shorter.
_READ_BYTES: Final = 2048
#: Records added between two flushes of the index: what a start after a crash reads again.
_FLUSH_EVERY: Final = 1024
#: Stands for the descriptor of a file that was closed.
_CLOSED: Final = -1


class _Found(NamedTuple):
    offset: int
    body: bytes


class ObjectFile:
    """One open object file."""

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        """Open a file made by `create`. Raises KeyStoreError when it cannot be, or was damaged."""
        self._path = path
        self._writable = writable
        self._open()

    def _open(self) -> None:
        path = self._path
        self._recent: dict[bytes, int] = {}
        self._unflushed = 0
        try:
            self._file = os.open(path, os.O_RDWR if self._writable else os.O_RDONLY)
        except OSError as error:
            raise KeyStoreUnavailable(f"the key store's file {path} cannot be opened ({error.strerror})") from error
        try:
            if self._writable:
                _lock(self._file, path)
            header = os.pread(self._file, _FILE_HEADER, 0)
            if len(header) < _FILE_HEADER or not header.startswith(_MAGIC):
                raise KeyStoreError(f"{path} is not a key store's object file")
            self._identity = header[len(_MAGIC) : -NOTE_BYTES]
            self.note = header[-NOTE_BYTES:]
            self._index = self._open_index()
            self._end = self._catch_up()
        except (KeyStoreError, OSError):
            os.close(self._file)
            raise

    @classmethod
    def create(cls, path: Path, identity: bytes, note: bytes = bytes(NOTE_BYTES)) -> ObjectFile:
        """Make an empty file for its owner alone, and open it. Raises KeyStoreError when there is one."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise KeyStoreError(f"the key store's file {path} cannot be made ({error.strerror})") from error
        try:
            os.write(descriptor, _MAGIC + identity + note)
            os.fsync(descriptor)
            objectindex.flush_folder(path.parent)
        finally:
            os.close(descriptor)
        return cls(path)

    def __len__(self) -> int:
        """Return how many names are known, removed ones included."""
        return len(self._index) if self._writable else len(self._recent.keys()) + len(self._index)

    @property
    def size(self) -> int:
        """The length of all whole records, in bytes."""
        return int(self._end)

    def get(self, name: bytes) -> bytes | None:
        """Return the newest body of a name, None when there is none. Raises KeyStoreUnavailable."""
        found = self._find(name)
        return found.body or None if found is not None else None

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Add records (name of 32 bytes, body); an empty body removes. All are on the disk on return.

        Raises KeyStoreUnavailable when they cannot be written; none counts then that was not flushed.
        """
        waiting: list[tuple[bytes, bytes]] = []
        size = 0
        for name, body in records:
            if len(name) != NAME_BYTES or len(body) > MAX_BODY_BYTES:
                raise KeyStoreError("a record of the key store has a name of 32 bytes and a body of at most 64 KiB")
            encoded = _encode(name, body)
            if size + len(encoded) > _MAX_APPEND_BYTES:
                self._write(waiting)
                waiting, size = [], 0
            waiting.append((name, encoded))
            size += len(encoded)
        if waiting:
            self._write(waiting)

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield name and body of every record that counts, in the order of writing. Reads the whole file."""
        for offset, name, body in _scan(self._file, _FILE_HEADER, self._end):
            if body:
                found = self._find(name)
                if found is not None and found.offset == offset:
                    yield name, body

    def replace(self, identity: bytes, note: bytes, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Put another file with these records into this one's place, whole or not at all.

        What had been removed or replaced is gone for good then. Raises KeyStoreUnavailable.
        """
        path = self._path.with_name(f"{self._path.name}.rewrite")
        for leftover in (path, index_path(path)):
            leftover.unlink(missing_ok=True)
        other = ObjectFile.create(path, identity, note)
        remaining = iter(records)
        while chunk := list(islice(remaining, _FLUSH_EVERY)):
            other.append(chunk)
        other.close()
        self.close()
        try:
            os.replace(path, self._path)
            os.replace(index_path(path), index_path(self._path))
            objectindex.flush_folder(self._path.parent)
        except OSError as error:
            raise self._failed("put in place", error) from error
        finally:
            self._open()

    def flush(self) -> None:
        """Write the index, so that the next start reads nothing of the file."""
        if self._writable and self._unflushed:
            self._index.flush(self._end)
            self._unflushed = 0

    def close(self) -> None:
        """Write the index and let go of the file; harmless when that was done before."""
        descriptor, self._file = self._file, _CLOSED
        if descriptor == _CLOSED:
            return
        try:
            if self._writable:
                self._index.flush(self._end, closed=True)
        finally:
            self._index.close()
            os.close(descriptor)

    # ---------------------------------------------------------------------------- inside

    def _open_index(self) -> objectindex.ObjectIndex:
        path = index_path(self._path)
        index = objectindex.open_index(path, self._identity, writable=self._writable)
        if index is None:
            if not self._writable:
                raise KeyStoreUnavailable(f"{path} is missing or another file's: start the backend once to make it")
            index = objectindex.create(path, self._identity)
        if index.covered > os.fstat(self._file).st_size:
            index.close()
            raise KeyStoreError(
                f"{self._path} has lost records that its index knows: if it was restored from a copy, delete {path}"
            )
        return index

    def _catch_up(self) -> int:
        """Take up the records that the index does not cover; return the end of the last whole one."""
        end = max(self._index.covered, _FILE_HEADER)
        size = os.fstat(self._file).st_size
        for offset, name, body in _scan(self._file, end, size):
            self._note(name, offset)
            end = offset + _RECORD.size + len(body)
        if size - end > _MAX_APPEND_BYTES:
            raise KeyStoreError(f"{self._path} is damaged at byte {end}: more than an unfinished write follows")
        if self._writable:
            if size > end:
                # An unfinished write: nobody was told that it had been done.
                os.ftruncate(self._file, end)
                os.fsync(self._file)
            self._index.flush(end)
        return end

    def _note(self, name: bytes, offset: int) -> None:
        if not self._writable:
            self._recent[name] = offset
            return
        before = self._find(name)
        self._index.put(name, offset, 0 if before is None else before.offset)

    def _find(self, name: bytes) -> _Found | None:
        recent = self._recent.get(name)
        best: _Found | None = None
        for offset in self._index.places(name) if recent is None else (recent,):
            body = self._read(name, offset)
            # Of two hints the later record counts: a crash may have left the earlier one.
            if body is not None and (best is None or offset > best.offset):
                best = _Found(offset, body)
        return best

    def _read(self, name: bytes, offset: int) -> bytes | None:
        """Return the body of the record at `offset`, None when it is not this name's."""
        try:
            start = os.pread(self._file, _READ_BYTES, offset)
            if len(start) < _RECORD.size:
                return None
            magic, length, _, there = _RECORD.unpack_from(start)
            if magic != _RECORD_MAGIC or there != name or length > MAX_BODY_BYTES:
                return None
            body = start[_RECORD.size : _RECORD.size + length]
            if len(body) < length:
                body += os.pread(self._file, length - len(body), offset + len(start))
        except OSError as error:
            raise self._failed("read", error) from error
        return body

    def _write(self, records: list[tuple[bytes, bytes]]) -> None:
        if not self._writable:
            raise KeyStoreError(f"{self._path} is open for reading alone")
        data = b"".join(encoded for _, encoded in records)
        try:
            written = os.pwrite(self._file, data, self._end)
            if written != len(data):
                raise OSError(28, "not everything was taken")
            os.fdatasync(self._file)
        except OSError as error:
            self._forget_unfinished()
            raise self._failed("written to", error) from error
        for name, encoded in records:
            self._note(name, self._end)
            self._end += len(encoded)
        self._unflushed += len(records)
        if self._unflushed >= _FLUSH_EVERY:
            self.flush()

    def _forget_unfinished(self) -> None:
        """Cut off what a failed write left; when even that fails, write no more: it could come back to life."""
        try:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        except OSError:
            self._writable = False

    def _failed(self, doing: str, error: OSError) -> KeyStoreUnavailable:
        return KeyStoreUnavailable(f"the key store's file {self._path} cannot be {doing} ({error.strerror})")


def index_path(path: Path) -> Path:
    """Return where the index of an object file is."""
    return path.with_name(f"{path.name}.index")


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise KeyStoreUnavailable(f"the key store's file {path} is in use by another process") from error


def _encode(name: bytes, body: bytes) -> bytes:
    check = zlib.crc32(len(body).to_bytes(4, "big") + name + body)
    return _RECORD.pack(_RECORD_MAGIC, len(body), check, name) + body


def _scan(descriptor: int, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield offset, name and body of each whole record from `start`; stop at the first that is not."""
    while start + _RECORD.size <= end:
        header = os.pread(descriptor, _RECORD.size, start)
        if len(header) < _RECORD.size:
            return
        magic, length, check, name = _RECORD.unpack(header)
        if magic != _RECORD_MAGIC or length > MAX_BODY_BYTES or start + _RECORD.size + length > end:
            return
        body = os.pread(descriptor, length, start + _RECORD.size)
        if len(body) < length or zlib.crc32(length.to_bytes(4, "big") + name + body) != check:
            return
        yield start, name, body
        start += _RECORD.size + length
