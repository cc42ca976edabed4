"""Proves to whoever holds a receipt that the journal holds the answer: the path to the newest signed head.

Signs nothing and shows nothing to a stranger: the mark must be the row's own, which only the one who got
the answer knows. What is shown is the statement, which the holder has, and digests.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, bindparam, select

from trus.errors import LedgerError
from trus.ledger.chain import CHAINED, PERSONAL, commit_personal, genesis, rest_of, stated_of
from trus.ledger.heads import Head, last_head
from trus.ledger.prepared import Prepared
from trus.ledger.store import SqlLedger
from trus.ledger.tables import entry, event, signed_head
from trus.ledger.tree import GONE, subtrees
from trus.ledger.writer import ledger_id
from trus.receipts.documents import Document, decode_document
from trus.receipts.links import Receipt
from trus.receipts.merkle import consistency_path, inclusion_path
from trus.receipts.proofs import NotCovered, ShownProof, end_of

_WIDTH: Final = len(CHAINED)
_PLACE: Final = (event.c.slot == bindparam("slot"), event.c.sequence == bindparam("sequence"))
_ANSWER: Final = Prepared(
    select(*(event.c[each] for each in (*CHAINED, *PERSONAL, "salt", "commitment", "mark", "id"))).where(*_PLACE)
)
_LINK: Final = Prepared(select(event.c.link).where(*_PLACE))
_MOVED: Final = Prepared(
    select(entry.c.account, entry.c.amount, entry.c.currency)
    .where(entry.c.event_id == bindparam("event"))
    .order_by(entry.c.number)
)


class LedgerProver:
    """trus.core.receipts.Prover on a ledger: one snapshot a proof."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    def prove(self, receipt: Receipt, since: int) -> ShownProof | None:
        """Return the proof of an answer, None when there is none. Raises NotCovered, StorageFailed."""
        with self._ledger.reading() as connection:
            return prove(connection, receipt, since)


def prove(connection: Connection, receipt: Receipt, since: int = 0) -> ShownProof | None:
    """Return the proof of an answer, None when the journal has no such answer under that mark.

    With `since` also the proof that the newest head continues head `since`. Raises NotCovered, and
    LedgerError for heads that somebody has altered beyond reading.
    """
    slot, sequence = receipt.slot, receipt.sequence
    row = _ANSWER.first(connection, slot=slot, sequence=sequence)
    if row is None or not isinstance(row[-2], bytes) or not hmac.compare_digest(row[-2], receipt.mark):
        return None
    newest = last_head(connection)
    end = None if newest is None else end_of(_said(newest), slot)
    if newest is None or end is None or not end.tree or end.sequence < sequence:
        raise NotCovered
    salt, kept = row[-4], row[-3]
    commitment = kept if kept is not None else commit_personal(salt or b"", tuple(row[_WIDTH : _WIDTH + len(PERSONAL)]))
    moved = [(each[0], each[1], each[2]) for each in _MOVED.rows(connection, event=row[-1])]
    stated, unstated = stated_of(tuple(row[:_WIDTH]))
    read = subtrees(connection, slot)
    older, consistency = _head(connection, since), []
    if older is not None:
        begun = end_of(_said(older), slot)
        if begun is not None and begun.tree and 0 < begun.sequence <= end.sequence:
            consistency = consistency_path(begun.sequence, end.sequence, read)
    return ShownProof(
        stated,
        _link(connection, slot, sequence - 1),
        rest_of(unstated, moved, commitment),
        inclusion_path(sequence - 1, end.sequence, read),
        (newest.document, newest.signature),
        None if older is None else (older.document, older.signature),
        consistency,
    )


def prove_all(engine: Engine, receipts: Sequence[Receipt]) -> list[ShownProof | None]:
    """Return the proof of each of several answers in order, None where there is none yet or none at all.

    For an examiner; the engine's errors are its own. Raises LedgerError.
    """
    with engine.connect() as connection:
        return [_proof_if_any(connection, receipt) for receipt in receipts]


def _proof_if_any(connection: Connection, receipt: Receipt) -> ShownProof | None:
    try:
        return prove(connection, receipt)
    except NotCovered:
        return None


def receipt_key(connection: Connection, number: int) -> bytes | None:
    """Return the key that head `number` commits to, None when there is none; whoever has it can make its codes."""
    key: bytes | None = connection.execute(
        select(signed_head.c.receipt_key).where(signed_head.c.number == number)
    ).scalar()
    return key


def receipt_of(connection: Connection, rrn: str, numbers: list[int]) -> Receipt | None:
    """Return the receipt of a retrieval reference number, which one of these event ids has."""
    columns = (event.c.slot, event.c.sequence, event.c.mark)
    row = connection.execute(select(*columns).where(event.c.id.in_(numbers), event.c.rrn == rrn)).first()
    return None if row is None or row[2] is None else Receipt(*row)


def _head(connection: Connection, number: int) -> Head | None:
    columns = (signed_head.c.number, signed_head.c.document, signed_head.c.digest, signed_head.c.signature)
    row = connection.execute(select(*columns).where(signed_head.c.number == number)).first() if number else None
    return None if row is None else Head(*row)


def _said(head: Head) -> Document:
    try:
        return decode_document(head.document)
    except msgspec.MsgspecError:
        raise LedgerError(f"signed head {head.number} cannot be read: audit the ledger") from None


def _link(connection: Connection, slot: int, sequence: int) -> bytes:
    if sequence == 0:
        return genesis(ledger_id(connection), slot).link
    found = _LINK.value(connection, slot=slot, sequence=sequence)
    return found if isinstance(found, bytes) else GONE
