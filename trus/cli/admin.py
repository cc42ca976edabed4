"""`trus admin`: gives commands to the console, one, many from a file, or in conversation.

Takes no secret on the command line. Exit code 0 when every command was carried out, 1 when one
was refused or the console could not be reached.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from twisted.internet.defer import DeferredList
from twisted.python.failure import Failure

from trus.admin.client import AdminClient, AdminReply
from trus.admin.lines import parse_order
from trus.cli.admin_place import ConsolePlace, place_of
from trus.cli.admin_screen import as_json, show
from trus.cli.admin_shell import Shell, commands_of, prompt_session
from trus.cli.reacting import run
from trus.errors import CommandRefused, ConfigurationError
from trus.protocol.errors import LocalProtocolError
from trus.protocol.grammar import encode_value

_NAMED: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,30})=(.*)\Z", re.DOTALL)
#: Commands of a file under way at once; the client and the server bound the rest.
_AT_ONCE: Final = 256


@click.command("admin", short_help="Give commands to the console.", context_settings={"allow_interspersed_args": False})
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The deployment's trus.yaml.")
@click.option("--as", "name", help="The admin's name.  [default: the only one in DIR/admins]")
@click.option("--p12", type=click.Path(path_type=Path), help="The admin's certificate.  [default: DIR/admins/NAME.p12]")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Its passphrase.  [default: NAME.pass beside]")
@click.option("--anchor", type=click.Path(path_type=Path), help="The admins' authority, PEM.  [default: by CONFIG]")
@click.option("--address", metavar="HOST:PORT", help="The gateway's admin port.  [default: by CONFIG]")
@click.option("--json", "as_objects", is_flag=True, help="Show each reply as one JSON object on one line.")
@click.option("--file", "file", metavar="FILE", help="Give the commands of a file, one a line; - is standard input.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def admin_command(
    context: click.Context,
    config: Path,
    name: str | None,
    p12: Path | None,
    passphrase_file: Path | None,
    anchor: Path | None,
    address: str | None,
    as_objects: bool,
    file: str | None,
    command: tuple[str, ...],
) -> None:
    """Give COMMAND to the console; without one, begin a conversation.

    \b
    trus admin --config trus.yaml COMPANY-ADD id=ACME name="Acme Ltd"
    trus admin --config trus.yaml HELP
    """
    if command and file is not None:
        raise click.UsageError("either COMMAND or --file")
    place = place_of(
        config,
        name=name,
        bundle=p12,
        passphrase_file=passphrase_file,
        anchor=anchor,
        address=None if address is None else _split(address),
    )
    console = Console(highlight=False)
    if command:
        lines = [(1, typed_line(command))]
    elif file is not None:
        lines = commands_of(_read(file))
    elif not sys.stdin.isatty():
        lines = commands_of(_read("-"))
    else:
        _converse(place, console, as_objects)
        return
    context.exit(run(lambda reactor: give(place, reactor, lines, console, as_objects)))


async def give(
    place: ConsolePlace, reactor: Any, lines: Sequence[tuple[int, str]], console: Console, as_objects: bool
) -> int:
    """Give commands in order, many under way at once, and show the replies; return the exit code.

    `lines` are numbered; a refused one of many is shown with its number. Raises ConsoleGone.
    """
    lines = list(takewhile(lambda numbered: not _leaves(numbered[1]), lines))
    client = await place.connect(reactor)
    refused = 0
    try:
        for start in range(0, len(lines), _AT_ONCE):
            part = lines[start : start + _AT_ONCE]
            replies = await DeferredList([client.line(line) for _, line in part], consumeErrors=True)
            for (number, _), (_, reply) in zip(part, replies, strict=True):
                if isinstance(reply, Failure):
                    reply.raiseException()
                refused += not reply.ok
                _tell(console, reply, as_objects, number if len(lines) > 1 else 0)
    finally:
        await client.close()
    if refused and len(lines) > 1:
        click.echo(f"trus: {refused} of {len(lines)} commands were refused", err=True)
    return 1 if refused else 0


def _leaves(line: str) -> bool:
    """Return whether a line says good bye, as scripts for other clients end."""
    try:
        order = parse_order(line.encode("utf-8", "replace"))
    except CommandRefused:
        return False
    return order is not None and order.command.verb == "QUIT"


def _tell(console: Console, reply: AdminReply, as_objects: bool, number: int) -> None:
    if as_objects:
        click.echo(as_json(reply))
        return
    if number and not reply.ok:
        click.echo(f"line {number}:")
    show(console, reply)


def _converse(place: ConsolePlace, console: Console, as_objects: bool) -> None:
    """Talk with the person at the terminal; prompt and network share one asyncio loop."""
    from twisted.internet import asyncioreactor

    asyncioreactor.install()
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")

    async def converse(reactor: Any) -> None:
        client: AdminClient = await place.connect(reactor)
        try:
            await Shell(client, console, prompt_session(state / "trus" / "admin_history"), json=as_objects).run()
        finally:
            await client.close()

    run(converse)


def typed_line(words: Sequence[str]) -> str:
    """Return the console's line for the words of a shell's command line.

    The shell has taken the quotes away; they come back around every value. Raises
    ConfigurationError for characters that no line may carry.
    """
    parts = [words[0]]
    try:
        for word in words[1:]:
            match = _NAMED.match(word)
            if match is not None:
                parts.append(f"{match[1]}={encode_value(match[2]).decode('utf-8')}")
            else:
                quoted = encode_value(f" {word}").decode("utf-8")
                parts.append('"' + quoted[2:])
    except LocalProtocolError:
        raise ConfigurationError("the command holds a character that the console does not take") from None
    return " ".join(parts)


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        return Path(file).read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not UTF-8") from None


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) is None or not 0 < int(port) < 65_536:
        raise ConfigurationError("an address is HOST:PORT")
    return host.strip("[]"), int(port)
