"""Plays rows of purchases at real terminals, over real connections, and compares the answers.

Decides nothing: a row is as expected when its response code is, and the amount where the row
names one. Shows no stripe and no PIN. The terminals lie in one folder, each in a folder of its
name; each connects when it is first used and stays connected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.text import Text
from twisted.internet.endpoints import HostnameEndpoint

from trus.auth.texts import CATALOGUE
from trus.cli.lossy import LossyEndpoint
from trus.cli.replay_file import Action, Card, Row, pin_of, read_cards, read_rows, stripe_of
from trus.cli.screen import masked
from trus.clock import SystemClock, SystemEntropy
from trus.device.client import TerminalClient
from trus.device.home import DeviceHome
from trus.device.orders import Answer, Reference
from trus.device.requests import Timing
from trus.errors import ConfigurationError
from trus.money import AmountError, format_amount, parse_amount
from trus.values import Identity, ResponseCode, Result


@attrs.frozen
class Played:
    """A row with its answer; `problem` is empty when it is as expected.

    `paid` is what the row moved in minor units, negative when it took money back.
    """

    row: Row
    answer: Answer
    card: Card | None
    problem: str
    paid: int


@attrs.define
class Score:
    """How a replay went."""

    played: list[Played] = attrs.field(factory=list)

    @property
    def wrong(self) -> list[Played]:
        """The rows that were not answered as expected."""
        return [each for each in self.played if each.problem]

    @property
    def as_expected(self) -> bool:
        """Whether every answer was the expected one."""
        return not self.wrong


class Till:
    """A terminal of the replay, with somebody at its pinpad."""

    def __init__(self, reactor: Any, home: DeviceHome, timing: Timing | None) -> None:
        """Open the terminal's journal; hold its lock meanwhile. Raises TrusError."""
        self._stack = ExitStack()
        self._stack.enter_context(home.locked())
        journal = home.journal()
        self._stack.callback(journal.close)
        self.wire = LossyEndpoint(HostnameEndpoint(reactor, home.settings.host, home.settings.port))
        self.pin_when_asked: str | None = None
        self.client = TerminalClient(
            terminal=home.terminal,
            identity=home.identity(),
            trust=home.trust(),
            channel=home.channel(),
            endpoint=self.wire,
            reactor=reactor,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            journal=journal,
            ask_pin=self._enter_pin,
            timing=timing,
        )

    async def _enter_pin(self, tries_left: int | None) -> str | None:
        return self.pin_when_asked

    async def close(self) -> None:
        """Hang up and let go of the terminal's folder."""
        try:
            await self.client.stop()
        finally:
            self._stack.close()


class Player:
    """Plays rows, one after the other."""

    def __init__(self, reactor: Any, homes: Path, cards: dict[str, Card], timing: Timing | None = None) -> None:
        """`homes` holds a folder for each terminal; `cards` are by employee."""
        self._reactor = reactor
        self._homes = homes
        self._cards = cards
        self._timing = timing
        self._tills: dict[str, Till] = {}
        self._bought: dict[tuple[str, str], Reference] = {}
        self._taken_back: set[Identity] = set()

    async def play(self, row: Row) -> Played:
        """Do what the row says, and compare. Raises TrusError when a terminal cannot be used."""
        till = await self._till(row.terminal)
        card = self._cards.get(row.employee)
        if card is None and row.action is not Action.CLOSE:
            raise ConfigurationError(f"line {row.line}: no card of {row.employee} in the personalisation files")
        try:
            answer = await self._act(till, row, card)
        except AmountError as problem:
            raise ConfigurationError(f"line {row.line}: {problem}") from None
        return Played(row, answer, card, _compare(row, answer), self._moved(row, answer))

    def _moved(self, row: Row, answer: Answer) -> int:
        """Return what an answer moved; a purchase is taken back once, however often that is asked."""
        if row.action is Action.REVERSE:
            identity = self._bought[row.terminal, row.employee].identity
            again = identity in self._taken_back
            self._taken_back.add(identity)
            return -(answer.amount or 0) if answer.result is Result.REVERSED and not again else 0
        if row.action in (Action.BUY, Action.PARTIAL, Action.RETRY) and answer.approved:
            return answer.amount or 0
        return 0

    async def close(self) -> None:
        """Hang up at every terminal."""
        tills, self._tills = self._tills, {}
        for till in tills.values():
            await till.close()

    async def _till(self, terminal: str) -> Till:
        till = self._tills.get(terminal)
        if till is None:
            till = Till(self._reactor, DeviceHome.load(self._homes / terminal), self._timing)
            self._tills[terminal] = till
            await till.client.start()
        return till

    async def _act(self, till: Till, row: Row, card: Card | None) -> Answer:
        client = till.client
        if card is None:
            return await client.close_batch()
        place = (row.terminal, row.employee)
        if row.action is Action.REVERSE:
            reference = self._bought.get(place)
            if reference is None:
                raise ConfigurationError(f"line {row.line}: {row.employee} bought nothing at {row.terminal} before")
            return await client.reverse(reference)
        track2, pin = stripe_of(card, row.stripe), pin_of(card, row.pin)
        till.pin_when_asked = card.pin if row.pin == "asked" else None
        if row.action is Action.BALANCE:
            return await client.balance(track2, pin)
        amount = parse_amount(row.amount, client.terms.currency)
        till.wire.lose_next = row.action is Action.RETRY
        answer = await client.purchase(amount, track2, pin, partial=row.action is Action.PARTIAL)
        if answer.approved and answer.reference is not None:
            self._bought[place] = answer.reference
        return answer


