"""The hash chain and its signed heads."""

from __future__ import annotations

import hashlib
import json
import os

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import Books
from trus.errors import LedgerError
from trus.ledger.chain import (
    CHAINED,
    ENCODING_VERSION,
    PERSONAL,
    UNSTATED,
    ChainHead,
    commit_personal,
    extend,
    follow,
    genesis,
)
from trus.ledger.heads import Head, HeadLog, exported_lines
from trus.ledger.tables import event
from trus.receipts.documents import (
    CONTEXT,
    HeadDocument,
    SlotHead,
    decode_document,
    encode_document,
    root_of,
    slots_of,
)
from trus.receipts.links import STATED
from trus.receipts.merkle import merkle_root, perfect_root, tree_root


class Signer:
    """Signs and verifies heads with a key of a test's own."""

    name = "audit-head/1"

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
        self.signed: list[bytes] = []

    def sign(self, payload: bytes) -> bytes:
        self.signed.append(payload)
        return self._key.sign(payload)

    def verify(self, name: str, payload: bytes, signature: bytes) -> bool:
        try:
            self._key.public_key().verify(signature, payload)
        except InvalidSignature:
            return False
        return name == self.name


class ChainCase(SynchronousTestCase):
    """Links and commitments."""

    def test_known_link(self) -> None:
        """The encoding of version 1 never changes: a known event has a known commitment and a known link."""
        salt = bytes(range(16))
        commitment = commit_personal(salt, (7, "pos/T0000001/0a", '{"asked":1250}', b"answer"))
        by_hand = salt + msgspec.msgpack.encode([1, [7, "pos/T0000001/0a", '{"asked":1250}', b"answer"]])
        self.assertEqual(commitment, hashlib.sha256(by_hand).digest())
        self.assertEqual(commitment.hex(), "2e58608b2d2cb8fb6c376bbee83fc4e58d716b01384896bb59ec3d99880b718c")
        chained = (
            73994000000001, "purchase", "T0000001", "2026-11-20", 42, bytes(16), bytes(32), 1, 1250, 1250, "USD",
            "approved", "00", "A1B2C3", "632400000001", "approved", None, "2026-11-20", 1795176000000000, "2026-11-20",
        )  # fmt: skip
        self.assertEqual(len(chained), len(CHAINED))
        entries = [(5, -1250, "USD"), (9, 1250, "USD")]
        head = follow(genesis("00" * 16, 1), chained, entries, commitment, None)
        self.assertEqual((head.slot, head.sequence), (1, 1))
        self.assertEqual(head.link.hex(), "871f4e2eb298b91099c5dba267d040640a937dae07a8e3812881b74e8d6882c3")
        body = msgspec.msgpack.encode(
            [ENCODING_VERSION, 1, 1, list(chained), [list(each) for each in entries], commitment]
        )
        start = hashlib.sha256(b"trus chain 1\0" + b"00" * 16 + b"\0" + b"1").digest()
        self.assertEqual(head.link, hashlib.sha256(start + body).digest())

    def test_known_link_of_version_two(self) -> None:
        """The encoding of version 2 never changes: the same event, with its mark, has a known link."""
        commitment = bytes.fromhex("2e58608b2d2cb8fb6c376bbee83fc4e58d716b01384896bb59ec3d99880b718c")
        stated = (
            "purchase", "T0000001", "2026-11-20", 42, 1250, 1250, "USD", "approved", "00", "A1B2C3", "632400000001",
        )  # fmt: skip
        unstated = (
            73994000000001, bytes(16), bytes(32), 1, "approved", None, "2026-11-20", 1795176000000000, "2026-11-20",
        )  # fmt: skip
        self.assertEqual((len(stated), len(unstated)), (len(STATED), len(UNSTATED)))
        entries = [(5, -1250, "USD"), (9, 1250, "USD")]
        start = genesis("00" * 16, 1)
        head, mark = extend(start, stated, unstated, entries, commitment, (b"\0\0\0\x07", bytes(range(32))))
        self.assertEqual(mark.hex(), "000000073f5e6cc5bfaddd1dea8fe36c")
        self.assertEqual(head.link.hex(), "71ce85e28309aa2737f49972d2070bdde8f65f9f0ece1eda834b59503cac3b28")
        statement = msgspec.msgpack.encode([2, 1, 1, *stated])
        code = hashlib.sha256(bytes(range(32)) + statement).digest()[:12]
        rest = msgspec.msgpack.encode([2, list(unstated), [list(each) for each in entries], commitment])
        body = b"\0" + start.link + hashlib.sha256(rest).digest() + b"\0\0\0\x07" + code + statement
        self.assertEqual(head.link, hashlib.sha256(body).digest())

    def test_every_column_counts(self) -> None:
        """Another value in any chained column is another link; the personal ones count by their commitment."""
        books = Books(self)
        books.pay()
        with books.ledger.reading() as connection:
            row = connection.execute(select(event).where(event.c.kind == "purchase")).one()._mapping
        chained = tuple(row[name] for name in CHAINED)
        before = ChainHead(1, row["sequence"] - 1, b"before")
        for mark in (None, bytes(16)):
            link = follow(before, chained, [], b"c", mark).link
            for place, name in enumerate(CHAINED):
                changed = (*chained[:place], "x", *chained[place + 1 :])
                self.assertNotEqual(follow(before, changed, [], b"c", mark).link, link, name)
            self.assertNotEqual(follow(before, chained, [(1, 1, "USD")], b"c", mark).link, link)
            self.assertNotEqual(follow(before, chained, [], b"d", mark).link, link)
            self.assertNotEqual(follow(before, chained, [], b"c", b"\1" * 16).link, link)
        personal = tuple(row[name] for name in PERSONAL)
        commitment = commit_personal(row["salt"], personal)
        for place, name in enumerate(PERSONAL):
            changed = (*personal[:place], "x", *personal[place + 1 :])
            self.assertNotEqual(commit_personal(row["salt"], changed), commitment, name)
        self.assertNotEqual(commit_personal(bytes(16), personal), commitment)

    def test_all_columns_are_covered(self) -> None:
        """No column of the journal is outside the chain but those that make the chain itself."""
        rest = {each.name for each in event.columns} - set(CHAINED) - set(PERSONAL)
        self.assertEqual(rest, {"slot", "sequence", "salt", "link", "commitment", "mark"})

    def test_no_two_ledgers_share_a_chain(self) -> None:
        """Chains begin with the ledger's own id and the slot."""
        starts = {genesis(name, slot).link for name in ("a", "b") for slot in (1, 2, 11)}
        self.assertEqual(len(starts), 6)

    def test_a_restart_continues(self) -> None:
        """A restart continues the slot's chain where it ended."""
        books = Books(self)
        books.pay()
        books.reopen()
        books.pay()
        with books.ledger.reading() as connection:
            numbers = list(connection.execute(select(event.c.sequence).order_by(event.c.id)).scalars())
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertTrue(books.audit().sound)


