"""The front watches its core process, and never invents an answer for it."""

from __future__ import annotations

import os
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from trus.backend.corelink import CoreFailedToStart, CoreProcess
from trus.core.messages import Answer, DayOpen, DayState, Failed, Request, SignHandshake
from trus.values import BusinessDate

DAY = DayOpen(BusinessDate("2026-11-20"))


class CoreProcessTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.lost: list[str] = []

    def make(self, mode: str) -> CoreProcess:
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        core = CoreProcess(
            reactor,  # type: ignore[arg-type]
            [sys.executable, "-m", "tests.backend.core_child", mode],
            {"PYTHONPATH": root, "PATH": os.environ["PATH"]},
            self.lost.append,
        )
        self.addCleanup(core.stop)
        return core

    @inlineCallbacks
    def test_batches_cross_to_another_process_and_back(self):  # type: ignore[no-untyped-def]
        """A batch handed to the core's process comes back answered, in order."""
        core = self.make("serve")
        core.start()
        self.assertTrue(core.up)
        self.assertNotEqual(core.pid, os.getpid())
        answers = yield core.submit([DayState(), DayState()])
        self.assertEqual(answers, [DAY, DAY])

    @inlineCallbacks
    def test_a_wrong_pin_fails_the_start_with_its_sentence(self):  # type: ignore[no-untyped-def]
        """A core that cannot open its token fails the start; it is not tried again."""
        core = self.make("wrong-pin")
        failure = self.assertRaises(CoreFailedToStart, core.start)
        self.assertEqual(str(failure), "the token refused the PIN")
        yield core.stop()
        self.assertEqual(self.lost, [])

    @inlineCallbacks
    def test_a_killed_core_answers_96_then_91_and_comes_back(self):  # type: ignore[no-untyped-def]
        """What a dying core may have received is 96, what it never got is 91; then it serves again."""
        core = self.make("serve")
        core.start()
        dying: Deferred[list[Answer]] = core.submit(list[Request]([SignHandshake(b"die"), DayState()]))
        answers = yield dying
        self.assertEqual(answers, [Failed("96", "core-lost")] * 2)
        meanwhile = yield core.submit([DayState()])
        self.assertEqual(meanwhile, [Failed("91", "core-down")])
        for _ in range(100):
            if core.up:
                break
            yield deferLater(reactor, 0.1)
        answers = yield core.submit([DayState()])
        self.assertEqual(answers, [DAY])
        self.assertEqual(self.lost, ["the core process ended: signal 9"])

    @inlineCallbacks
    def test_stopping_ends_the_process(self):  # type: ignore[no-untyped-def]
        """After stop the process is gone and requests get 91."""
        core = self.make("serve")
        core.start()
        yield core.stop()
        self.assertIsNone(core.pid)
        answers = yield core.submit([DayState()])
        self.assertEqual(answers, [Failed("91", "core-down")])
