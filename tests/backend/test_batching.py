"""Requests of one reactor turn become one batch, and a busy core makes the next one larger."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from trus.backend.batching import HANDSHAKES_BESIDE, Batcher
from trus.backend.port import InlineCore
from trus.core.messages import AdminCommand, Answer, DayOpen, DayState, Failed, Request, SignHandshake, VerifyPeer
from trus.values import BusinessDate


def order(name: str) -> AdminCommand:
    """Return a request that is no handshake."""
    return AdminCommand("ada", "01", name, {})


def named(request: Request) -> DayOpen:
    """Return an answer that names its request."""
    name = request.command if isinstance(request, AdminCommand) else request.payload.decode()  # type: ignore[union-attr]
    return DayOpen(BusinessDate(name))


class SlowCore:
    """Keeps batches until told to answer."""

    def __init__(self) -> None:
        self.batches: list[list[Request]] = []
        self.pending: list[Deferred[list[Answer]]] = []

    def submit(self, batch: list[Request]) -> Deferred[list[Answer]]:
        self.batches.append(batch)
        answered: Deferred[list[Answer]] = Deferred()
        self.pending.append(answered)
        return answered

    def answer(self) -> None:
        batch = self.batches[len(self.batches) - len(self.pending)]
        self.pending.pop(0).callback([named(request) for request in batch])


class Echo:
    def handle(self, batch: list[Request]) -> list[Answer]:
        return [named(request) for request in batch]


class BatcherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.core = SlowCore()
        self.rounds = 0
        self.heard: list[str] = []
        self.batcher = Batcher(self.core, self.clock, self._round, max_batch=4)

    def _round(self) -> None:
        self.rounds += 1

    def ask(self, *names: str) -> None:
        for name in names:
            self.batcher.ask(order(name), self._hear)

    def _hear(self, answer: Answer) -> None:
        assert isinstance(answer, DayOpen)
        self.heard.append(answer.business_date)

    def test_one_turn_one_batch(self) -> None:
        """What arrives within a turn goes together, when the turn ends and not later."""
        self.ask("a", "b", "c")
        self.assertEqual(self.core.batches, [])
        self.clock.advance(0)
        self.assertEqual([len(batch) for batch in self.core.batches], [3])
        self.core.answer()
        self.assertEqual((self.heard, self.rounds), (["a", "b", "c"], 1))

    def test_a_busy_core_gathers_the_next_batch(self) -> None:
        """While the core works on a batch, requests gather and go as one when its answers come."""
        self.ask("first")
        self.clock.advance(0)
        for name in "xyz":
            self.ask(name)
            self.clock.advance(0)
        self.assertEqual((len(self.core.batches), self.batcher.waiting), (1, 3))
        self.core.answer()
        self.assertEqual([len(batch) for batch in self.core.batches], [1, 3])

    def test_a_large_batch_is_sent_ahead(self) -> None:
        """What is worth a commit of its own goes while another batch is worked on, and no third one."""
        self.ask("first")
        self.clock.advance(0)
        self.ask(*"abcd")
        self.clock.advance(0)
        self.ask(*"efgh")
        self.clock.advance(0)
        self.assertEqual([len(batch) for batch in self.core.batches], [1, 4])
        self.core.answer()
        self.assertEqual([len(batch) for batch in self.core.batches], [1, 4, 4])

    def test_a_batch_is_bounded(self) -> None:
        """A flood is cut into batches of the stated size, in order."""
        self.ask(*"abcdefghij")
        self.clock.advance(0)
        self.assertEqual([len(batch) for batch in self.core.batches], [4, 4])
        self.core.answer()
        self.core.answer()
        self.core.answer()
        self.assertEqual("".join(self.heard), "abcdefghij")

    def test_a_flood_of_handshakes_waits_behind_payments(self) -> None:
        """Whoever floods the backend with handshakes does not stand before a cardholder."""
        self.ask("first")
        self.clock.advance(0)
        for name in b"abcdefgh":
            self.batcher.ask(SignHandshake(bytes([name])), self._hear)
        day = DayState()
        self.batcher.ask(day, self._hear_nothing)
        self.batcher.ask(day, self._hear_nothing)
        self.core.answer()
        self.assertEqual(self.core.batches[-1], [day, day, SignHandshake(b"a"), SignHandshake(b"b")])

    def test_payments_share_a_batch_with_few_handshakes(self) -> None:
        """A handshake costs as much as several payments: beside these there are only a few in a batch."""
        batcher = Batcher(self.core, self.clock)
        for number in range(50):
            batcher.ask(SignHandshake(b"%d" % number), self._hear)
        batcher.ask(order("pay"), self._hear)
        self.clock.advance(0)
        self.assertEqual(len(self.core.batches[-1]), 1 + HANDSHAKES_BESIDE)
        self.core.answer()
        self.assertEqual(len(self.core.batches[-1]), 50 - HANDSHAKES_BESIDE)

    def test_a_flood_of_handshakes_is_bounded(self) -> None:
        """Handshakes beyond the bound are told to come back, and hold no memory; what was begun is finished."""
        batcher = Batcher(self.core, self.clock, max_batch=1, max_handshakes=10)
        told: list[Answer] = []
        for number in range(1000):
            batcher.ask(SignHandshake(b"%d" % number), told.append)
        batcher.ask(VerifyPeer([b"der"], "pos"), told.append)
        self.assertEqual((batcher.waiting, told), (11, []))
        self.clock.advance(0)
        self.assertEqual(told, [Failed("91", "busy")] * 990)

    def _hear_nothing(self, answer: Answer) -> None:
        raise AssertionError(answer)

    def test_one_sessions_fault_is_not_the_next_ones(self) -> None:
        """A failure while one answer is handed out is logged and the others still hear theirs."""

        def broken(answer: Answer) -> None:
            raise RuntimeError("secret")

        self.batcher.ask(order("a"), broken)
        self.ask("b")
        self.clock.advance(0)
        self.core.answer()
        self.assertEqual(self.heard, ["b"])
        self.assertEqual(self.rounds, 1)

    def test_an_inline_core_answers_thousands_without_recursion(self) -> None:
        """The same batcher serves a core in this process, however much waits."""
        batcher = Batcher(InlineCore(Echo()), self.clock, self._round, max_batch=1, max_handshakes=5000)
        for number in range(5000):
            batcher.ask(SignHandshake(str(number).encode()), self._hear)
        self.clock.advance(0)
        self.assertEqual(self.heard, [str(number) for number in range(5000)])
