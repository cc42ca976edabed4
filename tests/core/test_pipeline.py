"""The promises of the pipeline, on a ledger in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.fake_world import FakeWorld
from tests.core.promises import CardPromises, IdentityPromises, PurchasePromises
from tests.core.promises_advices import AdvicePromises
from tests.core.promises_back import ClosingPromises, ReversalPromises
from tests.core.promises_holds import ExpiryPromises, HoldPromises, RestoredPromises
from tests.core.promises_lots import LotPromises
from tests.core.promises_periods import PeriodPromises
from tests.core.promises_pins import PinPromises
from tests.core.promises_purses import PursePromises
from tests.core.promises_readings import ReadingPromises
from tests.core.promises_reconcile import ReconcilePromises
from tests.core.promises_refunds import RefundPromises, RefundReversalPromises
from tests.core.promises_returns import ReturnPromises
from tests.core.promises_signals import SignalPromises
from tests.core.promises_tender import TenderPromises
from tests.core.promises_voids import VoidPromises
from tests.core.promises_watch import WatchPromises
from tests.core.worlds import World


class InMemory:
    """Makes worlds in memory."""

    def make_world(self) -> World:
        """Return an empty world."""
        return FakeWorld()


class Purchases(InMemory, PurchasePromises, SynchronousTestCase):
    """On a ledger in memory."""


class Cards(InMemory, CardPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Identities(InMemory, IdentityPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Reversals(InMemory, ReversalPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Closings(InMemory, ClosingPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Refunds(InMemory, RefundPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Returns(InMemory, ReturnPromises, SynchronousTestCase):
    """On a ledger in memory."""


class RefundReversals(InMemory, RefundReversalPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Periods(InMemory, PeriodPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Purses(InMemory, PursePromises, SynchronousTestCase):
    """On a ledger in memory."""


class Watched(InMemory, WatchPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Readings(InMemory, ReadingPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Signalled(InMemory, SignalPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Voids(InMemory, VoidPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Holds(InMemory, HoldPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Expiries(InMemory, ExpiryPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Advices(InMemory, AdvicePromises, SynchronousTestCase):
    """On a ledger in memory."""


class Pins(InMemory, PinPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Tenders(InMemory, TenderPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Lots(InMemory, LotPromises, SynchronousTestCase):
    """On a ledger in memory."""


class Reconciliations(InMemory, ReconcilePromises, SynchronousTestCase):
    """On a ledger in memory."""


class RestoredHolds(InMemory, RestoredPromises, SynchronousTestCase):
    """On a ledger in memory."""
