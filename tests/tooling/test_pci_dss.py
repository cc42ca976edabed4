"""docs/security/pci-dss.md claims nothing without a test, a setting or a page that exists."""

from __future__ import annotations

import importlib
import re
import unittest
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.tooling.pci.model import Line, Standing
from tests.tooling.pci.page import PAGE, REQUIREMENTS, page
from tests.tooling.sources import ROOT

#: How many parts each section of PCI DSS v4.0.1 has, and those parts that have some of their own.
COUNTS: Final = """
2.1=2 2.2=7 2.3=2
3.1=2 3.2=1 3.3=3 3.4=2 3.5=1 3.6=1 3.7=9 3.3.1=3 3.5.1=3 3.6.1=4
4.1=2 4.2=2 4.2.1=2
6.1=2 6.2=4 6.3=3 6.4=3 6.5=6 6.2.3=1
7.1=2 7.2=6 7.3=3 7.2.5=1
8.1=2 8.2=8 8.3=11 8.4=3 8.5=1 8.6=3 8.3.10=1
10.1=2 10.2=2 10.3=4 10.4=3 10.5=1 10.6=3 10.7=3 10.2.1=7 10.4.1=1 10.4.2=1
11.1=2 11.2=2 11.3=2 11.4=7 11.5=2 11.6=1 11.3.1=3 11.3.2=1 11.5.1=1
"""
LINES: Final = [line for _, lines in REQUIREMENTS for line in lines]


def numbers() -> set[str]:
    """Return every number of the standard's requirements 2, 3, 4, 6, 7, 8, 10 and 11."""
    counts = [entry.split("=") for entry in COUNTS.split()]
    return {f"{above}.{part}" for above, count in counts for part in range(1, int(count) + 1)}


def settings_of(name: str) -> set[str]:
    """Return the dotted names of every section and setting of a reference page."""
    found, section = set(), ""
    for line in (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## `(.+)`", line):
            section = heading[1]
            found.add(section)
        elif row := re.match(r"\| `(\w+)` \|", line):
            found.add(f"{section}.{row[1]}")
    return found


class PageTests(SynchronousTestCase):
    def test_every_number_once(self) -> None:
        """TR-20: no requirement of the standard's list is left out, and none is made up."""
        named = [line.id for line in LINES]
        self.assertEqual(len(named), len(set(named)))
        self.assertEqual(set(named) ^ numbers(), set())
        self.assertGreater(len(named), 140)

    def test_every_test_runs(self) -> None:
        """TR-20: each test that the page names can be run under that name."""
        for name in sorted({test for line in LINES for test in line.tests}):
            module, case, method = name.rsplit(".", 2)
            found = getattr(importlib.import_module(module), case)
            self.assertTrue(issubclass(found, unittest.TestCase), name)
            self.assertTrue(method.startswith("test_") and callable(getattr(found, method, None)), name)

    def test_every_setting_exists(self) -> None:
        """TR-20: each setting is one of the configuration's or the policy's file."""
        known = {"policy": settings_of("policy.md"), "": settings_of("configuration.md")}
        for line in LINES:
            for setting in line.settings:
                file, _, name = setting.rpartition(":")
                self.assertIn(name, known[file], line.id)

    def test_every_page_exists(self) -> None:
        """Each page that an operator is sent to exists."""
        missing = [line.id for line in LINES if line.page and not (PAGE.parent / line.page).exists()]
        self.assertEqual(missing, [])

    def test_no_claim_is_bare(self) -> None:
        """What the software meets names a test; what is not applicable or missing says why; nothing is said of both."""
        for line in LINES:
            self.assertEqual(bool(line.software), bool(line.tests), line.id)
            self.assertTrue(line.software or line.operator or line.missing or line.none, line.id)
            self.assertFalse(line.none and (line.software or line.operator or line.missing), line.id)
            self.assertFalse((line.settings or line.page) and not line.operator, line.id)

    def test_standing(self) -> None:
        """Whatever else is said of it, a requirement of which a part is missing is not met."""
        self.assertIs(Line("1", "x", "y", ("t",), "z", missing="m").standing, Standing.OPEN)
        self.assertIs(Line("1", "x", "y", ("t",), "z").standing, Standing.BOTH)
        self.assertIs(Line("1", "x", "y", ("t",)).standing, Standing.SOFTWARE)
        self.assertIs(Line("1", "x", operator="z").standing, Standing.OPERATOR)
        self.assertIs(Line("1", "x", none="n").standing, Standing.NONE)

    def test_page_is_current(self) -> None:
        """The page is what the register says: python -m tests.tooling.pci.page writes it."""
        self.assertEqual(PAGE.read_text(encoding="utf-8"), page())
