"""docs/reference/console.md says what the program does, and its sessions happen as shown."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House, serial_of
from trus.admin.commands import COMMANDS
from trus.admin.console import AdminIdentity, ConsoleSession
from trus.admin.describe import PARTS, fill
from trus.admin.lines import parse_order
from trus.issuing.personalisation import COLUMNS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "reference" / "console.md"
HOW_TO = DOCS / "how-to" / "issue-cards.md"

#: What stands in the page for text that differs from one network to the next.
ANYTHING = "…"


class PageTests(SynchronousTestCase):
    """The reference page."""

    def test_the_tables_are_those_of_the_program(self) -> None:
        """The page's tables of commands, codes and limits are what the program says now."""
        page = PAGE.read_text("utf-8")
        self.assertEqual(fill(page), page, "run: python -m trus.admin.describe docs/reference/console.md")
        for part in PARTS:
            self.assertIn(f"<!-- generated: {part} -->", page)
        for command in COMMANDS.values():
            self.assertIn(f"### {command.verb}\n", page)

    def test_three_spellings_of_one_command(self) -> None:
        """The spellings that the page calls one command are one."""
        [block] = re.findall(r"These are one command:\n\n```\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        orders = [parse_order(line.encode()) for line in block.splitlines()]
        self.assertEqual(len(orders), 3)
        self.assertEqual(orders[0], orders[1])
        self.assertEqual(orders[0], orders[2])

    def test_the_sessions_happen_as_shown(self) -> None:
        """Every line of the page's sessions is typed into a console on a real ledger, and answered as shown."""
        house = House(self)
        session = ConsoleSession(AdminIdentity("administrator", serial_of("administrator")), "lunch")
        first, second = re.findall(r"```console\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        greeting, _, rest = first.partition("\n")
        self.assertEqual(session.greeting().decode(), greeting + "\r\n")
        self.play(house, session, rest, "")
        declined = house.pay(house.cards()[0], 7500)
        again = ConsoleSession(session.admin)
        self.play(house, again, second, declined.rrn)

    def play(self, house: House, session: ConsoleSession, block: str, reference: str) -> None:
        for exchange in re.findall(r"^> (.*)\n((?:(?!> ).*\n)*)", block, re.MULTILINE):
            typed, expected = exchange
            session.receive(typed.replace(ANYTHING, reference).encode() + b"\n")
            while requests := session.requests():
                session.answered([house.handlers.handle(request) for request in requests])
            said = session.outgoing().decode().replace("\r\n", "\n")
            pattern = re.escape(expected).replace(ANYTHING, r"[^\n]+?")
            self.assertIsNotNone(re.fullmatch(pattern, said), f"> {typed}\n{said}\nexpected:\n{expected}")


class HowToTests(SynchronousTestCase):
    """The page that leads through an issue of cards."""

    def test_its_commands_exist(self) -> None:
        """Every command of the page can be given as it is printed there."""
        page = HOW_TO.read_text("utf-8")
        blocks = "".join(re.findall(r"```(?:sh)?\n(.*?)```", page, re.DOTALL))
        typed = re.findall(r"^(?:console )?([A-Z]+-[A-Z-]+ .*|CARDS .*)$", blocks, re.MULTILINE)
        self.assertGreater(len(typed), 8)
        for line in typed:
            order = parse_order(line.encode())
            self.assertIsNotNone(order, line)

    def test_its_table_is_the_files(self) -> None:
        """The page's table of columns names those of the file."""
        page = HOW_TO.read_text("utf-8")
        rows = re.findall(r"^\| ([a-z0-9, ]+) \|", page.partition("| column |")[2], re.MULTILINE)
        named = [name for row in rows for name in row.split(", ")]
        self.assertEqual(sorted(named), sorted(COLUMNS))
