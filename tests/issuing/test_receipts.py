"""RECEIPT and RECEIPT-KEY: what the issuer shows of an answer, and what it opens in a dispute."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House
from tests.ledger.test_chain import Signer
from trus.ledger.heads import HeadLog
from trus.receipts.links import KEY_BYTES, Receipt
from trus.receipts.proofs import Evidence, read_evidence
from trus.receipts.verdicts import Verdict, judge
from trus.values import BusinessDate


class ReceiptsCase(SynchronousTestCase):
    """An issuer with a signed journal."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch_card()
        self.signer = Signer()
        self.log = HeadLog(self.house.ledger, self.signer, self.house.folder / "heads")
        self.sign()
        self.paid = self.house.pay(self.house.cards()[0], 1250)
        self.assertEqual(self.paid.code, "00")

    def sign(self) -> None:
        self.house.clock.advance(timedelta(minutes=1))
        self.log.sign(self.house.clock.now())

    def signed(self, payload: bytes, signature: bytes, /) -> bool:
        return self.signer.verify(self.signer.name, payload, signature)

    def evidence(self, **arguments: str) -> Evidence:
        [row] = self.house.done("RECEIPT", "auditor", rrn=self.paid.rrn, **arguments).rows
        assert self.paid.receipt is not None
        self.assertEqual((row["rrn"], row["proof"]), (self.paid.rrn, self.paid.receipt.text()))
        return read_evidence(row["file"].encode())

    def test_receipt(self) -> None:
        """Every admin gets the file of an answer, which proves it with the public key alone."""
        self.assertEqual(self.house.order("RECEIPT", rrn=self.paid.rrn).code, "62")
        self.sign()
        judgement = judge(self.evidence(since="1"), self.signed)
        self.assertEqual(judgement.verdict, Verdict.INCLUDED)
        self.assertEqual(self.house.order("RECEIPT", rrn="0" * 12).code, "25")

    def test_key(self) -> None:
        """A key is opened when it is out of use, with an event; it shows that the network gave the answer."""
        self.assertEqual(self.house.order("RECEIPT-KEY", head="1").code, "62")
        self.sign()
        held = self.evidence(since="1")
        assert held.proof is not None
        [row] = self.house.done("RECEIPT-KEY", head="1").rows
        key = bytes.fromhex(row["key"])
        self.assertEqual(len(key), KEY_BYTES)
        slip = msgspec.structs.asdict(held.proof.statement)
        judgement = judge(msgspec.structs.replace(held, slip=slip), self.signed, opening=key)
        self.assertIn(("code", True), [(each.check, each.holds) for each in judgement.findings])
        made_up = Receipt(1, 7, (1).to_bytes(4, "big") + bytes(12)).text()
        judgement = judge(msgspec.structs.replace(held, receipt=made_up, slip=slip), self.signed, opening=key)
        self.assertIn(("code", False), [(each.check, each.holds) for each in judgement.findings])
        self.assertEqual(self.house.journal("admin")[-1].rule, "RECEIPT-KEY")
        self.assertEqual(self.house.order("RECEIPT-KEY", head="9").code, "25")
        self.assertEqual(self.house.order("RECEIPT-KEY", "auditor", head="1").code, "63")

    def test_rotated(self) -> None:
        """A receipt holds after K_DB was replaced and its old version destroyed, and the journal goes on."""
        self.sign()
        before = self.evidence(since="1")
        self.house.done("KEY-ROTATE")
        while self.house.rotation.waiting:
            self.house.rotation.work(lambda seconds: None)
        later = self.house.clock.now() + timedelta(days=32)
        self.house.ledger.advance_day(later, BusinessDate(later.date().isoformat()))
        self.house.clock.moment = later
        self.house.done("KEY-DESTROY", version="1")
        self.sign()
        after = self.evidence(since="2")
        assert before.proof is not None
        judgement = judge(after, self.signed, [before.proof.head])
        self.assertEqual((judgement.verdict, judgement.head), (Verdict.INCLUDED, 3), judgement)
