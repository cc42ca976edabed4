"""Is the console for a person: prompt, completion, history, a few words beginning with a backslash.

Sends nothing that was not typed. The history is the owner's alone and keeps no line that
names a person or could hold a card number; answers are never kept.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History
from rich.console import Console
from rich.text import Text
from twisted.internet.defer import Deferred

from trus.admin.client import AdminReply
from trus.admin.commands import COMMANDS
from trus.admin.lines import parse_order
from trus.cli.admin_screen import as_json, show
from trus.errors import CommandRefused

#: Lines kept in the history file.
MAX_HISTORY_LINES: Final = 1000
#: Commands that are not kept: their arguments name people, or nobody would look for them.
_NOT_KEPT: Final = frozenset({"EMPLOYEE-ADD", "EMPLOYEES-ADD", "QUIT"})
#: As many digits as the shortest card number in use has; a reference number has 12.
_CARD_NUMBER: Final = re.compile(r"(?:[0-9][ -]?){13,}")

HELP: Final = """\
  HELP            lists the commands, HELP COMMAND explains one
  NAME=VALUE      arguments; quote values that hold spaces; the names may be left out
  \\x              shows rows one value a line, or as a table again
  \\json           shows replies as JSON, or as tables again
  \\i FILE         gives the commands of a file, one a line
  \\q              leaves"""


def may_be_kept(line: str) -> bool:
    """Return whether a line may stand in the history: a command, of no person, with no card number."""
    if _CARD_NUMBER.search(line) is not None:
        return False
    try:
        order = parse_order(line.encode("utf-8", "replace"))
    except CommandRefused:
        return False
    return order is not None and order.command.verb not in _NOT_KEPT


class CommandHistory(History):
    """What was typed before, in a file of mode 0600, without what must not be kept."""

    def __init__(self, path: Path) -> None:
        """`path` is made when the first line is kept."""
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        """Return the kept lines, newest first."""
        try:
            lines = self._path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        return [line for line in reversed(lines[-MAX_HISTORY_LINES:]) if may_be_kept(line)]

    def store_string(self, string: str) -> None:
        """Keep a line where that is allowed; a file that cannot be written keeps nothing."""
        if "\n" in string or not may_be_kept(string):
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = [*self._path.read_text("utf-8").splitlines(), string] if self._path.exists() else [string]
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("\n".join(kept[-MAX_HISTORY_LINES:]) + "\n")
        except (OSError, UnicodeError):
            return


class CommandCompleter(Completer):
    """Completes the names of commands and of their arguments."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield what can stand at the cursor."""
        words = document.text_before_cursor.split(" ")
        typed = words[-1]
        if words[0].upper() == "COMMAND":
            words = words[1:]
        if len(words) <= 1 or (words[0].upper() == "HELP" and len(words) == 2):
            for verb, command in COMMANDS.items():
                if verb.startswith(typed.upper()):
                    yield Completion(verb, -len(typed), display_meta=command.help)
            return
        found = COMMANDS.get(words[0].upper())
        if found is None or "=" in typed:
            return
        given = {word.partition("=")[0].lower() for word in words[1:-1]}
        for argument in found.arguments:
            if argument.name not in given and argument.name.startswith(typed.lower()):
                yield Completion(f"{argument.name}=", -len(typed), display_meta=argument.help)


class Client(Protocol):
    """What the shell needs of AdminClient."""

    greeting: dict[str, str]

    def line(self, line: str) -> Awaitable[AdminReply]:
        """Give one command as typed."""
        ...


class Shell:
    """One interactive session."""

    def __init__(
        self,
        client: Client,
        console: Console,
        prompt: Callable[[str], Awaitable[str]],
        *,
        json: bool = False,
    ) -> None:
        """`prompt(text)` returns a line; it raises EOFError at the end, KeyboardInterrupt to start anew."""
        self._client = client
        self._console = console
        self._prompt = prompt
        self._json = json
        self._expanded = False

    async def run(self) -> None:
        """Read, give and show commands until the admin leaves. Raises ConsoleGone."""
        greeting = self._client.greeting
        name = greeting.get("server", "trus")
        self._console.print(Text(f"{name}: you are {greeting.get('admin', '?')}. HELP lists commands, \\? the rest."))
        while True:
            try:
                line = (await self._prompt(f"{name}=> ")).strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if not await self._take(line):
                return

    async def _take(self, line: str) -> bool:
        """Carry out one line; return whether to go on."""
        word, _, rest = line.partition(" ")
        match word.lower():
            case "":
                return True
            case "\\q" | "quit" | "exit" | "logout":
                return False
            case "\\?" | "\\h":
                self._console.print(Text(HELP))
            case "\\x":
                self._expanded = not self._expanded
                self._console.print(Text("One value a line." if self._expanded else "Tables."))
            case "\\json":
                self._json = not self._json
            case "\\i":
                await self._give_file(Path(rest.strip()))
            case _:
                self._show(await self._client.line(line))
        return True

    async def _give_file(self, path: Path) -> None:
        try:
            lines = commands_of(path.read_text("utf-8"))  # noqa: ASYNC240 - a person waits anyway
        except (OSError, UnicodeDecodeError) as failure:
            self._console.print(Text(f"{path} cannot be read: {getattr(failure, 'strerror', 'it is not UTF-8')}"))
            return
        for number, line in lines:
            reply = await self._client.line(line)
            self._console.print(Text(f"line {number}:", style="dim"))
            self._show(reply)

    def _show(self, reply: AdminReply) -> None:
        if self._json:
            self._console.print(Text(as_json(reply)), soft_wrap=True)
        else:
            show(self._console, reply, expanded=self._expanded)


def commands_of(text: str) -> list[tuple[int, str]]:
    """Return the commands of a file with their line numbers, without blank lines and lines that begin with #."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            found.append((number, stripped))
    return found


def prompt_session(history: Path) -> Callable[[str], Awaitable[str]]:
    """Return a prompt with completion and history on this process's terminal, under an asyncio loop."""
    session: PromptSession[str] = PromptSession(
        history=CommandHistory(history), completer=CommandCompleter(), complete_while_typing=False
    )

    async def prompt(text: str) -> str:
        asking = asyncio.ensure_future(session.prompt_async(text, handle_sigint=False))
        answer: Deferred[str] = Deferred.fromFuture(asking)
        return await answer

    return prompt
