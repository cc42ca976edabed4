"""The audit of signed heads and of their exported copies."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace
from sqlalchemy import select

from tests.ledger.audited import AuditCase
from trus.ledger.findings import Check
from trus.ledger.tables import signed_head
from trus.receipts.documents import CONTEXT, HeadDocument, decode_document, encode_document, root_of, slots_of


class HeadsTamperCase(AuditCase):
    """Signed heads that do not hold."""

    def test_signature(self) -> None:
        """A head signed by another key, or under another name, is found."""
        self.tamper("UPDATE signed_head SET signature = zeroblob(64) WHERE number = 1")
        self.assert_found(Check.HEADS, "head 1", "does not verify under audit-head/1")
        self.assert_found(Check.EXPORT, "heads-2026-11.jsonl line 1", "the database does not hold this head")

    def test_document(self) -> None:
        """A head whose document was altered is found, and so is one that cannot be read."""
        self.tamper(
            "UPDATE signed_head SET document = replace(document, '\"number\":1', '\"number\":7') WHERE number = 1"
        )
        self.assert_found(Check.HEADS, "head 1", "digest is not that of its document")
        self.assert_found(Check.HEADS, "head 1", "another place or another ledger")
        self.assert_found(Check.HEADS, "head 1", "does not verify")
        self.tamper("UPDATE signed_head SET document = x'00' WHERE number = 1")
        self.assert_found(Check.HEADS, "head 1", "cannot be read")

    def test_head_removed(self) -> None:
        """A head taken out is found by the one after it and by its exported copy."""
        self.tamper("DELETE FROM signed_head WHERE number = 1")
        self.assert_found(Check.HEADS, "head 2", "head 1 is missing before it")
        self.assert_found(Check.HEADS, "head 2", "does not follow the head before it")

    def test_database_set_back(self) -> None:
        """A database restored from an old copy is contradicted by the exported heads."""
        self.tamper("DELETE FROM signed_head WHERE number = 2")
        self.assert_found(Check.EXPORT, "heads-2026-11.jsonl line 2", "changed or set back")

    def test_exported_out_of_order(self) -> None:
        """Exported lines in another order, or doubled, are found."""
        [path] = self.heads.iterdir()
        one, two = path.read_text().splitlines(keepends=True)
        path.write_text(two + one)
        self.assert_found(Check.EXPORT, "heads-2026-11.jsonl line 1", "it is head 2 where head 1")
        path.write_text(one + one + two)
        self.assert_found(Check.EXPORT, "heads-2026-11.jsonl line 2", "it is head 1 where head 2")

    def test_export_unreadable(self) -> None:
        """Exported heads that cannot be read are a finding, not silence."""
        [path] = self.heads.iterdir()
        path.rename(path.with_suffix(".aside"))
        path.mkdir()
        self.assert_found(Check.EXPORT, str(self.heads), "cannot be read")

    def test_slots(self) -> None:
        """Heads in which a slot vanishes, goes back, or has another root are found."""
        for slots, root, words in (
            ([], None, "slot 1 is gone"),
            ([(1, 3, "00", "00")], None, "slot 1 goes back to sequence 3"),
            ([(1, 10, "zz", "00")], None, "another event, or none, at slot 1"),
            ([(1, 10, "zz", "00")], None, "its tree over slot 1 is not that of the journal's links"),
            (None, "00" * 32, "its root is not that of its slots"),
        ):
            self.resign(slots, root)
            self.assert_found(Check.HEADS, "head 2", words)

    def resign(self, slots: list[tuple[int, int, str, str]] | None, root: str | None) -> None:
        """Replace the second head by one that the right key signed over other slots."""
        with self.engine.connect() as connection:
            row = connection.execute(select(signed_head).where(signed_head.c.number == 2)).one()
            if not hasattr(self, "original"):
                self.original = row.document
            said = decode_document(self.original)
            assert isinstance(said, HeadDocument)
            altered = said if slots is None else replace(said, slots=slots)
            document = encode_document(replace(altered, root=root or root_of(slots_of(altered)).hex()))
            connection.execute(
                signed_head.update()
                .where(signed_head.c.number == 2)
                .values(
                    document=document,
                    digest=hashlib.sha256(document).digest(),
                    signature=self.signer.sign(CONTEXT + document),
                )
            )
            connection.commit()
