"""Turns a line that an admin typed into a command, and the core's answer into lines.

Accepts what a person types without a manual: any case, no leading COMMAND, words without a
name in the order of the table, values with letters of every script unquoted. Accepts as
well every line of the device protocol's grammar, with the same meaning. Repeats no byte of
what was typed. Specification: docs/reference/console.md, "Lines".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from trus.admin.commands import check_arguments, find_command
from trus.admin.model import Command, RefusalCode
from trus.core.messages import AdminAnswer
from trus.errors import CommandRefused
from trus.protocol.errors import LocalProtocolError
from trus.protocol.grammar import encode_value
from trus.protocol.messages import Kind, format_console_line

#: Longest line in either direction, line end included: the sealed device line's limit.
MAX_CONSOLE_LINE_BYTES: Final = 8192
#: Words in one line: the longest command has ten arguments.
MAX_WORDS: Final = 32
#: Longest value of an answer's field, in UTF-8 bytes: two full ones fit a line.
MAX_VALUE_BYTES: Final = 3000

_WORD: Final = re.compile(
    r"(?:(?P<name>[A-Za-z][A-Za-z0-9-]{0,30}+)=)?"
    r'(?P<value>"(?:[^"\\]|\\["\\])*"|[^ \t"]*+)'
    r"(?=[ \t]|\Z)"
)
_BLANKS: Final = re.compile(r"[ \t]*+")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
#: What people type by habit.
_ALIASES: Final = {"?": "HELP", "\\?": "HELP", "\\H": "HELP", "\\Q": "QUIT", "EXIT": "QUIT", "LOGOUT": "QUIT"}

_NOT_A_LINE: Final = "The line cannot be read. Type COMMAND NAME=VALUE ..., with quotes around values that hold spaces."


class NotACommand(CommandRefused):
    """The line cannot be read, or names no command: people mistype, but noise does nothing else."""


class Order(NamedTuple):
    """A command with its arguments, checked against the table and in canonical form."""

    command: Command
    arguments: dict[str, str]


class _Word(NamedTuple):
    name: str | None
    value: str


def parse_order(line: bytes) -> Order | None:
    """Return what `line` (without its end) orders, None for a blank one.

    Raises NotACommand (30 malformed, 12 unknown command), CommandRefused (30 unfit arguments).
    """
    words = _words(line)
    if not words:
        return None
    verb, rest = _verb(words)
    try:
        command = find_command(_ALIASES.get(verb.upper(), verb))
    except CommandRefused as unknown:
        raise NotACommand(unknown.code, unknown.text) from None
    return Order(command, check_arguments(command, _named(command, rest)))


def _words(line: bytes) -> list[_Word]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise NotACommand(RefusalCode.ARGUMENTS, _NOT_A_LINE) from None
    return list(_split(text))


def _split(text: str) -> Iterator[_Word]:
    position = _BLANKS.match(text).end()  # type: ignore[union-attr]  # matches the empty text too
    count = 0
    while position < len(text):
        match = _WORD.match(text, position)
        count += 1
        if match is None or count > MAX_WORDS:
            raise NotACommand(RefusalCode.ARGUMENTS, _NOT_A_LINE)
        value = match["value"]
        if value.startswith('"'):
            value = _ESCAPE.sub(r"\1", value[1:-1])
        try:
            encode_value(value)
        except LocalProtocolError:
            raise NotACommand(RefusalCode.ARGUMENTS, _NOT_A_LINE) from None
        yield _Word(None if match["name"] is None else match["name"].lower(), value)
        position = _BLANKS.match(text, match.end()).end()  # type: ignore[union-attr]


def _verb(words: list[_Word]) -> tuple[str, list[_Word]]:
    rest = words
    if rest[0].name is None and rest[0].value.upper() == Kind.COMMAND:
        rest = rest[1:]
    if not rest or rest[0].name is not None:
        raise NotACommand(RefusalCode.ARGUMENTS, _NOT_A_LINE)
    return rest[0].value, rest[1:]


def _named(command: Command, words: list[_Word]) -> dict[str, str]:
    """Give words without a name those of the table, in its order, around what is named."""
    given: dict[str, str] = {}
    for word in words:
        if word.name is not None:
            if word.name in given:
                raise CommandRefused(RefusalCode.ARGUMENTS, "An argument is given twice.")
            given[word.name] = word.value
    free = iter([argument.name for argument in command.arguments if argument.name not in given])
    for word in words:
        if word.name is None:
            name = next(free, None)
            if name is None:
                raise CommandRefused(
                    RefusalCode.ARGUMENTS, f"Too many words. Values with spaces need quotes. Usage: {command.usage}"
                )
            given[name] = word.value
    return given


def format_command(verb: str, arguments: Mapping[str, str]) -> bytes:
    """Return the canonical line of a command with CR LF, for a client.

    Raises LocalProtocolError for characters that no line may carry.
    """
    return format_console_line(Kind.COMMAND, verb.upper(), arguments)


def format_answer(answer: AdminAnswer) -> bytes:
    """Return the lines of an answer: DATA ROW for each row, then INFO OK or INFO ERROR."""
    lines = [
        format_console_line(Kind.DATA, "ROW", {name: showable(value) for name, value in row.items()})
        for row in answer.rows
    ]
    text = showable(answer.text)
    if answer.code == RefusalCode.DONE:
        lines.append(format_console_line(Kind.INFO, "OK", {"text": text}))
    else:
        lines.append(format_console_line(Kind.INFO, "ERROR", {"code": answer.code, "text": text}))
    return b"".join(lines)


def showable(text: str) -> str:
    """Return `text` with what no line may carry replaced by U+FFFD, cut at MAX_VALUE_BYTES."""
    if len(text) * 4 > MAX_VALUE_BYTES and len(text.encode("utf-8", "replace")) > MAX_VALUE_BYTES:
        text = text.encode("utf-8", "replace")[: MAX_VALUE_BYTES - 3].decode("utf-8", "ignore") + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if _hidden(character) else character for character in text)


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in "\u200c\u200d"
