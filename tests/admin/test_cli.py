"""`trus admin` without a network: what is typed, shown, completed and remembered."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from rich.console import Console
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from trus.admin.client import AdminReply
from trus.admin.commands import COMMANDS
from trus.admin.lines import parse_order
from trus.cli.admin import _split, typed_line
from trus.cli.admin_place import place_of
from trus.cli.admin_screen import as_json, show
from trus.cli.admin_shell import (
    MAX_HISTORY_LINES,
    CommandCompleter,
    CommandHistory,
    Shell,
    commands_of,
    may_be_kept,
)
from trus.errors import ConfigurationError

SHOPS = AdminReply(
    [{"shop": "S1", "name": "Żabka [red]", "mcc": "5812"}, {"shop": "S2", "name": "麺屋", "mcc": "5411"}],
    True,
    "00",
    "Shops: 2",
)
REFUSED = AdminReply([], False, "25", "There is no such shop.")


def screen(width: int = 100) -> tuple[Console, Callable[[], str]]:
    """Return a console of so many columns and a function that reads it."""
    shown = io.StringIO()
    return Console(file=shown, width=width, highlight=False), shown.getvalue


class TypedTests(SynchronousTestCase):
    """From a shell's words to the console's line."""

    def test_the_shells_quotes_come_back(self) -> None:
        """Words that a shell has taken apart mean the same to the console, whatever is in them."""
        for words, expected in (
            (("shop-add", "id=S1", "name=Chez Paul", "mcc=5812"), {"id": "S1", "name": "Chez Paul", "mcc": "5812"}),
            (("SHOP-ADD", "S1", 'A "B" \\C', "5812"), {"id": "S1", "name": 'A "B" \\C', "mcc": "5812"}),
            (("SHOP-ADD", "s1", "x = y", "5812"), {"id": "S1", "name": "x = y", "mcc": "5812"}),
            (("shop-add", "s1", "name=a=b", "5812"), {"id": "S1", "name": "a=b", "mcc": "5812"}),
            (("SHOP-ADD", "s1", "Żółć", "5812"), {"id": "S1", "name": "Żółć", "mcc": "5812"}),
        ):
            order = parse_order(typed_line(words).encode())
            assert order is not None
            self.assertEqual(order.arguments, expected)

    def test_characters_that_no_line_takes(self) -> None:
        """Line ends, escapes and direction characters are refused before anything is sent."""
        for word in ("a\nQUIT", "name=a\x1b[2J", "a\u202eb", "a\udc80b"):
            self.assertRaises(ConfigurationError, typed_line, ["SHOP-ADD", word])

    def test_files(self) -> None:
        """A file of commands has one a line; blank lines and those that begin with # are passed over."""
        text = "\n# shops\nSHOPS\n\n   DAY  \n"
        self.assertEqual(commands_of(text), [(3, "SHOPS"), (5, "DAY")])

    def test_addresses(self) -> None:
        """An address is HOST:PORT, IPv6 in brackets."""
        self.assertEqual([_split("a.test:7002"), _split("[::1]:80")], [("a.test", 7002), ("::1", 80)])
        for text in ("a", "a:", ":1", "a:0", "a:65536", "a:x", "a:1٢"):
            self.assertRaises(ConfigurationError, _split, text)


class ScreenTests(SynchronousTestCase):
    """What a person sees."""

    def test_a_table(self) -> None:
        """Rows are a table where they fit, with values as they came: nothing in them is markup."""
        console, shown = screen()
        show(console, SHOPS)
        lines = [line.split() for line in shown().splitlines() if line.strip()]
        self.assertEqual(lines[0], ["shop", "name", "mcc"])
        self.assertIn(["S1", "Żabka", "[red]", "5812"], lines)
        self.assertEqual(lines[-1], ["Shops:", "2"])

    def test_a_narrow_screen(self) -> None:
        """Rows that do not fit, and rows on demand, are shown one value a line."""
        for width, expanded in ((20, False), (100, True)):
            console, shown = screen(width)
            show(console, SHOPS, expanded=expanded)
            self.assertIn("shop  S1\nname  Żabka [red]\nmcc   5812\n", shown())
            self.assertIn("-[ 2 ]-", shown())

    def test_a_refusal(self) -> None:
        """A refusal shows its code and its sentence."""
        console, shown = screen()
        show(console, REFUSED)
        self.assertEqual(shown(), "25: There is no such shop.\n")

    def test_json(self) -> None:
        """A program gets one object a reply, in UTF-8."""
        text = as_json(SHOPS)
        self.assertNotIn("\n", text)
        self.assertIn("麺屋", text)
        self.assertEqual(json.loads(text), {"ok": True, "code": "00", "text": "Shops: 2", "rows": SHOPS.rows})


