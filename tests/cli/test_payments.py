"""What the settings say of payments reaches the core."""

from __future__ import annotations

from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from trus.auth.watching import MAX_CARDS, WatchLimits
from trus.cli.compose import payments_of
from trus.core.pipeline import PipelineSettings
from trus.core.ranges import RangeLimits
from trus.settings.examples import EXAMPLES
from trus.settings.model_payments import PaymentSettings
from trus.settings.model_sweeps import SweepSettings
from trus.settings.values import Duration


class PaymentTests(SynchronousTestCase):
    """The section backend.payments."""

    def test_defaults(self) -> None:
        """A file that says nothing of payments gives what the core does by itself."""
        backend = EXAMPLES["backend.yaml"].settings(Path("/srv/lunch")).backend
        assert backend is not None
        self.assertEqual(payments_of(backend), PipelineSettings())

    def test_said(self) -> None:
        """Floor limit, the life of a pre-authorization and days of grace are the operator's to say."""
        backend = EXAMPLES["backend.yaml"].settings(Path("/srv/lunch")).backend
        assert backend is not None
        payments = PaymentSettings(floor_limit=2_000, hold=Duration(3_600), grace_days=0)
        said = payments_of(attrs.evolve(backend, payments=payments))
        self.assertEqual((said.floor_limit, said.hold_seconds, said.grace_days), (2_000, 3_600, 0))

    def test_sweeps(self) -> None:
        """When a terminal that tries cards out is slowed down and blocked is the operator's to say, too."""
        backend = EXAMPLES["backend.yaml"].settings(Path("/srv/lunch")).backend
        assert backend is not None
        sweeps = SweepSettings(
            forget=Duration(60),
            free_values=1,
            most_values=2,
            free_cards=3,
            most_cards=4,
            longest_wait=Duration(5),
            range_values=6,
            range_forget=Duration(70),
        )
        said = payments_of(attrs.evolve(backend, sweeps=sweeps))
        self.assertEqual(said.watch, WatchLimits(60, 1, 2, 3, 4, 5))
        self.assertEqual(said.ranges, RangeLimits(70, 6))

    def test_what_never_slows_down(self) -> None:
        """A limit that blocks before it slows down is refused, and its setting named."""
        wrong = SweepSettings(free_values=20, most_values=20, free_cards=5, most_cards=2)
        self.assertEqual([each.below for each in wrong.misfits()], [("free_values",), ("free_cards",)])
        self.assertEqual(list(SweepSettings().misfits()), [])
        self.assertLess(attrs.fields(SweepSettings).most_cards.default, MAX_CARDS)
