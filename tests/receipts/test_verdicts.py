"""`trus verify-receipt` on files alone: what it says, what it exits with, and what it refuses to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.receipts.vectors import VECTORS, sign
from trus.cli.verify_receipt import verify_receipt_command
from trus.errors import ConfigurationError
from trus.receipts.documents import ExportedLine, HeadDocument, decode_document, encode_document
from trus.receipts.links import Receipt, ReceiptError
from trus.receipts.proofs import Continuation, read_evidence


class CommandCase(SynchronousTestCase):
    """A shop with the vectors' journal: nine answers, heads over none, four and nine of them."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
        (self.folder / "key.pem").write_text(self.vectors["public-key"])

    def head(self, number: int) -> dict[str, str]:
        return {name: self.vectors["heads"][number - 1][name] for name in ("document", "signature")}

    def evidence(self, sequence: int, head: int = 3, since: int = 0) -> dict[str, Any]:
        answer = self.vectors["answers"][sequence - 1]
        proof = {
            "statement": answer["slip"],
            **{name: answer[name] for name in ("previous", "rest")},
            "path": answer["paths"][str(head)],
            "head": self.head(head),
        }
        held = {"version": 1, "receipt": answer["proof"], "slip": answer["slip"], "proof": proof}
        if since:
            held["since"] = {"head": self.head(since), "path": self.vectors["consistency"].get(f"{since}-{head}", [])}
        return held

    def run_command(self, evidence: object, *arguments: str, key: str = "key.pem") -> Result:
        (self.folder / "receipt.json").write_text(evidence if isinstance(evidence, str) else json.dumps(evidence))
        command = [str(self.folder / "receipt.json"), "--key", str(self.folder / key), *arguments]
        return CliRunner().invoke(verify_receipt_command, command)

    def verdict(self, evidence: object, *arguments: str, code: int) -> str:
        done = self.run_command(evidence, *arguments, "--json")
        self.assertEqual(done.exit_code, code, done.output)
        verdict: str = json.loads(done.output)["verdict"]
        return verdict

    def write(self, name: str, content: object) -> str:
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    # ------------------------------------------------------------------------------- proved

    def test_included(self) -> None:
        """Every answer, approved or declined, is proved under every head that covers it."""
        for sequence in range(1, 10):
            for head in (2, 3):
                if head == 3 or sequence <= 4:
                    self.assertEqual(self.verdict(self.evidence(sequence, head), code=0), "included")

    def test_table(self) -> None:
        """Without --json each check is a line, the answer is one as a slip has it, and the verdict is in words."""
        done = self.run_command(self.evidence(7, since=2))
        self.assertEqual(done.exit_code, 0, done.output)
        for words in (
            "the network signed head 2, 3",
            "head 3 continues head 2",
            "the journal says what the slip says (11 fields)",
            "entry 7 of slot 1 is under head 3",
            "purchase, T0000001, 2026-11-20, 632400000047, approved, 7.00 USD",
            "INCLUDED",
        ):
            self.assertIn(words, done.output)

    def test_slip_on_paper(self) -> None:
        """What a paper slip says takes the place of what the file says."""
        held = {**self.evidence(7), "slip": {}}
        code = self.vectors["answers"][6]["proof"]
        printed = f"{code[:8]} {code[8:16]}\n{code[16:]}".lower()
        said = ["--rrn", "632400000047", "--approval", "A1B2C7", "--terminal", "T0000001", "--date", "2026-11-20"]
        self.assertEqual(self.verdict(held, *said, "--amount", "7.00", "--proof", printed, code=0), "included")
        for option, value in zip(said[::2], ("632400000048", "A1B2C8", "T0000002", "2026-11-21"), strict=True):
            self.assertEqual(self.verdict(held, option, value, code=3), "changed", option)
        self.assertEqual(self.verdict(held, "--amount", "70.00", code=3), "changed")
        self.assertEqual(self.verdict(held, "--proof", self.vectors["answers"][7]["proof"], code=3), "changed")

    # ---------------------------------------------------------------------------- not proved

    def test_every_word_of_a_proof_counts(self) -> None:
        """Another digest, a path cut short or made longer, another head's path: none leads to the head."""
        for name in ("previous", "rest"):
            held = self.evidence(7)
            held["proof"][name] = "00" * 32
            self.assertEqual(self.verdict(held, code=3), "changed", name)
        path = self.evidence(7)["proof"]["path"]
        for other in (path[:-1], [*path, "00" * 32], path[::-1], self.vectors["answers"][5]["paths"]["3"]):
            held = self.evidence(7)
            held["proof"]["path"] = other
            self.assertEqual(self.verdict(held, code=3), "changed")

    def test_missing(self) -> None:
        """Without a proof an answer is missed from the second head after it on, and not before."""
        held = self.evidence(7)
        del held["proof"]
        self.assertEqual(held["receipt"].split("-")[2][:8], "00000002")
        self.assertEqual(self.verdict(held, code=1), "not-yet")
        self.assertEqual(self.verdict(held, "--head", self.write("3.json", self.evidence(1)), code=1), "not-yet")
        first = self.evidence(2)
        del first["proof"]
        self.assertEqual(self.verdict(first, "--head", self.write("3.json", self.head(3)), code=3), "not-included")
        # A head that ends before the answer's place, though it is late enough.
        early = {**first, "receipt": "1-77-00000001" + "0" * 24}
        done = self.run_command(early, "--head", self.write("3.json", self.head(3)))
        self.assertEqual(done.exit_code, 3)
        self.assertIn("head 3 ends at entry 9, before the answer's 77", " ".join(done.output.split()))
        # A proof under a head that is older than the answer proves nothing.
        self.assertEqual(self.verdict({**self.evidence(3, 2), "receipt": held["receipt"]}, code=1), "not-yet")

    def test_another_key(self) -> None:
        """A head that the key did not sign proves nothing, and says so."""
        other = ec.generate_private_key(ec.SECP256R1()).public_key()
        (self.folder / "other.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        done = self.run_command(self.evidence(7), key="other.pem")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("NOT SIGNED", done.output)
        both = self.run_command(self.evidence(7), "--key", str(self.folder / "other.pem"))
        self.assertEqual(both.exit_code, 0)
        held = self.evidence(7)
        held["proof"]["head"]["signature"] = "zz"
        self.assertEqual(self.verdict(held, code=1), "not-signed")

    def test_rewritten(self) -> None:
        """A newer head that does not continue an older one contradicts it."""
        held = self.evidence(7, since=2)
        held["since"]["path"][0] = "00" * 32
        self.assertEqual(self.verdict(held, code=3), "inconsistent")
        held["since"]["path"] = []
        self.assertEqual(self.verdict(held, code=3), "inconsistent")

    def test_heads_that_contradict(self) -> None:
        """Two heads that cannot be of one journal that only grows are told, each with the reason."""
        two = decode_document(self.head(2)["document"].encode())
        assert isinstance(two, HeadDocument)
        three = json.loads(self.head(3)["document"])
        [(slot, size, link, tree)] = two.slots
        cases = (
            ({"ledger": "f" * 32}, "are of two ledgers"),
            ({"number": 3}, "there are two heads 3"),
            ({"at": three["at"] + 1}, "the journal was set back"),
            ({"receipts": "00" * 32}, "head 3 does not name head 2"),
            ({"number": 1, "slots": [(slot, 10, link, tree)]}, "head 3 has less of slot 1 than head 1"),
            ({"number": 1, "slots": [(slot, size, link, tree), (2, 1, link, tree)]}, "has less of slot 2 than head 1"),
            ({"number": 1, "slots": [(slot, 9, link, tree)]}, "head 3 says another thing of slot 1 than head 1"),
        )
        for changes, words in cases:
            kept = self.write("kept.json", sign(encode_document(replace(two, **changes))))
            done = self.run_command(self.evidence(7), "--head", kept)
            self.assertEqual(done.exit_code, 3, done.output)
            self.assertIn(words, " ".join(done.output.replace("│", "").split()))
        of_another = {"number": 1, "slots": [(2, 0, link, tree)]}
        held = self.evidence(7, since=2)
        held["since"]["head"] = sign(encode_document(replace(two, **of_another)))
        self.assertIn("less of slot 2", " ".join(self.run_command(held).output.split()))

    def test_slots_that_a_head_does_not_know(self) -> None:
        """A slot that began after a head is new to it; a proof for a slot that its own head does not know is none."""
        two = decode_document(self.head(2)["document"].encode())
        assert isinstance(two, HeadDocument)
        held = self.evidence(7, since=2)
        earlier = replace(two, number=1, slots=[])
        held["since"] = {"head": sign(encode_document(earlier)), "path": []}
        self.assertEqual(self.verdict(held, code=0), "included")
        gone = {**self.evidence(7), "receipt": self.vectors["answers"][6]["proof"].replace("1-", "2-", 1)}
        self.assertEqual(self.verdict(gone, code=1), "not-yet")
        continued = Continuation(ExportedLine(**self.head(2)), [])
        self.assertFalse(continued.continues(earlier, 1))
        proof = read_evidence(json.dumps(self.evidence(7)).encode()).proof
        assert proof is not None
        self.assertFalse(proof.leads(Receipt.parse(gone["receipt"])))

    def test_opening(self) -> None:
        """An opened key shows whether the network gave the answer; another key is not the one it committed to."""
        held = self.evidence(7, since=2)
        right, wrong = self.vectors["heads"][1]["key"], self.vectors["heads"][0]["key"]
        for key, words in ((right, "the network gave this answer"), (wrong, "is not the one that head 2 commits to")):
            done = self.run_command(held, "--opening", key)
            self.assertIn(words, " ".join(done.output.replace("│", "").split()))
        short = {**held, "slip": {"rrn": "632400000047"}}
        self.assertIn("does not say", self.run_command(short, "--opening", right).output)
        without = self.evidence(7)
        self.assertIn("is not among", " ".join(self.run_command(without, "--opening", right).output.split()))

    # ------------------------------------------------------------------------------ unreadable

    def test_nonsense(self) -> None:
        """A file, a key or a code that is none is refused in one sentence."""
        short = self.evidence(7)
        short["proof"]["rest"] = "00"
        head = self.evidence(7)
        head["proof"]["head"]["document"] = "{}"
        for evidence in (
            "hello",
            {**self.evidence(7), "version": 2},
            {**self.evidence(7), "slip": {"x": 1}},
            {**self.evidence(7), "receipt": "7"},
            short,
            head,
            " " * (1 << 20) + "{}",
        ):
            self.assertIsInstance(self.run_command(evidence).exception, ReceiptError)
        self.assertIsInstance(self.run_command(self.evidence(7), "--opening", "00").exception, ReceiptError)
        self.assertIsInstance(self.run_command(self.evidence(7), "--opening", "zz").exception, ReceiptError)
        self.write("none.pem", "no key")
        self.assertIsInstance(self.run_command(self.evidence(7), key="none.pem").exception, ConfigurationError)
        nothing = {"version": 1, "receipt": self.vectors["answers"][0]["proof"]}
        self.assertIsInstance(self.run_command(nothing, "--amount", "1.00").exception, ConfigurationError)

    def test_codes(self) -> None:
        """A proof code is read as it is printed, in groups and in either case, and nothing else is one."""
        text = "1-48213-0000004D4F2A90C1D2E3F4A5B6C7D8E9"
        receipt = Receipt.parse(" 1-48213-0000 004d 4f2a 90c1\n d2e3 f4a5 b6c7 d8e9 ")
        self.assertEqual((receipt.text(), receipt.head, receipt.code.hex()), (text, 77, "4f2a90c1d2e3f4a5b6c7d8e9"))
        for other in (
            "",
            "0-1-" + "0" * 32,
            "1-0-" + "0" * 32,
            text[:-1],
            text + "0",
            text.replace("4D", "4G"),
            "١" + text[1:],
        ):
            self.assertRaises(ReceiptError, Receipt.parse, other)
