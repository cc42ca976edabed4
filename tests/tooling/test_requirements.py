"""The register of requirements claims no more than the tests prove."""

from __future__ import annotations

import ast

from twisted.trial.unittest import SynchronousTestCase

from tests.tooling.register import PARTS, REGISTER, Requirement, State
from tests.tooling.requirements import PAGE, named, page, proofs, row, rows_of
from tests.tooling.sources import ROOT, Source, sources
from tests.tooling.test_dependencies import normal, wanted


class RegisterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.proofs = proofs()

    def test_ids_exist(self) -> None:
        """A test names no requirement that the register does not hold."""
        self.assertEqual({ident: paths for ident, paths in self.proofs.items() if ident not in REGISTER}, {})

    def test_claims_are_proven(self) -> None:
        """What is done, or begun, is named by a test; what is done says of nothing that it is missing, or why."""
        unproven = [
            each.id for each in REGISTER.values() if each.state is not State.LATER and each.id not in self.proofs
        ]
        self.assertEqual(unproven, [])
        silent = [each.id for each in REGISTER.values() if each.state is State.FIRST_CUT and not each.open]
        self.assertEqual(silent, [])

    def test_places_exist(self) -> None:
        """Every module and folder of the register is there; what is done or begun lives somewhere."""
        missing = [place for each in REGISTER.values() for place in each.where if not (ROOT / place).exists()]
        self.assertEqual(missing, [])
        self.assertEqual(
            [each.id for each in REGISTER.values() if each.state is not State.LATER and not each.where], []
        )

    def test_every_line_once(self) -> None:
        """Six lines of the design card, 25 of the payment system, 13 of updates, 6 of cheques, 10 of decoupling."""
        self.assertEqual([len(part) for _, part in PARTS], [6, 25, 13, 6, 10])
        self.assertEqual(len(REGISTER), 60)

    def test_page_is_current(self) -> None:
        """docs/requirements.md says what the register says, and every test that it lists does name the line."""
        written, wanted = rows_of(PAGE.read_text(encoding="utf-8")), rows_of(page())
        renew = "renew it: .venv/bin/python -m tests.tooling.requirements"
        self.assertEqual(
            {ident: line for ident, (line, _) in written.items()}, {i: line for i, (line, _) in wanted.items()}, renew
        )
        for ident, (_, paths) in written.items():
            self.assertLessEqual(set(paths), set(self.proofs.get(ident, ())), f"{ident}: {renew}")
            self.assertEqual(bool(paths), ident in self.proofs, f"{ident}: {renew}")

    def test_the_search_itself(self) -> None:
        """Ids are found in docstrings of tests and their classes, and nowhere else."""
        text = '''
"""TR-1: a module."""
class Some:
    """TR-2: a class."""
    def test_it(self):
        """TR-3, TR-14: a test."""
        """TR-4"""
        x = "TR-5"  # TR-6
    def other(self):
        """TR-7"""
'''
        self.assertEqual(sorted(named(Source("x.py", text, ast.parse(text)))), ["TR-14", "TR-2", "TR-3"])
        line = row(Requirement("TR-3", "what", ("trus/x",), State.DONE), ["tests/a/test_b.py"])
        self.assertEqual(rows_of(line)["TR-3"][1], ["tests/a/test_b.py"])

    def test_top_level(self) -> None:
        """DC-3: the top level is that of the design card."""
        folders = ["trus", "trus/protocol", "trus/gateway", "trus/auth", "trus/hsm"]
        folders += ["twisted/plugins", "config", "docs", "tests"]
        self.assertEqual([each for each in folders if not (ROOT / each).is_dir()], [])
        self.assertTrue((ROOT / "setup.cfg").is_file())

    def test_packages(self) -> None:
        """DC-2: the packages of the design card are asked for, and every test case is one of trial's."""
        card = {"twisted", "pyopenssl", "service-identity", "cryptography", "sqlalchemy", "alembic", "pyyaml"}
        self.assertEqual(card - {normal(name) for name in wanted("base.in")}, set())
        self.assertEqual([each.path for each in sources("tests") if "unittest.TestCase" in set(each.imports())], [])
