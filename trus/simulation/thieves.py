"""A criminal's terminal: enrolled like any other, and free to seal whatever it likes.

Speaks the protocol up to the sealed session with the terminal's own code, then makes its lines by
hand: amounts that are none, numbers used twice, dates that are over, others' purchases, its own
lines again. What it is told to be approved it keeps: the ledger must hold exactly that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import attrs
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from trus.cards.numbers import CardNumber
from trus.cards.pin import FILL_BYTES, Pin, seal_pin
from trus.device.conversation import Conversation, Happening, Heard, Over, Up, Write
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.net.peers import ChannelNotVerified, exporter
from trus.protocol.buffer import MAX_SEALED_LINE_BYTES, LineBuffer
from trus.protocol.fields import format_amount, format_octets, format_stan
from trus.protocol.messages import Kind, Message, Phase, Side
from trus.protocol.session import SealedSession
from trus.protocol.states import OutOfOrder
from trus.protocol.table import DEVICE_TABLE
from trus.simulation.chance import Chance, SeededEntropy
from trus.simulation.clockwork import Clockwork, Part
from trus.simulation.network import ChannelName, Network, SimulatedEndpoint
from trus.simulation.papers import Papers
from trus.simulation.town import CURRENCY, Till, Town
from trus.values import RID_BYTES, BusinessDate, ChannelRole, Identity, TerminalId

#: Texts in the place of an amount. Some are amounts, of minor units that nobody has.
_AMOUNTS: Final = (
    "0.00", "-5.00", "+5.00", "1e3", "12.5", "12.500", "9999999999.99", "99999999999999.99", "00.01", "", "NaN",
    "1_000.00", "\u0661\u0662.\u0663\u0664", "0x10", "5.00 ", "5", ".50",
)  # fmt: skip
_DATES: Final = ("2026-11-18", "2026-10-01", "2026-12-31", "2020-02-30", "1999-01-01", "9999-12-31")
_OUTGOING: Final = DEVICE_TABLE.spoken(Phase.SEALED, Side.INITIATOR)


@attrs.define
class Asked:
    """What this terminal has asked in a dialogue."""

    identity: Identity
    rid: bytes
    amount: int
    verb: str


class Thief:
    """The machine: connects, commits its crimes, is thrown out, comes back."""

    def __init__(
        self,
        work: Clockwork,
        network: Network,
        town: Town,
        till: Till,
        gateways: tuple[str, ...],
        papers: Papers,
        chance: Chance,
        channel: ChannelName,
        think: tuple[float, float],
    ) -> None:
        self.town = town
        self.till = till
        self.papers = papers
        self.chance = chance
        self.work = work
        self.counts: Counter[str] = Counter()
        self.part = Part(work, till.name)
        self.entropy = SeededEntropy(chance.seed, till.name)
        self.stan = chance.below(900_000)
        #: Everything it has ever asked, so that it can ask again.
        self.history: list[Asked] = []
        self.active = True
        self._think = think
        self._endpoint = SimulatedEndpoint(network, self.part, till.name, gateways, channel, ChannelRole.GATEWAY)

    def start(self) -> None:
        """Connect."""
        if not self.active:
            return
        factory: Any = Factory.forProtocol(lambda: _Connection(self))
        connecting = self._endpoint.connect(factory)
        connecting.addErrback(lambda _: self.come_back())

    def come_back(self) -> None:
        """Connect again after a while."""
        self.work.later(self.chance.seconds(1.0, 10.0), self.part, self.start)

    def think(self, then: Callable[[], object]) -> None:
        """Do something a little later."""
        self.work.later(self.chance.seconds(*self._think), self.part, then)


class _Connection(LineProtocol):
    """One connection of the thief."""

    def __init__(self, thief: Thief) -> None:
        reactor: Any = thief.part.reactor
        super().__init__(reactor, LineBuffer(MAX_SEALED_LINE_BYTES), LineLimits(idle_seconds=600.0))
        self._thief = thief
        self._conversation: Conversation | None = None
        self._session: SealedSession | None = None
        self._date = BusinessDate("")
        self._dialogues: dict[str, Asked] = {}
        self._said: list[bytes] = []
        self._next = 0

    def opened(self) -> None:
        """Begin the sealed session, or with noise."""
        thief = self._thief
        if thief.chance.below(12) == 0:
            thief.counts["noise before the session"] += 1
            self.send_block(thief.chance.octets(thief.chance.between(1, 6000)))
            return
        try:
            binding = exporter(self.transport)
        except ChannelNotVerified:
            self.abort()
            return
        if thief.chance.below(12) == 0:
            thief.counts["foreign channel binding"] += 1
            binding = bytes(32)
        self._conversation = Conversation(
            identity=thief.till.identity,
            trust=thief.town.trust,
            clock=thief.part.clock,
            entropy=thief.entropy,
            channel_binding=binding,
        )
        self._follow(self._conversation.start())

    def lines_received(self, lines: list[bytes]) -> None:
        """Listen."""
        for line in lines:
            if self._conversation is not None:
                self._follow(self._conversation.line(line))

    def closed(self, ending: Ending, reason: Failure) -> None:
        """Come back."""
        self._session = None
        self._thief.come_back()

    def _follow(self, happenings: list[Happening]) -> None:
        for happening in happenings:
            match happening:
                case Write():
                    self.send_block(happening.line)
                case Up():
                    self._session = happening.session
                    self._date = BusinessDate(happening.terms.business_date)
                    self._thief.think(self._act)
                case Heard():
                    self._heard(happening.message)
                case Over():
                    self.hang_up()
                case _:
                    pass

    def _heard(self, message: Message) -> None:
        asked = self._dialogues.pop(message.dialogue or "", None)
        if asked is None or message.verb != "RESULT":
            return
        thief, session = self._thief, self._session
        if session is not None and not session.ended and thief.chance.below(8):
            self.send_block(session.seal(Kind.INFO, "COMPLETE", {}, {}, dialogue=message.dialogue))
        if message.fields.get("result") == "approved" and asked.verb == "PROCESS":
            thief.papers.thefts.append(
                (asked.identity, asked.rid, asked.amount, message.fields.get("rrn", ""), thief.work.step)
            )

    # ------------------------------------------------------------------------------- crimes

    def _act(self) -> None:
        session, thief = self._session, self._thief
        if session is None or session.ended or not thief.active:
            self.hang_up()
            return
        name, crime = thief.chance.weighted(CRIMES)
        thief.counts[name] += 1
        crime(self, session)
        thief.think(self._act)

    def purchase(
        self,
        session: SealedSession,
        *,
        amount: str = "",
        identity: Identity | None = None,
        rid: bytes = b"",
        pin: str | None = None,
        minor: int = 0,
    ) -> None:
        """Ask for a purchase with a stolen card."""
        thief = self._thief
        card = thief.chance.choose(thief.town.cards)
        minor = minor or thief.chance.between(1, 900)
        asked = Asked(identity or self.fresh(), rid or thief.entropy.draw(RID_BYTES), 0 if amount else minor, "PROCESS")
        number = CardNumber(card.track2.partition("=")[0])
        cipher = Cipher(algorithms.AES(session.pin_key), modes.ECB())  # noqa: S305 - single blocks
        block = seal_pin(Pin(pin or card.pin), number, cipher.encryptor().update, thief.entropy.draw(FILL_BYTES))
        self.say(
            session,
            asked,
            {"amount": amount or format_amount(minor, CURRENCY), "currency": CURRENCY},
            {"rid": format_octets(asked.rid), "track2": card.track2, "pin": format_octets(block), "format": "4"},
        )

    def fresh(self) -> Identity:
        """Return an identity that it has not used."""
        self._thief.stan = self._thief.stan % 999_999 + 1
        return Identity(TerminalId(self._thief.till.name), self._date, self._thief.stan)

    def say(self, session: SealedSession, asked: Asked, clear: dict[str, str], sealed: dict[str, str]) -> None:
        """Seal a line that the terminal's own code might refuse to make."""
        self._next += 1
        dialogue = f"c{self._next}"
        named = {"stan": format_stan(asked.identity.stan), **clear, "date": asked.identity.business_date}
        text = "".join(f" {name}={_quoted(value)}" for name, value in named.items())
        octets = f"COMMAND {asked.verb} s={session.label} id={dialogue}{text}".encode()
        plaintext = _OUTGOING[Kind.COMMAND, asked.verb].format_sealed(sealed)
        with suppress(OutOfOrder):
            # What its own end may hear in answer; that too much is open is for the backend to say.
            session._dialogues.said(session.side, f"COMMAND {asked.verb}", dialogue)
        line = session._send.seal(octets, plaintext)
        self._said.append(line)
        self._dialogues[dialogue] = asked
        self._thief.history.append(asked)
        self.send_block(line)

    def reverse(self, session: SealedSession, original: Identity, rid: bytes, amount: int) -> None:
        """Ask to take something back."""
        own = Asked(self.fresh(), self._thief.entropy.draw(RID_BYTES), amount, "REVERSE")
        self.say(
            session,
            own,
            {"amount": format_amount(amount, CURRENCY), "currency": CURRENCY},
            {
                "rid": format_octets(own.rid),
                "original-stan": format_stan(original.stan),
                "original-date": original.business_date,
                "original-rid": format_octets(rid),
                "reason": "customer",
            },
        )

    def known(self, verb: str) -> Asked | None:
        """Return something that it asked before, None when there is nothing of the kind."""
        of_kind = [each for each in self._thief.history if each.verb == verb]
        return self._thief.chance.choose(of_kind) if of_kind else None


