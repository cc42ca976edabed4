"""The pages about the simulation say what the code does."""

from __future__ import annotations

from twisted.trial import unittest

from tests.simulation.acting import ROOT
from trus.simulation.describe import PARTS, fill


class Pages(unittest.SynchronousTestCase):
    def test_reference(self) -> None:
        """The tables of docs/reference/simulation.md are those that the code holds."""
        page = (ROOT / "docs/reference/simulation.md").read_text(encoding="utf-8")
        self.assertEqual(fill(page), page, "run: python -m trus.simulation.describe docs/reference/simulation.md")
        for name in PARTS:
            self.assertIn(f"<!-- generated: {name} -->", page)
