"""`trus pos`: is a terminal on the command line.

Takes no PIN, stripe or activation code that another user of the machine could read in the
list of processes: they come from files, standard input or a prompt. Shows no more of a card
than its last four digits. Exit code 0 for a yes, 3 for a no of the backend, 1 when the terminal
could not ask.
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
from trus.cli.reacting import run
from trus.cli.screen import masked, show
from trus.clock import SystemClock, SystemEntropy
from trus.device.client import TerminalClient
from trus.device.enrolment import enrol
from trus.device.home import DeviceHome, TerminalSettings
from trus.device.journal import Asked, FileJournal, Purchased
from trus.device.orders import Answer, PinCallback
from trus.device.pinpad import check_card, swiped
from trus.errors import ConfigurationError
from trus.money import AmountError, parse_amount
from trus.pki.channel import GATEWAY_HOST
from trus.values import ResponseCode, Result

#: Exit code when the backend said no.
DECLINED: Final = 3
#: How long a command waits for a reversal before it leaves it to the next command, in seconds.
REVERSAL_SECONDS: Final = 5.0

_FILE = click.Path(path_type=Path)


@attrs.define
class Till:
    """A terminal in use by one command."""

    home: DeviceHome
    console: Console
    client: TerminalClient
    journal: FileJournal


@click.group("pos", short_help="Be a terminal: enrol, buy, reverse, replay a file.")
@click.option("--home", type=_FILE, required=True, metavar="DIR", help="The terminal's own folder.")
@click.pass_context
def pos_command(context: click.Context, home: Path) -> None:
    """Be the terminal whose key, certificates and journal lie in DIR.

    PINs and stripes are read from files, standard input or a prompt, never from the command line.
    """
    context.obj = home


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

    with home.locked():
        run(obtain)
    click.echo(f"Terminal {terminal} is enrolled; its key and certificate are in {path}.")


# ------------------------------------------------------------------------------------ purchases

_track_option = click.option(
    "--track2-file", default="-", metavar="FILE", help="The stripe's track 2; - reads standard input or a prompt."
)
_pin_option = click.option(
    "--pin-file", metavar="FILE", help="The PIN, one line.  [default: a prompt, when the network asks for it]"
)


@pos_command.command("buy", short_help="Ask for a purchase.")
@click.option("--amount", required=True, help="With the currency's decimals, such as 12.50.")
@click.option("--partial", is_flag=True, help="Take less when the card holds less.")
@_track_option
@_pin_option
@click.pass_obj
def buy_command(path: Path, amount: str, partial: bool, track2_file: str, pin_file: str | None) -> None:
    """Ask the network whether the card pays this amount."""
    track2, pin = read_card(track2_file, pin_file)

    async def buy(till: Till) -> int:
        minor = _minor(amount, till.client.terms.currency)
        while True:
            answer = await till.client.purchase(minor, track2, pin, partial=partial)
            code = await _told(till, Asked.PURCHASE, answer, card=masked(track2))
            # A wrong PIN is final; another one is another request.
            if answer.code != ResponseCode.WRONG_PIN or not answer.tries_left or pin or not sys.stdin.isatty():
                return code

    _at_the_till(path, buy)


@pos_command.command("balance", short_help="Ask what a card holds.")
@_track_option
@_pin_option
@click.pass_obj
def balance_command(path: Path, track2_file: str, pin_file: str | None) -> None:
    """Ask what the card holds; a PIN is always needed."""
    track2, pin = read_card(track2_file, pin_file)

    async def ask(till: Till) -> int:
        return await _told(till, Asked.BALANCE, await till.client.balance(track2, pin))

    _at_the_till(path, ask)


@pos_command.command("reverse", short_help="Take back an approved purchase of this terminal.")
@click.option("--number", type=click.IntRange(1, 999_999), help="The purchase's number.  [default: the last one]")
@click.pass_obj
def reverse_command(path: Path, number: int | None) -> None:
    """Take back a purchase of this terminal, by default the last approved one."""

    async def reverse(till: Till) -> int:
        purchase = _find(till.journal, number)
        opened = purchase.opened
        answer = await till.client.reverse(purchase.reference)
        till.console.print(f"purchase {opened.identity.stan:06d} of {opened.identity.business_date}", style="dim")
        return await _told(till, Asked.REVERSE, answer)

    _at_the_till(path, reverse)


@pos_command.command("hold", short_help="Set money aside, for a completion later.")
@click.option("--amount", required=True, help="With the currency's decimals, such as 12.50.")
@click.option("--partial", is_flag=True, help="Take less when the card holds less.")
@_track_option
@_pin_option
@click.pass_obj
def hold_command(path: Path, amount: str, partial: bool, track2_file: str, pin_file: str | None) -> None:
    """Have money of the card set aside (a pre-authorization); the receipt's reference completes it."""
    track2, pin = read_card(track2_file, pin_file)

    async def hold(till: Till) -> int:
        minor = _minor(amount, till.client.terms.currency)
        answer = await till.client.hold(minor, track2, pin, partial=partial)
        return await _told(till, Asked.HOLD, answer, card=masked(track2))

    _at_the_till(path, hold)