class MerkleCase(SynchronousTestCase):
    """Roots over slot heads."""

    def test_known_roots(self) -> None:
        """RFC 6962, section 2.1: roots of no, one, two and three leaves, leaves and nodes told apart."""

        def leaf(data: bytes) -> bytes:
            return hashlib.sha256(b"\0" + data).digest()

        def node(left: bytes, right: bytes) -> bytes:
            return hashlib.sha256(b"\1" + left + right).digest()

        self.assertEqual(merkle_root([]), hashlib.sha256(b"").digest())
        self.assertEqual(merkle_root([b"a"]), leaf(b"a"))
        self.assertEqual(merkle_root([b"a", b"b"]), node(leaf(b"a"), leaf(b"b")))
        self.assertEqual(merkle_root([b"a", b"b", b"c"]), node(node(leaf(b"a"), leaf(b"b")), leaf(b"c")))
        whole = node(node(leaf(b"a"), leaf(b"b")), node(leaf(b"c"), leaf(b"d")))
        self.assertEqual(merkle_root([b"a", b"b", b"c", b"d", b"e"]), node(whole, leaf(b"e")))


class HeadsCase(SynchronousTestCase):
    """Signed heads and their exported copies."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.directory = self.books.folder / "heads"
        self.signer = Signer()
        self.log = HeadLog(self.books.ledger, self.signer, self.directory)

    def sign(self) -> Head | None:
        return self.log.sign(self.books.clock.now())

    def lines(self) -> list[str]:
        return [line for _, _, line in exported_lines(self.directory)]

    def test_head(self) -> None:
        """A head names every slot's last link, the head before it, and is signed under a context of its own."""
        self.books.pay()
        first = self.sign()
        self.books.pay()
        second = self.sign()
        assert first is not None and second is not None
        self.assertEqual((first.number, second.number), (1, 2))
        said = decode_document(second.document)
        self.assertEqual(said.previous, hashlib.sha256(first.document).hexdigest())
        [only] = slots_of(said)
        self.assertEqual(only.slot, 1)
        self.assertEqual(said.root, root_of([only]).hex())
        with self.books.ledger.reading() as connection:
            links = list(connection.execute(select(event.c.link).order_by(event.c.sequence)).scalars())
        self.assertEqual((only.sequence, only.link), (len(links), links[-1]))
        self.assertEqual(
            only.tree,
            tree_root(len(links), lambda level, number: perfect_root(links[number << level : (number + 1) << level])),
        )
        self.assertEqual(self.signer.signed, [CONTEXT + first.document, CONTEXT + second.document])
        self.assertEqual(decode_document(first.document).previous, "00" * 32)

    def test_nothing_new(self) -> None:
        """No head is signed when nothing was added."""
        self.books.pay()
        self.assertIsNotNone(self.sign())
        self.assertIsNone(self.sign())
        self.assertEqual(len(self.lines()), 1)

    def test_export(self) -> None:
        """Every head is a line of JSON outside the database, a file a month, for the owner alone."""
        self.books.pay()
        first = self.sign()
        self.books.clock.advance(30 * 86_400)
        self.books.pay()
        self.sign()
        files = sorted(self.directory.iterdir())
        self.assertEqual([each.name for each in files], ["heads-2026-11.jsonl", "heads-2026-12.jsonl"])
        assert first is not None
        line = json.loads(files[0].read_text())
        self.assertEqual(line, {"document": first.document.decode(), "signature": first.signature.hex()})
        self.assertEqual(files[0].stat().st_mode & 0o777, 0o600)

    def test_export_catches_up(self) -> None:
        """A head that could not be exported is exported with the next, in order; payments never wait for it."""
        self.books.pay()
        self.sign()
        [path] = self.directory.iterdir()
        aside = path.rename(self.books.folder / "aside")
        path.mkdir()
        self.books.pay()
        failure = self.assertRaises(LedgerError, self.sign)
        self.assertIn("head 2 could not be written", str(failure))
        self.books.pay()
        path.rmdir()
        aside.rename(path)
        self.sign()
        self.assertEqual([json.loads(json.loads(line)["document"])["number"] for line in self.lines()], [1, 2, 3])

    def test_torn_line(self) -> None:
        """A line that a crash tore is cut off and written again, whole."""
        self.books.pay()
        self.sign()
        [path] = self.directory.iterdir()
        whole = path.read_bytes()
        for torn in (whole[:-1], whole + whole[: len(whole) // 2]):
            path.write_bytes(torn)
            self.log = HeadLog(self.books.ledger, self.signer, self.directory)
            self.sign()
            self.assertEqual(path.read_bytes(), whole)

    def test_restart(self) -> None:
        """A restart goes on with the next number, and an empty file of a new month is passed over."""
        self.books.pay()
        self.sign()
        (self.directory / "heads-2026-12.jsonl").touch()
        self.books.reopen()
        self.log = HeadLog(self.books.ledger, self.signer, self.directory)
        self.books.pay()
        made = self.sign()
        assert made is not None
        self.assertEqual(made.number, 2)

    def test_full_disk(self) -> None:
        """A disk too full for a whole line is told, and the line is written whole later."""
        self.books.pay()
        self.patch(os, "write", lambda handle, line: len(line) - 1)
        failure = self.assertRaises(LedgerError, self.sign)
        self.assertIn("No space left", str(failure))

    def test_foreign_directory(self) -> None:
        """A directory that cannot be used, or that holds something else, is refused at the start."""
        foreign = self.books.folder / "foreign"
        foreign.mkdir()
        (foreign / "heads-2026-11.jsonl").write_text("hello\n")
        failure = self.assertRaises(LedgerError, HeadLog, self.books.ledger, self.signer, foreign)
        self.assertIn("is no head", str(failure))
        file = self.books.folder / "file"
        file.touch()
        failure = self.assertRaises(LedgerError, HeadLog, self.books.ledger, self.signer, file)
        self.assertIn("cannot be read", str(failure))

    def test_one_form(self) -> None:
        """A document is read in its one form alone: other spacing, other fields, another version are refused."""
        document = HeadDocument(
            at=1,
            key="k",
            ledger="l",
            number=1,
            previous="p",
            receipts="c",
            root="r",
            slots=[(1, 2, "0a", "0b")],
            version=2,
        )
        encoded = encode_document(document)
        self.assertEqual(
            encoded,
            b'{"at":1,"key":"k","ledger":"l","number":1,"previous":"p","receipts":"c","root":"r",'
            b'"slots":[[1,2,"0a","0b"]],"version":2}',
        )
        self.assertEqual(decode_document(encoded), document)
        earlier = (
            b'{"at":1,"key":"k","ledger":"l","number":1,"previous":"p","root":"r","slots":[[1,2,"0a"]],"version":1}'
        )
        self.assertEqual(slots_of(decode_document(earlier)), [SlotHead(1, 2, b"\x0a")])
        for other in (
            encoded.replace(b",", b", ", 1),
            encoded.replace(b'"version":2', b'"version":1'),
            encoded.replace(b'"version":2', b'"version":3'),
            earlier.replace(b'"version":1', b'"version":2'),
            encoded.replace(b"}", b',"x":1}'),
            encoded.replace(b'"at":1', b'"at":"1"'),
            b"hello",
        ):
            self.assertRaises(msgspec.DecodeError, decode_document, other)
