"""Gives a long job its time between batches: all of a quiet core's, at most a fifth of a busy one's.

Starts no thread. A job does a piece and comes back, or asks to serve between its pieces; requests
that wait are answered first either way. A job that fails is noted and tried again after a pause: it
must not stop payments, and payments must not hide that it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from trus.clock import Clock
from trus.core.faults import describe
from trus.errors import TrusError

#: After a piece, requests are served for this many times as long before the next one, if there are any.
_SHARE: Final = 4
#: Seconds until a job that failed is tried again.
RETRY_SECONDS: Final = 60.0

#: Answers what waits, for at least that many seconds, and says whether anything did.
Serve = Callable[[float], bool]


class LongJob(Protocol):
    """Something to be done in pieces."""

    @property
    def waiting(self) -> bool:
        """Whether anything is left to do."""
        ...

    def work(self, serve: Callable[[float], object]) -> None:
        """Do the next piece; call `serve` between parts that take longer together."""
        ...


class Job(Protocol):
    """What the core's loop asks of a job."""

    @property
    def busy(self) -> bool:
        """Whether a quiet core should work on it at once."""
        ...

    @property
    def due(self) -> bool:
        """Whether a core under load should, too."""
        ...

    def work(self, serve: Serve) -> None:
        """Do a piece."""
        ...


class PacedJob:
    """A long job, its pace and its failures."""

    def __init__(self, job: LongJob, clock: Clock, note: Callable[[str, str], None]) -> None:
        """`note(level, text)` tells the operator of failures."""
        self._job = job
        self._clock = clock
        self._note = note
        self._running = False
        self._piece_at = 0.0
        self._next_at = 0.0
        self._fault = ""

    @property
    def fault(self) -> str:
        """Why the last attempt failed, "" when it did not."""
        return self._fault

    @property
    def busy(self) -> bool:
        """Whether there is work and nothing in its way."""
        return self._job.waiting and not self._running and (not self._fault or self._now() >= self._next_at)

    @property
    def due(self) -> bool:
        """Whether the last piece is long enough ago for another one while requests wait."""
        return self.busy and self._now() >= self._next_at

    def work(self, serve: Serve) -> None:
        """Do a piece; a failure of the job itself is noted, whatever `serve` raises is raised."""
        self._running = True
        self._piece_at = self._now()
        try:
            self._job.work(lambda least: self._between(serve, least))
        except TrusError as failure:
            self._failed("error", str(failure))
        except Exception as failure:  # noqa: BLE001 - a job must not stop payments
            self._failed("critical", f"unexpected failure in a long job: {describe(failure)}")
        else:
            self._fault = ""
            self._next_at = self._now() + _SHARE * (self._now() - self._piece_at)
        finally:
            self._running = False

    def _failed(self, level: str, told: str) -> None:
        if told != self._fault:
            self._note(level, f"{told}; it is tried again every {RETRY_SECONDS:.0f} seconds")
        self._fault = told
        self._next_at = self._now() + RETRY_SECONDS

    def _between(self, serve: Serve, least: float) -> None:
        spent = self._now() - self._piece_at
        if serve(least):
            until = self._now() + _SHARE * spent
            while (left := until - self._now()) > 0 and serve(left):
                pass
        self._piece_at = self._now()

    def _now(self) -> float:
        return self._clock.monotonic()


class NoJob:
    """Nothing to do, ever."""

    busy = False
    due = False

    def work(self, serve: Serve) -> None:
        """Do nothing."""
