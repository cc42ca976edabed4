"""Writes the generated parts of docs/reference/console.md from the table of commands.

Adds nothing that the table does not say; a test compares the page with what this writes.
Run `python -m trus.admin.describe FILE` after changing the table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from trus.admin.arguments import MAX_NAME_BYTES, MAX_NAME_CHARACTERS, MAX_PEOPLE
from trus.admin.commands import COMMANDS
from trus.admin.console import MAX_QUEUED, MAX_REFUSED_IN_A_ROW
from trus.admin.lines import MAX_CONSOLE_LINE_BYTES, MAX_VALUE_BYTES, MAX_WORDS
from trus.admin.model import CODE_MEANINGS, AdminRole, Command
from trus.admin.server import CLOSE_SECONDS, HANDSHAKE_SECONDS, IDLE_SECONDS, READ_SECONDS

_BLOCK: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end of generated: \2 -->)", re.DOTALL)
_BAR: Final = "\\|"


def commands() -> str:
    """Return the table of commands with the roles that may give them."""
    head = "| command | " + " | ".join(AdminRole) + " | changes | what it does |\n"
    rows = [head, "|---|" + "---|" * (len(AdminRole) + 2) + "\n"]
    for command in COMMANDS.values():
        roles = " | ".join("yes" if role in command.roles else "" for role in AdminRole)
        change = "yes" if command.mutating else ""
        rows.append(f"| [{command.verb}](#{command.verb.lower()}) | {roles} | {change} | {command.help} |\n")
    return "".join(rows)


def arguments() -> str:
    """Return a section for each command with its arguments."""
    return "\n".join(_section(command) for command in COMMANDS.values())


def _section(command: Command) -> str:
    lines = [f"### {command.verb}\n", f"{command.help}\n", f"    {command.usage}\n"]
    if command.arguments:
        rows = ["| argument | value | required | meaning |\n|---|---|---|---|\n"]
        for argument in command.arguments:
            shape = argument.shape.replace("|", _BAR)
            needed = "yes" if argument.required else ""
            rows.append(f"| `{argument.name}` | `{shape}` | {needed} | {argument.help.replace('|', _BAR)} |\n")
        lines.append("".join(rows))
    return "\n".join(lines)


def codes() -> str:
    """Return the table of answer codes."""
    rows = [f"| {code.value} | {meaning} |\n" for code, meaning in CODE_MEANINGS.items()]
    return "| code | meaning |\n|---|---|\n" + "".join(rows)


def limits() -> str:
    """Return the table of limits and time-outs."""
    rows = (
        ("longest line, line end included", f"{MAX_CONSOLE_LINE_BYTES} bytes", "INFO ERROR code=30, then closed"),
        ("words in a line", str(MAX_WORDS), "INFO ERROR code=30"),
        ("longest value in an answer", f"{MAX_VALUE_BYTES} bytes", "cut, and ended with …"),
        ("longest name", f"{MAX_NAME_CHARACTERS} characters, {MAX_NAME_BYTES} bytes", "INFO ERROR code=30"),
        ("people in EMPLOYEES-ADD", str(MAX_PEOPLE), "INFO ERROR code=30"),
        ("lines read and not answered", str(MAX_QUEUED), "the rest waits in the connection"),
        ("unreadable lines in a row", str(MAX_REFUSED_IN_A_ROW), "INFO BYE, then closed"),
        ("TLS handshake", f"{HANDSHAKE_SECONDS:.0f} s", "closed without a word"),
        ("silence (backend.admin.idle_timeout)", f"{IDLE_SECONDS:.0f} s", "INFO BYE, then closed"),
        ("not reading what is said", f"{READ_SECONDS:.0f} s", "closed"),
        ("hanging up after INFO BYE", f"{CLOSE_SECONDS:.0f} s", "closed"),
    )
    return "| what | limit | beyond it |\n|---|---|---|\n" + "".join(
        f"| {what} | {limit} | {beyond} |\n" for what, limit, beyond in rows
    )


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands,
    "arguments": arguments,
    "codes": codes,
    "limits": limits,
}


def fill(page: str) -> str:
    """Return the page with every generated part as the program says it now. Raises KeyError for an unknown part."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n{match[3]}", page)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(fill(path.read_text("utf-8")), "utf-8")
