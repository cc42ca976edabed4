"""A configuration is read whole, or refused with everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.settings.samples import FILE, FOLDER, SETTINGS, TEXT
from trus.errors import ConfigurationError
from trus.settings import Problem, SettingsInvalid, load, parse
from trus.settings.kinds import LABEL, NAME

TWO_OF_A_NAME = "      - name: b\n      - name: b"
SMALL = "  screening: {max_connections: 5}\n"
#: Values that fit few settings, and some that no YAML reader likes.
ODD = (
    *("", "{}", "[]", "null", "1", "-1", "1e400", "yes", "~", "2020-13-45", "2020-01-01", "!x y", ".inf"),
    *("!!int x", "!!binary ?", "!!timestamp x", "9" * 30, "'\\'", "1:2:3", "<<", "*a", "&a b", "0o17", "!!set {a}"),
)


def problems(text: str) -> list[str]:
    """Return what is wrong with a text, one line each."""
    try:
        parse(text, FILE)
    except SettingsInvalid as refusal:
        return [str(problem) for problem in refusal.problems]
    return []


class GoodFilesTests(SynchronousTestCase):
    """What is right is read."""

    def test_whole_file(self) -> None:
        """Every section is read into its typed value, defaults where a setting is left out."""
        self.assertEqual(parse(TEXT, FILE), SETTINGS)

    def test_paths_start_at_the_file(self) -> None:
        """A relative path starts at the folder of the file, an absolute one stays."""
        text = TEXT.replace("pin_file: token/pin", "pin_file: /run/credentials/pin")
        backend = parse(text, FILE).backend
        assert backend is not None
        self.assertEqual(backend.token.pin_file, Path("/run/credentials/pin"))
        self.assertEqual(backend.database.url.path, FOLDER / "db" / "trus.db")

    def test_one_role(self) -> None:
        """A file with one role alone is a file of that role."""
        text = TEXT[: TEXT.index("backend:\n  link:")]
        settings = parse(text, FILE)
        self.assertIsNone(settings.backend)
        self.assertEqual(settings.gateway, SETTINGS.gateway)

    def test_from_disk(self) -> None:
        """A file on disk is read the same way."""
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXT)
        self.assertEqual(load(path).network, SETTINGS.network)


class RefusedFilesTests(SynchronousTestCase):
    """What is wrong is named: where, what was found, what is expected."""

    def test_all_at_once(self) -> None:
        """Every problem of a file is reported in one go, with its line, its path, what was found and expected."""
        text = (
            TEXT.replace("port: 7001", "port: 70000")
            .replace("name: lunch", "name: lunch\n  colour: red\n  currency: dollars")
            .replace("      - name: backend-1", "      - host: 'no such host!'")
            .replace("    pin_file: token/pin\n", "    label: 'a b'\n")
            .replace('"990001"', "990001")
        )
        self.assertEqual(
            problems(text),
            [
                "line 3: network.colour: found an unknown setting, expected one of name, currency",
                "line 4: network.currency: found 'dollars', expected an ISO 4217 code such as USD",
                "line 7: gateway.devices.port: found 70000, expected a port number (0: any free one) from 0 to 65535",
                f"line 12: gateway.link.backends[0].name: found nothing, expected {NAME.expected}",
                "line 12: gateway.link.backends[0].host: found 'no such host!', expected a host name or an IP address",
                "line 20: backend.token.pin_file: found nothing, expected the path of a file",
                f"line 21: backend.token.label: found 'a b', expected {LABEL.expected}",
                "line 28: backend.cards.iin: found 990001, expected 6 or 8 digits in quotes",
            ],
        )

    def test_duplicate_keys(self) -> None:
        """A key that stands twice is refused, where plain YAML would quietly take the last."""
        self.assertEqual(
            problems(TEXT.replace("name: lunch", "name: lunch\n  name: dinner")),
            ["line 3: network.name: found the same key again, expected it once (it stands on line 2)"],
        )

    def test_unknown_section(self) -> None:
        """A section that does not exist is refused."""
        [found] = problems(TEXT + "metrics:\n  port: 9000\n")
        self.assertIn("metrics: found an unknown setting, expected one of network, gateway, backend", found)

    def test_wrong_shapes(self) -> None:
        """A list, a word or nothing where a section belongs is named as such."""
        for value, found in (("[]", "a list"), ("yes", "true"), ("", "nothing"), ("3", "3")):
            [line] = problems(f"network:\n  name: x\ngateway: {value}\n")
            self.assertEqual(line, f"line 3: gateway: found {found}, expected a mapping of settings")
        [line] = problems(TEXT.replace("    backends:\n      - name: backend-1\n", "    backends: backend-1\n"))
        self.assertEqual(line, "line 9: gateway.link.backends: found 'backend-1', expected a list")

    def test_no_role(self) -> None:
        """A file that configures no role is refused."""
        self.assertEqual(
            problems("network: {name: x}"),
            ["line 1: found neither gateway nor backend, expected at least one of these roles"],
        )

    def test_settings_that_contradict(self) -> None:
        """Settings that make no sense together are named, across sections too."""
        cases = {
            "link.port": (TEXT.replace("port: 7003", "port: 7001"), "gateway.devices.port"),
            "one port twice": (TEXT.replace("port: 7002", "port: 7001"), "gateway.admin.port"),
            "silence": (TEXT.replace("  link:\n    backends", "  link:\n    silence: 5s\n    backends"), "silence"),
            "no backend": (TEXT.replace("backends:\n      - name: backend-1", "backends: []"), "backends"),
            "same name": (TEXT.replace("      - name: backend-1", TWO_OF_A_NAME), "backends[1].name"),
            "share": (TEXT.replace("  link:\n    backends", SMALL + "  link:\n    backends"), "max_per_address"),
        }
        for name, (text, path) in cases.items():
            [line] = problems(text)
            self.assertIn(path, line, name)

    def test_not_yaml(self) -> None:
        """Malformed YAML, an empty file and another shape are named with the line."""
        [line] = problems("network: [\n")
        self.assertTrue(line.startswith("line 2: found malformed YAML (expected the node content"), line)
        self.assertEqual(problems(""), ["found an empty file, expected a YAML mapping of sections"])
        self.assertEqual(problems("- a"), ["line 1: found a list, expected a YAML mapping of sections"])
        self.assertEqual(
            problems("a: \x00"), ["found characters that YAML forbids, expected a YAML mapping of sections"]
        )

    def test_aliases_without_end(self) -> None:
        """A YAML alias of what it stands in ends in a problem, not in endless recursion."""
        self.assertIn(
            "line 1: network[0]: found an alias of what it stands in, expected a value", problems("network: &a [*a]")
        )

    def test_aliases_of_aliases(self) -> None:
        """Half a page of aliases that name billions of values is refused at once."""
        text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
        self.assertEqual(problems(text), ["found more than 10000 values, expected a YAML mapping of sections"])

    def test_depth_without_end(self) -> None:
        """Values inside values by the thousand are a problem of the file, not of the program."""
        for text in ("[" * 50_000, "a: " + "{b: " * 50_000):
            found = problems(text)
            self.assertEqual(found, ["found values inside values without end, expected a YAML mapping of sections"])

    def test_keys_that_are_no_words(self) -> None:
        """A number or a list as a key is refused."""
        self.assertIn("line 1: found a key that is not a word, expected the name of a setting", problems("1: 2"))
        self.assertIn("line 1: found a key that is not a word, expected the name of a setting", problems("? [a]\n: 2"))

    def test_no_file(self) -> None:
        """A file that is not there, too large or not text is refused in one sentence."""
        missing = Path(self.mktemp())
        with self.assertRaisesRegex(ConfigurationError, "found no readable file"):
            load(missing)
        missing.parent.mkdir(parents=True, exist_ok=True)
        missing.write_bytes(b"\xff\xfe")
        with self.assertRaisesRegex(ConfigurationError, "not UTF-8"):
            load(missing)
        missing.write_bytes(b"#" * (1 << 21))
        with self.assertRaisesRegex(ConfigurationError, "found a larger file, expected at most 1048576 bytes"):
            load(missing)

    def test_passwords_are_not_shown(self) -> None:
        """The problem of a database URL does not repeat the URL, which may bear a password."""
        [line] = problems(TEXT.replace("sqlcipher:db/trus.db", "mysql://trus:hunter2@db/trus"))
        self.assertNotIn("hunter2", line)
        self.assertIn("backend.database.url: found another text, expected sqlcipher:FILE", line)

    @settings(max_examples=150, deadline=None)
    @given(
        st.text(
            alphabet=st.sampled_from("network:gateway{}[]&*!|>#-?, \n\t\"'0123456789.backend_tlsport"), max_size=120
        )
    )
    def test_any_text(self, text: str) -> None:
        """Whatever text a file holds, it is settings or a list of problems, never a traceback."""
        try:
            parse(text, FILE)
        except SettingsInvalid as refusal:
            self.assertTrue(refusal.problems)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_any_change(self, data: st.DataObject) -> None:
        """A good file with any one value replaced is settings or a list of problems."""
        lines = TEXT.splitlines()
        index = data.draw(st.integers(0, len(lines) - 1))
        value = data.draw(st.sampled_from(ODD))
        lines[index] = f"{lines[index].partition(':')[0]}: {value}"
        try:
            parse("\n".join(lines), FILE)
        except SettingsInvalid as refusal:
            self.assertTrue(all(isinstance(problem, Problem) for problem in refusal.problems))
