"""What is written loads as the same settings; examples and reference page are current."""

from __future__ import annotations

from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.settings.samples import FILE, FOLDER, SETTINGS
from trus.pki.channel import BACKEND_HOST
from trus.settings import BackendAddress, Duration, ScreeningSettings, Size, dump, load, parse
from trus.settings.describe import PAGES, describe
from trus.settings.examples import EXAMPLES

PROJECT = Path(__file__).resolve().parents[2]


class DumpTests(SynchronousTestCase):
    """`trus init` writes a file that an operator can read and change."""

    def test_loads_as_written(self) -> None:
        """A written file loads as the settings that were written."""
        self.assertEqual(parse(dump(SETTINGS, FOLDER), FILE), SETTINGS)

    def test_changed_settings(self) -> None:
        """Settings that differ from their defaults are written as such, in lists too."""
        gateway = SETTINGS.gateway
        assert gateway is not None
        link = attrs.evolve(
            gateway.link,
            backends=(
                BackendAddress(name="one", host="192.0.2.1", server_name="one.example"),
                BackendAddress(name="two", host="2001:db8::2", port=9),
            ),
            silence=Duration(60),
        )
        screening = ScreeningSettings(max_connections=77, max_per_address=7, send_buffer=Size(1 << 20))
        changed = attrs.evolve(SETTINGS, gateway=attrs.evolve(gateway, link=link, screening=screening))
        text = dump(changed, FOLDER)
        self.assertEqual(parse(text, FILE), changed)
        self.assertIn("\n    max_connections: 77\n", text)

    def test_comments(self) -> None:
        """Every setting has its comment, and one that has its default is a comment itself."""
        text = dump(SETTINGS, FOLDER, heading="A heading.")
        self.assertTrue(text.startswith("# A heading.\n"))
        self.assertIn("    # PKCS#12 file with the channel certificate, its chain and its key.\n", text)
        self.assertIn("\n    # silence: 45s\n", text)
        self.assertIn("\n  #   max_connections: 10000\n", text)
        self.assertIn("\n      certificate: pki/gateway.p12\n", text)

    def test_commented_lines_can_be_uncommented(self) -> None:
        """Taking the comment mark from the defaults leaves a file that means the same."""
        backend = SETTINGS.backend
        assert backend is not None
        # A file that nothing has to be in has no default to show.
        identity = attrs.evolve(backend.identity, policy=FOLDER / "pki" / "policy.yaml")
        settings = attrs.evolve(SETTINGS, backend=attrs.evolve(backend, identity=identity))
        lines = dump(settings, FOLDER).splitlines()
        bare = [_uncommented(line) for line in lines]
        self.assertGreater(sum(old != new for old, new in zip(lines, bare, strict=True)), 20)
        self.assertEqual(parse("\n".join(bare), FILE), settings)


def _uncommented(line: str) -> str:
    mark, _, rest = line.partition("# ")
    name = rest.strip().partition(":")[0]
    is_setting = not mark.strip() and name.replace("_", "").isalpha() and ":" in rest and name.islower()
    if is_setting and rest.strip() != "softhsm_conf:":
        return mark + rest
    return line


class ExamplesTests(SynchronousTestCase):
    """The files in config/ are right."""

    def test_each_loads(self) -> None:
        """Every example loads without a problem, and is what the program would write."""
        found = sorted(path.name for path in (PROJECT / "config").glob("*.yaml"))
        self.assertEqual(found, sorted(EXAMPLES))
        for name, example in EXAMPLES.items():
            path = PROJECT / "config" / name
            self.assertEqual(load(path), example.settings(path.parent.absolute()), name)
            self.assertEqual(path.read_text(encoding="utf-8"), example.text(), name)

    def test_roles(self) -> None:
        """There is an example of each role alone, and one of both."""
        roles = {
            name: (
                load(PROJECT / "config" / name).gateway is not None,
                load(PROJECT / "config" / name).backend is not None,
            )
            for name in EXAMPLES
        }
        self.assertEqual(
            roles, {"all-in-one.yaml": (True, True), "gateway.yaml": (True, False), "backend.yaml": (False, True)}
        )


class ReferenceTests(SynchronousTestCase):
    """docs/reference/configuration.md says what the program does."""

    def test_page_is_current(self) -> None:
        """The pages of both files are what the settings' classes say today."""
        for name, written in PAGES.items():
            page = PROJECT / "docs" / "reference" / name
            self.assertEqual(page.read_text(encoding="utf-8"), written(), name)

    def test_names_every_setting(self) -> None:
        """Every setting of the written configuration is on the page."""
        page = describe()
        for line in dump(SETTINGS, FOLDER).splitlines():
            name, colon, _ = line.strip().lstrip("# -").partition(":")
            if colon and name.replace("_", "").isalpha() and name.islower():
                self.assertRegex(page, rf"[`.]{name}(\[\])?`")

    def test_backend_name_agrees(self) -> None:
        """The name that a gateway expects is the one that the channel authority certifies."""
        self.assertEqual(BackendAddress(name="b").server_name, BACKEND_HOST)
