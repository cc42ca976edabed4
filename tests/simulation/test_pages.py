"""The pages about the simulation say what the code does."""

from __future__ import annotations

from twisted.trial import unittest

from tests.simulation.acting import ROOT
from tests.simulation.planted.__main__ import AREAS
from trus.simulation.describe import PARTS, fill


class Pages(unittest.SynchronousTestCase):
    def test_reference(self) -> None:
        """The tables of docs/reference/simulation.md are those that the code holds."""
        page = (ROOT / "docs/reference/simulation.md").read_text(encoding="utf-8")
        self.assertEqual(fill(page), page, "run: python -m trus.simulation.describe docs/reference/simulation.md")
        for name in PARTS:
            self.assertIn(f"<!-- generated: {name} -->", page)

    def test_planted(self) -> None:
        """The page lists every bug that is planted, who catches it, and within how many seeds."""
        page = (ROOT / "docs/reference/simulation.md").read_text(encoding="utf-8")
        listed = page.partition("<!-- planted bugs -->\n")[2].partition("<!-- end of planted bugs -->")[0]
        rows = ["| bug | what it is | caught by | within seeds |", "| --- | --- | --- | --- |"]
        for bug in (bug for area in AREAS.values() for bug in area):
            what = (bug.plant.__doc__ or "").splitlines()[0]
            rows.append(f"| {bug.name} | {what} | {', '.join(sorted(bug.caught_by))} | {bug.within} |")
        self.assertEqual(listed.splitlines(), rows, "renew the table:\n" + "\n".join(rows))
