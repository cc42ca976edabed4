"""`trus pos`: is a terminal on the command line.

Takes no PIN, stripe or activation code that another user of the machine could read in the
list of processes: they come from files, standard input or a prompt. Shows no more of a card
than its last four digits. Exit code 0 for a yes, 3 for a no of the backend, 1 when the terminal
could not ask.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from twisted.internet.endpoints import HostnameEndpoint

from trus.cli.pos_more import COMMANDS
from trus.cli.pos_receipt import receipt_command
from trus.cli.pos_renewal import renew_command
from trus.cli.pos_till import (
    DECLINED,
    LANGUAGE,
    REVERSAL_SECONDS,
    Till,
    at_the_till,
    card_at,
    find_purchase,
    minor_units,
    pin_option,
    read_card,
    read_secret,
    split_address,
    told,
    track_option,
)
from trus.cli.reacting import run
from trus.cli.screen import masked
from trus.clock import SystemClock, SystemEntropy
from trus.device.channel import note_asked
from trus.device.enrolment import enrol
from trus.device.home import DeviceHome, TerminalSettings
from trus.device.journal import Asked
from trus.pki.channel import GATEWAY_HOST
from trus.values import ResponseCode
from trus.wording import LANGUAGES

_FILE = click.Path(path_type=Path)


@click.group(
    "pos", commands=[renew_command, receipt_command], short_help="Be a terminal: enrol, buy, reverse, replay a file."
)
@click.option("--home", type=_FILE, required=True, metavar="DIR", help="The terminal's own folder.")
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    help="Of the screen.  [default: the one that terminal.json names, else en]",
)
@click.pass_context
def pos_command(context: click.Context, home: Path, language: str | None) -> None:
    """Be the terminal whose key, certificates and journal lie in DIR.

    PINs and stripes are read from files, standard input or a prompt, never from the command line.
    """
    context.obj = home
    context.meta[LANGUAGE] = language


# -------------------------------------------------------------------------------------- enrol


@pos_command.command("enrol", short_help="Obtain the terminal's certificate with an activation code.")
@click.option("--gateway", required=True, metavar="HOST:PORT", help="Where the gateway's device port is.")
@click.option("--terminal", required=True, help="The terminal's name, 8 characters.")
@click.option(
    "--code-file", default="-", metavar="FILE", help="The activation code; - reads standard input or a prompt."
)
@click.option("--anchor", type=_FILE, required=True, help="The individual authority's root certificate, PEM.")
@click.option("--p12", type=_FILE, required=True, help="The terminals' channel certificate, PKCS#12.")
@click.option("--passphrase-file", type=_FILE, help="Its passphrase, one line.  [default: NAME.pass beside NAME.p12]")
@click.option(
    "--birth",
    type=click.Choice(["device", "backend"]),
    default="device",
    show_default=True,
    help="Where the key pair is made; the backend keeps one that it made in escrow.",
)
@click.option("--server-name", default=GATEWAY_HOST, show_default=True, help="The gateway's name in its certificate.")
@click.pass_obj
def enrol_command(
    path: Path,
    gateway: str,
    terminal: str,
    code_file: str,
    anchor: Path,
    p12: Path,
    passphrase_file: Path | None,
    birth: str,
    server_name: str,
) -> None:
    """Make the terminal's key in its folder and obtain the certificate for it.

    A repetition with the same code, after a lost answer, gives the same certificate. A pair that the
    backend made (--birth backend) is handed over once: after a lost answer a new code is needed.
    """
    host, port = split_address(gateway)
    settings = TerminalSettings(terminal, host, port, server_name)
    passphrase = read_secret(passphrase_file or p12.with_suffix(".pass"))
    home = DeviceHome.prepare(
        path, settings, anchor=anchor.read_bytes(), channel=p12.read_bytes(), passphrase=passphrase.encode()
    )
    secret = read_secret(code_file, "activation code: ")

    async def obtain(reactor: Any) -> None:
        endpoint = HostnameEndpoint(reactor, host, port)
        await enrol(
            home,
            secret,
            endpoint=endpoint,
            reactor=reactor,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            pair_from_backend=birth == "backend",
        )
        note_asked(home, SystemClock().now())

    with home.locked():
        run(obtain)
    click.echo(f"Terminal {terminal} is enrolled; its key and certificate are in {path}.")


# ------------------------------------------------------------------------------------ purchases


@pos_command.command("buy", short_help="Ask for a purchase.")
@click.option("--amount", required=True, help="With the currency's decimals, such as 12.50.")
@click.option("--partial", is_flag=True, help="Take less when the card holds less.")
@track_option
@pin_option
@click.pass_obj
def buy_command(path: Path, amount: str, partial: bool, track2_file: str, pin_file: str | None) -> None:
    """Ask the network whether the card pays this amount."""
    track2, pin = card_at(path, track2_file, pin_file)

    async def buy(till: Till) -> int:
        minor = minor_units(amount, till.client.terms.currency)
        while True:
            answer = await till.client.purchase(minor, track2, pin, partial=partial)
            code = await told(till, Asked.PURCHASE, answer, card=masked(track2))
            # A wrong PIN is final; another one is another request.
            if answer.code != ResponseCode.WRONG_PIN or not answer.tries_left or pin or not sys.stdin.isatty():
                return code

    at_the_till(path, buy)


@pos_command.command("balance", short_help="Ask what a card holds.")
@track_option
@pin_option
@click.pass_obj
def balance_command(path: Path, track2_file: str, pin_file: str | None) -> None:
    """Ask what the card holds; a PIN is always needed."""
    track2, pin = card_at(path, track2_file, pin_file)

    async def ask(till: Till) -> int:
        return await told(till, Asked.BALANCE, await till.client.balance(track2, pin))

    at_the_till(path, ask)


@pos_command.command("reverse", short_help="Take back an approved purchase of this terminal.")
@click.option("--number", type=click.IntRange(1, 999_999), help="The purchase's number.  [default: the last one]")
@click.pass_obj
def reverse_command(path: Path, number: int | None) -> None:
    """Take back a purchase of this terminal, by default the last approved one."""

    async def reverse(till: Till) -> int:
        purchase = find_purchase(till.journal, number)
        opened = purchase.opened
        answer = await till.client.reverse(purchase.reference)
        till.console.print(f"purchase {opened.identity.stan:06d} of {opened.identity.business_date}", style="dim")
        return await told(till, Asked.REVERSE, answer)

    at_the_till(path, reverse)


@pos_command.command("close", short_help="Close the batch and compare totals.")
@click.pass_obj
def close_command(path: Path) -> None:
    """Close the batch: both sides compare what they counted since the last closing."""

    async def close(till: Till) -> int:
        totals = till.journal.memory.totals
        answer = await till.client.close_batch()
        code = await told(till, Asked.CLOSE, answer, totals=totals)
        return code if answer.balanced is not False else DECLINED

    at_the_till(path, close)


# --------------------------------------------------------------------------------------- replay


@pos_command.command("replay", short_help="Play a file of purchases at many terminals.")
@click.argument("file", type=_FILE)
@click.option(
    "--cards", type=_FILE, multiple=True, required=True, help="Personalisation file of the cards (may be repeated)."
)
@click.pass_obj
def replay_command(path: Path, file: Path, cards: tuple[Path, ...]) -> None:
    """Play FILE: at,shop,terminal,employee,amount,pin,expect, with further columns if wanted.

    --home is then a folder of terminals' folders, named like the terminals. The exit code is not 0
    when an answer differs from the expected one. The columns are described in
    docs/how-to/run-a-terminal.md.
    """
    from trus.cli.replay import play_file

    console = Console()
    score = run(lambda reactor: play_file(reactor, console, file, path, cards))
    sys.exit(0 if score.as_expected else 1)


for _command in COMMANDS:
    pos_command.add_command(_command)

__all__ = ["DECLINED", "REVERSAL_SECONDS", "Till", "pos_command", "read_card", "read_secret", "split_address"]
