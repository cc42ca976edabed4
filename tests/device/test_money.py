"""Whatever is lost on the way, terminal and backend agree in the end on who has paid."""

from __future__ import annotations

from collections import deque

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from twisted.trial import unittest

from tests.device.acting import KeptSession, Said, Stage, order, result
from trus.device import journal
from trus.device.journal import Memory
from trus.protocol.messages import Kind, Message


class PowerCutJournal:
    """A journal whose synced lines survive a restart, and nothing else."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.disk: list[bytes] = []
        self._waiting: list[journal.Record] = []

    def append(self, record: journal.Record) -> None:
        self.memory.apply(record)
        self._waiting.append(record)

    def sync(self) -> None:
        if self._waiting:
            self.disk.append(journal.encode(self._waiting))
            self._waiting = []

    def restarted(self) -> PowerCutJournal:
        again = PowerCutJournal()
        again.disk = list(self.disk)
        for line in again.disk:
            for record in journal.decode(line[:-1]) or []:
                again.memory.apply(record)
        return again


class ModelBackend:
    """What a backend owes its terminals, in a few lines: one identity, one effect."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str], tuple[str, str]] = {}  # identity -> (rid, state)
        self.paid: dict[tuple[str, str], str] = {}  # identity -> amount

    def take(self, said: Said, mood: str) -> Message | None:
        fields = said.fields
        if said.head == "COMMAND ECHO":
            return Message(Kind.INFO, "ECHO", {}, None, said.dialogue)
        if said.head in ("INFO COMPLETE", "INFO ERROR", "INFO ECHO", "DATA PIN-BLOCK"):
            return None
        if mood == "91":
            return result(said.dialogue, "declined", "91")
        identity = (fields["date"], fields["stan"])
        if said.head == "COMMAND PROCESS":
            rid, state = self.requests.setdefault(identity, (fields["rid"], "new"))
            assert rid == fields["rid"], "two requests under one identity"
            if state == "new":
                state = "declined" if mood == "poor" else "approved"
                self.requests[identity] = (rid, state)
                if state == "approved":
                    self.paid[identity] = fields["amount"]
            codes = {"approved": ("approved", "00"), "declined": ("declined", "51")}
            return result(said.dialogue, *codes.get(state, ("declined", "68")))
        assert said.head == "COMMAND REVERSE", said.head
        original = (fields["original-date"], fields["original-stan"])
        rid, _ = self.requests.get(original, (fields["original-rid"], ""))
        assert rid == fields["original-rid"]
        self.requests[original] = (rid, "reversed")
        self.paid.pop(original, None)
        return result(said.dialogue, "reversed")


class Faults(RuleBasedStateMachine):
    """Purchases under lost lines, lost answers, lost connections, power cuts and time."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = ModelBackend()
        self.stage = Stage(PowerCutJournal())
        self.outgoing: deque[Said] = deque()
        self.incoming: deque[Message] = deque()
        self.connected = False
        self.told = 0
        self.handed_over: set[tuple[str, str]] = set()

    def sent(self, said: list[Said]) -> None:
        self.outgoing.extend(said)
        if self.stage.hung_up:
            self.stage.hung_up.clear()
            self.cut()
        for finished in self.stage.finished[self.told :]:
            self.told += 1
            reference = finished.answer.reference
            if finished.answer.approved and reference is not None:
                identity = reference.identity
                self.handed_over.add((identity.business_date, f"{identity.stan:06d}"))

    def cut(self) -> None:
        self.stage.disconnect()
        self.outgoing.clear()
        self.incoming.clear()
        self.connected = False

    @rule(amount=st.integers(1, 999))
    def buy(self, amount: int) -> None:
        self.stage.terminal.purchase(order(amount))
        self.sent(self.stage.drain() if self.connected else [])

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected = True
        self.sent(self.stage.connect())

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self) -> None:
        self.cut()

    @rule()
    def power_cut(self) -> None:
        self.cut()
        assert isinstance(self.stage.journal, PowerCutJournal)
        self.stage.journal = self.stage.journal.restarted()
        self.stage.start()

    @precondition(lambda self: self.outgoing)
    @rule(mood=st.sampled_from(["rich", "rich", "poor", "91"]))
    def backend_reads(self, mood: str) -> None:
        answer = self.backend.take(self.outgoing.popleft(), mood)
        if answer is not None:
            self.incoming.append(answer)

    @precondition(lambda self: self.incoming)
    @rule()
    def terminal_reads(self) -> None:
        self.sent(self.stage.hear(self.incoming.popleft()))

    @precondition(lambda self: self.incoming)
    @rule()
    def answer_lost(self) -> None:
        self.incoming.popleft()

    @precondition(lambda self: self.outgoing)
    @rule()
    def line_lost(self) -> None:
        self.outgoing.popleft()

    @rule(seconds=st.sampled_from([1, 9, 31, 90]))
    def wait(self, seconds: int) -> None:
        self.sent(self.stage.wait(seconds))

    def teardown(self) -> None:
        for _ in range(300):
            if not self.connected:
                self.connect()
            while self.outgoing or self.incoming:
                if self.outgoing:
                    self.backend_reads("rich")
                if self.incoming:
                    self.terminal_reads()
            if not self.stage.terminal.unfinished:
                break
            self.wait(9)
        assert self.stage.terminal.unfinished == 0, "something is never settled"
        paid = set(self.backend.paid)
        assert paid == self.handed_over, (paid, self.handed_over)
        totals = self.stage.journal.memory.totals
        assert totals.purchase_count == len(paid), totals


Faults.TestCase.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)


class Agreement(unittest.SynchronousTestCase):
    def test_faults(self) -> None:
        """Goods are handed over exactly for what the backend keeps as paid, under any faults."""
        machine = Faults.TestCase()
        machine.runTest()

    def test_lost_answer(self) -> None:
        """The plainest case: the answer is lost, the repetition gets the same one, one payment."""
        stage, backend = Stage(), ModelBackend()
        stage.connect()
        _, asked = stage.buy()
        backend.take(asked, "rich")
        stage.disconnect()
        [again] = stage.connect()
        answer = backend.take(again, "poor")
        assert answer is not None
        stage.hear(answer)
        self.assertTrue(stage.finished[0].answer.approved)
        self.assertEqual(list(backend.paid.values()), ["12.50"])
        self.assertIsInstance(stage.session, KeptSession)
