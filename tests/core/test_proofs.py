"""The core's desk for proofs: what a terminal may ask, and how often."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.worlds import SetClock
from trus.core.messages import Refused
from trus.core.messages_receipts import ProveReceipt
from trus.core.receipts import MAX_TERMINALS, TOO_EARLY, TOO_MANY, UNKNOWN, Allowance, ReceiptDesk
from trus.errors import StorageFailed
from trus.receipts.links import Receipt
from trus.receipts.proofs import NotCovered, ShownProof


class Shelf:
    """A ledger that answers what the test says."""

    def __init__(self) -> None:
        self.asked = 0
        self.fault: Exception | None = None

    def prove(self, receipt: Receipt, since: int) -> ShownProof | None:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return None


class ProofTests(SynchronousTestCase):
    """A desk that gives each terminal three proofs a minute."""

    def setUp(self) -> None:
        self.clock, self.shelf, self.wanted = SetClock(), Shelf(), 0
        self.notes: list[str] = []
        self.desk = ReceiptDesk(
            self.shelf, self.want, lambda level, text: self.notes.append(text), Allowance(self.clock, 3)
        )

    def want(self) -> None:
        self.wanted += 1

    def ask(self, terminal: str = "T0000001") -> str:
        """Ask for a proof; return why there is none."""
        refused = self.desk.prove(ProveReceipt(Receipt(1, 7, bytes(16)), 0, terminal))
        assert isinstance(refused, Refused)
        return f"{refused.code} {refused.reason}"

    def test_a_terminal_has_its_share(self) -> None:
        """TR-16: Who asks for proofs without end is told 91 without a look at the ledger; others are not touched."""
        self.assertEqual([self.ask() for _ in range(4)], [f"25 {UNKNOWN}"] * 3 + [f"91 {TOO_MANY}"])
        self.assertEqual((self.shelf.asked, self.ask("T0000002")), (3, f"25 {UNKNOWN}"))
        self.clock.advance(seconds=19)
        self.assertEqual(self.ask(), f"91 {TOO_MANY}")
        self.clock.advance(seconds=1)
        self.assertEqual([self.ask(), self.ask()], [f"25 {UNKNOWN}", f"91 {TOO_MANY}"])
        self.clock.advance(days=1)
        self.assertEqual([self.ask() for _ in range(4)], [f"25 {UNKNOWN}"] * 3 + [f"91 {TOO_MANY}"])

    def test_memory_is_bounded(self) -> None:
        """However many terminals ask, those that asked last are remembered."""
        allowance = Allowance(self.clock, 1)
        for number in range(MAX_TERMINALS + 1):
            self.assertTrue(allowance.take(f"T{number}"))
        self.assertFalse(allowance.take(f"T{MAX_TERMINALS}"))
        self.assertTrue(allowance.take("T0"))

    def test_what_cannot_be_proved(self) -> None:
        """What no head covers yet has one signed soon; a ledger that fails is 96, and the operator is told."""
        self.shelf.fault = NotCovered()
        self.assertEqual((self.ask(), self.wanted), (f"12 {TOO_EARLY}", 1))
        self.shelf.fault = StorageFailed("gone")
        self.assertEqual((self.ask(), self.notes), ("96 storage", ["an answer could not be proved: gone"]))
