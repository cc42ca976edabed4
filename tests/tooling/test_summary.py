"""The closing line of script/test says what really happened."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase

from tests.tooling.sources import ROOT


def load(name: str) -> ModuleType:
    """Load a program of the script folder."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "script" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SUMMARY = load("summary")
RAN = "Ran 12 tests in 1.500s\n\n"


class TotalsTests(SynchronousTestCase):
    def test_all_passed(self) -> None:
        """A run in which everything passed counts its successes."""
        self.assertEqual(SUMMARY.totals(RAN + "PASSED (successes=12)\n"), (12, 0, 0))

    def test_failures(self) -> None:
        """Failures, errors and unexpected successes all count as failed."""
        text = RAN + "FAILED (failures=1, errors=2, unexpectedSuccesses=3, successes=6)\n"
        self.assertEqual(SUMMARY.totals(text), (6, 6, 0))

    def test_skips(self) -> None:
        """Skipped tests and expected failures prove nothing and count as skipped."""
        text = RAN + "PASSED (skips=2, expectedFailures=1, successes=9)\n"
        self.assertEqual(SUMMARY.totals(text), (9, 0, 3))

    def test_nothing_ran(self) -> None:
        """No test at all, no report, or a report that breaks off is a failure."""
        for text in ("", "Ran 0 tests in 0.001s\n\nPASSED\n", RAN, "PASSED (successes=3)\n"):
            self.assertEqual(SUMMARY.totals(text), (0, 1, 0))

    def test_failed_without_figures(self) -> None:
        """A verdict of failure is never explained away by missing figures."""
        self.assertEqual(SUMMARY.totals(RAN + "FAILED (successes=12)\n"), (12, 1, 0))

    def test_closing_line(self) -> None:
        """The closing line adds the other checks, and the exit status follows it."""
        report = Path(self.mktemp())
        for checks, text, line, status in (
            (("5", "0"), RAN + "PASSED (successes=12)\n", "17 passed, 0 failed, 0 skipped\n", 0),
            (("4", "1"), RAN + "PASSED (skips=1, successes=11)\n", "15 passed, 1 failed, 1 skipped\n", 1),
        ):
            report.write_text(text)
            said = io.StringIO()
            self.patch(sys, "stdout", said)
            self.assertEqual(SUMMARY.main(*checks, str(report)), status)
            self.assertEqual(said.getvalue(), line)

    def test_no_report(self) -> None:
        """Without a report the run has failed."""
        said = io.StringIO()
        self.patch(sys, "stdout", said)
        self.assertEqual(SUMMARY.main("5", "0", self.mktemp()), 1)
        self.assertEqual(SUMMARY.main("5", "0"), 1)
        self.assertEqual(said.getvalue(), "5 passed, 1 failed, 0 skipped\n" * 2)

    def test_several_reports(self) -> None:
        """Runs of trial add up, and one without a report fails the whole."""
        first, second = Path(self.mktemp()), Path(self.mktemp())
        first.write_text(RAN + "PASSED (successes=12)\n")
        second.write_text(RAN + "FAILED (failures=2, successes=10)\n")
        said = io.StringIO()
        self.patch(sys, "stdout", said)
        self.assertEqual(SUMMARY.main("1", "0", str(first), str(first)), 0)
        self.assertEqual(SUMMARY.main("1", "0", str(first), str(second)), 1)
        self.assertEqual(SUMMARY.main("1", "0", str(first), self.mktemp()), 1)
        lines = ["25 passed, 0 failed, 0 skipped", "23 passed, 2 failed, 0 skipped", "13 passed, 1 failed, 0 skipped"]
        self.assertEqual(said.getvalue().splitlines(), lines)
