"""The rules that every source file keeps."""

from __future__ import annotations

import ast
import configparser
import re
from typing import Final

from setuptools import find_namespace_packages
from twisted.trial.unittest import SynchronousTestCase

from tests.tooling.sources import ROOT, Source, sources

#: Longer files are two files.
MAX_LINES: Final = 450

#: Where the outside world comes in: the machine's clock and entropy, and Twisted's reactor.
COMPOSITION_ROOTS: Final = ("trus/tap.py", "trus/tap/", "trus/cli/")
CLOCK_AND_ENTROPY: Final = ("trus/clock.py", *COMPOSITION_ROOTS)
REACTOR: Final = ("trus/net/", *COMPOSITION_ROOTS)

_OUTSIDE_WORLD: Final = re.compile(
    r"time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|localtime|gmtime|sleep)"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)"
    r"|os\.(urandom|getrandom)|uuid\.uuid[14]|(secrets|random)\.\w+"
)

_VAGUE_FILES: Final = re.compile(r"(utils?|helpers?|common|misc|managers?|stuff)\.py\Z")
_VAGUE_CLASSES: Final = re.compile(r"(Manager|Helper|Utils?|Misc)\Z")
_UNFINISHED: Final = re.compile(r"#.*\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
_EXCUSES: Final = {"unittest.skip", "unittest.SkipTest", "twisted.trial.unittest.SkipTest", "unittest.expectedFailure"}


def everywhere_but(allowed: tuple[str, ...], files: list[Source]) -> list[Source]:
    """Return the files that are not below any of the allowed paths."""
    return [each for each in files if not each.path.startswith(allowed)]


class ShapeTests(SynchronousTestCase):
    def test_length(self) -> None:
        """No source file has more than 450 lines."""
        self.assertEqual([f"{each.path}: {each.lines}" for each in sources() if each.lines > MAX_LINES], [])

    def test_names(self) -> None:
        """No file or class hides behind a name that says nothing."""
        vague = [each.path for each in sources() if _VAGUE_FILES.search(each.path)]
        for each in sources():
            for node in ast.walk(each.tree):
                if isinstance(node, ast.ClassDef) and _VAGUE_CLASSES.search(node.name):
                    vague.append(f"{each.path}:{node.lineno} {node.name}")
        self.assertEqual(vague, [])

    def test_nothing_unfinished(self) -> None:
        """No comment promises work instead of doing it, and no test is skipped or expected to fail."""
        unfinished = []
        for each in sources():
            for line in each.text.splitlines():
                if _UNFINISHED.search(line):
                    unfinished.append(f"{each.path}: {line.strip()}")
        for each in sources("tests"):
            for node in ast.walk(each.tree):
                if isinstance(node, ast.Assign) and {ast.unparse(target) for target in node.targets} & {"skip", "todo"}:
                    unfinished.append(f"{each.path}:{node.lineno} skip")
            unfinished += [f"{each.path}:{line} {name}" for line, name in each.dotted_names() if name in _EXCUSES]
        self.assertEqual(unfinished, [])

    def test_promises(self) -> None:
        """Every module says what it is for, and every test what it promises."""
        silent = [each.path for each in sources() if not ast.get_docstring(each.tree) and each.text.strip()]
        for each in sources("tests"):
            for node in ast.walk(each.tree):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if node.name.startswith("test_") and not ast.get_docstring(node):
                    silent.append(f"{each.path}:{node.lineno} {node.name}")
        self.assertEqual(silent, [])


class OutsideWorldTests(SynchronousTestCase):
    def test_time_and_entropy(self) -> None:
        """Only trus.clock and the composition roots ask the machine for time or entropy."""
        found = [
            f"{each.path}:{line} {name}"
            for each in everywhere_but(CLOCK_AND_ENTROPY, sources("trus"))
            for line, name in each.dotted_names()
            if _OUTSIDE_WORLD.fullmatch(name)
        ]
        self.assertEqual(found, [])

    def test_reactor(self) -> None:
        """Only trus.net and the composition roots import Twisted's reactor."""
        found = [
            each.path
            for each in everywhere_but(REACTOR, sources("trus"))
            if "twisted.internet.reactor" in set(each.imports())
        ]
        self.assertEqual(found, [])

    def test_sql(self) -> None:
        """SQL stays in the ledger: nobody else imports SQLAlchemy, Alembic or SQLCipher."""
        self.assert_only("trus/ledger/", ("sqlalchemy", "alembic", "sqlcipher3", "sqlite3"))

    def test_token(self) -> None:
        """The PKCS#11 library is used by the key store alone."""
        self.assert_only("trus/hsm/", ("pkcs11",))

    def assert_only(self, home: str, libraries: tuple[str, ...]) -> None:
        """Assert that only files below `home` import any of the libraries."""
        found = [
            f"{each.path} imports {name}"
            for each in everywhere_but((home,), sources("trus"))
            for name in each.imports()
            if name.partition(".")[0] in libraries
        ]
        self.assertEqual(found, [])

    def test_the_rule_itself(self) -> None:
        """The search for the outside world sees through aliases and leaves innocent names alone."""
        guilty = """
import time as t
from datetime import datetime
from os import urandom
t.time()
datetime.now()
urandom(1)
"""
        innocent = """
import timeit
from datetime import datetime
clock.time()
self.secrets.draw()
datetime.fromisoformat("")
"""
        for text, count in ((guilty, 3), (innocent, 0)):
            names = Source("x.py", text, ast.parse(text)).dotted_names()
            self.assertEqual(len([name for _, name in names if _OUTSIDE_WORLD.fullmatch(name)]), count)


class PackagingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.setup = configparser.ConfigParser()
        self.setup.read(ROOT / "setup.cfg")

    def test_plugin_is_packaged(self) -> None:
        """DC-1: an installation carries the twistd plugin, and twisted stays a namespace that others share."""
        find = self.setup["options.packages.find"]
        packages = find_namespace_packages(str(ROOT / find["where"]), include=find["include"].split())
        self.assertIn("twisted.plugins", packages)
        self.assertEqual([*(ROOT / "twisted").rglob("__init__.py")], [])
        self.assertEqual(self.setup["options"]["package_dir"].split(), ["=", "."])

    def test_every_package_is_packaged(self) -> None:
        """Every folder with source is a package of the installation."""
        find = self.setup["options.packages.find"]
        packages = set(find_namespace_packages(str(ROOT / find["where"]), include=find["include"].split()))
        folders = {each.path.rpartition("/")[0].replace("/", ".") for each in sources("trus", "twisted")}
        self.assertEqual(folders - packages, set())

    def test_every_package_has_its_directions(self) -> None:
        """Every package of trus stands in the import contracts."""
        contracts = {
            line.strip()
            for name in self.setup.sections()
            if name.startswith("importlinter:contract:")
            for line in self.setup[name].get("source_modules", "").splitlines()
        }
        packages = {f"trus.{path.parent.name}" for path in (ROOT / "trus").glob("*/__init__.py")}
        self.assertEqual(packages - contracts - {"trus.cli", "trus.simulation"}, set())

    def test_command(self) -> None:
        """The `trus` command is installed."""
        self.assertIn("trus = trus.cli.main:main", self.setup["options.entry_points"]["console_scripts"])

    def test_continuous_integration_has_no_secret(self) -> None:
        """.ci/run calls script/test, with more seeds of the simulation, and nothing that a user could not call."""
        lines = [line.strip() for line in (ROOT / ".ci/run").read_text().splitlines()]
        commands = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(
            commands, ["set -eu", 'cd "$(dirname "$0")/.."', "TRUS_SIMULATION_SEEDS=2000 exec script/test"]
        )