class HistoryTests(SynchronousTestCase):
    """What is remembered of what was typed."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "state" / "admin_history"

    def test_what_is_kept(self) -> None:
        """Commands are kept; what names a person, may hold a card number or is no command is not."""
        for line, kept in (
            ("SHOPS limit=5", True),
            ("explain 632400000012", True),
            ("EMPLOYEE-ADD ACME E1 Anna Kowalska", False),
            ('command employees-add ACME "E1|A|B"', False),
            ("CARD-BLOCK 9999000120739671", False),
            ("COMPANY-FUND ACME 1.00 9999 0001 2073 9671", False),
            ('COMPANY-FUND ACME 1.00 "9999 0001 2073 9671"', False),
            ("hunter2", False),
            ("1234", False),
            ("", False),
        ):
            self.assertEqual(may_be_kept(line), kept, line)

    def test_the_file(self) -> None:
        """The file is its owner's alone, holds the newest thousand lines, and is read newest first."""
        history = CommandHistory(self.path)
        self.assertEqual(list(history.load_history_strings()), [])
        for line in ("SHOPS", "hunter2", "DAY", "EMPLOYEE-ADD ACME E1 Anna Kowalska"):
            history.store_string(line)
        self.assertEqual(list(history.load_history_strings()), ["DAY", "SHOPS"])
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.path.write_text("SHOPS\n" * (MAX_HISTORY_LINES + 5))
        history.store_string("DAY")
        lines = self.path.read_text().splitlines()
        self.assertEqual((len(lines), lines[-1]), (MAX_HISTORY_LINES, "DAY"))

    def test_a_history_that_cannot_be_written(self) -> None:
        """A missing or unreadable file costs the history, not the session."""
        self.path.parent.mkdir(parents=True)
        self.path.mkdir()
        history = CommandHistory(self.path)
        history.store_string("SHOPS")
        self.assertEqual(list(history.load_history_strings()), [])


class CompletionTests(SynchronousTestCase):
    """What Tab offers."""

    def offered(self, text: str) -> list[str]:
        found = CommandCompleter().get_completions(Document(text), CompleteEvent())
        return [each.text for each in found]

    def test_commands_and_arguments(self) -> None:
        """Commands complete after nothing, HELP and COMMAND; arguments after their command, each once."""
        self.assertEqual(self.offered(""), list(COMMANDS))
        self.assertEqual(self.offered("shop-a"), ["SHOP-ADD"])
        self.assertEqual(self.offered("COMMAND SHOP-A"), ["SHOP-ADD"])
        self.assertEqual(self.offered("help revo"), ["REVOKE"])
        self.assertEqual(self.offered("SHOP-ADD "), ["id=", "name=", "mcc=", "currency="])
        self.assertEqual(self.offered("SHOP-ADD id=S1 m"), ["mcc="])
        self.assertEqual(self.offered("SHOP-ADD id=S1 i"), [])
        self.assertEqual(self.offered("SHOP-ADD id=S"), [])
        self.assertEqual(self.offered("NOPE x"), [])


class ScriptedClient:
    """A console that answers every line with the same reply."""

    def __init__(self) -> None:
        self.greeting = {"server": "lunch", "admin": "alice"}
        self.asked: list[str] = []

    def line(self, line: str) -> Deferred[AdminReply]:
        self.asked.append(line)
        return succeed(SHOPS)


class ShellTests(SynchronousTestCase):
    """A conversation."""

    def converse(self, *typed: str | type[BaseException]) -> tuple[list[str], str]:
        """Type lines (or interrupts); return what was asked and what was shown."""
        client = ScriptedClient()
        console, shown = screen()
        script = iter([*typed, EOFError])
        prompts: list[str] = []

        def prompt(text: str) -> Awaitable[str]:
            prompts.append(text)
            said = next(script)
            if isinstance(said, str):
                return succeed(said)
            raise said

        self.successResultOf(ensureDeferred(Shell(client, console, prompt).run()))
        self.assertEqual(set(prompts), {"lunch=> "})
        return client.asked, shown()

    def test_lines_are_given_as_typed(self) -> None:
        """A conversation greets, gives each line as typed, passes blank ones over, and ends with \\q or Ctrl-D."""
        asked, shown = self.converse("  SHOPS ", "", "help", "\\q", "DAY")
        self.assertEqual(asked, ["SHOPS", "help"])
        self.assertTrue(shown.startswith("lunch: you are alice."))
        self.assertEqual(self.converse("quit")[0], [])
        self.assertEqual(self.converse(KeyboardInterrupt, "DAY")[0], ["DAY"])

    def test_words_of_the_shell(self) -> None:
        """\\x shows one value a line and back, \\json objects and back, \\? all of them."""
        _, shown = self.converse("\\x", "SHOPS", "\\x", "SHOPS")
        self.assertEqual((shown.count("-[ 1 ]"), shown.count("Tables.")), (1, 1))
        _, shown = self.converse("\\json", "SHOPS", "\\json", "SHOPS", "\\?")
        self.assertEqual(shown.count('{"ok": true'), 1)
        self.assertIn("\\i FILE", shown)

    def test_commands_of_a_file(self) -> None:
        """\\i gives the commands of a file, and says so when it cannot be read."""
        path = Path(self.mktemp()).absolute()
        path.write_text("# morning\nDAY\n\nSHOPS\n")
        asked, shown = self.converse(f"\\i {path}", f"\\i {path}.missing")
        self.assertEqual(asked, ["DAY", "SHOPS"])
        self.assertIn("line 4:", shown)
        self.assertIn("cannot be read: No such file", shown.replace("\n", " "))


class PlaceTests(SynchronousTestCase):
    """Where a console is, and as whom one goes there."""

    def test_a_file_that_is_none(self) -> None:
        """A configuration that cannot be read is one sentence."""
        self.assertRaises(ConfigurationError, place_of, Path("/nowhere/trus.yaml"))
