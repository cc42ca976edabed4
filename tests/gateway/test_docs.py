"""The operator's pages name every word that the log may say."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.gateway import admins, devices, screening
from trus.net import peers

PROJECT = Path(__file__).resolve().parents[2]


class OperationsPageTests(SynchronousTestCase):
    """docs/operations.md."""

    def setUp(self) -> None:
        self.page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")

    def test_refusals(self) -> None:
        """Every reason for a refusal at the door or in the handshake is explained."""
        for word in (*screening.Refusal, *peers.Refusal):
            self.assertIn(f"`{word.value}`", self.page)

    def test_words_of_connections(self) -> None:
        """Every fixed word that a connection is noted with is explained."""
        source = "".join(Path(module.__file__ or "").read_text(encoding="utf-8") for module in (devices, admins))
        words = set(re.findall(r'note\("([a-z-]+)"', source))
        self.assertEqual(words, {"no-backend", "device-no-session", "device-too-fast"})
        for word in words:
            self.assertIn(f"`{word}`", self.page)
        for reason in ("not-admitted", "idle", "not-reading"):
            self.assertIn(f'"{reason}"', source)
            self.assertIn(f"`admin-{reason}`", self.page)

    def test_links(self) -> None:
        """The pages that an operator is sent to exist."""
        pages = [PROJECT / "docs" / "operations.md", *(PROJECT / "docs" / "how-to").glob("*.md")]
        for page in pages:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")
