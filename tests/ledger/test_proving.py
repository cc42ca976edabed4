"""Receipts on a ciphered ledger: proved to whoever holds the public key, and what is found when somebody tampers."""

from __future__ import annotations

import shutil
from typing import Any

import msgspec
from sqlalchemy import Engine
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import DB_KEY, FIELD_KEY, LOOKUP_KEY, TODAY, Books, CountedEntropy
from tests.ledger.test_chain import Signer
from trus.auth.ports import Event
from trus.errors import LedgerError
from trus.ledger.compose import open_ledger
from trus.ledger.engine import open_engine
from trus.ledger.erasure import erase_employee
from trus.ledger.heads import HeadLog
from trus.ledger.proving import LedgerProver, prove, prove_all, receipt_key, receipt_of
from trus.ledger.registry import Registry
from trus.ledger.registry_reports import JournalFilter
from trus.receipts.links import STATED, Receipt
from trus.receipts.proofs import EVIDENCE_VERSION, Evidence, NotCovered, pack, read_evidence, write_evidence
from trus.receipts.verdicts import Judgement, Verdict, judge


class ProvingCase(SynchronousTestCase):
    """A shop with receipts, a ledger, and somebody who holds the ledger's key."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.signer = Signer()
        self.log = HeadLog(self.books.ledger, self.signer, self.books.folder / "heads")
        self.sign()

    def sign(self) -> None:
        self.books.clock.advance(60)
        self.log.sign(self.books.clock.now())

    def pay(self, amount: int = 1_250, who: int = 0) -> tuple[Receipt, dict[str, Any]]:
        """Pay; return the receipt, and what a terminal would note of the answer."""
        with self.books.ledger.order(self.books.clock.now()) as unit:
            event = self.books.purchase(unit, who, amount)
            unit.record(event)
        assert event.identity is not None
        receipt = unit.receipt(event.identity)
        assert receipt is not None
        return receipt, slip_of(event)

    def prove(self, receipt: Receipt, slip: dict[str, Any] | None = None, since: int = 0) -> Evidence:
        """Ask for a proof, as the core does, and write it down, as a terminal does."""
        shown = LedgerProver(self.books.ledger).prove(receipt, since)
        proof, older = (None, None) if shown is None else pack(shown)
        evidence = Evidence(EVIDENCE_VERSION, receipt.text(), slip or {}, proof, older)
        return read_evidence(write_evidence(evidence))

    def judge(self, evidence: Evidence, *others: Evidence, opening: bytes = b"") -> Judgement:
        heads = [each.proof.head for each in others if each.proof is not None]
        return judge(evidence, self.signed, heads, opening)

    def signed(self, payload: bytes, signature: bytes, /) -> bool:
        return self.signer.verify(self.signer.name, payload, signature)

    def test_all_at_once(self) -> None:
        """An examiner is given the proof of each of several answers, and none for what no head covers yet."""
        first, _ = self.pay()
        self.sign()
        second, _ = self.pay()
        covered, waiting = prove_all(self.books.ledger.engine, [first, second])
        assert covered is not None
        self.assertTrue(pack(covered)[0].leads(first))
        self.assertIsNone(waiting)
        self.assertEqual(prove_all(self.books.ledger.engine, [Receipt(1, 999, bytes(16))]), [None])

    def tamper(self, *statements: str) -> None:
        """Change the closed ledger as somebody does who holds its key, and open it again."""
        self.books.ledger.close()
        engine: Engine = open_engine(self.books.path, lambda: DB_KEY)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()
        engine.dispose()
        self.reopen()

    def reopen(self) -> None:
        self.books.reopen()
        self.log = HeadLog(self.books.ledger, self.signer, self.books.folder / "heads")

    # ------------------------------------------------------------------------------ it holds

    def test_included(self) -> None:
        """An answer is proved under the next head, with the slip's words, for every answer of a batch of heads."""
        paid = [self.pay(amount) for amount in (100, 200, 300)]
        self.assertRaises(NotCovered, self.prove, paid[0][0])
        self.sign()
        paid.append(self.pay(400))
        self.sign()
        for receipt, slip in paid:
            judgement = self.judge(self.prove(receipt, slip))
            self.assertEqual((judgement.verdict, judgement.head), (Verdict.INCLUDED, 3), judgement)
            self.assertEqual({each.holds for each in judgement.findings}, {True})

    def test_nothing_else_is_shown(self) -> None:
        """A proof shows no account, no card and no other answer: numbers of the statement and digests alone."""
        receipt, slip = self.pay()
        self.sign()
        evidence = self.prove(receipt)
        assert evidence.proof is not None
        self.assertEqual(msgspec.structs.asdict(evidence.proof.statement), slip)
        digests = [evidence.proof.previous, evidence.proof.rest, *evidence.proof.path]
        self.assertEqual({len(bytes.fromhex(each)) for each in digests}, {32})

    def test_a_stranger_learns_nothing(self) -> None:
        """Who does not know the mark is told what he is told of an answer that never was."""
        receipt, _ = self.pay()
        self.sign()
        for other in (
            Receipt(receipt.slot, receipt.sequence, bytes(16)),
            Receipt(receipt.slot, receipt.sequence + 1, receipt.mark),
            Receipt(receipt.slot + 1, receipt.sequence, receipt.mark),
        ):
            self.assertIsNone(LedgerProver(self.books.ledger).prove(other, 0))

    def test_erased(self) -> None:
        """A receipt holds after its cardholder was erased by law."""
        receipt, slip = self.pay()
        self.sign()
        before = self.prove(receipt, slip)
        with self.books.ledger.order(self.books.clock.now()) as unit:
            erase_employee(unit, 1, "admin/test")
        self.sign()
        after = self.prove(receipt, slip, since=2)
        self.assertEqual(self.judge(after, before).verdict, Verdict.INCLUDED)

    def test_through_the_registry(self) -> None:
        """Whoever answers an admin finds and proves a receipt in the snapshot that everything else is read in."""
        receipt, _ = self.pay()
        self.sign()
        with Registry(self.books.ledger).reading() as view:
            rows, _ = view.reports.transactions(JournalFilter(("purchase",)), None, 1)
            self.assertEqual(view.receipts.of(rows[0].rrn, TODAY), receipt)
            self.assertEqual(view.receipts.prove(receipt, 0), LedgerProver(self.books.ledger).prove(receipt, 0))
            self.assertEqual(view.receipts.newest(), 2)
            self.assertIsNotNone(view.receipts.key(2))
            self.assertIsNone(view.receipts.key(3))

    def test_first_of_a_slot(self) -> None:
        """The first answer of a writing process is proved too: what comes before it is the chain's own beginning."""
        self.books.ledger.close()
        self.books.ledger = open_ledger(
            self.books.path,
            db_key=DB_KEY,
            lookup_key=LOOKUP_KEY,
            field_keys={1: FIELD_KEY},
            clock=self.books.clock,
            entropy=CountedEntropy("slot 2"),
            slot=2,
        )
        self.log = HeadLog(self.books.ledger, self.signer, self.books.folder / "heads")
        self.sign()
        receipt, slip = self.pay()
        self.sign()
        self.assertEqual((receipt.slot, receipt.sequence), (2, 1))
        self.assertEqual(self.judge(self.prove(receipt, slip)).verdict, Verdict.INCLUDED)

    def test_by_reference(self) -> None:
        """The issuer finds the receipt of a retrieval reference number."""
        receipt, slip = self.pay()
        with self.books.ledger.reading() as connection:
            event_id = int(connection.exec_driver_sql("SELECT max(id) FROM event").scalar_one())
            self.assertEqual(receipt_of(connection, slip["rrn"], [event_id]), receipt)
            self.assertIsNone(receipt_of(connection, "0" * 12, [event_id]))

    def test_restart(self) -> None:
        """A restart goes on marking under the key that the newest head commits to."""
        self.pay()
        self.reopen()
        receipt, slip = self.pay()
        self.assertEqual(receipt.head, 1)
        self.sign()
        with self.books.ledger.reading() as connection:
            key = receipt_key(connection, 1)
        assert key is not None
        first = self.books.folder / "heads" / "heads-2026-11.jsonl"
        lines = first.read_text().splitlines()
        evidence = self.prove(receipt, slip, since=1)
        judgement = self.judge(evidence, opening=key)
        self.assertEqual(len(lines), 2)
        self.assertIn(("code", True), [(each.check, each.holds) for each in judgement.findings])
        forged = {**slip, "authorized": 9_900}
        judgement = self.judge(Evidence(1, receipt.text(), forged, None, evidence.since), opening=key)
        self.assertIn(("code", False), [(each.check, each.holds) for each in judgement.findings])

    # ------------------------------------------------------------------------------- it does not

    def test_another_slip(self) -> None:
        """A slip that says another word in any field is not what the journal says."""
        receipt, slip = self.pay()
        self.sign()
        for name in STATED:
            other = {**slip, name: 7 if isinstance(slip[name], int) else "other"}
            judgement = self.judge(self.prove(receipt, other))
            self.assertEqual(judgement.verdict, Verdict.CHANGED, name)
            self.assertIn(f"{name}: the slip says", " ".join(each.words for each in judgement.findings))

    def test_changed(self) -> None:
        """A row that was changed in the ciphered database leads to no head, whatever column it was."""
        receipt, slip = self.pay()
        self.sign()
        for name in STATED:
            value = 7 if isinstance(slip[name], int) else "'x'"
            old = slip[name] if isinstance(slip[name], int) else f"'{slip[name]}'"
            self.tamper(f"UPDATE event SET {name} = {value} WHERE sequence = {receipt.sequence}")
            self.assertEqual(self.judge(self.prove(receipt)).verdict, Verdict.CHANGED, name)
            self.tamper(f"UPDATE event SET {name} = {old} WHERE sequence = {receipt.sequence}")
        self.assertEqual(self.judge(self.prove(receipt, slip)).verdict, Verdict.INCLUDED)

    def test_dropped(self) -> None:
        """A row that was taken out cannot be proved, and a later head shows that it should be."""
        receipt, slip = self.pay()
        self.sign()
        self.tamper(f"DELETE FROM event WHERE sequence = {receipt.sequence}")
        missing = self.prove(receipt, slip)
        self.assertIsNone(missing.proof)
        self.assertEqual(self.judge(missing).verdict, Verdict.NOT_YET)
        later, _ = self.pay()
        self.sign()
        judgement = self.judge(missing, self.prove(later))
        self.assertEqual(judgement.verdict, Verdict.NOT_INCLUDED)
        self.assertIn(f"covers entry {receipt.sequence}", judgement.findings[-1].words)

    def test_dropped_before_the_head(self) -> None:
        """The last answer, dropped before any head covered it, is missed by the second head after it."""
        receipt, slip = self.pay()
        self.tamper(
            f"DELETE FROM entry WHERE event_id = (SELECT id FROM event WHERE sequence = {receipt.sequence})",
            f"DELETE FROM event WHERE sequence = {receipt.sequence}",
        )
        for _ in range(2):
            other, _ = self.pay(who=1)
            self.sign()
        self.assertEqual(other.sequence, receipt.sequence + 1)
        judgement = self.judge(self.prove(receipt, slip), self.prove(other))
        self.assertEqual(judgement.verdict, Verdict.NOT_INCLUDED)

    def test_set_back(self) -> None:
        """A database set back to an older copy is contradicted by any receipt that was proved after the copy."""
        self.pay()
        self.sign()
        self.books.ledger.close()
        copy = self.books.folder / "copy.db"
        shutil.copy(self.books.path, copy)
        self.reopen()
        receipt, slip = self.pay(200)
        self.sign()
        held = self.prove(receipt, slip, since=2)
        self.assertEqual(self.judge(held).verdict, Verdict.INCLUDED)
        self.books.ledger.close()
        for old in self.books.path.parent.glob(self.books.path.name + "*"):
            old.unlink()
        shutil.copy(copy, self.books.path)
        shutil.rmtree(self.books.folder / "heads")
        self.reopen()
        other, words = self.pay(300, who=1)
        self.sign()
        judgement = self.judge(self.prove(other, words), held)
        self.assertEqual(judgement.verdict, Verdict.INCONSISTENT)
        self.assertIn("there are two heads 3", judgement.findings[-1].words)
        for _ in range(2):
            other, words = self.pay(300, who=1)
            self.sign()
        judgement = self.judge(self.prove(other, words, since=3), held)
        self.assertEqual(judgement.verdict, Verdict.INCONSISTENT)
        missing = Evidence(1, receipt.text(), slip, held.proof)
        self.assertEqual(self.judge(missing).verdict, Verdict.INCLUDED)

    def test_rewritten(self) -> None:
        """A journal rewritten from the ground, with new heads, does not continue a head that a shop kept."""
        receipt, slip = self.pay(200)
        self.sign()
        held = self.prove(receipt, slip)
        assert held.proof is not None
        other, words = self.pay(300, who=1)
        self.sign()
        later = self.prove(other, words, since=2)
        assert later.proof is not None and later.since is not None
        self.assertEqual(self.judge(later, held).verdict, Verdict.INCLUDED)
        forged = msgspec.structs.replace(later.since, path=[bytes(32).hex() for _ in later.since.path])
        judgement = self.judge(msgspec.structs.replace(later, since=forged), held)
        self.assertEqual(judgement.verdict, Verdict.INCONSISTENT)
        self.assertIn("does not continue", judgement.findings[-1].words)

    def test_another_key(self) -> None:
        """What another key signed proves nothing."""
        receipt, slip = self.pay()
        self.sign()
        judgement = judge(self.prove(receipt, slip), lambda payload, signature: False)
        self.assertEqual(judgement.verdict, Verdict.NOT_SIGNED)

    def test_a_neighbour_that_was_dropped(self) -> None:
        """An answer whose neighbour was taken out is proved no more; a head that knew nothing continues into any."""
        self.pay()
        receipt, slip = self.pay()
        self.sign()
        self.tamper(
            f"DELETE FROM event WHERE sequence = {receipt.sequence - 1}",
            "UPDATE signed_head SET document = CAST(replace(document, '[[1,', '[[2,') AS BLOB) WHERE number = 1",
        )
        evidence = self.prove(receipt, slip, since=1)
        alone = msgspec.structs.replace(evidence, since=None)
        self.assertEqual(self.judge(alone).verdict, Verdict.CHANGED)
        assert evidence.since is not None
        self.assertEqual(evidence.since.path, [])
        self.tamper("UPDATE signed_head SET document = x'00' WHERE number = 1")
        self.assertRaises(LedgerError, self.prove, receipt, slip, 1)

    def test_in_one_snapshot(self) -> None:
        """A proof is of one snapshot: head, path and row belong together."""
        receipt, _ = self.pay()
        self.sign()
        with self.books.ledger.reading() as connection:
            shown = prove(connection, receipt)
        assert shown is not None
        self.assertTrue(pack(shown)[0].leads(receipt))


def slip_of(event: Event) -> dict[str, Any]:
    assert event.identity is not None
    identity = {
        "terminal": event.identity.terminal,
        "business_date": event.identity.business_date,
        "stan": event.identity.stan,
    }
    return {name: identity[name] if name in identity else getattr(event, name) for name in STATED}