@pos_command.command("advise", short_help="Tell of a purchase that was made off-line.")
@click.option("--amount", required=True, help="With the currency's decimals, such as 12.50.")
@_track_option
@click.pass_obj
def advise_command(path: Path, amount: str, track2_file: str) -> None:
    """Have a purchase below the floor limit taken over that was made without the network and without PIN."""
    track2, _ = read_card(track2_file, None)

    async def advise(till: Till) -> int:
        answer = await till.client.advise(_minor(amount, till.client.terms.currency), track2)
        return await _told(till, Asked.ADVICE, answer, card=masked(track2))

    _at_the_till(path, advise)


@pos_command.command("complete", short_help="Complete a pre-authorization.")
@click.option("--amount", required=True, help="What is paid of it, at most all.")
@click.option("--reference", required=True, help="The pre-authorization's retrieval reference, 12 characters.")
@click.pass_obj
def complete_command(path: Path, amount: str, reference: str) -> None:
    """Take what was set aside, or less; the rest is free again."""

    async def complete(till: Till) -> int:
        answer = await till.client.capture(_minor(amount, till.client.terms.currency), reference)
        return await _told(till, Asked.CAPTURE, answer)

    _at_the_till(path, complete)


@pos_command.command("release", short_help="Give a pre-authorization up.")
@click.option("--reference", required=True, help="The pre-authorization's retrieval reference, 12 characters.")
@click.pass_obj
def release_command(path: Path, reference: str) -> None:
    """Give a pre-authorization up: all of it is free again."""

    async def release(till: Till) -> int:
        return await _told(till, Asked.RELEASE, await till.client.release(reference))

    _at_the_till(path, release)


@pos_command.command("void", short_help="Cancel a purchase before the batch is closed.")
@click.option("--number", type=click.IntRange(1, 999_999), help="The purchase's number.  [default: the last one]")
@click.option("--cashier", is_flag=True, help="The cashier cancels, not the customer.")
@click.pass_obj
def void_command(path: Path, number: int | None, cashier: bool) -> None:
    """Cancel an approved purchase of this terminal whose batch is not closed yet."""

    async def void(till: Till) -> int:
        purchase = _find(till.journal, number)
        answer = await till.client.void(purchase.reference, "cashier" if cashier else "customer")
        identity = purchase.opened.identity
        till.console.print(f"purchase {identity.stan:06d} of {identity.business_date}", style="dim")
        return await _told(till, Asked.VOID, answer)

    _at_the_till(path, void)


@pos_command.command("refund", short_help="Give money of a purchase back.")
@click.option("--amount", required=True, help="With the currency's decimals, such as 12.50.")
@click.option("--reference", required=True, help="The purchase's retrieval reference, 12 characters.")
@click.pass_obj
def refund_command(path: Path, amount: str, reference: str) -> None:
    """Give money of a purchase of this shop back to the card that paid, whole or in part.

    The purchase may be of another terminal of the shop. No card is needed; the reference stands on the
    receipt. As often as wanted, until nothing is left of the purchase.
    """

    async def refund(till: Till) -> int:
        minor = _minor(amount, till.client.terms.currency)
        kept = till.journal.memory.purchases.values()
        known = next((each.reference for each in kept if each.settled.rrn == reference), None)
        answer = await till.client.refund(minor, reference, original=known)
        return await _told(till, Asked.REFUND, answer)

    _at_the_till(path, refund)


@pos_command.command("close", short_help="Close the batch and compare totals.")
@click.pass_obj
def close_command(path: Path) -> None:
    """Close the batch: both sides compare what they counted since the last closing."""

    async def close(till: Till) -> int:
        totals = till.journal.memory.totals
        answer = await till.client.close_batch()
        code = await _told(till, Asked.CLOSE, answer, totals=totals)
        return code if answer.balanced is not False else DECLINED

    _at_the_till(path, close)


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


# --------------------------------------------------------------------------------------- inside


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


def _at_the_till(path: Path, act: Callable[[Till], Awaitable[int]]) -> None:
    """Connect the terminal, do one thing, hang up, and exit with its code."""
    console = Console(highlight=False)
    home = DeviceHome.load(path)

    async def serve(reactor: Any) -> int:
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
            return await act(Till(home, console, client, journal))
        finally:
            await client.stop()
            journal.close()

    with home.locked():
        code = run(serve)
    sys.exit(code)


async def _told(till: Till, asked: Asked, answer: Answer, **shown: Any) -> int:
    """Show the answer; give a reversal a few seconds to be acknowledged."""
    show(till.console, asked, answer, **shown)
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


def _find(journal: FileJournal, number: int | None) -> Purchased:
    """Return an approved purchase of the journal. Raises ConfigurationError."""
    kept = list(journal.memory.purchases.values())
    if number is not None:
        kept = [each for each in kept if each.opened.identity.stan == number]
    if not kept:
        raise ConfigurationError("this terminal has no approved purchase of that number to take back")
    return kept[-1]


def _minor(amount: str, currency: str) -> int:
    try:
        return parse_amount(amount, currency)
    except AmountError as problem:
        raise ConfigurationError(f"{amount!r} is no amount in {currency}: {problem}") from None
