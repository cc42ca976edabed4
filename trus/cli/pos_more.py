"""`trus pos`, beyond buying: money set aside, given back, cancelled, sold off-line; another PIN.

Decides nothing: each command is one request of the terminal.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from trus.cli.pos_till import (
    Till,
    at_the_till,
    card_at,
    find_purchase,
    minor_units,
    pin_option,
    read_secret,
    told,
    track_option,
)
from trus.cli.screen import masked
from trus.device.journal import Asked
from trus.errors import ConfigurationError


@click.command("hold", short_help="Set money aside, for a completion later.")
@click.option("--amount", required=True, help="With the currency's decimals, such as 12.50.")
@click.option("--partial", is_flag=True, help="Take less when the card holds less.")
@track_option
@pin_option
@click.pass_obj
def hold_command(path: Path, amount: str, partial: bool, track2_file: str, pin_file: str | None) -> None:
    """Have money of the card set aside (a pre-authorization); the receipt's reference completes it."""
    track2, pin = card_at(path, track2_file, pin_file)

    async def hold(till: Till) -> int:
        minor = minor_units(amount, till.client.terms.currency)
        answer = await till.client.hold(minor, track2, pin, partial=partial)
        return await told(till, Asked.HOLD, answer, card=masked(track2))

    at_the_till(path, hold)


@click.command("change-pin", short_help="Replace a card's PIN.")
@click.option("--new-pin-file", metavar="FILE", help="The new PIN, one line.  [default: a prompt]")
@track_option
@pin_option
@click.pass_obj
def change_pin_command(path: Path, track2_file: str, pin_file: str | None, new_pin_file: str | None) -> None:
    """Replace a card's PIN; the old one proves the cardholder."""
    track2, pin = card_at(path, track2_file, pin_file or "-")
    if pin is None:
        raise ConfigurationError("the PIN is needed")
    new = read_secret(new_pin_file or "-", "new PIN: ")
    if new_pin_file is None and sys.stdin.isatty() and read_secret("-", "new PIN again: ") != new:
        raise ConfigurationError("the two are not the same")

    async def change(till: Till) -> int:
        return await told(till, Asked.PIN, await till.client.change_pin(track2, pin, new))

    at_the_till(path, change)


@click.command("advise", short_help="Tell of a purchase that was made off-line.")
@click.option("--amount", required=True, help="With the currency's decimals, such as 12.50.")
@track_option
@click.pass_obj
def advise_command(path: Path, amount: str, track2_file: str) -> None:
    """Have a purchase below the floor limit taken over that was made without the network and without PIN."""
    track2, _ = card_at(path, track2_file, None)

    async def advise(till: Till) -> int:
        answer = await till.client.advise(minor_units(amount, till.client.terms.currency), track2)
        return await told(till, Asked.ADVICE, answer, card=masked(track2))

    at_the_till(path, advise)


@click.command("complete", short_help="Complete a pre-authorization.")
@click.option("--amount", required=True, help="What is paid of it, at most all.")
@click.option("--reference", required=True, help="The pre-authorization's retrieval reference, 12 characters.")
@click.pass_obj
def complete_command(path: Path, amount: str, reference: str) -> None:
    """Take what was set aside, or less; the rest is free again."""

    async def complete(till: Till) -> int:
        answer = await till.client.capture(minor_units(amount, till.client.terms.currency), reference)
        return await told(till, Asked.CAPTURE, answer)

    at_the_till(path, complete)


@click.command("release", short_help="Give a pre-authorization up.")
@click.option("--reference", required=True, help="The pre-authorization's retrieval reference, 12 characters.")
@click.pass_obj
def release_command(path: Path, reference: str) -> None:
    """Give a pre-authorization up: all of it is free again."""

    async def release(till: Till) -> int:
        return await told(till, Asked.RELEASE, await till.client.release(reference))

    at_the_till(path, release)


@click.command("void", short_help="Cancel a purchase before the batch is closed.")
@click.option("--number", type=click.IntRange(1, 999_999), help="The purchase's number.  [default: the last one]")
@click.option("--cashier", is_flag=True, help="The cashier cancels, not the customer.")
@click.pass_obj
def void_command(path: Path, number: int | None, cashier: bool) -> None:
    """Cancel an approved purchase of this terminal whose batch is not closed yet."""

    async def void(till: Till) -> int:
        purchase = find_purchase(till.journal, number)
        answer = await till.client.void(purchase.reference, "cashier" if cashier else "customer")
        identity = purchase.opened.identity
        till.console.print(f"purchase {identity.stan:06d} of {identity.business_date}", style="dim")
        return await told(till, Asked.VOID, answer)

    at_the_till(path, void)


@click.command("refund", short_help="Give money of a purchase back.")
@click.option("--amount", required=True, help="With the currency's decimals, such as 12.50.")
@click.option("--reference", required=True, help="The purchase's retrieval reference, 12 characters.")
@click.pass_obj
def refund_command(path: Path, amount: str, reference: str) -> None:
    """Give money of a purchase of this shop back to the card that paid, whole or in part.

    The purchase may be of another terminal of the shop. No card is needed; the reference stands on the
    receipt. As often as wanted, until nothing is left of the purchase.
    """

    async def refund(till: Till) -> int:
        minor = minor_units(amount, till.client.terms.currency)
        kept = till.journal.memory.purchases.values()
        known = next((each.reference for each in kept if each.settled.rrn == reference), None)
        answer = await till.client.refund(minor, reference, original=known)
        return await told(till, Asked.REFUND, answer)

    at_the_till(path, refund)


#: The commands of this module, for the group `trus pos`.
COMMANDS: Final = (
    hold_command,
    change_pin_command,
    advise_command,
    complete_command,
    release_command,
    void_command,
    refund_command,
)
