"""The core at its end of the socket pair answers frames until its front is gone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from trus.core.codec import (
    MAX_FRAME_BYTES,
    Answers,
    Batch,
    FromCore,
    Note,
    Started,
    Stop,
    decode_from_core,
    encode,
)
from trus.core.jobs import Job, NoJob, Serve
from trus.core.messages import Answer, DayOpen, DayState, Request
from trus.core.worker import BlockingFrames, PairOutOfStep, serve
from trus.errors import WrongTokenPin
from trus.values import BusinessDate


class Digging:
    """A job of some pieces that serves within each, as the copying of a file does."""

    def __init__(self, pieces: int, least: float = 0.05) -> None:
        self.left = pieces
        self.least = least
        self.served: list[bool] = []
        self.broken_off = False

    @property
    def busy(self) -> bool:
        return self.left > 0

    due = busy

    def work(self, serve: Serve) -> None:
        self.left -= 1
        try:
            for _ in range(3):
                self.served.append(serve(self.least))
        except BaseException:
            self.broken_off = True
            raise


class EchoCore:
    """Answers each request with a business date."""

    def __init__(self) -> None:
        self.closed = False
        self.idled = 0
        self.job: Job = NoJob()

    def handle(self, batch: list[Request]) -> list[Answer]:
        return [DayOpen(BusinessDate("2026-11-20")) for _ in batch]

    def idle(self) -> None:
        self.idled += 1

    def close(self) -> None:
        self.closed = True


class WorkerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.front, theirs = socket.socketpair()
        self.front.settimeout(10)
        self.addCleanup(self.front.close)
        self.frames = BlockingFrames(theirs)
        self.core = EchoCore()
        self.worked: list[bool] = []
        self.failures: list[BaseException] = []

    def run_worker(self) -> threading.Thread:
        def body() -> None:
            try:
                self.worked.append(serve(self.frames, lambda: self.core))
            except PairOutOfStep as failure:
                self.failures.append(failure)

        thread = threading.Thread(target=body)
        thread.start()
        self.addCleanup(thread.join, 10)
        return thread

    def send(self, payload: bytes) -> None:
        self.front.sendall(len(payload).to_bytes(4, "big") + payload)

    def read(self) -> FromCore:
        length = int.from_bytes(self.front.recv(4, socket.MSG_WAITALL), "big")
        return decode_from_core(self.front.recv(length, socket.MSG_WAITALL))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.005)

    def test_batches_are_answered_under_their_numbers(self) -> None:
        """Every batch is answered once, with its own number; Stop closes database and token."""
        thread = self.run_worker()
        self.assertEqual(self.read(), Started())
        for number in (1, 2):
            self.send(encode(Batch(number, [DayState()] * number)))
        for number in (1, 2):
            self.assertEqual(self.read(), Answers(number, [DayOpen(BusinessDate("2026-11-20"))] * number))
        self.send(encode(Stop()))
        thread.join(10)
        self.assertEqual((self.worked, self.core.closed), ([True], True))

    def test_no_core_outlives_its_front(self) -> None:
        """When the front dies, even in the middle of a frame, the core closes and returns."""
        thread = self.run_worker()
        self.assertEqual(self.read(), Started())
        self.front.sendall(b"\0\0\0\x10half")
        self.front.close()
        thread.join(10)
        self.assertEqual((self.worked, self.core.closed), ([True], True))

    def test_a_core_that_cannot_open_its_token_says_why(self) -> None:
        """A wrong PIN reaches the operator as one sentence, and the core does not serve."""

        def build() -> EchoCore:
            raise WrongTokenPin("the token refused the PIN")

        self.assertFalse(serve(self.frames, build))
        self.assertEqual(self.read(), Started("the token refused the PIN", wrong_pin=True))

    def test_a_frame_of_another_version_ends_the_core(self) -> None:
        """Bytes that are no known frame end the service; they are never guessed at."""
        thread = self.run_worker()
        self.read()
        self.send(b"\xc1junk")
        thread.join(10)
        self.assertEqual(len(self.failures), 1)
        self.assertTrue(self.core.closed)

    def test_a_frame_beyond_the_limit_is_not_read(self) -> None:
        """A length beyond the limit ends the service before memory is taken."""
        thread = self.run_worker()
        self.read()
        self.front.sendall((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
        thread.join(10)
        self.assertEqual(len(self.failures), 1)

    def test_a_quiet_second_is_used_for_housekeeping(self) -> None:
        """Without requests the core looks after checkpoints and heads by itself."""
        thread = self.run_worker()
        self.read()
        deadline = threading.Event()
        deadline.wait(1.3)
        self.send(encode(Stop()))
        thread.join(10)
        self.assertGreaterEqual(self.core.idled, 1)

    def test_a_long_job_is_worked_on_at_once(self) -> None:
        """A core with nothing to answer works on its long job without a pause, and still keeps house."""
        digging = Digging(100, least=0.0)
        self.core.job = digging
        thread = self.run_worker()
        self.assertEqual(self.read(), Started())
        self.wait_for(lambda: len(digging.served) == 300)
        self.send(encode(Stop()))
        thread.join(5)
        self.assertEqual((digging.left, digging.broken_off), (0, False))
        self.assertGreater(self.core.idled, 0)

    def test_requests_are_answered_within_a_long_job(self) -> None:
        """Whoever asks in the middle of a long piece is answered before it goes on."""
        digging = Digging(20)
        self.core.job = digging
        thread = self.run_worker()
        self.assertEqual(self.read(), Started())
        for number in range(1, 30):
            self.send(encode(Batch(number, [DayState()])))
            self.assertEqual(self.read(), Answers(number, [DayOpen(BusinessDate("2026-11-20"))]))
        self.assertIn(True, digging.served)
        self.send(encode(Stop()))
        thread.join(5)
        self.assertTrue(self.core.closed)

    def test_stop_breaks_a_long_job_off(self) -> None:
        """Told to stop, or left alone, in the middle of a long piece, a core closes at once and not at its end."""
        for say in (lambda: self.send(encode(Stop())), lambda: self.front.close()):
            digging = Digging(10_000)
            self.core.job = digging
            thread = self.run_worker()
            self.assertEqual(self.read(), Started())
            self.wait_for(lambda job=digging: job.left < 10_000)
            say()
            thread.join(5)
            self.assertEqual((thread.is_alive(), self.core.closed, digging.broken_off), (False, True, True))
            self.front, theirs = socket.socketpair()
            self.front.settimeout(10)
            self.addCleanup(self.front.close)
            self.frames, self.core = BlockingFrames(theirs), EchoCore()
        self.assertEqual((self.worked, self.failures), ([True, True], []))

    def test_a_broken_frame_within_a_long_job_ends_the_core(self) -> None:
        """A frame of another version ends the core in the middle of a long piece as well, and says so."""
        self.core.job = Digging(10_000)
        thread = self.run_worker()
        self.assertEqual(self.read(), Started())
        self.send(b"\xc1")
        thread.join(5)
        self.assertEqual((len(self.failures), self.core.closed), (1, True))

    def test_notes_survive_the_pair(self) -> None:
        """A line for the operator's log is the same on both sides."""
        note = Note("critical", "token gone")
        self.assertEqual(decode_from_core(encode(note)), note)
