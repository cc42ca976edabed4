"""Delays are measured by a clock that nobody corrects."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from trus.net.steady import AlreadyScheduled, steady


class Machine:
    """A machine whose wall clock can be put wrong, and whose other clock only counts."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.uptime = 5_000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall, UTC)

    def monotonic(self) -> float:
        return self.uptime

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds


class SteadyTests(SynchronousTestCase):
    """TR-11: a corrected clock holds nobody up."""

    def setUp(self) -> None:
        self.machine = Machine()
        self.reactor = SelectReactor()
        self.addCleanup(self.reactor.removeAll)
        self.reactor.seconds = lambda: self.machine.wall  # as Twisted does
        self.called: list[str] = []

    def run_due(self) -> list[str]:
        self.reactor.runUntilCurrent()
        return self.called

    def test_a_correction_backwards(self) -> None:
        """What is due is done although the wall clock was put back by an hour meanwhile."""
        steady(self.reactor, self.machine)
        self.reactor.callLater(1, self.called.append, "sent")
        self.machine.wall -= 3600
        self.assertEqual(self.run_due(), [])
        self.machine.pass_time(1.5)
        self.assertEqual(self.run_due(), ["sent"])

    def test_a_correction_forwards(self) -> None:
        """Nothing is done early because the wall clock was put forward by an hour."""
        steady(self.reactor, self.machine)
        self.reactor.callLater(10, self.called.append, "given up")
        self.machine.wall += 3600
        self.assertEqual(self.run_due(), [])

    def test_loops(self) -> None:
        """What is done every second goes on every second."""
        steady(self.reactor, self.machine)
        loop = LoopingCall(self.called.append, "tick")
        loop.clock = self.reactor
        loop.start(1.0)
        for correction in (-3600, 0, 7200):
            self.machine.wall += correction
            self.machine.pass_time(1.0)
            self.run_due()
        loop.stop()
        self.assertEqual(self.called, ["tick"] * 4)

    def test_too_late(self) -> None:
        """A reactor that has something to do already keeps its clock: mixing two would be worse."""
        self.reactor.callLater(5, self.called.append, "later").getTime()
        self.assertRaises(AlreadyScheduled, steady, self.reactor, self.machine)
