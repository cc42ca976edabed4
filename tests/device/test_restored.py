"""After a restoration of the ledger a terminal lists its batch, once, and again until the backend has answered."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.device.home import DeviceHome, TerminalSettings
from trus.device.journal import MemoryJournal
from trus.device.orders import Answer
from trus.device.records import Asked, Opened, Settled
from trus.device.restored import RESTORED, known_epoch, list_after_restoration
from trus.protocol.effects import Terms
from trus.values import BusinessDate, Identity, Result, TerminalId

DATE = BusinessDate("2026-11-20")


class Backend:
    """A client whose backend was restored so often, and answers a closing so."""

    def __init__(self, epoch: int, result: Result = Result.APPROVED, code: str = "00") -> None:
        self.terms = Terms(business_date=DATE, epoch=epoch)
        self.answer = Answer(result, code, None)
        self.closed = 0

    async def close_batch(self) -> Answer:
        self.closed += 1
        return self.answer


class RestoredTests(SynchronousTestCase):
    """A terminal with one purchase in its batch."""

    def setUp(self) -> None:
        path = Path(self.mktemp())
        path.mkdir()
        self.home = DeviceHome(path, TerminalSettings("T0000001", "127.0.0.1", 7001, "gateway.example"))
        self.journal = MemoryJournal()
        identity = Identity(TerminalId("T0000001"), DATE, 1)
        self.journal.append(Opened(identity, Asked.PURCHASE, "00" * 16, 1250, "USD"))
        self.journal.append(Settled(identity, Result.APPROVED, "00", 1250, "A1B2C3", "632400000007"))

    def visit(self, backend: Backend) -> Answer | None:
        """Let the terminal look once."""
        coroutine = list_after_restoration(self.home, backend, self.journal)
        try:
            coroutine.send(None)
        except StopIteration as done:
            answer: Answer | None = done.value
            return answer
        raise AssertionError("the terminal waits")

    def test_never_restored(self) -> None:
        """Where nothing was restored no batch is closed, and nothing is written down."""
        backend = Backend(0)
        self.assertIsNone(self.visit(backend))
        self.assertEqual((backend.closed, (self.home.path / RESTORED).exists()), (0, False))

    def test_once_for_each_restoration(self) -> None:
        """The batch is listed once after each restoration."""
        for epoch in (1, 2, 5):
            backend = Backend(epoch)
            for _ in range(2):
                self.visit(backend)
            self.assertEqual((backend.closed, known_epoch(self.home)), (1, epoch))

    def test_until_it_is_answered(self) -> None:
        """A refusal, or no answer, leaves it to the next command."""
        for refusal in (Backend(1, Result.DECLINED, "58"), Backend(1, Result.DECLINED, "")):
            self.visit(refusal)
            self.assertEqual((refusal.closed, known_epoch(self.home)), (1, 0))
        backend = Backend(1)
        self.visit(backend)
        self.assertEqual((backend.closed, known_epoch(self.home)), (1, 1))

    def test_nothing_to_list(self) -> None:
        """A terminal without an item in its batch, such as a new one, closes nothing and remembers."""
        self.journal = MemoryJournal()
        backend = Backend(3)
        self.assertIsNone(self.visit(backend))
        self.assertEqual((backend.closed, known_epoch(self.home)), (0, 3))
        (self.home.path / RESTORED).write_text("what is no number")
        self.assertEqual(known_epoch(self.home), 0)
