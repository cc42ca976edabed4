"""script/mutate tells a change that tests notice from one that they do not, and touches no file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.runner import ErrorHolder
from twisted.trial.unittest import SynchronousTestCase

from mutation import mutants
from mutation.mutants import Mutant, Sieve, meaning
from mutation.page import tables
from mutation.reach import Test
from mutation.running import loaded
from mutation.subjects import ROOT, SUBJECTS
from mutation.trials import Outcome, Task, Verdict, try_all
from mutation.verdicts import JUDGED, judgements, tally

PATH = "trus/auth/texts.py"
TESTS = ("tests.auth.test_words",)


class TrialTests(SynchronousTestCase):
    """Mutants under real tests."""

    def setUp(self) -> None:
        self.path = ROOT / PATH
        self.original = self.path.read_text(encoding="utf-8")

    def verdict(self, source: str) -> Verdict:
        task = Task(Mutant(PATH, 1, "x", "y", source), [Test(name, 0.1) for name in TESTS])
        [(_, outcome)] = try_all([task], 2)
        return outcome.verdict

    def test_noticed(self) -> None:
        """A wrong text is noticed; the file stays as it is."""
        self.assertIs(self.verdict(self.original.replace("return ", "return 1 or ")), Verdict.NOTICED)
        self.assertEqual(self.path.read_text(encoding="utf-8"), self.original)

    def test_survived(self) -> None:
        """What changes nothing survives."""
        self.assertIs(self.verdict(self.original + "\n_NOBODY_READS_THIS = 1\n"), Verdict.SURVIVED)

    def test_endless(self) -> None:
        """What does not end is stopped."""
        self.assertIs(self.verdict(self.original + "\nwhile True: pass\n"), Verdict.ENDLESS)

    def test_not_reached(self) -> None:
        """What no test runs is tried with none, and is no success."""
        task = Task(Mutant(PATH, 1, "x", "y", self.original), [])
        self.assertEqual(list(try_all([task], 1)), [(task, Outcome(Verdict.UNREACHED))])


class SieveTests(SynchronousTestCase):
    """What counts as a change."""

    def test_only_other_programs(self) -> None:
        """Annotations, docstrings, broken texts and repetitions are no mutants."""
        path = ROOT / PATH
        original = 'def f(a: int | None) -> int:\n    """Add."""\n    return a + 1\n'
        sieve = Sieve()

        def let_through(source: str) -> bool:
            return sieve.mutant(path, original, source) is not None

        self.assertFalse(let_through(original.replace("int | None", "int + None")))
        self.assertFalse(let_through(original.replace("Add", "Take")))
        self.assertFalse(let_through("def f(:\n"))
        self.assertTrue(let_through(original.replace("a + 1", "a - 1")))
        self.assertFalse(let_through(original.replace("a + 1", "a - 1")))

    def test_named_by_the_change(self) -> None:
        """A mutant is named by its line before and after, wherever the line is."""
        mutant = Sieve().mutant(ROOT / PATH, "a = 1\nb = 2\n", "a = 1\nb = 3\n")
        assert mutant is not None
        self.assertEqual((mutant.line, mutant.change), (2, "trus/auth/texts.py: b = 2 -> b = 3"))
        self.assertEqual(mutant.module, "trus.auth.texts")

    def test_by_name_or_by_place(self) -> None:
        """Whether an argument is passed by name or by place is no part of the program; its default is."""
        text = "def f(a, *, b, c=1):\n    return a\n"
        self.assertEqual(meaning(text), meaning(text.replace("*", "/")))
        self.assertNotEqual(meaning(text), meaning(text.replace("1", "2")))

    def test_branches_for_types_alone(self) -> None:
        """What only a type checker reads is no part of the program."""
        head = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import "
        self.assertEqual(meaning(head + "a\n"), meaning(head + "b\n"))


class FindingTests(SynchronousTestCase):
    """Finding the mutants of a file."""

    def test_found_once(self) -> None:
        """The mutants of a file are found once, each program once."""
        found: list[str] = []

        def changes(source: str) -> list[tuple[str, int]]:
            found.append(source)
            return [("1", 2), ("1", 3), ("1", 3), ("# a comment", 0)]

        folder = Path(self.mktemp())
        path = ROOT / PATH
        self.patch(mutants, "_changes", changes)
        self.patch(mutants, "_changed", lambda source, old, new: source.replace("return ", f"return {new} or ", 1))
        for _ in range(2):
            given, places = mutants.mutants_of(path, folder)
            self.assertEqual(
                ([each.after[:12] for each in given], places), (["return 2 or ", "return 3 or ", "return 0 or "], 4)
            )
        self.assertEqual(found, [path.read_text(encoding="utf-8")])


class FindingsTests(SynchronousTestCase):
    """What is told."""

    def test_page(self) -> None:
        """A survivor is listed with its judgement, and counts against the score."""
        mutant = Mutant(PATH, 3, "a | b", "a & b", "")
        verdicts = [Verdict.SURVIVED, Verdict.NOTICED, Verdict.ENDLESS, Verdict.UNREACHED]
        found = tally("money", 9, 8, [(mutant, each) for each in verdicts])
        text = tables("2026-11-21", [found], {mutant.change: "the same for flags"})
        self.assertIn("| money | 9 | 8 | 4 | 1 | 1 | 2 | 1 | 50 % | 18 % |", text)
        self.assertIn("### trus/auth/texts.py\n", text)
        self.assertIn("| `a \\| b` | `a & b` | the same for flags |", text)
        self.assertIn("a test is missing", tables("2026-11-21", [found], {}))

    def test_some_or_all(self) -> None:
        """Of a sample the score is told with what it shows of the whole, of the whole with itself."""
        mutant = Mutant(PATH, 3, "a", "b", "")
        verdicts = [(mutant, Verdict.NOTICED)] * 90 + [(mutant, Verdict.SURVIVED)] * 10
        self.assertAlmostEqual(tally("money", 9, 1000, verdicts).least, 83.96, 2)
        self.assertEqual(tally("money", 9, 100, verdicts).least, 90.0)
        self.assertEqual(tally("money", 9, 100, []).least, 0.0)

    def test_judgements_stand(self) -> None:
        """Each judgement is about a line that is there."""
        texts = {path.relative_to(ROOT).as_posix(): path.read_text() for each in SUBJECTS for path in each.files()}
        for change in judgements(JUDGED):
            path, _, lines = change.partition(": ")
            self.assertIn(lines.partition(" -> ")[0], texts[path], change)

    def test_subjects_are_there(self) -> None:
        """Every subject has files, and every test that is named exists."""
        for subject in SUBJECTS:
            self.assertTrue(subject.files())
            for name in subject.tests:
                cases = list(loaded([name]))
                self.assertTrue(cases, name)
                self.assertFalse([case for case in cases if isinstance(case, ErrorHolder)], name)

    def test_record(self) -> None:
        """The tables go between the marks of the page, and nothing else changes."""
        from mutation.page import BEGIN, END, record

        page = Path(tempfile.mkdtemp(dir=self.mktemp_folder())) / "page.md"
        page.write_text(f"head\n{BEGIN}\nold\n{END}\ntail\n")
        record("new\n", page)
        self.assertEqual(page.read_text(), f"head\n{BEGIN}\nnew\n{END}\ntail\n")

    def mktemp_folder(self) -> str:
        path = Path(self.mktemp())
        path.mkdir(parents=True)
        return str(path)
