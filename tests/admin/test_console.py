"""One admin's conversation, without a network."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.admin.commands import COMMANDS
from trus.admin.console import MAX_BATCH, MAX_QUEUED, MAX_REFUSED_IN_A_ROW, AdminIdentity, ConsoleSession
from trus.admin.lines import MAX_CONSOLE_LINE_BYTES
from trus.core.messages import AdminAnswer, AdminCommand, Answer, DayOpen, Failed
from trus.values import BusinessDate

ALICE = AdminIdentity("alice", "1f")


def echo(requests: list[AdminCommand]) -> list[Answer]:
    """Answer as a core that repeats what it was asked."""
    return [AdminAnswer("00", f"{request.command} done", [request.arguments]) for request in requests]


class ConsoleTests(SynchronousTestCase):
    """The session, from bytes to bytes."""

    def setUp(self) -> None:
        self.session = ConsoleSession(ALICE, "lunch")

    def say(self, data: bytes) -> list[str]:
        """Feed bytes, let a core answer everything, and return the lines said."""
        self.session.receive(data)
        said = self.session.outgoing()
        while requests := self.session.requests():
            self.session.answered(echo(requests))
            said += self.session.outgoing()
        return said.decode().split("\r\n")[:-1]

    def test_the_greeting_names_server_and_admin(self) -> None:
        """DC-5, DC-6: the first line says where an admin is, as whom, and how to get help."""
        self.assertEqual(
            self.session.greeting(),
            b'INFO CONSOLE server=lunch version=1 admin=alice text="Type HELP for the commands, QUIT to leave."\r\n',
        )

    def test_a_command_reaches_the_core_with_the_admins_name(self) -> None:
        """What the core is asked holds the certificate's name and serial number and canonical arguments."""
        self.session.receive(b"shops limit=07\n")
        self.assertEqual(self.session.requests(), [AdminCommand("alice", "1f", "SHOPS", {"limit": "7"})])
        self.assertTrue(self.session.waiting)

    def test_line_ends_of_people_and_programs(self) -> None:
        """DC-6: a bare LF ends a line as well as CR LF does, and a line may arrive byte by byte."""
        self.assertEqual(len(self.say(b"SHOPS\nSHOPS\r\n\r\n\n")), 4)
        for byte in b"SHOPS\r":
            self.assertEqual(self.say(bytes([byte])), [])
        self.assertEqual(self.say(b"\n"), ["DATA ROW", 'INFO OK text="SHOPS done"'])

    def test_answers_leave_in_the_order_of_the_lines(self) -> None:
        """Help and mistakes, which need no core, still wait for the answers before them."""
        self.session.receive(b"SHOPS\nHELP nope\nNOPE\nDAY\nQUIT\nSHOPS\n")
        self.assertEqual(self.session.outgoing(), b"")
        requests = self.session.requests()
        self.assertEqual([request.command for request in requests], ["SHOPS", "DAY"])
        self.session.answered(echo(requests))
        said = self.session.outgoing().decode().split("\r\n")
        self.assertEqual(
            [line.split(" text")[0] for line in said],
            [
                "DATA ROW", "INFO OK", "INFO ERROR code=12", "INFO ERROR code=12",
                "DATA ROW", "INFO OK", "INFO BYE", "",
            ],
        )  # fmt: skip
        self.assertTrue(self.session.finished)
        self.assertEqual(self.session.requests(), [], "nothing after QUIT is carried out")

    def test_help_lists_and_explains(self) -> None:
        """HELP lists every command of the table; HELP COMMAND shows its arguments."""
        listed = self.say(b"help\n")
        self.assertEqual([line.split(" ")[2] for line in listed[:-1]], [f"command={verb}" for verb in COMMANDS])
        explained = self.say(b"help terminal-add\n")
        self.assertIn("argument=id value=TERMINAL required=yes", explained[0])
        self.assertIn("TERMINAL-ADD id=TERMINAL shop=SHOP", explained[-1])

    def test_a_mistake_keeps_the_session_and_is_not_echoed(self) -> None:
        """A malformed line gets INFO ERROR code=30 and the next line is read as ever."""
        said = self.say(b'COMPANY-ADD "hunter2\n\xff\xfe\x00\nSHOPS\n')
        self.assertEqual([line[:18] for line in said[:2]], ["INFO ERROR code=30"] * 2)
        self.assertEqual(said[-1], 'INFO OK text="SHOPS done"')
        self.assertNotIn("hunter2", "".join(said))

    def test_an_endless_line_ends_the_session(self) -> None:
        """A line longer than the limit is answered with INFO ERROR and ends the session, with bounded memory."""
        said = self.say(b"x" * (MAX_CONSOLE_LINE_BYTES + 1))
        self.assertEqual(said, [f'INFO ERROR code=30 text="The line is longer than {MAX_CONSOLE_LINE_BYTES} bytes."'])
        self.assertTrue(self.session.finished)
        self.assertEqual(self.say(b"SHOPS\n"), [])

    def test_noise_is_cut_off(self) -> None:
        """A peer that says nothing readable is no admin: after 100 lines in a row the session ends."""
        said = self.say(b"GET / HTTP/1.1\n" * (MAX_REFUSED_IN_A_ROW + 5))
        self.assertEqual(len(said), MAX_REFUSED_IN_A_ROW + 1)
        self.assertEqual(said[-1], 'INFO BYE text="Too many unreadable lines."')

    def test_mistakes_in_arguments_are_no_noise(self) -> None:
        """A long file of commands with unfit arguments is answered line by line, to its end."""
        said = self.say(b"SHOP-ADD S1\n" * (MAX_REFUSED_IN_A_ROW * 2))
        self.assertEqual(len(said), MAX_REFUSED_IN_A_ROW * 2)
        self.assertFalse(self.session.finished)

    def test_a_flood_waits(self) -> None:
        """Beyond 64 unanswered lines nothing more is read until there is room, and nothing is lost."""
        self.session.receive(b"SHOPS\n" * 500)
        self.assertTrue(self.session.full)
        batches = 0
        while requests := self.session.requests():
            self.assertLessEqual(len(requests), MAX_BATCH)
            self.assertEqual(self.session.requests(), [], "one batch at a time")
            self.session.answered(echo(requests))
            self.session.outgoing()
            self.assertLessEqual(len(self.session._turns), MAX_QUEUED)
            batches += 1
        self.assertEqual(batches, -(-500 // MAX_BATCH))
        self.assertFalse(self.session.full)

    def test_a_core_that_fails(self) -> None:
        """A lost core is 91, nothing done; a failure inside it is 96, look before you repeat."""
        self.session.receive(b"SHOPS\nSHOPS\nSHOPS\n")
        self.session.requests()
        self.session.answered([Failed("91", "gone"), Failed("96", "fault"), DayOpen(BusinessDate("2026-11-20"))])
        said = self.session.outgoing().decode().split("\r\n")
        self.assertEqual(
            [line[:18] for line in said[:-1]], ["INFO ERROR code=91", "INFO ERROR code=96", "INFO ERROR code=96"]
        )

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.binary(max_size=60), max_size=12))
    def test_any_bytes_in_any_pieces(self, pieces: list[bytes]) -> None:
        """Any bytes in any pieces are answered with whole lines, and never raise."""
        session = ConsoleSession(ALICE)
        said = b""
        for piece in pieces:
            session.receive(piece)
            said += session.outgoing()
            while requests := session.requests():
                session.answered(echo(requests))
                said += session.outgoing()
        self.assertTrue(said == b"" or said.endswith(b"\r\n"))
        self.assertNotIn(b"\x00", said)
