"""Where the PKCS#11 library is looked for."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.cli.softhsm import MODULE_VARIABLE, find_module
from trus.errors import ConfigurationError


class FindModuleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.system, self.project = self.folder / "system", self.folder / "project"

    def put(self, path: Path) -> Path:
        """Make an empty file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    def find(self, configured: str | None = None, **environment: str) -> Path:
        """Look in the scratch folders alone."""
        return find_module(configured, environment=environment, system=self.system, project=self.project)

    def test_order(self) -> None:
        """TR-18: the configured library wins over the environment's, that over the system's and the project's."""
        own = self.put(self.project / ".tools/softhsm/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
        self.assertEqual(self.find(), own)
        system = self.put(self.system / "usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so")
        self.assertEqual(self.find(), system)
        named = self.put(self.folder / "vendor.so")
        self.assertEqual(self.find(**{MODULE_VARIABLE: str(named)}), named)
        configured = self.put(self.folder / "other/vendor.so")
        self.assertEqual(self.find(str(configured), **{MODULE_VARIABLE: str(named)}), configured)

    def test_named_but_missing(self) -> None:
        """A library that is named and does not exist is an error, not a reason to take another."""
        self.put(self.system / "usr/lib/softhsm/libsofthsm2.so")
        for failure in (
            self.assertRaises(ConfigurationError, self.find, "/no/such.so"),
            self.assertRaises(ConfigurationError, self.find, **{MODULE_VARIABLE: "/no/such.so"}),
        ):
            self.assertIn("/no/such.so does not exist", str(failure))

    def test_nothing_anywhere(self) -> None:
        """Without any library the operator reads what to do."""
        failure = self.assertRaises(ConfigurationError, self.find)
        self.assertIn("run script/bootstrap", str(failure))

    def test_the_real_one(self) -> None:
        """The library that this machine's tests use can be found, whatever it is."""
        self.assertTrue(find_module().is_file())
