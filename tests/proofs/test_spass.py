"""What the proof believes of the prover: a clear answer, and nothing else."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from proofs.spass import PROVER_VARIABLE, ProverFailed, ask, find_prover, read
from proofs.terms import Symbol, Term, Theory, variables

_MAN, _MORTAL = Symbol("man", 1), Symbol("mortal", 1)
_SOCRATES, _ZEUS = Term("socrates"), Term("zeus")


def mortals(whom: Term) -> Theory:
    """Return the oldest question there is, about somebody."""
    (someone,) = variables("Someone")
    theory = Theory()
    theory.rule("men_are_mortal", [_MAN(someone)], _MORTAL(someone))
    theory.rule("socrates_is_a_man", (), _MAN(_SOCRATES))
    theory.rule("claim_immortality", [_MORTAL(whom)], None)
    return theory


class AnswerTests(SynchronousTestCase):
    def test_a_way(self) -> None:
        """What follows is found, with the steps that lead to it."""
        answer = ask(mortals(_SOCRATES))
        self.assertEqual(answer.broken, ("immortality",))
        self.assertEqual(answer.steps, ("men_are_mortal", "socrates_is_a_man"))

    def test_no_way(self) -> None:
        """What does not follow is not found, and that is said for certain."""
        self.assertEqual(ask(mortals(_ZEUS)).broken, ())

    def test_no_question(self) -> None:
        """A model that contradicts itself without any question is an error."""
        theory = Theory()
        theory.rule("black", (), _MAN(_ZEUS))
        theory.rule("white", [_MAN(_ZEUS)], None)
        self.assertRaises(ProverFailed, ask, theory)

    def test_out_of_time(self) -> None:
        """A prover that did not finish has proved nothing."""
        for said in (
            "SPASS beiseite: Ran out of time.\nSPASS derived 7 clauses, ...\n",
            "SPASS beiseite: Maximal number of loops exceeded.\nSPASS derived 7 clauses, ...\n",
            "SPASS beiseite: Completion found.\n",
            "Segmentation fault",
            "",
        ):
            self.assertRaises(ProverFailed, read, said)

    def test_a_broken_prover(self) -> None:
        """A program that is no prover is an error, not a proof."""
        self.assertRaises(ProverFailed, ask, mortals(_ZEUS), prover=Path("/bin/true"))
        self.assertRaises(ProverFailed, ask, mortals(_ZEUS), prover=Path("/no/such/prover"))


class FindProverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.project = Path(self.mktemp()).absolute()

    def put(self, path: Path) -> Path:
        """Make an empty program."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o755)
        return path

    def find(self, path: str = "", **environment: str) -> Path:
        """Look in scratch folders alone."""
        return find_prover(environment=environment, path=path or str(self.project), project=self.project)

    def test_order(self) -> None:
        """The environment's prover wins over the system's, and that over the one that bootstrap unpacked."""
        own = self.put(self.project / ".tools/spass/usr/bin/SPASS")
        self.assertEqual(self.find(), own)
        system = self.put(self.project / "system/SPASS")
        self.assertEqual(self.find(str(system.parent)), system)
        named = self.put(self.project / "prover")
        self.assertEqual(self.find(str(system.parent), **{PROVER_VARIABLE: str(named)}), named)

    def test_named_but_missing(self) -> None:
        """A prover that is named and does not exist is an error, not a reason to take another."""
        self.put(self.project / ".tools/spass/usr/bin/SPASS")
        failure = self.assertRaises(ProverFailed, self.find, **{PROVER_VARIABLE: "/no/such/prover"})
        self.assertIn("/no/such/prover does not exist", str(failure))

    def test_nothing_anywhere(self) -> None:
        """Without a prover the reader learns what to do."""
        self.assertIn("run script/bootstrap --dev", str(self.assertRaises(ProverFailed, self.find)))


class TheoryTests(SynchronousTestCase):
    def test_clauses(self) -> None:
        """Rules become clauses of the TPTP's cnf form, each under its own name."""
        self.assertEqual(
            mortals(_ZEUS).problem(),
            "cnf(men_are_mortal__1, axiom, ~man(Someone) | mortal(Someone)).\n"
            "cnf(socrates_is_a_man__2, axiom, man(socrates)).\n"
            "cnf(claim_immortality__3, negated_conjecture, ~mortal(zeus)).\n",
        )

    def test_arity(self) -> None:
        """A function with a wrong number of arguments is a mistake of the model that is noticed."""
        self.assertRaises(TypeError, _MAN, _ZEUS, _ZEUS)
