"""What an admin may type, and what the console says."""

from __future__ import annotations

import contextlib
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.admin.commands import COMMANDS, check_arguments, commands_for, find_command
from trus.admin.lines import (
    MAX_CONSOLE_LINE_BYTES,
    MAX_VALUE_BYTES,
    format_answer,
    format_command,
    parse_order,
    showable,
)
from trus.admin.model import CODE_MEANINGS, AdminRole, RefusalCode
from trus.core.messages import AdminAnswer
from trus.errors import CommandRefused
from trus.protocol.messages import Kind, parse_console_line

CANONICAL = b'COMMAND COMPANY-ADD id=ACME name="Acme Ltd" time-zone=Europe/Madrid'


class OrderTests(SynchronousTestCase):
    """From typed lines to commands."""

    def arguments(self, line: str) -> dict[str, str]:
        order = parse_order(line.encode())
        assert order is not None
        return order.arguments

    def refusal(self, line: bytes) -> CommandRefused:
        refused: CommandRefused = self.assertRaises(CommandRefused, parse_order, line)
        return refused

    def test_one_command_in_many_spellings(self) -> None:
        """DC-6: a person may leave out COMMAND, names and quotes, and need not mind the case."""
        expected = parse_order(CANONICAL)
        for typed in (
            b'company-add id=ACME name="Acme Ltd" time-zone=Europe/Madrid',
            b'  Command  Company-Add ID=acme NAME="Acme Ltd" Time-Zone=Europe/Madrid  ',
            b'COMPANY-ADD ACME "Acme Ltd" Europe/Madrid',
            b'COMPANY-ADD "Acme Ltd" id=ACME Europe/Madrid',
            b'\tcompany-add\tacme\t"Acme Ltd"\ttime-zone=Europe/Madrid\t',
        ):
            self.assertEqual(parse_order(typed), expected, typed)

    def test_letters_of_every_script_need_no_quotes(self) -> None:
        """A value without spaces may hold any letters; quotes inside quotes are escaped with a backslash."""
        self.assertEqual(self.arguments("SHOP-ADD S1 Żółć 5812")["name"], "Żółć")
        self.assertEqual(self.arguments("SHOP-ADD S1 name=O'Brien 5812")["name"], "O'Brien")
        self.assertEqual(self.arguments(r'SHOP-ADD S1 "The \"Old\" \\ Inn" 5812')["name"], 'The "Old" \\ Inn')

    def test_blank_lines_are_nothing(self) -> None:
        """A blank line orders nothing and is not answered."""
        self.assertEqual([parse_order(line) for line in (b"", b"   ", b"\t")], [None, None, None])

    def test_habits(self) -> None:
        """? is HELP, and exit and \\q are QUIT."""
        typed = (b"?", b"help", b"\\?", b"exit", b"\\q", b"QUIT", b"logout")
        verbs = [order.command.verb for order in map(parse_order, typed) if order is not None]
        self.assertEqual(verbs, ["HELP"] * 3 + ["QUIT"] * 4)

    def test_what_cannot_be_read_is_refused_with_a_fixed_sentence(self) -> None:
        """A malformed line has code 30, an unknown command 12; neither repeats what was typed."""
        for line in (
            b'COMPANY-ADD "unclosed', b"\xff\xfe", b"COMPANY-ADD id=\x00", b"COMPANY-ADD a\x1bb", b'"HELP"x',
            b"COMMAND", b"id=ACME", b"HELP a\xe2\x80\xaeb", b'SHOP-ADD "a\\nb"', b"WHOAMI " + b"x " * 40,
            b"COMPANY-ADD id=A id=B", b"COMPANY-ADD secretword=x id=A name=B", b"WHOAMI secretword",
            b"COMPANY-ADD", b"COMPANY-ADD id=secretword!", b"HELP seal=abc",
        ):  # fmt: skip
            refused = self.refusal(line)
            self.assertEqual(refused.code, RefusalCode.ARGUMENTS, line)
            self.assertNotIn("secretword", refused.text)
        for line in (b"FROBNICATE", b"INFO HELLO", b"DATA ROW a=b", b"'; drop", "ﬁnd".encode(), b"COMMAND COMMAND"):
            self.assertEqual(self.refusal(line).code, RefusalCode.UNKNOWN_COMMAND, line)

    def test_hostile_lines_take_linear_time(self) -> None:
        """The longest line is read in a moment, whatever it holds."""
        for line in (
            b"a=" * 4000, b'"' * 8000, b'x="' + b'\\"' * 4000, b" " * 8000, b"a" * 8000, b"=" * 8000,
            b'x="' + b"\\" * 8000, b"A-" * 4000 + b"=",
        ):  # fmt: skip
            started = time.perf_counter()
            with contextlib.suppress(CommandRefused):
                parse_order(line)
            self.assertLess(time.perf_counter() - started, 0.2, line[:8])

    @settings(max_examples=500, deadline=None)
    @given(st.binary(max_size=400))
    @example(b'\\"')
    @example(b'HELP="')
    def test_any_bytes_are_an_order_or_a_refusal(self, line: bytes) -> None:
        """Any bytes whatsoever are an order, nothing, or a refusal whose sentence can be said."""
        try:
            order = parse_order(line)
        except CommandRefused as refused:
            format_answer(AdminAnswer(refused.code, refused.text))
            return
        if order is not None:
            self.assertIn(order.command.verb, COMMANDS)

    @settings(max_examples=300, deadline=None)
    @given(st.sampled_from(sorted(COMMANDS)), st.text(st.characters(codec="utf-8"), max_size=30))
    def test_what_a_client_writes_is_what_the_console_reads(self, verb: str, text: str) -> None:
        """A canonical line means the same to the console as the command it was made from."""
        command = COMMANDS[verb]
        given_arguments = {argument.name: text for argument in command.arguments}
        try:
            line = format_command(verb, given_arguments)
            expected = check_arguments(command, given_arguments)
        except Exception:  # noqa: BLE001 - not a command that can be written; nothing to compare
            return
        order = parse_order(line.removesuffix(b"\r\n"))
        self.assertEqual(None if order is None else (order.command.verb, order.arguments), (verb, expected))


