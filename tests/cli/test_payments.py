"""What the settings say of payments reaches the core."""

from __future__ import annotations

from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from trus.cli.compose import payments_of
from trus.core.pipeline import PipelineSettings
from trus.settings.examples import EXAMPLES
from trus.settings.model_payments import PaymentSettings
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
