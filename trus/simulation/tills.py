"""A simulated terminal's machine: the real TerminalClient on a journal of its own, and its cashiers.

The cashiers order what trus.simulation.orders can order, put every answer on paper at once, and
know nothing of the network. What was under way when the machine died stays an order without an
answer: what becomes of it is the terminal's business.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from trus.device.client import TerminalClient
from trus.device.errors import Stopped
from trus.device.journal import Asked, JournalError, Purchased
from trus.device.orders import Answer, Reference
from trus.net.contexts import ClientChannel
from trus.simulation.chance import Chance, SeededEntropy
from trus.simulation.clockwork import Clockwork, Part
from trus.simulation.journals import JournalDisk, WatchedJournal
from trus.simulation.network import ChannelName, Network, SimulatedChannel, SimulatedEndpoint
from trus.simulation.orders import OrderKind
from trus.simulation.papers import Ordered, Papers, Reserved
from trus.simulation.slips import right_pin
from trus.simulation.town import CardInHand, DeviceIdentity, Till, Town
from trus.values import ChannelRole, Identity, ResponseCode

#: Seconds until a terminal that died is switched on again.
PAUSE: Final = (0.5, 20.0)
#: Seconds between two looks of a cashier who waits for the terminal to settle.
_LOOK_SECONDS: Final = 1.0


class Shift:
    """What the cashiers of one incarnation of a terminal know of each other."""

    def __init__(self) -> None:
        #: A batch is being closed: nobody orders anything else.
        self.closing = False
        #: Whose PIN the cardholder will type when the terminal asks.
        self.at_pinpad: CardInHand | None = None
        #: Cashiers whose order is under way.
        self.busy = 0


class Shop:
    """What all cashiers of a run share."""

    def __init__(self, town: Town, kinds: tuple[tuple[int, OrderKind], ...], think: tuple[float, float]) -> None:
        """`kinds` are what cashiers order, weighted; `think` is how long they wait before an order, in seconds."""
        self.town = town
        self.kinds = kinds
        self.think = think
        self.closed = False  #: no new orders


class SimulatedTill:
    """One terminal, over its incarnations."""

    def __init__(
        self,
        work: Clockwork,
        network: Network,
        till: Till,
        shop: Shop,
        gateways: tuple[str, ...],
        folder: Path,
        papers: Papers,
        chance: Chance,
        channel: ChannelName,
        lanes: int,
    ) -> None:
        """`lanes` cashiers use this terminal at once; `folder` is its disk."""
        self.name = till.name
        self.identity: DeviceIdentity = till.identity
        self.shop = shop
        self.work = work
        self.papers = papers
        self.chance = chance
        self.disk = JournalDisk(folder, chance.fork("disk"))
        self.lanes = lanes
        self.offset = 0.0
        self.compact_above = 256 << 10
        self.part: Part | None = None
        self.client: TerminalClient | None = None
        self.journal: WatchedJournal | None = None
        #: Whether the journal's disk failed in this incarnation: the terminal says nothing more.
        self.shift = Shift()
        self._power = False
        self._network = network
        self._gateways = gateways
        self._channel = channel
        self._incarnations = 0

    # --------------------------------------------------------------------------- the machine

    def start(self) -> None:
        """Switch the terminal on."""
        if self.part is not None:
            return
        self._incarnations += 1
        part = Part(self.work, self.name, self._incarnations)
        part.offset = self.offset
        part.at_death.append(self._died)
        journal = WatchedJournal(self.disk.mount(part, self.compact_above), self.papers, part)
        entropy = SeededEntropy(self.chance.seed, f"{self.name}/{self._incarnations}")
        endpoint = SimulatedEndpoint(self._network, part, self.name, self._gateways, self._channel, ChannelRole.GATEWAY)
        reactor: Any = part.reactor
        client = TerminalClient(
            terminal=self.name,
            identity=self.identity,
            trust=self.shop.town.trust,
            channel=cast("ClientChannel", SimulatedChannel()),
            endpoint=cast("Any", endpoint),
            reactor=reactor,
            clock=part.clock,
            entropy=entropy,
            journal=journal,
            ask_pin=self._type_pin,
        )
        self.part, self.client, self.journal = part, client, journal
        self.shift = Shift()
        client.start().addErrback(lambda _: None)
        self.work.say(self.name, "is switched on,", client.unfinished, "unfinished")
        for _ in range(self.lanes):
            Deferred.fromCoroutine(self._stand_at_the_till(part)).addErrback(self._failed, part)

    def kill(self, *, power: bool) -> None:
        """Kill the terminal's process, or cut its power; it is switched on again later."""
        part = self.part
        if part is None:
            return
        self._power = power
        part.die()

    def die_by_power_next(self) -> None:
        """Take the next death for a power cut."""
        self._power = True

    def _died(self) -> None:
        part, power, self._power = self.part, self._power, False
        self.part = self.client = None
        journal, self.journal = self.journal, None
        if journal is not None:
            journal.close()
        if part is not None:
            self._network.part_died(part, silently=power)
        self.work.say(self.name, "loses power:" if power else "is killed", self.disk.cut_power() if power else "")
        self.work.later(self.chance.seconds(*PAUSE), None, self.start)

    def restart_if_out_of_order(self) -> None:
        """Switch it off and on, as a cashier does with a terminal that is out of order."""
        if self.journal is not None and self.journal.failed:
            self.kill(power=False)

    @property
    def settled(self) -> bool:
        """Whether it is connected, and nothing that was ordered is unfinished."""
        client = self.client
        return client is not None and client.connected and not client.unfinished and not self.shift.busy

    def complaint(self) -> str:
        """Say what is not settled, for people."""
        client = self.client
        if client is None:
            return f"{self.name} is off"
        where = "connected" if client.connected else f"not connected ({client.why})"
        return f"{self.name} is {where}, {client.unfinished} unfinished, {self.shift.busy} cashiers wait"

    def _failed(self, failure: Any, part: Part) -> None:
        self.work.on_failure(part, failure.value)

    # -------------------------------------------------------------------------- the cashiers

    async def _stand_at_the_till(self, part: Part) -> None:
        reactor: Any = part.reactor
        shift = self.shift
        if self.journal is not None and any(
            opened.asked is Asked.CLOSE for opened in self.journal.memory.unfinished.values()
        ):
            await self.until_settled(reactor)
        while not self.shop.closed and part.alive:
            await deferLater(reactor, self.chance.seconds(*self.shop.think))
            if shift.closing:
                await deferLater(reactor, _LOOK_SECONDS)
            elif not await self._order(shift):
                return

    async def _order(self, shift: Shift) -> bool:
        """Order something while the shop is open; False when the terminal is out of order."""
        kind = self.chance.weighted(self.shop.kinds)
        if self.shop.closed or not kind.possible(self):
            return True
        shift.busy += 1
        try:
            await kind.place(self)
        except (Stopped, JournalError):
            return False
        shift.busy -= 1
        return True

    async def until_settled(self, reactor: Any) -> None:
        """Wait until nothing of this terminal is unfinished."""
        while self.client is not None and self.client.unfinished:
            await deferLater(reactor, _LOOK_SECONDS)

    async def pause(self, seconds: float) -> None:
        """Wait, as people do."""
        if self.part is not None:
            await deferLater(cast("Any", self.part.reactor), seconds)

    def note(
        self,
        asked: Asked,
        amount: int = 0,
        card: CardInHand | None = None,
        *,
        right_pin: bool = True,
        pin: str | None = None,
    ) -> Ordered:
        """Put an order on paper, and the PIN that comes with it; its answer is added when it comes."""
        ordered = Ordered(
            self.name,
            asked,
            self._incarnations,
            self.work.step,
            amount,
            "" if card is None else card.name,
            right_pin,
        )
        if card is not None and pin is not None and self.papers.is_sure(card.name, card.pin, pin):
            ordered.sure_pin, ordered.first_pin = pin, card.pin
        self.papers.orders.append(ordered)
        return ordered

    def heard(self, ordered: Ordered, answer: Answer) -> None:
        """Put an answer on paper."""
        ordered.answer = answer
        ordered.step = self.work.step
        sure = ordered.sure_pin and self.papers.is_sure(ordered.card, ordered.first_pin, ordered.sure_pin)
        ordered.pin_refused = bool(sure) and answer.code == ResponseCode.WRONG_PIN
        self.work.say(self.name, ordered.asked.value, answer.result.value, answer.code, answer.rrn, answer.text)

    def reversible(self) -> list[Reference]:
        """Return the approved purchases that this terminal remembers."""
        if self.journal is None:
            return []
        memory = self.journal.memory
        under_way = {opened.original for opened in memory.unfinished.values()}
        return [each.reference for each in memory.purchases.values() if each.opened.identity not in under_way]

    def sold(self) -> list[Purchased]:
        """Return the approved purchases that this terminal remembers, to be refunded."""
        return [] if self.journal is None else list(self.journal.memory.purchases.values())

    def reserved(self) -> list[Reserved]:
        """Return the approved pre-authorizations of which this terminal's cashiers have the slips."""
        return [each for each in self.papers.reserved if each.terminal == self.name]

    async def _type_pin(self, tries_left: int | None) -> str | None:
        shift = self.shift
        card, shift.at_pinpad = shift.at_pinpad, None
        await self.pause(self.chance.seconds(0.5, 8.0))
        return None if card is None or self.chance.below(12) == 0 else right_pin(self, card)

    def identities(self) -> list[Identity]:
        """Return the identities that its journal holds unfinished."""
        return [] if self.journal is None else list(self.journal.memory.unfinished)
