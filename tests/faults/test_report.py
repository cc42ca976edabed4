"""What a run tells is what happened in it."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.faults import report
from tests.faults.house import Shape
from tests.faults.plans import Missing
from tests.faults.run import Record, Round
from trus.simulation.invariants import Finding

HELD = Round("kill -9 of a core", "kill", "killed", "", 7, 1.5, ())
BROKEN = Round("kill -9 of a core", "kill", "killed", "", 3, 2.5, (Finding("I2", "twice"),))


class ReportTests(SynchronousTestCase):
    def record(self, *rounds: Round) -> Record:
        return Record(Shape(), "SQLCipher", "a small disk", list(rounds), seconds=60.0, orders=20)

    def test_rows(self) -> None:
        """A fault has one row: how often, purchases during, what did not hold, and the times to come back."""
        self.assertEqual(report.rows(self.record(HELD)), [("kill -9 of a core", 1, 7, "all", 1.5, 1.5)])
        both = self.record(HELD, BROKEN)
        self.assertEqual(report.rows(both), [("kill -9 of a core", 2, 10, "not I2", 2.0, 2.5)])
        self.assertEqual((self.record(HELD).held, both.held), (True, False))
        self.assertEqual(report.as_dict(both, [])["findings"], ["I2: twice"])

    def test_not_injected(self) -> None:
        """What was not injected is told with its reason, to people, to programs and in the page."""
        missing = [Missing("clock", "clock jump", "there is no libfaketime")]
        record = self.record(HELD)
        for told in (
            "\n".join(report.lines(record, missing)),
            str(report.as_dict(record, missing)),
            report.markdown(record, missing, "script/faults"),
        ):
            self.assertIn("there is no libfaketime", told)

    def test_page(self) -> None:
        """Figures replace those between the marks and nothing else; a page without marks is refused."""
        page = Path(self.mktemp())
        begin, end = report.FIGURES
        page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
        report.write(page, report.FIGURES, "new")
        self.assertEqual(page.read_text(), f"before\n{begin}\nnew\n{end}\nafter\n")
        page.write_text("nothing")
        self.assertRaises(ValueError, report.write, page, report.FIGURES, "new")
