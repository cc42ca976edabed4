"""Finds a record of the object file by its name in constant time, without reading the file at start-up.

Holds hints, never truth: an entry says where a record may be, and the record itself says whether it
is. So entries need no flushing of their own: after a crash the end of the object file is read again
from the last length that was noted here, and an index that is missing is made anew.

The file is a header and a table of 16-byte slots (open addressing, linear probing, at most half full,
a power of two of them): the first 8 bytes of a name and an offset, both as 64-bit little-endian
numbers. Names are keyed hashes, so their first bytes are as good as random.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MAGIC: Final = b"trus objindex 1\n"
#: Magic, the object file's identity, slots, entries, length of the object file that is indexed, and 1
#: when it was closed in order: only then does the number of entries hold.
_HEADER: Final = struct.Struct("<16s16sQQQQ")
_HEADER_BYTES: Final = 4096  # a page of its own, so that it is flushed by itself
_SLOT: Final = struct.Struct("<QQ")
#: Slots of an index at first: 64 KiB.
_FIRST_SLOTS: Final = 4096


class ObjectIndex:
    """The open index of one object file."""

    def __init__(self, path: Path, descriptor: int, identity: bytes, *, writable: bool) -> None:
        """Use `open_index` or `create`. Raises ValueError for a file that is not this object file's index."""
        self._path = path
        self._writable = writable
        try:
            size = os.fstat(descriptor).st_size
            if size < _HEADER_BYTES + _FIRST_SLOTS * _SLOT.size:
                raise ValueError("too short for an index")
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(descriptor, size, access=access)
        finally:
            os.close(descriptor)
        magic, owner, slots, entries, covered, closed = _HEADER.unpack_from(self._map)
        if magic != _MAGIC or owner != identity or slots & (slots - 1) or size != _HEADER_BYTES + slots * _SLOT.size:
            self._map.close()
            raise ValueError("another file's index")
        self._identity = identity
        # After a crash there may be entries that nobody counted, of records that were never promised.
        self._entries = int(entries) if closed else self._count()
        self._mask = int(slots) - 1
        #: The length of the object file up to which every record is known.
        self.covered = int(covered)

    def __len__(self) -> int:
        """Return how many names are known, of removed records as well."""
        return self._entries

    def places(self, name: bytes) -> Iterator[int]:
        """Yield the offsets at which the record of this name may be."""
        wanted = int.from_bytes(name[:8], "little")
        position = wanted & self._mask
        while True:
            prefix, offset = _SLOT.unpack_from(self._map, _HEADER_BYTES + position * _SLOT.size)
            if offset == 0:
                return
            if prefix == wanted:
                yield offset
            position = (position + 1) & self._mask

    def put(self, name: bytes, offset: int, replaced: int = 0) -> None:
        """Note where the record of a name is; `replaced` is where the one before it was, 0 for none."""
        if not replaced and 2 * (self._entries + 1) > self._mask + 1:
            self._grow()
        self._entries += _insert(self._map, self._mask, int.from_bytes(name[:8], "little"), offset, replaced)

    def flush(self, covered: int, *, closed: bool = False) -> None:
        """Write all entries to the disk, then note that they cover the object file up to `covered`."""
        self._map.flush()
        slots = self._mask + 1
        _HEADER.pack_into(self._map, 0, _MAGIC, self._identity, slots, self._entries, covered, closed)
        self._map.flush(0, _HEADER_BYTES)
        self.covered = covered

    def close(self) -> None:
        """Let go of the file; `flush` it first."""
        self._map.close()

    def _count(self) -> int:
        with memoryview(self._map) as view, view[_HEADER_BYTES:] as table, table.cast("Q") as numbers:
            return sum(1 for offset in numbers[1::2] if offset)

    def _grow(self) -> None:
        slots = 2 * (self._mask + 1)
        larger = _new_file(self._path, self._identity, slots)
        table = mmap.mmap(larger, _HEADER_BYTES + slots * _SLOT.size)
        os.close(larger)
        for start in range(_HEADER_BYTES, len(self._map), _SLOT.size):
            prefix, offset = _SLOT.unpack_from(self._map, start)
            if offset:
                _insert(table, slots - 1, prefix, offset, 0)
        _HEADER.pack_into(table, 0, _MAGIC, self._identity, slots, self._entries, self.covered, 0)
        table.flush()
        _take_place(self._path)
        self._map.close()
        self._map, self._mask = table, slots - 1


def _insert(table: mmap.mmap, mask: int, prefix: int, offset: int, replaced: int) -> int:
    """Put an entry into the first slot that is free or has the replaced offset; return how many were added."""
    position = prefix & mask
    while True:
        start = _HEADER_BYTES + position * _SLOT.size
        found, there = _SLOT.unpack_from(table, start)
        if there == 0 or (found == prefix and there in (replaced, offset)):
            _SLOT.pack_into(table, start, prefix, offset)
            return int(there == 0)
        position = (position + 1) & mask


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _new_file(path: Path, identity: bytes, slots: int) -> int:
    descriptor = os.open(_beside(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.ftruncate(descriptor, _HEADER_BYTES + slots * _SLOT.size)
    os.pwrite(descriptor, _HEADER.pack(_MAGIC, identity, slots, 0, 0, 1), 0)
    return descriptor


def _take_place(path: Path) -> None:
    os.replace(_beside(path), path)
    flush_folder(path.parent)


def flush_folder(path: Path) -> None:
    """Write a folder's names to the disk, so that a renamed file is found after a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_index(path: Path, identity: bytes, *, writable: bool) -> ObjectIndex | None:
    """Open the index of the object file of this identity; None when there is none that can be used."""
    try:
        descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return ObjectIndex(path, descriptor, identity, writable=writable)
    except ValueError:
        return None


def create(path: Path, identity: bytes) -> ObjectIndex:
    """Make an empty index, in place of one that is there."""
    descriptor = _new_file(path, identity, _FIRST_SLOTS)
    os.fsync(descriptor)
    _take_place(path)
    return ObjectIndex(path, descriptor, identity, writable=True)
