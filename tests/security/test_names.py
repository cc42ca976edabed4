"""Names that an administrator types end in files, tables and screens: none of them carries more than a name."""

from __future__ import annotations

import csv
import io

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from trus.admin.arguments import ArgumentRefused, people, person_name, plain_name
from trus.admin.client import AdminReply
from trus.admin.lines import format_answer, parse_order
from trus.cards.names import track_name
from trus.cli.admin_screen import show
from trus.core.messages import AdminAnswer
from trus.errors import CommandRefused
from trus.protocol.messages import parse_console_line


class NameTests(SynchronousTestCase):
    """An administrator of a lower role, or a company's staff office, who means harm."""

    def test_formulas(self) -> None:
        """TR-1: no name becomes a formula when the personalisation file is opened as a spreadsheet."""
        for name in ("=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x"):
            for convert in (person_name, plain_name):
                self.assertRaises(ArgumentRefused, convert, name)
            self.assertRaises(ArgumentRefused, people, f"E1|{name}|Doe")
            self.assertRaises(ArgumentRefused, people, f"E1|Jo|{name}")
        self.assertEqual([person_name(name) for name in ("'t Hooft", "3M", "Zoë-Ann")], ["'t Hooft", "3M", "Zoë-Ann"])

    def test_new_lines_and_escapes(self) -> None:
        """A name brings no new line, control, escape sequence or change of direction into file, log or screen."""
        for hostile in (
            "a\nb",
            "a\rb",
            "a\x1b[2Jb",
            "a\x9b2Jb",
            "a\x07b",
            "a\u202eb",
            "a\u2066b",
            "a\u2028b",
            "a\x00b",
        ):
            self.assertRaises(ArgumentRefused, person_name, hostile)
            line = f'EMPLOYEE-ADD company=ACME id=E1 name="{hostile}" surname=Doe'.encode()
            self.assertRaises(CommandRefused, parse_order, line)

    def test_quotes_and_commas(self) -> None:
        """Quotes, commas and semicolons of a name stay inside their field of a CSV file."""
        name = person_name('Jo "the, lunch; lady" Doe')
        text = io.StringIO(newline="")
        csv.writer(text).writerow(("E1", name, "1234"))
        self.assertEqual(next(csv.reader(io.StringIO(text.getvalue(), newline=""))), ["E1", name, "1234"])

    def test_stripe(self) -> None:
        """A name puts no separator or sentinel of track 1 onto the stripe (ISO/IEC 7813)."""
        for name in ("A^B%C?", "Zoë;=/"):
            self.assertFalse(set(track_name(name, name).replace("/", "")) & set("^%?;="))

    def test_markup(self) -> None:
        """What stands in an answer is shown as text: neither markup nor a link of the screen's own."""
        hostile = "[link=https://x.example]pay[/link] [bold red]x[/]"
        screen = Console(file=io.StringIO(), force_terminal=True, width=200, legacy_windows=False)
        show(screen, AdminReply([{"name": hostile}, {"name": "b"}], True, "00", hostile))
        shown = screen.file.getvalue()  # type: ignore[attr-defined]
        self.assertEqual(shown.count(hostile), 2)
        self.assertNotIn("\x1b]8;", shown)

    def test_answers_of_one_line_stay_one(self) -> None:
        """Whatever the ledger holds, an answer's row is one line with the fields that it names."""
        hostile = 'x" code=00\r\nINFO OK text="\x1b[2J'
        lines = format_answer(AdminAnswer("25", hostile, [{"name": hostile}])).split(b"\r\n")
        self.assertEqual([line[:4] for line in lines], [b"DATA", b"INFO", b""])
        self.assertEqual([list(parse_console_line(line).fields) for line in lines[:2]], [["name"], ["code", "text"]])
