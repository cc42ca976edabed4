"""What trus depends on is locked, explained and nothing more."""

from __future__ import annotations

import re
import sys
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.tooling.sources import ROOT, sources

#: Import name: name on the package index, where the two differ.
_DISTRIBUTIONS: Final = {
    "OpenSSL": "pyopenssl",
    "google": "",
    "importlinter": "import-linter",
    "pkcs11": "python-pkcs11",
    "service_identity": "service-identity",
    "stdnum": "python-stdnum",
    "yaml": "pyyaml",
    "zope": "zope-interface",
}
#: Comes with another line of the same file: zope.interface with Twisted.
_CARRIED: Final = {"zope-interface": "twisted"}


def normal(name: str) -> str:
    """Return a distribution's name without extras, in the one normalised spelling."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def wanted(file: str) -> list[str]:
    """Return the names of a requirements input file, in its order."""
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    return [re.split(r"[<>=~!; ]", line)[0] for line in lines if line and not line.startswith("#")]


def locked(file: str) -> dict[str, str]:
    """Return name and version of every package in a lock file."""
    text = (ROOT / "requirements" / file).read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))


class LockTests(SynchronousTestCase):
    def test_everything_is_locked(self) -> None:
        """Every package that is asked for is locked, and both locks name the same versions."""
        base, dev = locked("base.txt"), locked("dev.txt")
        self.assertEqual({normal(name) for name in wanted("base.in")} - base.keys(), set())
        self.assertEqual({normal(name) for name in wanted("dev.in")} - dev.keys(), set())
        self.assertEqual({name: version for name, version in base.items() if dev.get(name) != version}, {})

    def test_hashes(self) -> None:
        """Every locked package carries the hashes of its files."""
        for file in ("base.txt", "dev.txt", "mutation.txt"):
            text = (ROOT / "requirements" / file).read_text()
            entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
            self.assertEqual([entry.split()[0] for entry in entries if "--hash=sha256:" not in entry], [])

    def test_no_registry(self) -> None:
        """The lock files say what to install and never from where."""
        for path in (ROOT / "requirements").iterdir():
            text = path.read_text()
            self.assertNotIn("://", text, path.name)
            self.assertNotRegex(text, r"(?m)^--(index|extra-index|find-links|trusted)", path.name)

    def test_nothing_undeclared_is_imported(self) -> None:
        """The program imports the standard library, itself, and what requirements/base.in names."""
        declared = {normal(name) for name in wanted("base.in")}
        undeclared = set()
        for each in sources("trus", "twisted"):
            for name in each.imports():
                top = name.partition(".")[0]
                if top in sys.stdlib_module_names or top == "trus":
                    continue
                distribution = _DISTRIBUTIONS.get(top, normal(top))
                if _CARRIED.get(distribution, distribution) not in declared:
                    undeclared.add(f"{each.path} imports {top}")
        self.assertEqual(undeclared, set())


class ReasonTests(SynchronousTestCase):
    def test_every_dependency_has_its_reason(self) -> None:
        """docs/dependencies.md lists exactly the packages that are asked for, with the versions that are locked."""
        text = (ROOT / "docs/dependencies.md").read_text()
        rows = re.findall(
            r"^\| ([a-z0-9][\w.-]*(?:\[\w+\])?) \| (\d\S*) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE
        )
        versions = {**locked("mutation.txt"), **locked("dev.txt")}
        asked = (*wanted("base.in"), *wanted("dev.in"), *wanted("mutation.in"))
        expected = {name: versions[normal(name)] for name in asked}
        self.assertEqual({name: version for name, version, *_ in rows}, expected)
        self.assertEqual([name for name, *cells in rows if not all(cell.strip() for cell in cells)], [])