class AnswerTests(SynchronousTestCase):
    """From answers to lines."""

    def test_rows_then_the_outcome(self) -> None:
        """An answer is one DATA ROW a row, then INFO OK or INFO ERROR with its code."""
        answer = AdminAnswer("00", "2 shops", [{"shop": "S1", "name": "Żabka"}, {"shop": "S2", "name": ""}])
        self.assertEqual(
            format_answer(answer),
            'DATA ROW shop=S1 name="Żabka"\r\nDATA ROW shop=S2 name=""\r\nINFO OK text="2 shops"\r\n'.encode(),
        )
        self.assertEqual(
            format_answer(AdminAnswer("25", "There is no such shop.")),
            b'INFO ERROR code=25 text="There is no such shop."\r\n',
        )

    @settings(max_examples=300, deadline=None)
    @given(st.text(max_size=2000))
    @example("\ud800")
    @example("a\u202eb\x07")
    @example("é" * 2000)
    def test_any_text_can_be_said(self, text: str) -> None:
        """Whatever the database holds is said on one line that follows the grammar and its length."""
        for line in format_answer(AdminAnswer("00", text, [{"name": text}])).split(b"\r\n")[:-1]:
            self.assertLessEqual(len(line) + 2, MAX_CONSOLE_LINE_BYTES)
            self.assertIn(parse_console_line(line).kind, {Kind.DATA, Kind.INFO})
        self.assertLessEqual(len(showable(text).encode()), MAX_VALUE_BYTES)


class TableTests(SynchronousTestCase):
    """The one table of commands."""

    def test_every_command_can_be_typed_and_explained(self) -> None:
        """Each command has a verb and arguments of the grammar, a sentence of help, and at least one role."""
        for command in COMMANDS.values():
            line = format_command(command.verb, {argument.name: "x" for argument in command.arguments})
            self.assertEqual(parse_console_line(line.removesuffix(b"\r\n")).verb, command.verb)
            self.assertRegex(command.help, r"^[A-Z].*\.$")
            self.assertTrue(command.roles)
            names = [argument.name for argument in command.arguments]
            self.assertEqual(len(names), len(set(names)), command.verb)

    def test_required_arguments_come_before_optional_ones(self) -> None:
        """Words without a name reach required arguments first."""
        for command in COMMANDS.values():
            required = [argument.required for argument in command.arguments]
            self.assertEqual(required, sorted(required, reverse=True), command.verb)

    def test_roles_limit_what_changes(self) -> None:
        """An auditor changes nothing; support changes cards, employees and terminals in distress alone.

        Both renew their own certificates.

        What support may order it may also approve, when another ordered it.
        """
        auditor = {command.verb for command in commands_for([AdminRole.AUDITOR]) if command.mutating}
        support = {command.verb for command in commands_for([AdminRole.SUPPORT]) if command.mutating}
        self.assertEqual(auditor, {"ADMIN-RENEW"})
        self.assertEqual(
            support,
            {
                "CARD-BLOCK", "CARD-LOST", "CARD-STOLEN", "CARD-SUSPECT", "CARD-TRIES", "CARD-UNBLOCK",
                "ADMIN-RENEW", "APPROVE", "CERTIFICATE-HOLD", "EMPLOYEE-BLOCK", "REJECT", "TERMINAL-BLOCK",
            },
        )  # fmt: skip
        self.assertEqual(set(COMMANDS), {command.verb for command in commands_for([AdminRole.ADMINISTRATOR])})

    def test_unknown_and_missing(self) -> None:
        """A command that is not in the table does not exist; a missing argument is named."""
        self.assertEqual(self.assertRaises(CommandRefused, find_command, "NOPE").code, RefusalCode.UNKNOWN_COMMAND)
        refused = self.assertRaises(CommandRefused, check_arguments, COMMANDS["SHOP-ADD"], {"id": "S1", "mcc": "5812"})
        self.assertTrue(refused.text.startswith("name is missing"))

    def test_every_code_has_a_meaning(self) -> None:
        """Every code that the console may answer is explained."""
        self.assertEqual(set(CODE_MEANINGS), set(RefusalCode))
