"""The slip that a terminal prints, as a shop has it in its hands."""

from __future__ import annotations

import io

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from trus.cli.screen import show
from trus.device.orders import Answer, Reference
from trus.device.records import Asked
from trus.receipts.links import Receipt
from trus.values import BusinessDate, Identity, Result, TerminalId

PROOF = "1-48213-0000004D4F2A90C1D2E3F4A5B6C7D8E9"


class SlipCase(SynchronousTestCase):
    """What stands on it."""

    def test_slip(self) -> None:
        """Shop, terminal, reference, approval, amount, masked card, text and proof code: all of it."""
        identity = Identity(TerminalId("T0000001"), BusinessDate("2026-11-20"), 42)
        answer = Answer(
            Result.APPROVED,
            "00",
            Reference(identity, bytes(16), 1250, "USD"),
            approval="A1B2C3",
            rrn="632400000042",
            amount=1250,
            currency="USD",
            text="Approved",
            proof=PROOF,
        )
        console = Console(file=io.StringIO(), width=80)
        show(console, Asked.PURCHASE, answer, card="•••• 4711", shop="BISTRO")
        printed = console.file.getvalue()  # type: ignore[attr-defined]
        for words in (
            *("BISTRO", "T0000001", "2026-11-20", "000042", "632400000042", "A1B2C3", "12.50 USD", "•••• 4711"),
            *("Approved", "1-48213-0000 004D 4F2A 90C1", "D2E3 F4A5 B6C7 D8E9"),
        ):
            self.assertIn(words, printed)
        lines = [line.split() for line in printed.splitlines() if "48213" in line or "D2E3" in line]
        self.assertEqual(Receipt.parse("".join("".join(line) for line in lines).removeprefix("proof")).text(), PROOF)

    def test_without(self) -> None:
        """A backend of an earlier version gives no proof code, and the slip has none."""
        identity = Identity(TerminalId("T0000001"), BusinessDate("2026-11-20"), 42)
        answer = Answer(Result.DECLINED, "51", Reference(identity, bytes(16), 1250, "USD"), rrn="632400000042")
        console = Console(file=io.StringIO(), width=80)
        show(console, Asked.PURCHASE, answer, card="•••• 4711")
        self.assertNotIn("proof", console.file.getvalue())  # type: ignore[attr-defined]
