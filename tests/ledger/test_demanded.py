"""Whether a ledger is as new as a head that somebody kept elsewhere: what it lacks, and what it contradicts."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import NOON, Books
from tests.ledger.test_chain import Signer
from trus.errors import LedgerError
from trus.ledger.demanded import ForeignHead, KnownHead, Shortfall, read_known, shortfall
from trus.ledger.heads import Head, HeadLog, line_of
from trus.ledger.tables import signed_head
from trus.receipts.documents import CONTEXT, HeadDocument, decode_document, encode_document


class DemandedCase(SynchronousTestCase):
    """A ledger with two signed heads: after one payment, and after two more."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.signer = Signer()
        log = HeadLog(self.books.ledger, self.signer, self.books.folder / "heads")
        self.heads: list[Head] = []
        for payments in (1, 2):
            for _ in range(payments):
                self.books.pay(0, 1)
            signed = log.sign(NOON)
            assert signed is not None
            self.heads.append(signed)
        self.slots = self.ends(self.heads[1])

    def ends(self, head: Head) -> list[tuple[int, int]]:
        return [(each[0], each[1]) for each in self.said(head).slots]

    def said(self, head: Head) -> HeadDocument:
        document = decode_document(head.document)
        assert isinstance(document, HeadDocument)
        return document

    def signed(self, document: HeadDocument) -> KnownHead:
        """Return a head that the token signed, with such a document."""
        encoded = encode_document(document)
        signature = self.signer.sign(CONTEXT + encoded)
        return KnownHead(hashlib.sha256(encoded).digest(), document, encoded, signature)

    def known(self, *heads: Head) -> list[KnownHead]:
        return read_known("\n".join(line_of(head) for head in heads))

    def set_back(self) -> None:
        """Make the ledger one of before its second head, as far as heads and slots tell."""
        with self.books.ledger.order(NOON) as unit:
            unit.connection.execute(signed_head.delete().where(signed_head.c.number == 2))
        self.slots = self.ends(self.heads[0])

    def lacks(self, known: list[KnownHead]) -> Shortfall | None:
        with self.books.ledger.reading() as connection:
            return shortfall(connection, self.slots, known, self.signer)

    def assert_foreign(self, words: str, *known: KnownHead) -> None:
        self.assertIn(words, str(self.assertRaises(ForeignHead, self.lacks, list(known))))

    def test_nothing_is_lacking(self) -> None:
        """A ledger that has the demanded head lacks nothing, whichever of its heads that is and however it was kept."""
        for kept in (self.known(*self.heads), self.known(self.heads[0]), [KnownHead(self.heads[0].digest)]):
            self.assertIsNone(self.lacks(kept))

    def test_events_lacking(self) -> None:
        """A ledger of before the demanded head lacks the events since, and the day is that of the head."""
        known = self.known(*self.heads)
        self.set_back()
        self.assertEqual(self.lacks(known), Shortfall(2, 2, NOON.date()))
        self.slots = []
        self.assertEqual(self.lacks(known), Shortfall(2, self.ends(self.heads[1])[0][1], NOON.date()))

    def test_slot_that_went_on(self) -> None:
        """What a ledger has beyond the head in one slot makes nothing good that it lacks in another."""
        said, before = self.said(self.heads[1]), self.heads[1].digest.hex()
        document = replace(said, number=3, previous=before, slots=[(1, 1, "", ""), (2, 4, "", "")])
        self.assertEqual(self.lacks([self.signed(document)]), Shortfall(3, 4, NOON.date()))

    def test_digest_alone(self) -> None:
        """Of a head that is known by its digest and is not there nobody can say how much is missing."""
        known = read_known(f" {self.heads[1].digest.hex().upper()}\n")
        self.assertEqual(known, [KnownHead(self.heads[1].digest)])
        self.assertIsNone(self.lacks(known))
        self.set_back()
        self.assertEqual(self.lacks(known), Shortfall(0, None, None))

    def test_digest_among_lines(self) -> None:
        """A digest before the demanded head is nothing to check it by."""
        self.assertIsNone(self.lacks([KnownHead(bytes(32)), *self.known(self.heads[1])]))

    def test_another_ledger(self) -> None:
        """A head of another ledger is no state of this one, however well it is signed."""
        other = self.signed(replace(self.said(self.heads[1]), ledger="00" * 16))
        self.assert_foreign(f"is of the ledger {'00' * 16}, not of", other)

    def test_another_token(self) -> None:
        """A head whose signature is not the token's is refused, by its number and the key it names."""
        [forged] = self.known(self.heads[1])
        self.assert_foreign(
            "head 2 was not signed by the token's key audit-head/1", replace(forged, signature=bytes(64))
        )

    def test_another_history(self) -> None:
        """A head that says something else than this ledger's of the same number is refused, if it is not the last."""
        other = self.signed(replace(self.said(self.heads[0]), at=0))
        self.assert_foreign("head 1 of this ledger is another one", other, *self.known(self.heads[1]))

    def test_a_head_that_does_not_follow(self) -> None:
        """The head after the ledger's last one must name that as the one before it; without a first there is none."""
        follower = self.signed(replace(self.said(self.heads[1]), previous="00" * 32))
        later = self.signed(replace(self.said(self.heads[1]), number=3))
        self.set_back()
        self.assert_foreign("head 2 does not follow head 1 of this ledger", follower, later)
        self.assertEqual(self.lacks([later]), Shortfall(3, 2, NOON.date()))
        with self.books.ledger.order(NOON) as unit:
            unit.connection.execute(signed_head.delete())
        self.assertEqual(self.lacks(self.known(self.heads[0])), Shortfall(1, 0, NOON.date()))

    def test_lines_in_any_order(self) -> None:
        """The demanded head is that of the greatest number, wherever its line stands."""
        known = self.known(self.heads[1], self.heads[0])
        self.assertEqual([each.digest for each in known], [each.digest for each in self.heads])
        self.assertEqual([each.signature for each in known], [each.signature for each in self.heads])
        self.assertEqual(known[1].document, self.said(self.heads[1]))

    def test_unreadable(self) -> None:
        """What is neither a digest nor lines of heads is refused in one sentence, and so is an empty file."""
        line = line_of(self.heads[0])
        for text in ("00" * 31, "{}", line + "\n\n" + line, line.replace('"signature":"', '"signature":"x')):
            failure = self.assertRaises(LedgerError, read_known, text)
            self.assertEqual(str(failure), "the demanded head is neither a digest nor an exported line of heads")
        self.assertEqual(str(self.assertRaises(LedgerError, read_known, "")), "no head is demanded: the file is empty")
