"""Holds one admin's conversation: bytes in, commands for the core out, answers in, bytes out.

Opens no sockets, reads no clock and decides nothing: who may do what is the core's to say.
Answers leave in the order of the lines. Memory is bounded: beyond MAX_QUEUED lines the
session reads no further until some are answered, and its owner pauses the transport.
Specification: docs/reference/console.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from trus.admin.commands import COMMANDS
from trus.admin.lines import MAX_CONSOLE_LINE_BYTES, NotACommand, Order, format_answer, parse_order
from trus.admin.model import Command, RefusalCode
from trus.core.messages import AdminAnswer, AdminCommand, Answer, Failed
from trus.errors import CommandRefused
from trus.protocol.buffer import LineBuffer, NeedMore
from trus.protocol.errors import RemoteProtocolError
from trus.protocol.messages import Kind, format_console_line
from trus.values import Frozen

#: Version of the console's protocol, said in the greeting.
CONSOLE_VERSION: Final = 1
#: Lines read but not yet answered: enough to keep the core busy while a client pipelines.
MAX_QUEUED: Final = 64
#: Commands in one batch to the core: few, since payments wait for the batch.
MAX_BATCH: Final = 8
#: Lines in a row that are no command, after which the peer is no admin: noise is cut off.
MAX_REFUSED_IN_A_ROW: Final = 100


class AdminIdentity(Frozen, frozen=True):
    """Whom the TLS client certificate names; `serial` in lower-case hexadecimal.

    `ends` is when it ends, in seconds since 1970-01-01 UTC; 0 when that is not known.
    """

    name: str
    serial: str
    ends: int = 0


class _Turn:
    """One line's place in the order of answers."""

    __slots__ = ("command", "last", "ready")

    def __init__(self, command: AdminCommand | None, ready: bytes | None, last: bool = False) -> None:
        self.command = command
        self.ready = ready
        self.last = last


class ConsoleSession:
    """The sans-IO console of one admin."""

    def __init__(self, admin: AdminIdentity, server: str = "trus") -> None:
        """`server` is the name that the greeting shows."""
        self._admin = admin
        self._server = server
        self._buffer = LineBuffer(MAX_CONSOLE_LINE_BYTES, crlf_only=False)
        self._turns: deque[_Turn] = deque()
        self._under_way: list[_Turn] = []
        self._refused_in_a_row = 0
        self._closing = False
        self._finished = False

    @property
    def admin(self) -> AdminIdentity:
        """Whose session this is."""
        return self._admin

    @property
    def finished(self) -> bool:
        """Whether everything is said: send what `outgoing` returns and close."""
        return self._finished

    @property
    def full(self) -> bool:
        """Whether no more bytes should be read for now."""
        return len(self._turns) >= MAX_QUEUED or self._closing

    @property
    def waiting(self) -> bool:
        """Whether an answer of the core is awaited."""
        return bool(self._under_way)

    def greeting(self) -> bytes:
        """Return the first line of the server."""
        return format_console_line(
            Kind.INFO,
            "CONSOLE",
            {
                "server": self._server,
                "version": str(CONSOLE_VERSION),
                "admin": self._admin.name,
                "text": "Type HELP for the commands, QUIT to leave.",
            },
        )

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer; while `full`, they wait as they came."""
        self._buffer.feed(data)
        self._read()

    def requests(self) -> list[AdminCommand]:
        """Return the next commands for the core, none while a batch is under way."""
        if self._under_way:
            return []
        for turn in self._turns:
            if turn.command is not None and turn.ready is None:
                self._under_way.append(turn)
                if len(self._under_way) == MAX_BATCH:
                    break
        return [turn.command for turn in self._under_way if turn.command is not None]

    def answered(self, answers: Sequence[Answer]) -> None:
        """Take the core's answers to the commands that `requests` returned, in the same order."""
        for turn, answer in zip(self._under_way, answers, strict=True):
            turn.ready = format_answer(_shown(answer))
        self._under_way = []

    def outgoing(self) -> bytes:
        """Return what can be said now, in the order of the lines, and read on where there is room."""
        said: list[bytes] = []
        while True:
            while self._turns and self._turns[0].ready is not None:
                turn = self._turns.popleft()
                said.append(turn.ready or b"")
                self._finished = self._finished or turn.last
            before = len(self._turns)
            self._read()
            if len(self._turns) == before:
                return b"".join(said)

    def farewell(self, text: str) -> bytes:
        """Return the last line for a session that its owner ends (idle, shutdown)."""
        self._closing = self._finished = True
        return _bye(text)

    def _read(self) -> None:
        while not self.full:
            try:
                line = self._buffer.next_line()
            except RemoteProtocolError:
                self._end(_error(f"The line is longer than {MAX_CONSOLE_LINE_BYTES} bytes."))
                return
            if isinstance(line, NeedMore):
                return
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            order = parse_order(line)
        except CommandRefused as refused:
            self._refused_in_a_row = self._refused_in_a_row + 1 if isinstance(refused, NotACommand) else 0
            self._turns.append(_Turn(None, format_answer(AdminAnswer(refused.code, refused.text))))
            if self._refused_in_a_row >= MAX_REFUSED_IN_A_ROW:
                self._end(_bye("Too many unreadable lines."))
            return
        if order is None:
            return
        self._refused_in_a_row = 0
        self._enqueue(order)

    def _enqueue(self, order: Order) -> None:
        command = order.command
        if command.verb == "QUIT":
            self._end(_bye("Good bye."))
        elif command.local:
            self._turns.append(_Turn(None, format_answer(_help(order.arguments))))
        else:
            asked = AdminCommand(self._admin.name, self._admin.serial, command.verb, order.arguments, self._admin.ends)
            self._turns.append(_Turn(asked, None))

    def _end(self, last: bytes) -> None:
        self._turns.append(_Turn(None, last, last=True))
        self._closing = True


def _shown(answer: Answer) -> AdminAnswer:
    if isinstance(answer, AdminAnswer):
        return answer
    if isinstance(answer, Failed) and answer.code == RefusalCode.UNAVAILABLE:
        return AdminAnswer(RefusalCode.UNAVAILABLE, "The core is not available: nothing was done.")
    return AdminAnswer(RefusalCode.SYSTEM, "An internal failure. Look whether it was done before you repeat it.")


def _help(arguments: dict[str, str]) -> AdminAnswer:
    asked = arguments.get("command")
    if asked is None:
        rows = [{"command": command.verb, "help": command.help} for command in COMMANDS.values()]
        return AdminAnswer(RefusalCode.DONE, "HELP COMMAND explains one. Your roles say which you may use.", rows)
    command = COMMANDS.get(asked)
    if command is None:
        return AdminAnswer(RefusalCode.UNKNOWN_COMMAND, "No such command. HELP lists them.")
    return AdminAnswer(RefusalCode.DONE, f"{command.usage} - {command.help}", _argument_rows(command))


def _argument_rows(command: Command) -> list[dict[str, str]]:
    return [
        {
            "argument": argument.name,
            "value": argument.shape,
            "required": "yes" if argument.required else "no",
            "help": argument.help,
        }
        for argument in command.arguments
    ]


def _error(text: str) -> bytes:
    return format_answer(AdminAnswer(RefusalCode.ARGUMENTS, text))


def _bye(text: str) -> bytes:
    return format_console_line(Kind.INFO, "BYE", {"text": text})
