"""The quick part of the proof, put to the prover; script/prove asks the rest."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

import proofs.__main__
from proofs.__main__ import PARTS, main, questions, short
from proofs.cases import SHORT, Case
from proofs.report import PAGE, Row, claims
from proofs.spass import Answer, ask


class ClaimTests(SynchronousTestCase):
    def assert_answers(self, part: str) -> None:
        """Put the short form's questions of a part; each answer must be the expected one."""
        asked = short(part)
        self.assertTrue(asked)
        for case, breaks in asked:
            row = Row(case, breaks, ask(case.theory()))
            self.assertTrue(row.expected, f"{case.name}: {row.verdict}")

    def test_possible(self) -> None:
        """An honest run comes to its end in the model; a model in which nothing works would prove everything."""
        self.assert_answers("possible")

    def test_holds(self) -> None:
        """TR-16: secrecy, agreement and sealed lines hold against who owns the gateway, in any number of sessions."""
        self.assert_answers("holds")

    def test_weak(self) -> None:
        """Without a binding, a context, an identity, a role or a number, the prover finds the attack."""
        self.assert_answers("weak")

    def test_names(self) -> None:
        """No question is asked twice, and every name of the short form is a question's."""
        for part in PARTS:
            names = [(case.name, breaks) for case, breaks in questions(part)]
            self.assertEqual(len(names), len({*names}), part)
        self.assertEqual({*SHORT} - {case.name for part in PARTS for case, _ in questions(part)}, set())


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = PAGE.read_text(encoding="utf-8")

    def rows(self, name: str) -> list[list[str]]:
        """Return the cells of a table of docs/security/proof.md, without its head."""
        block = self.text.partition(f"<!-- generated: {name} -->")[2].partition(f"<!-- end of generated: {name} -->")[0]
        return [line.strip("| ").split(" | ") for line in block.split("\n") if line.startswith("| ")][2:]

    def test_answers(self) -> None:
        """Every answer that docs/security/proof.md shows is the expected one of a question of script/prove."""
        for part in PARTS:
            expected = {}
            for case, breaks in questions(part):
                row = Row(case, breaks, Answer((breaks,) if breaks else (), (), 0, 0.0))
                expected[case.name, row.attacker, breaks] = row.verdict
            for name, attacker, answer, _ in self.rows(part):
                fitting = [verdict for (*asked, _), verdict in expected.items() if asked == [name, attacker]]
                self.assertTrue(any(answer.startswith(each) for each in fitting), f"{part}: {name}: {answer}")
        self.assertGreater(sum(len(self.rows(part)) for part in PARTS), 50)

    def test_claims(self) -> None:
        """docs/security/proof.md says in words what is asked."""
        self.assertIn("\n".join(claims()), self.text)


class WrongAnswerTests(SynchronousTestCase):
    def ask_with(self, cases: list[tuple[Case, str]]) -> tuple[int, str]:
        """Let script/prove ask these questions only; return its exit status and what it prints."""
        self.patch(proofs.__main__, "questions", lambda _: cases)
        shown = io.StringIO()
        with redirect_stdout(shown):
            status = main(["weak"])
        return status, shown.getvalue()

    def test_a_claim_that_fails(self) -> None:
        """When a claim does not hold, script/prove says which and exits with 1."""
        ((case, _), *_) = questions("limits")
        status, shown = self.ask_with([(case, "")])
        self.assertEqual(status, 1)
        self.assertIn("NOT AS EXPECTED", shown)

    def test_an_attack_that_is_not_found(self) -> None:
        """When leaving a part out breaks nothing, script/prove says so and exits with 1."""
        (case,) = (case for case, _ in questions("holds") if case.name == "record_secrecy")
        status, shown = self.ask_with([(case, "record_secrecy")])
        self.assertEqual(status, 1)
        self.assertIn("NOT AS EXPECTED", shown)
