"""New devices are let in at a pace that the devices inside can bear."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from trus.gateway.admission import BEHIND_SECONDS, PLENTY, TICK_SECONDS, Pace


class Door:
    """Records what the pace says."""

    def __init__(self) -> None:
        self.said: list[int] = []

    def rest(self) -> None:
        self.said.append(0)

    def wake(self, at_once: int) -> None:
        self.said.append(at_once)


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.door = Door()
        self.pace = Pace(self.clock, busy_per_second=40)
        self.pace.guard(self.door)

    def accept(self, count: int) -> None:
        for _ in range(count):
            self.pace.accepted()

    def test_an_idle_gateway_lets_everybody_in(self) -> None:
        """While nothing is late, as many come in as a processor can take."""
        self.accept(PLENTY - 1)
        self.assertEqual(self.door.said, [])
        self.clock.advance(TICK_SECONDS)
        self.assertEqual(self.door.said, [PLENTY])

    def test_too_many_at_once_wait_outside(self) -> None:
        """Past the allowance of a look the port rests until the next one."""
        self.accept(PLENTY)
        self.assertEqual(self.door.said, [0])
        self.clock.advance(TICK_SECONDS)
        self.assertEqual(self.door.said, [0, PLENTY])

    def test_a_busy_gateway_lets_a_few_in(self) -> None:
        """When the look comes late, work is queueing: only the configured few come in until it is done."""
        self.accept(1)
        self.clock.advance(TICK_SECONDS + 2 * BEHIND_SECONDS)
        self.assertEqual(self.door.said, [2])
        self.accept(2)
        self.assertEqual(self.door.said, [2, 0])
        self.clock.advance(TICK_SECONDS)
        self.assertEqual(self.door.said, [2, 0, PLENTY])

    def test_nobody_is_shut_out_for_ever(self) -> None:
        """However late every look comes, some are let in after each."""
        slow = Pace(self.clock, busy_per_second=1)
        slow.guard(self.door)
        for _ in range(5):
            slow.accepted()
            self.clock.advance(10.0)
        self.assertEqual([said for said in self.door.said if said], [1] * 5)

    def test_a_quiet_gateway_does_nothing(self) -> None:
        """Without new connections no timer runs; after the end none is left."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.accept(1)
        self.pace.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
