"""The failpoints: every step exists, a trap catches the right request once, and nothing of it is in what is shipped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.faults import report
from tests.faults.hooks import Trap, Traps, resolve
from tests.faults.steps import ANY, BY_NAME, PROCESS, REVERSE, STEPS, Part
from tests.faults.tools import PROJECT


class TableTests(SynchronousTestCase):
    def test_every_step_is_a_function_of_the_code(self) -> None:
        """Every step names a function that exists, and no two steps have one name."""
        for step in STEPS:
            resolve(step.place)
        self.assertEqual(len({step.file for step in STEPS}), len(STEPS))

    def test_every_part_of_a_transaction_has_steps(self) -> None:
        """A purchase passes steps of every process, from the terminal and back to it."""
        self.assertEqual({step.part for step in STEPS}, set(Part))
        self.assertEqual((STEPS[0].part, STEPS[-1].part), (Part.TERMINAL, Part.TERMINAL))

    def test_the_page_names_every_step(self) -> None:
        """docs/reliability.md holds the table of steps as it is; script/faults --steps renews it."""
        page = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
        self.assertIn(report.steps_table(), page)

    def test_nothing_that_is_shipped_knows_of_it(self) -> None:
        """No module of trus mentions the failpoints: no setting and no environment can turn one on."""
        words = ("tests.faults", "failpoint", "Traps")
        knowing = [
            str(file)
            for file in (PROJECT / "trus").rglob("*.py")
            if any(word in file.read_text(encoding="utf-8") for word in words)
        ]
        self.assertEqual(knowing, [])


class TrapTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.traps = Traps(folder)
        self.step = BY_NAME["gateway: received"]

    def sprung(self, verb: str, passed: dict[str, int]) -> bool:
        return self.traps.sprung(self.step, passed, (None, [f"COMMAND {verb} s=x id=1".encode()]))

    def test_only_the_request_that_it_waits_for(self) -> None:
        """A trap for reversals lets purchases pass."""
        self.traps.lay(self.step, Trap(REVERSE))
        self.assertFalse(self.sprung("PROCESS", {}))
        self.assertFalse(self.sprung("ECHO", {}))
        self.assertTrue(self.sprung("REVERSE", {}))

    def test_once(self) -> None:
        """A trap catches one process: the next one passes."""
        self.traps.lay(self.step, Trap(ANY))
        self.assertTrue(self.sprung("PROCESS", {}))
        self.assertFalse(self.sprung("PROCESS", {}))

    def test_the_third(self) -> None:
        """A trap that lets two pass catches the third."""
        self.traps.lay(self.step, Trap(PROCESS, skip=2))
        passed: dict[str, int] = {}
        self.assertEqual([self.sprung("PROCESS", passed) for _ in range(3)], [False, False, True])

    def test_taken_up(self) -> None:
        """A trap that was taken up catches nobody."""
        self.traps.lay(self.step, Trap())
        self.traps.take_up(self.step)
        self.assertFalse(self.sprung("PROCESS", {}))
        self.assertEqual(self.traps.caught(self.step), 0)

    def test_death(self) -> None:
        """The process that is caught ends as a killed one does, before the step, and leaves its id."""
        program = (
            "import sys; from pathlib import Path; from tests.faults.hooks import Traps, install; "
            "from tests.faults.steps import Part; from trus.device.journal import FileJournal; "
            "install(Traps(Path(sys.argv[1])), (Part.TERMINAL,)); "
            "journal = FileJournal(Path(sys.argv[2])); journal._compact(); print('alive', flush=True)"
        )
        step = BY_NAME["terminal: compacting"]
        journal = self.traps.folder / "journal"
        command = [sys.executable, "-c", program, str(self.traps.folder.absolute()), str(journal.absolute())]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        lived = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        self.assertEqual((lived.returncode, lived.stdout), (0, "alive\n"))
        self.traps.lay(step, Trap())
        died = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        out, _ = died.communicate(timeout=120)
        self.assertEqual((died.returncode, out), (-signal.SIGKILL, b""))
        self.assertEqual(self.traps.caught(step), died.pid)
