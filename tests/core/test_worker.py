"""The core at its end of the socket pair answers frames until its front is gone."""

from __future__ import annotations

import socket
import threading

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
from trus.core.messages import Answer, DayOpen, DayState, Request
from trus.core.worker import BlockingFrames, PairOutOfStep, serve
from trus.errors import WrongTokenPin
from trus.values import BusinessDate


class EchoCore:
    """Answers each request with a business date."""

    def __init__(self) -> None:
        self.closed = False
        self.idled = 0

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
        self.assertEqual(self.read(), Started("the token refused the PIN"))

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

    def test_notes_survive_the_pair(self) -> None:
        """A line for the operator's log is the same on both sides."""
        note = Note("critical", "token gone")
        self.assertEqual(decode_from_core(encode(note)), note)
