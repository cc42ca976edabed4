"""Signs heads of the audit chain and exports them outside the database.

Refuses nothing and repairs nothing: trus.ledger.audit compares. A head covers the last link of every
slot, the root over all links of it, and the head before (trus.receipts.documents); whoever rewrites the
journal must also forge a signature of a key that never leaves its token, and whoever sets the database
back is contradicted by the exported file, and by every shop that holds a receipt. It commits to the key
that marks the answers after it, so that a mark proves later that the network gave it.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection, bindparam, insert, select

from trus.errors import LedgerError
from trus.ledger.days import microseconds, moment
from trus.ledger.prepared import Prepared
from trus.ledger.store import SqlLedger
from trus.ledger.tables import signed_head, writer_slot
from trus.ledger.tree import root_of_slot
from trus.ledger.writer import ledger_id, slot_head
from trus.receipts.documents import (
    CONTEXT,
    HEAD_VERSION,
    NO_PREVIOUS,
    ExportedLine,
    HeadDocument,
    SlotHead,
    decode_document,
    encode_document,
    root_of,
    slots_of,
)
from trus.receipts.links import KEY_BYTES, commitment_to

_PATTERN: Final = "heads-*.jsonl"
_HEAD: Final = (signed_head.c.number, signed_head.c.document, signed_head.c.digest, signed_head.c.signature)
_SLOTS: Final = Prepared(select(writer_slot.c.slot).order_by(writer_slot.c.slot))
_NEWEST: Final = Prepared(select(*_HEAD).order_by(signed_head.c.number.desc()).limit(1))
_LATER: Final = Prepared(select(*_HEAD).where(signed_head.c.number > bindparam("after")).order_by(signed_head.c.number))
_KEEP: Final = Prepared(insert(signed_head), ("number", "at", "document", "digest", "signature", "receipt_key"))


class HeadSigner(Protocol):
    """Signs heads with a key of the key store. `name` says which, such as "audit/1"."""

    @property
    def name(self) -> str:
        """The key's label and version."""
        ...

    def sign(self, payload: bytes) -> bytes:
        """Return the signature of `payload`. Raises KeyStoreError."""
        ...


class HeadVerifier(Protocol):
    """Checks signatures of heads."""

    def verify(self, name: str, payload: bytes, signature: bytes) -> bool:
        """Return whether the key of that name made this signature."""
        ...


class Head(msgspec.Struct, frozen=True):
    """A signed head as it is stored: number, the document's bytes, its digest, its signature."""

    number: int
    document: bytes
    digest: bytes
    signature: bytes


def all_slot_heads(connection: Connection) -> list[SlotHead]:
    """Return the end of every slot, in order of slot, with the root over its links."""
    found = []
    for each in (slot_head(connection, slot) for slot in _SLOTS.column(connection)):
        found.append(SlotHead(each.slot, each.sequence, each.link, root_of_slot(connection, each.slot, each.sequence)))
    return found


def last_head(connection: Connection) -> Head | None:
    """Return the newest signed head."""
    row = _NEWEST.first(connection)
    return None if row is None else _head(row)


def heads_after(connection: Connection, number: int) -> list[Head]:
    """Return the signed heads after a number, in order."""
    return [_head(row) for row in _LATER.rows(connection, after=number)]


def _head(row: Any) -> Head:
    # Whoever altered the row may have put text where bytes belong: it must be compared, not trip the audit.
    number, *parts = row
    return Head(number, *(part if isinstance(part, bytes) else str(part).encode("utf-8") for part in parts))


