"""What the front says when a line cannot hold an answer, and what it still can hold."""

from __future__ import annotations

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.parts import DAY, Bench
from trus.core import messages as core
from trus.money import MAX_SUM, format_amount
from trus.protocol.fields import format_octets
from trus.protocol.messages import Kind
from trus.protocol.session import SealedSession

KINDS = ("purchase", "reversal", "refund", "void", "completion")


def totals(amount: str = "0.00") -> dict[str, str]:
    """Return totals of no events, or of one each of this amount."""
    count = "0" if amount == "0.00" else "1"
    return {f"{kind}-{what}": count if what == "count" else amount for kind in KINDS for what in ("count", "amount")}


class Unsayable(SynchronousTestCase):
    """A terminal that closes its batch."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.session: SealedSession = self.bench.connect()

    def close(self, sums: dict[str, str]) -> None:
        fields = {"stan": "000001", "currency": "USD", "date": DAY}
        sealed = {"rid": format_octets(bytes(16)), **sums}
        opened = self.session.open_dialogue()
        self.bench.send(self.session.seal(Kind.COMMAND, "CLOSE-BATCH", fields, sealed, dialogue=opened))

    def answer(self, details: dict[str, str]) -> tuple[core.Request, dict[str, str]]:
        """Return what the core was asked, and what the terminal hears of an answer with these details."""
        outcome = core.Outcome("declined", "95", rrn="632400000007", text="Totals differ", details=details)
        request = self.bench.core.answer(outcome)
        (line,) = self.bench.heard()
        return request, dict(self.session.open(line).fields)

    def test_negative_totals(self) -> None:
        """An answer that no line can hold ends in 96, and the log says so: a terminal never waits for silence."""
        self.close(totals())
        with capturedLogs() as logged:
            _, heard = self.answer({"balanced": "no", "currency": "USD", **totals(), "refund-amount": "-3.00"})
        self.assertEqual((heard["result"], heard["code"]), ("declined", "96"))
        self.assertEqual([each["log_level"] for each in logged if "fault" in each], [LogLevel.error])
        self.close(totals())
        _, heard = self.answer({"balanced": "no", "currency": "USD", **totals()})
        self.assertEqual(heard["code"], "95")

    def test_sums(self) -> None:
        """Totals are sums of amounts, which may be longer than the longest amount, both ways."""
        largest = format_amount(MAX_SUM, "USD")
        self.close(totals(largest))
        request, heard = self.answer({"balanced": "no", "currency": "USD", **totals(largest)})
        assert isinstance(request, core.CloseBatch)
        self.assertEqual((request.purchase_amount, request.refund_amount), (MAX_SUM, MAX_SUM))
        self.assertEqual(heard["completion-amount"], largest)
