"""A long job's pace between batches, and what becomes of one that fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from trus.core.jobs import RETRY_SECONDS, NoJob, PacedJob
from trus.errors import StorageFailed


class Ticking:
    """A clock that only work moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class Work:
    """A job whose pieces take ten milliseconds each, in parts of one."""

    def __init__(self, clock: Ticking) -> None:
        self.clock = clock
        self.waiting = True
        self.fault: Exception | None = None
        self.parts = 0

    def work(self, serve: Callable[[float], object]) -> None:
        if self.fault is not None:
            raise self.fault
        for _ in range(10):
            self.clock.seconds += 0.001
            self.parts += 1
            serve(0.0)


class PacedJobTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Ticking()
        self.work = Work(self.clock)
        self.noted: list[tuple[str, str]] = []
        self.job = PacedJob(self.work, self.clock, lambda level, text: self.noted.append((level, text)))
        self.served = 0.0

    def quiet(self, least: float) -> bool:
        return False

    def crowded(self, least: float) -> bool:
        """Somebody always asks: an answer takes half a millisecond."""
        self.clock.seconds += 0.0005
        self.served += 0.0005
        return True

    def test_a_quiet_core_works_on(self) -> None:
        """Where nobody asks, no time is lost between the parts."""
        self.job.work(self.quiet)
        self.assertEqual((self.work.parts, round(self.clock.seconds - 1000, 4)), (10, 0.01))
        self.assertTrue(self.job.busy)

    def test_a_busy_core_serves_first(self) -> None:
        """Where somebody always asks, the job gets at most a fifth of the time."""
        self.job.work(self.crowded)
        self.assertGreaterEqual(self.served, 4 * 0.01)

    def test_a_piece_that_serves_nobody(self) -> None:
        """After a piece, requests come first for four times as long; a quiet core does not wait."""
        self.work.work = lambda serve: setattr(self.clock, "seconds", self.clock.seconds + 0.01)  # type: ignore[method-assign]
        self.job.work(self.quiet)
        self.assertEqual((self.job.busy, self.job.due), (True, False))
        self.clock.seconds += 0.041
        self.assertTrue(self.job.due)

    def test_failure(self) -> None:
        """A job that fails is told once, left alone for a minute and tried again; payments go on."""
        self.work.fault = StorageFailed("the disk is full")
        self.job.work(self.quiet)
        self.assertEqual((self.job.busy, self.job.due), (False, False))
        self.clock.seconds += RETRY_SECONDS
        self.assertTrue(self.job.busy)
        self.job.work(self.quiet)
        self.assertEqual(len(self.noted), 1)
        self.assertIn("the disk is full", self.noted[0][1])
        self.work.fault = None
        self.clock.seconds += RETRY_SECONDS
        self.job.work(self.quiet)
        self.assertEqual((self.job.fault, self.work.parts), ("", 10))

    def test_unexpected_failure(self) -> None:
        """A defect is told by class and place, never by what it was about."""
        self.work.fault = ValueError("CANARY")
        self.job.work(self.quiet)
        self.assertEqual([level for level, _ in self.noted], ["critical"])
        self.assertNotIn("CANARY", repr(self.noted) + self.job.fault)

    def test_no_reentry(self) -> None:
        """What is served within a job never begins it again."""
        seen = []
        self.job.work(lambda least: seen.append((self.job.busy, self.job.due)) or False)
        self.assertEqual(set(seen), {(False, False)})

    def test_no_job(self) -> None:
        """A core without a job is never busy."""
        self.assertEqual((NoJob().busy, NoJob().due, NoJob().work(self.quiet)), (False, False, None))
