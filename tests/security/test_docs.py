"""The threat model promises nothing without a proof."""

from __future__ import annotations

import ast
import re
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.tooling.sources import ROOT, sources

PAGES: Final = sorted((ROOT / "docs" / "security").glob("*.md"))
_PROOF: Final = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
_LINK: Final = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


class ProofTests(SynchronousTestCase):
    def test_every_proof_exists(self) -> None:
        """TR-20: every test that the pages on security name exists."""
        exist = {
            (source.path, node.name)
            for source in sources("tests")
            for node in ast.walk(source.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        named = {proof for page in PAGES for proof in _PROOF.findall(page.read_text(encoding="utf-8"))}
        self.assertGreater(len(named), 50)
        self.assertEqual(named - exist, set())

    def test_every_line_has_a_proof(self) -> None:
        """Every line that says what stops an attacker names a test."""
        text = (ROOT / "docs" / "security" / "index.md").read_text(encoding="utf-8")
        tables = re.findall(r"\| tries to \|.*?\n\n", text, re.DOTALL)
        lines = [line for table in tables for line in table.strip().splitlines()[2:]]
        self.assertGreater(len(lines), 40)
        self.assertEqual([line for line in lines if not _PROOF.search(line)], [])

    def test_links(self) -> None:
        """Every link between these pages and to others of the project leads somewhere."""
        for page in [*PAGES, ROOT / "SECURITY.md"]:
            for target in _LINK.findall(page.read_text(encoding="utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")
