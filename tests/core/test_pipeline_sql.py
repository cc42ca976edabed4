"""The promises of the pipeline, on the real ledger: SQLCipher, one durable commit a batch."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.core.promises import CardPromises, IdentityPromises, Mixin, PurchasePromises
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
from tests.core.sql_world import SqlWorld
from tests.core.worlds import World


class OnDisk(Mixin):
    """Makes worlds in ciphered files."""

    def make_world(self) -> World:
        """Return an empty world."""
        world = SqlWorld(Path(self.mktemp()).absolute())
        self.addCleanup(world.close)
        return world


class Purchases(OnDisk, PurchasePromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Cards(OnDisk, CardPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Identities(OnDisk, IdentityPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Reversals(OnDisk, ReversalPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Closings(OnDisk, ClosingPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Refunds(OnDisk, RefundPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Returns(OnDisk, ReturnPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class RefundReversals(OnDisk, RefundReversalPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Periods(OnDisk, PeriodPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Purses(OnDisk, PursePromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Watched(OnDisk, WatchPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Readings(OnDisk, ReadingPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Signalled(OnDisk, SignalPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Voids(OnDisk, VoidPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Holds(OnDisk, HoldPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Expiries(OnDisk, ExpiryPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Advices(OnDisk, AdvicePromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Pins(OnDisk, PinPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Tenders(OnDisk, TenderPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Lots(OnDisk, LotPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class Reconciliations(OnDisk, ReconcilePromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""


class RestoredHolds(OnDisk, RestoredPromises, SynchronousTestCase):
    """TR-13: on a ciphered database."""
