"""What `trus simulate` says and how it ends."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import attrs
from click.testing import CliRunner, Result
from twisted.trial import unittest

from trus.cli import simulate
from trus.cli.simulate import simulate_command
from trus.simulation.books import Finding
from trus.simulation.faults import FAULTS, MEDDLING, fault_names
from trus.simulation.nemesis import STRIKES
from trus.simulation.sweep import INVARIANTS, Plan, Totals, run_one, story
from trus.simulation.work import Work


def trus_simulate(*words: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(simulate_command, words, standalone_mode=False)


class Commanding(unittest.SynchronousTestCase):
    def test_faults_are_listed(self) -> None:
        """TR-11: every kind of fault is listed with where it strikes and what it does, and can be struck."""
        said = trus_simulate("--list-faults").output
        for each in FAULTS:
            self.assertIn(each.name, said)
            self.assertIn(each.what, said)
        self.assertEqual(set(fault_names()), set(STRIKES))
        self.assertEqual(len(set(fault_names())), len(FAULTS))

    def test_held(self) -> None:
        """Seeds that hold: exit code 0, and tables of what went wrong and what held."""
        ended = trus_simulate("--seeds", "1..3", "--quick", "--steps", "150")
        self.assertEqual(ended.return_value, 0, ended.output)
        self.assertIn("3 seeds held, 0 failed", ended.output)
        for invariant in INVARIANTS:
            self.assertIn(invariant, ended.output)
        self.assertRegex(ended.output, r"\d+ purchases and [\d.]+ seeds a second")

    def test_failed(self) -> None:
        """A seed that fails is told with what did not hold, how to see it again, and what led to it; exit code 1."""
        found = Finding("I2", "a planted finding", 40)
        totals = Totals()
        plan = Plan(120, quick=True)
        totals.add(attrs.evolve(run_one(5, plan), findings=(found,)))
        self.patch(simulate, "sweep", lambda seeds, plan, jobs: iter(totals.failed))
        ended = trus_simulate("--seed", "5", "--quick", "--steps", "120")
        self.assertEqual(ended.return_value, 1)
        self.assertIn("I2 at step 40: a planted finding", ended.output)
        self.assertIn("trus simulate --seed 5 --steps 120 --quick --trace FILE", ended.output)
        steps = [int(line.split()[0]) for line in story(totals.failed[0], plan)]
        self.assertTrue(steps)
        self.assertTrue(all(step <= 40 for step in steps))

    def test_chosen_faults(self) -> None:
        """Only the faults that were asked for strike."""
        plan = Plan(400, quick=True, faults=("connection cut", "core killed"))
        report = run_one(4, plan)
        self.assertTrue(report.injected)
        struck = {name for name in report.injected if not name.startswith("crime: ")}
        self.assertLessEqual(struck, {"connection cut", "core killed"})
        self.assertIn("--fault 'connection cut' --fault 'core killed'", plan.command(4))

    def test_trace_and_files(self) -> None:
        """`--trace` writes what happens, one line each, and `--keep` keeps the run's files."""
        with tempfile.TemporaryDirectory() as folder:
            trace, kept = Path(folder, "trace"), Path(folder, "kept")
            ended = trus_simulate("--seed", "2", "--quick", "--trace", str(trace), "--keep", str(kept))
            self.assertEqual(ended.return_value, 0, ended.output)
            lines = trace.read_text().splitlines()
            self.assertTrue(all(re.match(r" *\d+ +\d+\.\d{3} \S", line) for line in lines))
            self.assertTrue(any("purchase" in line for line in lines))
            self.assertTrue(list(kept.rglob("trus.db")))
            self.assertTrue(list(kept.rglob("journal")))
            again = trus_simulate("--seed", "2", "--quick", "--keep", str(kept))
            self.assertIn("exists already", str(again.exception))

    def test_several_processes(self) -> None:
        """Several processes come to the same as one."""
        one = trus_simulate("--seeds", "1..4", "--quick", "--steps", "100").output
        two = trus_simulate("--seeds", "1..4", "--quick", "--steps", "100", "--jobs", "2").output
        counted = re.compile(r"4 seeds, (\d+) purchases, (\d+) approvals")
        self.assertEqual(counted.findall(one), counted.findall(two))

    def test_work(self) -> None:
        """`--work` measures purchases a simulated second, of a processor and of the machine, and judges the run."""
        ended = trus_simulate("--work", "--steps", "600")
        self.assertEqual(ended.return_value, 0, ended.output)
        figures = re.search(r"([\d,]+) purchases, [\d,]+ approved, .*: ([\d,]+) a simulated second", ended.output)
        assert figures is not None
        purchases, rate = (int(each.replace(",", "")) for each in figures.groups())
        self.assertGreaterEqual(purchases, 600)
        self.assertGreater(rate, 10_000)

    def test_work_that_does_not_hold(self) -> None:
        """A measured run in which something does not hold is told, and ends with 1."""
        found = Work(10, 9, 1, 0.5, 0.5, 0.5, (Finding("I1", "a planted finding"),))
        self.patch(simulate, "measure_all", lambda seed, jobs, watches, purchases: [found] * jobs)
        ended = trus_simulate("--work", "--jobs", "2")
        self.assertEqual(ended.return_value, 1)
        self.assertIn("I1: a planted finding", ended.output)
        self.assertIn(
            "20 a simulated second, 20 a second of a processor, 40 a second of this machine in 2", ended.output
        )

    def test_bad_words(self) -> None:
        """What cannot be is refused in one sentence."""
        for words, sentence in (
            (("--seeds", "5"), "not two numbers"),
            (("--seeds", "9..3"), "ends before it begins"),
            (("--seed", "1", "--seeds", "1..2"), "not both"),
            (("--seeds", "1..2", "--trace", "x"), "one seed"),
            (("--fault", "earthquake"), "earthquake"),
        ):
            with self.subTest(words):
                self.assertIn(sentence, str(trus_simulate(*words).exception))


class Listing(unittest.SynchronousTestCase):
    def test_every_fault_of_the_issue(self) -> None:
        """TR-11, TR-16: whatever the network must survive is a kind of fault here, by name."""
        names = {*fault_names(), *MEDDLING}
        for wanted in (
            *("slow network", "drop", "duplicate", "reorder", "partition", "connection half open"),
            *("died at an await", "gateway killed", "core killed", "front killed", "terminal killed"),
            *("backend's power cut", "power cut at a commit", "power cut in a checkpoint", "terminal's power cut"),
            *("slow commits", "commit refused: disk full", "commit of unknown outcome"),
            *("slow token", "token gone", "token pulled out in a batch"),
            *("clock jumped", "all suspended", "certificate expired", "clock past all certificates"),
            *("dishonest gateway", "replay", "truncate", "reflect", "splice"),
        ):
            self.assertIn(wanted, names)