class HeadLog:
    """Signs heads of one ledger and keeps their copies in `directory`, one JSON line each.

    A file a month, heads-YYYY-MM.jsonl, only ever appended to. Put the directory on another
    machine's storage: it proves what the database held.
    """

    def __init__(self, ledger: SqlLedger, signer: HeadSigner, directory: Path) -> None:
        """Raises LedgerError when the directory cannot be used."""
        self._ledger = ledger
        self._signer = signer
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._exported = _last_exported(directory)
        except OSError as failure:
            raise LedgerError(f"the heads in {directory} cannot be read: {failure.strerror}") from None
        except msgspec.DecodeError:
            raise LedgerError(f"the last exported line in {directory} is no head of a ledger") from None

    def sign(self, now: datetime) -> Head | None:
        """Sign a head when events were added since the last one, and export what is not exported yet.

        Returns the new head, None when nothing was added. Raises StorageFailed, OutcomeUnknown,
        KeyStoreError; LedgerError when the export fails: the next call exports it.
        """
        with self._ledger.reading() as connection:
            slots = all_slot_heads(connection)
            previous = last_head(connection)
            name = ledger_id(connection)
        made = None
        if previous is None or _ends(slots_of(decode_document(previous.document))) != _ends(slots):
            with self._ledger.order(now) as unit:
                key = unit.draw(KEY_BYTES)
                made = self._make(previous, name, slots, key, now)
                _KEEP.send(
                    unit.connection,
                    number=made.number,
                    at=microseconds(now),
                    document=made.document,
                    digest=made.digest,
                    signature=made.signature,
                    receipt_key=key,
                )
            self._ledger.use_receipt_key(made.number, key)
        self._export()
        return made

    def _make(self, previous: Head | None, name: str, slots: list[SlotHead], key: bytes, now: datetime) -> Head:
        number = 1 if previous is None else previous.number + 1
        document = encode_document(
            HeadDocument(
                at=microseconds(now),
                key=self._signer.name,
                ledger=name,
                number=number,
                previous=NO_PREVIOUS if previous is None else previous.digest.hex(),
                receipts=commitment_to(key).hex(),
                root=root_of(slots).hex(),
                slots=[(each.slot, each.sequence, each.link.hex(), each.tree.hex()) for each in slots],
                version=HEAD_VERSION,
            )
        )
        signature = self._signer.sign(CONTEXT + document)
        return Head(number, document, hashlib.sha256(document).digest(), signature)

    def _export(self) -> None:
        with self._ledger.reading() as connection:
            waiting = heads_after(connection, self._exported)
        for head in waiting:
            try:
                _append(self._directory, head)
            except OSError as failure:
                raise LedgerError(
                    f"head {head.number} could not be written to {self._directory}: {failure.strerror}"
                ) from None
            self._exported = head.number


def _ends(slots: list[SlotHead]) -> list[tuple[int, int, bytes]]:
    return [(each.slot, each.sequence, each.link) for each in slots]


def exported_lines(directory: Path) -> list[tuple[Path, int, str]]:
    """Return every exported line, oldest first: (file, line number, text). Raises OSError."""
    lines: list[tuple[Path, int, str]] = []
    for path in sorted(directory.glob(_PATTERN)):
        text = path.read_text("ascii", errors="backslashreplace")
        lines += [(path, number, line) for number, line in enumerate(text.splitlines(), start=1)]
    return lines


def line_of(head: Head) -> str:
    """Return the exported form of a head, without the end of the line."""
    line = ExportedLine(head.document.decode("utf-8", "replace"), head.signature.hex())
    return msgspec.json.encode(line).decode("utf-8")


def _append(directory: Path, head: Head) -> None:
    month = moment(decode_document(head.document).at).strftime("%Y-%m")
    path = directory / f"heads-{month}.jsonl"
    new = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        line = (line_of(head) + "\n").encode("utf-8")
        if os.write(handle, line) != len(line):
            raise OSError(28, "No space left on device")
        os.fsync(handle)
    finally:
        os.close(handle)
    if new:
        folder = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _last_exported(directory: Path) -> int:
    """Return the number of the last whole line; cut off a line that a crash or a full disk tore."""
    files = sorted(directory.glob(_PATTERN))
    for path in reversed(files):
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.truncate(path, whole)
        if whole:
            last = msgspec.json.decode(content[:whole].splitlines()[-1], type=ExportedLine)
            return decode_document(last.document.encode("utf-8")).number
    return 0