def _quoted(value: str) -> str:
    if value and all(letter.isascii() and (letter.isalnum() or letter in "-._~:/+") for letter in value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(thief: _Connection, session: SealedSession) -> None:
    thief.purchase(session)


def _odd_amount(thief: _Connection, session: SealedSession) -> None:
    thief.purchase(session, amount=thief._thief.chance.choose(_AMOUNTS) or '""')


def _odd_date(thief: _Connection, session: SealedSession) -> None:
    fresh = thief.fresh()
    date = BusinessDate(thief._thief.chance.choose(_DATES))
    thief.purchase(session, identity=Identity(fresh.terminal, date, fresh.stan))


def _number_again(thief: _Connection, session: SealedSession) -> None:
    """Use a number twice: another rid, perhaps another amount."""
    before = thief.known("PROCESS")
    if before is not None:
        thief.purchase(session, identity=before.identity, minor=before.amount if thief._thief.chance.below(2) else 0)


def _same_again(thief: _Connection, session: SealedSession) -> None:
    before = thief.known("PROCESS")
    if before is not None:
        thief.purchase(session, identity=before.identity, rid=before.rid, minor=before.amount)


def _guess(thief: _Connection, session: SealedSession) -> None:
    thief.purchase(session, pin=f"{thief._thief.chance.below(10_000):04d}")


def _reverse_own(thief: _Connection, session: SealedSession) -> None:
    before = thief.known("PROCESS")
    if before is not None:
        thief.reverse(session, before.identity, before.rid, before.amount)


def _reverse_more(thief: _Connection, session: SealedSession) -> None:
    before = thief.known("PROCESS")
    if before is not None:
        thief.reverse(session, before.identity, before.rid, before.amount * 2 + 1)


def _reverse_reversal(thief: _Connection, session: SealedSession) -> None:
    before = thief.known("REVERSE")
    if before is not None:
        thief.reverse(session, before.identity, before.rid, before.amount)


def _reverse_unknown(thief: _Connection, session: SealedSession) -> None:
    """Take back what was never asked, then ask it: the tombstone must hold."""
    identity, rid = thief.fresh(), thief._thief.entropy.draw(RID_BYTES)
    thief.reverse(session, identity, rid, 700)
    thief.purchase(session, identity=identity, rid=rid, minor=700)


def _others_purchase(thief: _Connection, session: SealedSession) -> None:
    """Take back the purchase of another terminal: only its number and date can be said, never its name."""
    written = list(thief._thief.papers.written.values())
    if written:
        other = thief._thief.chance.choose(written).opened
        thief.reverse(session, other.identity, bytes.fromhex(other.rid), other.amount)


def _own_line_again(thief: _Connection, session: SealedSession) -> None:
    if thief._said:
        thief.send_block(thief._thief.chance.choose(thief._said))


def _noise(thief: _Connection, session: SealedSession) -> None:
    chance = thief._thief.chance
    thief.send_block(chance.octets(chance.between(1, 400)) + b"\r\n")


def _unsealed(thief: _Connection, session: SealedSession) -> None:
    thief.send_block(f"INFO COMPLETE s={session.label} id=c1\r\n".encode())


def _absurd_close(thief: _Connection, session: SealedSession) -> None:
    asked = Asked(thief.fresh(), thief._thief.entropy.draw(RID_BYTES), 0, "CLOSE-BATCH")
    count, amount = "999999", "9999999999.99"
    thief.say(
        session,
        asked,
        {"currency": CURRENCY},
        {
            "rid": format_octets(asked.rid),
            "purchase-count": count,
            "purchase-amount": amount,
            "reversal-count": count,
            "reversal-amount": amount,
        },
    )


#: What it does, and how often.
CRIMES: Final[tuple[tuple[int, tuple[str, Callable[[_Connection, SealedSession], None]]], ...]] = (
    (8, ("purchase", _plain)),
    (6, ("odd amount", _odd_amount)),
    (3, ("odd date", _odd_date)),
    (8, ("number used twice", _number_again)),
    (5, ("request again", _same_again)),
    (6, ("PIN guessed", _guess)),
    (5, ("reversal of its own", _reverse_own)),
    (3, ("reversal of more", _reverse_more)),
    (3, ("reversal of a reversal", _reverse_reversal)),
    (5, ("reversal first", _reverse_unknown)),
    (3, ("another's purchase", _others_purchase)),
    (2, ("own line again", _own_line_again)),
    (1, ("noise", _noise)),
    (1, ("unsealed line", _unsealed)),
    (2, ("absurd batch", _absurd_close)),
)
