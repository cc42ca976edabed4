"""When the core signs heads: every minute, soon after a closing, and at the end."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from trus.core.upkeep import HEAD_SECONDS, SETTLEMENT_HEAD_SECONDS, CoreUpkeep
from trus.values import BusinessDate


class Moments:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class Idle:
    """A ledger and a key store that owe nothing."""

    checkpoint_due = False

    def checkpoint(self) -> object:
        return None

    def business_date(self) -> BusinessDate:
        return BusinessDate("2026-11-20")

    def health(self) -> str:
        return "ok"

    def handles(self) -> list[object]:
        return []

    def close(self) -> None:
        pass


class UpkeepCase(SynchronousTestCase):
    """Heads in time."""

    def setUp(self) -> None:
        self.clock = Moments()
        self.signed: list[float] = []
        idle = Idle()
        self.upkeep = CoreUpkeep(idle, idle, self.clock, lambda: self.signed.append(self.clock.seconds))  # type: ignore[arg-type]

    def rest(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(round(seconds / step)):
            self.clock.seconds += step
            self.upkeep.idle()

    def test_every_minute(self) -> None:
        """A head is due every minute, and one more at the end."""
        self.rest(3 * HEAD_SECONDS)
        self.assertEqual(self.signed, [1000 + HEAD_SECONDS * each for each in (1, 2, 3)])
        self.upkeep.close()
        self.assertEqual(len(self.signed), 4)

    def test_soon_after_a_closing(self) -> None:
        """A closing has a head signed at once, closings of one moment share it, and the minute begins anew."""
        self.rest(10)
        for _ in range(5):
            self.upkeep.want_head()
        self.rest(HEAD_SECONDS)
        self.assertEqual(self.signed, [1010.25])
        self.rest(0.5)
        self.assertEqual(self.signed, [1010.25, 1010.25 + HEAD_SECONDS])

    def test_closings_in_a_row(self) -> None:
        """Closings one after the other cost a head a second, not one each."""
        for _ in range(40):
            self.upkeep.want_head()
            self.rest(0.25)
        self.assertEqual(len(self.signed), int(10 / SETTLEMENT_HEAD_SECONDS))