def _compare(row: Row, answer: Answer) -> str:
    """Return what differs from the row, in words for a person; nothing when nothing does."""
    if answer.code != row.expect:
        return f"expected {row.expect}, got {answer.code or 'no answer'}"
    if row.action is Action.RETRY and answer.attempts < 2:
        return "its first answer was not lost"
    if row.action is Action.CLOSE and not answer.balanced:
        return "the totals differ"
    if row.figure:
        said = answer.balance if row.action is Action.BALANCE else answer.amount
        shown = "nothing" if said is None else format_amount(said, answer.currency)
        if shown != row.figure:
            return f"expected {row.figure}, got {shown}"
    return ""


async def play_rows(player: Player, rows: Sequence[Row], seen: Callable[[Played], None] = lambda _: None) -> Score:
    """Play all rows in their order; `seen` is told of each. Raises TrusError."""
    score = Score()
    try:
        for row in rows:
            played = await player.play(row)
            score.played.append(played)
            seen(played)
    finally:
        await player.close()
    return score


async def play_file(
    reactor: Any, console: Console, file: Path, homes: Path, cards: Sequence[Path], timing: Timing | None = None
) -> Score:
    """Play a file and show every row as it is answered. Raises TrusError."""
    rows, held = read_rows(file), read_cards(cards)
    score = await play_rows(Player(reactor, homes, held, timing), rows, lambda played: console.print(line(played)))
    wrong = len(score.wrong)
    verdict = "every answer was the expected one" if not wrong else f"{wrong} answers were not the expected ones"
    console.print(Text(f"{len(rows)} rows played: {verdict}.", style="bold green" if not wrong else "bold red"))
    return score


def line(played: Played) -> Text:
    """Return one row as a line of a table."""
    row, answer = played.row, played.answer
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("✓ " if not played.problem else "✗ ", style="green" if not played.problem else "bold red")
    text.append(f"{row.at:<8}  {row.terminal}  {row.shop[:9]:<9}  ", style="dim")
    holder = played.card.holder if played.card is not None else ""
    card = masked(played.card.track2) if played.card is not None else ""
    text.append(f"{card:<9}  ")
    text.append(f"{_action(row):>17}  ")
    text.append(f"{answer.code or '--'} {words(answer)}", style=style_of(answer))
    if holder:
        text.append(f"  {holder}", style="dim")
    if played.problem:
        text.append(f"  {played.problem}", style="bold red")
    return text


def words(answer: Answer) -> str:
    """Return what a code means, for people."""
    if answer.result is Result.REVERSED:
        return "taken back"
    try:
        return CATALOGUE[ResponseCode(answer.code)].meaning
    except (ValueError, KeyError):
        return answer.text.lower() or "no answer"


def style_of(answer: Answer) -> str:
    """Return the colour of an answer."""
    if answer.approved:
        return "green"
    return "blue" if answer.result is Result.REVERSED else "yellow"


def _action(row: Row) -> str:
    if row.action is Action.BUY:
        return row.amount
    return f"{row.action.value} {row.amount}".strip()
