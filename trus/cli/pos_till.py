"""Stands at the till: reads cards and PINs, connects a terminal for one command, shows what it heard.

Takes no PIN, stripe or activation code from the command line (trus.cli.pos).
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs
import click
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.threads import deferToThread

from trus.cards.errors import CardDataRefused
from trus.cli.pos_renewal import renew_if_due
from trus.cli.reacting import run
from trus.cli.screen import show
from trus.clock import SystemClock, SystemEntropy
from trus.device.client import TerminalClient
from trus.device.home import DeviceHome
from trus.device.journal import Asked, FileJournal, Purchased
from trus.device.orders import Answer, PinCallback
from trus.device.pinpad import check_card, swiped
from trus.device.restored import list_after_restoration
from trus.errors import ConfigurationError
from trus.money import AmountError, parse_amount
from trus.values import Result
from trus.wording import ENGLISH

#: Exit code when the backend said no.
DECLINED: Final = 3
#: How long a command waits for a reversal before it leaves it to the next command, in seconds.
REVERSAL_SECONDS: Final = 5.0


#: Where a command's context keeps the language that --language named.
LANGUAGE: Final = "trus.cli.pos.language"


@attrs.define
class Till:
    """A terminal in use by one command."""

    home: DeviceHome
    console: Console
    client: TerminalClient
    journal: FileJournal
    language: str = ENGLISH


track_option = click.option(
    "--track2-file", default="-", metavar="FILE", help="The stripe's track 2; - reads standard input or a prompt."
)
pin_option = click.option(
    "--pin-file", metavar="FILE", help="The PIN, one line.  [default: a prompt, when the network asks for it]"
)


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[v6]:port". Raises click.BadParameter."""
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.BadParameter("expected HOST:PORT, such as 127.0.0.1:7001")
    return host, int(port)


def read_secret(source: str | Path, prompt: str = "") -> str:
    """Return the first line of a file, of standard input ("-"), or of a prompt without echo."""
    if str(source) != "-":
        text = Path(source).read_text("utf-8")
    elif sys.stdin.isatty():
        return getpass.getpass(prompt)
    else:
        text = sys.stdin.readline()
    line = text.split("\n", 1)[0].rstrip("\r")
    if not line:
        raise ConfigurationError("nothing was entered" if str(source) == "-" else f"{source} begins with an empty line")
    return line


def read_card(track2_file: str, pin_file: str | None) -> tuple[str, str | None]:
    """Return track 2 without sentinels, and the PIN when a file names one.

    Raises ConfigurationError, which repeats nothing of either.
    """
    try:
        track2 = swiped(read_secret(track2_file, "swipe the card: "))
        pin = read_secret(pin_file, "PIN: ") if pin_file is not None else None
        check_card(track2, pin)
    except CardDataRefused as refused:
        what = "the PIN is not 4 to 12 digits" if refused.reason == "pin" else "the stripe cannot be read: swipe again"
        raise ConfigurationError(what) from None
    return track2, pin


def card_at(path: Path, track2_file: str, pin_file: str | None) -> tuple[str, str | None]:
    """Return what `read_card` reads, once it is sure that a terminal lives in `path`.

    Nobody is asked for a card that no terminal could use. Raises ConfigurationError.
    """
    DeviceHome.load(path)
    return read_card(track2_file, pin_file)


def _pinpad(console: Console) -> PinCallback | None:
    """Return who asks the cardholder, None where nobody sits."""
    if not sys.stdin.isatty():
        return None

    async def ask(tries_left: int | None) -> str | None:
        if tries_left is not None:
            console.print(f"Wrong PIN, {tries_left} tries left.")
        entered: str = await deferToThread(getpass.getpass, "PIN (empty to give up): ")
        return entered or None

    return ask


def at_the_till(path: Path, act: Callable[[Till], Awaitable[int]]) -> None:
    """Connect the terminal, do one thing, hang up, and exit with its code."""
    console = Console(highlight=False)
    home = DeviceHome.load(path)
    language = click.get_current_context().meta.get(LANGUAGE) or home.settings.language

    async def serve(reactor: Any) -> int:
        await renew_if_due(home, console, reactor)
        journal = home.journal()
        client = TerminalClient(
            terminal=home.terminal,
            identity=home.identity(),
            trust=home.trust(),
            channel=home.channel(),
            endpoint=HostnameEndpoint(reactor, home.settings.host, home.settings.port),
            reactor=reactor,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            journal=journal,
            ask_pin=_pinpad(console),
        )
        try:
            pending = client.unfinished
            await client.start()
            if pending:
                console.print(f"{pending} unanswered before: taking back.", style="yellow")
            listed = await list_after_restoration(home, client, journal)
            if listed is not None:
                console.print("The network was restored from a backup: the batch was listed to it.", style="yellow")
                show(console, Asked.CLOSE, listed, language=language)
            return await act(Till(home, console, client, journal, language))
        finally:
            await client.stop()
            journal.close()

    with home.locked():
        code = run(serve)
    sys.exit(code)


async def told(till: Till, asked: Asked, answer: Answer, **shown: Any) -> int:
    """Show the answer; give a reversal a few seconds to be acknowledged."""
    show(till.console, asked, answer, shop=till.home.shop, language=till.language, **shown)
    if answer.reversing:
        settled: Deferred[None] = till.client.settled()
        settled.addTimeout(REVERSAL_SECONDS, till.client.reactor)
        try:
            await settled
        except TookTooLong:
            till.console.print("Not acknowledged yet: the next command goes on taking back.", style="yellow")
        else:
            till.console.print("Taken back.", style="green")
    if not answer.answered:
        return 1
    return 0 if answer.approved or answer.result is Result.REVERSED else DECLINED


def find_purchase(journal: FileJournal, number: int | None) -> Purchased:
    """Return an approved purchase of the journal. Raises ConfigurationError."""
    kept = list(journal.memory.purchases.values())
    if number is not None:
        kept = [each for each in kept if each.opened.identity.stan == number]
    if not kept:
        raise ConfigurationError("this terminal has no approved purchase of that number to take back")
    return kept[-1]


def minor_units(amount: str, currency: str) -> int:
    """Return an amount in minor units, at least one. Raises ConfigurationError for what is none."""
    try:
        minor = parse_amount(amount, currency)
    except AmountError as problem:
        raise ConfigurationError(f"{amount!r} is no amount in {currency}: {problem}") from None
    if not minor:
        raise ConfigurationError(f"{amount!r} is nothing to pay: the amount must be above zero")
    return minor
