"""The front watches its core process, and never invents an answer for it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from trus.backend import corelink
from trus.backend.corelink import CoreFailedToStart, CoreProcess
from trus.backend.corewatch import WatchLimits
from trus.clock import SystemClock
from trus.core.messages import AdminAnswer, AdminCommand, Answer, DayOpen, DayState, Failed, Request, SignHandshake
from trus.values import BusinessDate

DAY = DayOpen(BusinessDate("2026-11-20"))


class CoreProcessTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.lost: list[str] = []
        self.bad_pin = Path(self.mktemp()).absolute()  # while it exists, the token refuses the PIN
        self.pin_mark = 1
        self.lines: list[str] = []

        def hear(event: LogEvent) -> None:
            self.lines.append(formatEvent(event))

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)

    def make(self, mode: str, limits: WatchLimits = WatchLimits()) -> CoreProcess:  # noqa: B008 - a frozen value
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        core = CoreProcess(
            reactor,  # type: ignore[arg-type]
            [sys.executable, "-m", "tests.backend.core_child", mode, str(self.bad_pin)],
            {"PYTHONPATH": root, "PATH": os.environ["PATH"]},
            self.lost.append,
            clock=SystemClock(),
            limits=limits,
            pin_mark=lambda: self.pin_mark,
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

    @inlineCallbacks
    def up_again(self, core: CoreProcess):  # type: ignore[no-untyped-def]
        """Wait until the core answers."""
        for _ in range(300):
            if core.up:
                answers = yield core.submit([DayState()])
                if answers == [DAY]:
                    return
            yield deferLater(reactor, 0.05)
        self.fail("the core did not come back")

    @inlineCallbacks
    def test_a_late_token_call_holds_up_nobody(self):  # type: ignore[no-untyped-def]
        """TR-18: while the core hangs in the token, what it holds gets 96 and what waits 91."""
        core = self.make("serve", WatchLimits(token=0.3, abandon=60, answer=60))
        core.start()
        pid = core.pid
        back: list[int] = []
        core.on_back = lambda: back.append(1)
        held, behind = core.submit([SignHandshake(b"3"), DayState()]), core.submit([DayState()])
        answers = yield held
        self.assertEqual(answers, [Failed("96", "core-stuck")] * 2)
        answers = yield behind
        self.assertEqual(answers, [Failed("96", "core-stuck")])
        order = AdminCommand("ada", "1", "HEALTH", {})
        waiting = yield core.submit([DayState(), order])
        self.assertEqual(waiting[0], Failed("91", "core-stuck"))
        self.assertIsInstance(waiting[1], AdminAnswer)
        self.assertRegex(
            waiting[1].text, r"^the core has been waiting for the token for [0-9]+ s \(signing\); nothing was done$"
        )
        [said] = self.flushed("waiting for the token")
        self.assertIn("what waits gets code 91, what it holds 96", said)
        yield self.up_again(core)
        self.assertEqual((core.pid, self.lost, back), (pid, [], [1]))

    @inlineCallbacks
    def test_a_call_that_never_comes_back_costs_the_core(self):  # type: ignore[no-untyped-def]
        """TR-18: a core that hangs in the token for too long is replaced by a fresh one."""
        core = self.make("serve", WatchLimits(token=0.2, abandon=0.8, answer=60))
        core.start()
        pid = core.pid
        answers = yield core.submit([SignHandshake(b"600")])
        self.assertEqual(answers, [Failed("96", "core-stuck")])
        for _ in range(200):
            if self.lost:
                break
            yield deferLater(reactor, 0.05)
        yield self.up_again(core)
        self.assertNotEqual(core.pid, pid)
        self.assertEqual(self.lost, ["the core process ended: signal 9"])
        self.assertEqual(len(self.flushed("the core is replaced")), 1)

    @inlineCallbacks
    def test_a_core_that_stands_still_is_waited_for(self):  # type: ignore[no-untyped-def]
        """A core that stands still outside the token is not killed: what it does late is done, and it is used again."""
        core = self.make("serve", WatchLimits(token=0.2, abandon=0.4, answer=0.8))
        core.start()
        pid = core.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        answers = yield core.submit([DayState(), AdminCommand("ada", "1", "HEALTH", {})])
        self.assertEqual(answers[0], Failed("96", "core-stuck"))
        self.assertIn("whether it was done is not known yet", answers[1].text)
        answers = yield core.submit([DayState()])
        self.assertEqual(answers, [Failed("91", "core-stuck")])
        yield deferLater(reactor, 1.5)
        os.kill(pid, signal.SIGCONT)
        yield self.up_again(core)
        self.assertEqual((core.pid, self.lost), (pid, []))
        self.assertEqual(len(self.flushed("has not answered a batch")), 1)

    @inlineCallbacks
    def test_a_refused_pin_is_not_tried_again_before_the_file_changes(self):  # type: ignore[no-untyped-def]
        """A core that lost its process and then its PIN starts once, and again when the PIN file is another."""
        self.patch(corelink, "PIN_LOOK_SECONDS", 0.1)
        core = self.make("serve")
        core.start()
        self.bad_pin.write_text("")
        yield core.submit([SignHandshake(b"die")])
        for _ in range(200):
            if len(self.lost) == 2:
                break
            yield deferLater(reactor, 0.05)
        self.assertEqual(self.lost, ["the core process ended: signal 9", "the token refused the PIN"])
        self.bad_pin.unlink()
        yield deferLater(reactor, 1.0)
        self.assertEqual((core.up, core.pid, len(self.lost)), (False, None, 2))
        self.pin_mark = 2
        yield self.up_again(core)
        self.assertEqual(len(self.flushed("the core starts again when the PIN file changes")), 1)

    def flushed(self, text: str) -> list[str]:
        """Return the lines of the log that hold a text."""
        return [line for line in self.lines if text in line]
