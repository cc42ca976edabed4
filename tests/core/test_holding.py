"""Holds that expire when the storage fails, and when time passes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.fake_world import FakeWorld
from tests.core.promises import ADA
from tests.core.promises_holds import HoldCase
from tests.core.worlds import World
from trus.auth.ports import Event
from trus.core.holding import HOLDS_A_STEP, LOOK_SECONDS
from trus.errors import StorageFailed, Unbalanced


class ExpiryUpkeep(HoldCase, SynchronousTestCase):
    """The core's upkeep of holds, on a ledger in memory."""

    def make_world(self) -> World:
        """Return an empty world."""
        self.fake = FakeWorld()
        return self.fake

    def test_storage_fails(self) -> None:
        """An expiry that cannot be stored is noted, frees nothing, and is made at a later step."""
        self.set_aside()
        self.world.clock.advance(days=7)
        for step in ("due", "begin", "read", "record", "commit"):
            self.fake.ledger.faults[step] = [StorageFailed("disk")]
            self.assertEqual(self.expiry.step(), 0, step)
            self.assertIn("holds could not expire", self.bank.notes[-1][1])
            self.assertEqual(self.world.held(*ADA), 1250)
        self.assertEqual(self.expiry.step(), 1)
        self.assertEqual(self.world.held(*ADA), 0)

    def test_one_cannot(self) -> None:
        """A pre-authorization that cannot expire is noted once and keeps no other from it; later it expires too."""
        first, second = self.set_aside(), self.set_aside()
        self.world.clock.advance(days=7)

        def refuse(event: Event) -> None:
            if event.figures["purchase"] == first.rrn:
                raise Unbalanced("a locked balance was not read")

        self.fake.ledger.faults["record"] = [refuse]
        self.bank.notes.clear()
        self.assertEqual((self.expiry.step(), self.expiry.step(), self.expiry.step()), (1, 0, 0))
        [(level, text)] = self.bank.notes
        self.assertEqual(level, "error")
        self.assertIn(f"the pre-authorization {first.rrn} cannot expire", text)
        self.fake.ledger.faults.clear()
        self.assertEqual(self.expiry.stuck, 1)
        self.assertEqual(self.codes(self.till.capture(first, 1), self.till.capture(second, 1)), ["00", "25"])
        self.assertEqual((self.expiry.step(), self.expiry.stuck), (0, 0))

    def test_many_cannot(self) -> None:
        """However many cannot expire, those behind them do."""
        self.world.set_policy("ACME", daily_count=HOLDS_A_STEP + 1)
        stuck = {self.set_aside(10).rrn for _ in range(HOLDS_A_STEP)}
        self.world.clock.advance(seconds=1)
        self.set_aside(10)
        self.world.clock.advance(days=7)

        def refuse(event: Event) -> None:
            if event.figures["purchase"] in stuck:
                raise Unbalanced("a locked balance was not read")

        self.fake.ledger.faults["record"] = [refuse]
        self.assertEqual((self.expiry.step(), self.expiry.step(), self.expiry.step()), (0, 1, 0))
        self.fake.ledger.faults.clear()
        self.assertEqual(self.expiry.step(), HOLDS_A_STEP)
        self.assertEqual(self.world.held(*ADA), 0)

    def test_now_and_then(self) -> None:
        """The upkeep looks every few seconds, not at every quiet moment."""
        self.set_aside()
        self.world.clock.advance(days=7)
        self.expiry.keep()
        self.assertEqual(self.world.held(*ADA), 0)
        self.fake.ledger.faults["due"] = [AssertionError("looked again")]
        self.world.clock.advance(seconds=LOOK_SECONDS - 1)
        self.expiry.keep()
        self.world.clock.advance(seconds=1)
        with self.assertRaises(AssertionError):
            self.expiry.keep()
