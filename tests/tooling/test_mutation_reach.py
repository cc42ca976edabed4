"""script/mutate tries a mutant with the tests that run its statement, and remembers what came of it."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mutation.kept import Kept
from mutation.mutants import Mutant
from mutation.reach import Reach, Test, TestsFail, apart, learn, statement
from mutation.subjects import ROOT
from mutation.trials import Outcome, Task, Verdict

PATH = "trus/auth/texts.py"
SOURCE = """\
@decorated
def f(
    a=1,
):
    if a:
        return (
            a
        )
    else:
        return 2
    try:
        pass
    except KeyError:
        raise

x = 1
"""


class StatementTests(SynchronousTestCase):
    """Which lines count as the place of a change."""

    def test_innermost(self) -> None:
        """A change is at its statement: the whole of a simple one, of another what is not inside its own statements."""
        expected = {7: {6, 7, 8}, 5: {5, 9}, 9: {5, 9}, 10: {10}, 13: {11, 13}, 15: {15}, 16: {16}}
        expected.update({line: {1, 2, 3, 4} for line in (1, 2, 3)})
        self.assertEqual({line: statement(SOURCE, line) & set(range(1, 17)) for line in expected}, expected)


class ReachTests(SynchronousTestCase):
    """Which tests a mutant is tried with."""

    def mutant(self, sought: str) -> Mutant:
        lines = (ROOT / PATH).read_text(encoding="utf-8").splitlines()
        [line] = [number for number, text in enumerate(lines, 1) if sought in text]
        return Mutant(PATH, line, "x", "y", "")

    def test_learnt(self) -> None:
        """A function's lines are reached by the tests that call it, a module's own by all."""
        before = sys.modules["tests"]
        reach = learn([ROOT / PATH], ["tests.auth.test_words"])
        self.assertIs(sys.modules["tests"], before)
        names = {each.name for each in reach.tests}
        self.assertTrue(all(name.startswith("tests.auth.test_words.") for name in names))
        self.assertEqual({each.name for each in reach.of(self.mutant("from typing import"))}, names)
        inner = {each.name for each in reach.of(self.mutant("return _LINES"))}
        self.assertTrue(inner < names, inner)
        self.assertTrue(inner)

    def test_quickest_first(self) -> None:
        """The tests that reach a statement are run in the order of what they take."""
        quick, slow, other = Test("quick", 0.1), Test("slow", 2.0), Test("other", 1.0)
        place = self.mutant("from typing import").line
        lines = {
            "quick": frozenset({(PATH, place)}),
            "slow": frozenset({(PATH, place)}),
            "other": frozenset({(PATH, 0)}),
        }
        reach = Reach([quick, other, slow], lines, frozenset())
        self.assertEqual(reach.of(self.mutant("from typing import")), [quick, slow])
        elsewhere = Reach([other], {"other": frozenset({("trus/auth/plan.py", place)})}, frozenset())
        self.assertEqual(elsewhere.of(self.mutant("from typing import")), [])

    def test_failing_tests(self) -> None:
        """Tests that fail on the unchanged files end the run before a mutant is tried."""
        self.assertIn("nowhere", str(self.assertRaises(TestsFail, learn, [], ["tests.auth.nowhere"])))

    def test_apart(self) -> None:
        """What is done in a process of its own changes nothing here, and its errors are told."""
        seen: list[int] = []
        self.assertIsNone(apart(lambda: seen.append(1)))
        self.assertEqual(seen, [])
        self.assertIn("division by zero", apart(lambda: 1 / 0))


class KeptTests(SynchronousTestCase):
    """What is remembered of earlier runs."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "tests").mkdir(parents=True)
        for name in ("test_one", "test_two", "facts"):
            (self.folder / "tests" / f"{name}.py").write_text(name)
        self.tests = [Test("tests.test_one.Case.test_it", 0.1), Test("tests.test_two.Case.test_it", 0.2)]
        self.task = Task(Mutant(PATH, 1, "x", "y", "changed"), self.tests)

    def kept(self) -> Kept:
        return Kept(self.folder / "kept" / "mutants.jsonl", self.folder)

    def edit(self, name: str) -> None:
        (self.folder / "tests" / f"{name}.py").write_text("edited")

    def test_interrupted(self) -> None:
        """A run that was interrupted finds what it had found, the latest of a mutant."""
        self.assertIsNone(self.kept().find(self.task))
        self.kept().keep(self.task, Outcome(Verdict.ENDLESS, self.tests[0].name))
        survived = Outcome(Verdict.SURVIVED, self.tests[1].name)
        self.kept().keep(self.task, survived)
        self.assertEqual(self.kept().find(self.task), survived)

    def test_another_program(self) -> None:
        """A verdict is about one text of one file."""
        self.kept().keep(self.task, Outcome(Verdict.SURVIVED))
        for other in (Mutant(PATH, 1, "x", "y", "else"), Mutant("trus/auth/plan.py", 1, "x", "y", "changed")):
            self.assertIsNone(self.kept().find(Task(other, self.tests)))

    def test_survivors_meet_new_tests(self) -> None:
        """What survived is tried again when a test that reaches it is new or changed."""
        survived = Outcome(Verdict.SURVIVED, self.tests[1].name)
        self.kept().keep(Task(self.task.mutant, self.tests[:1]), survived)
        self.assertIsNone(self.kept().find(self.task))
        self.kept().keep(self.task, survived)
        self.edit("test_one")
        self.assertIsNone(self.kept().find(self.task))

    def test_noticed_stands(self) -> None:
        """What was noticed stands as long as the test that noticed it, and what that shares with others."""
        noticed = Outcome(Verdict.NOTICED, self.tests[0].name)
        self.kept().keep(self.task, noticed)
        self.edit("test_two")
        self.assertEqual(self.kept().find(self.task), noticed)
        self.edit("facts")
        self.assertIsNone(self.kept().find(self.task))
