"""The simulated network: who listens where, who reaches whom, and what happens on the way.

Decides nothing about faults (trus.simulation.nemesis does): it does what it is told to a
connection, a pair of places or a machine. A handshake verifies roles and validity as the channel's
TLS would (trus.net.contexts), without certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

import attrs
from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime

from trus.net.peers import ChannelPeer, Refusal
from trus.simulation.chance import Chance
from trus.simulation.clockwork import Clockwork, Part
from trus.simulation.wires import Conditions, Wire
from trus.values import ChannelRole

#: How long an attempt to connect waits for an answer that does not come.
CONNECT_SECONDS: Final = 30.0
_PIECE_BYTES: Final = 16 << 10


@attrs.frozen
class ChannelName:
    """A channel certificate: whom it speaks for, and until when (aware, UTC)."""

    role: ChannelRole
    name: str
    not_after: datetime

    def peer(self) -> ChannelPeer:
        """Return what the other end learns."""
        return ChannelPeer(self.role, self.name, f"{self.role.value}-{self.name}", self.not_after)


#: Whose channel certificates there are: one for all terminals, one each for gateway and backend.
CHANNELS: Final = (ChannelRole.POS, ChannelRole.GATEWAY, ChannelRole.BACKEND)


@attrs.define
class Listener:
    """A port that is open: `factory` makes a protocol for each connection of an admitted role."""

    part: Part
    place: str
    address: IPv4Address
    factory: Callable[[IAddress], IProtocol | None]
    channel: ChannelName
    admits: Collection[ChannelRole]


class SimulatedChannel:
    """Stands where trus.net.contexts.ClientChannel stands: wraps nothing, since there is no TLS."""

    def wrap(self, factory: IProtocolFactory, clock: IReactorTime) -> IProtocolFactory:
        """Return the factory itself."""
        return factory


class SimulatedEndpoint:
    """Reaches one of several places from a part, as twisted.internet.interfaces.IStreamClientEndpoint."""

    def __init__(
        self, network: Network, part: Part, place: str, to: Collection[str], channel: ChannelName, role: ChannelRole
    ) -> None:
        """From `place` try `to`, in any order, showing `channel`, and insist on a peer of `role`."""
        self._network = network
        self._part = part
        self._place = place
        self._to = tuple(to)
        self._channel = channel
        self._role = role

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fires with the protocol before its handshake is complete. Fails with ConnectError."""
        return self._network.connect(self._part, self._place, self._to, self._channel, self._role, factory)


class Network:
    """All connections of a run."""

    def __init__(self, work: Clockwork, chance: Chance) -> None:
        self.work = work
        self._chance = chance
        self._listeners: dict[str, Listener] = {}
        self._blocked: set[tuple[str, str]] = set()
        self._numbers = 0
        self._addresses: dict[str, str] = {}
        #: Everything that may still be open, by number: both ends, and the places of both.
        self.open: dict[int, tuple[Wire, Wire, str, str, Conditions]] = {}
        #: Longest delay of a piece on its way, in seconds; the nemesis changes it.
        self.slowest = 0.02
        #: How often a piece is torn in two.
        self.tearing = 0.05
        #: Whose channel certificates have expired before their time.
        self.expired: set[ChannelRole] = set()
        #: Called with both ends of each new connection, connecting end first.
        self.on_connection: Callable[[Wire, Wire, str, str], None] = lambda near, far, place, to: None

    # ------------------------------------------------------------------------------ for parts

    def listen(self, listener: Listener) -> None:
        """Open a port; it closes with its part."""
        self._listeners[listener.place] = listener

    def address(self, place: str, port: int = 0) -> IPv4Address:
        """Return the address of a place."""
        host = self._addresses.setdefault(place, f"192.0.2.{len(self._addresses) + 1}")
        return IPv4Address("TCP", host, port)

    def connect(
        self,
        part: Part,
        place: str,
        to: Collection[str],
        channel: ChannelName,
        role: ChannelRole,
        factory: IProtocolFactory,
    ) -> Deferred[IProtocol]:
        """Connect a part at `place`; see SimulatedEndpoint."""
        target = self._chance.choose(tuple(to))
        outcome: Deferred[IProtocol] = Deferred(lambda _: waiting.cancel() if waiting.active() else None)
        delay = self._delay() + self._delay()
        if self._is_blocked(place, target) or self._is_blocked(target, place):
            waiting = self.work.later(CONNECT_SECONDS, part, lambda: outcome.errback(error.TimeoutError()))
        else:
            waiting = self.work.later(delay, part, self._reach, part, place, target, channel, role, factory, outcome)
        return outcome

    # ---------------------------------------------------------------------------- for nemesis

    def block(self, place: str, other: str, *, both: bool = True) -> None:
        """Let nothing through from one place to another, nor back."""
        self._blocked.add((place, other))
        if both:
            self._blocked.add((other, place))
        for _, _, near, far, conditions in self.open.values():
            conditions.blocked = [self._is_blocked(near, far), self._is_blocked(far, near)]

    def heal(self) -> None:
        """Let everything through again; what was stuck arrives late."""
        self._blocked.clear()
        for _, _, _, _, conditions in list(self.open.values()):
            conditions.free()

    def cut(self, number: int, told: tuple[bool, bool]) -> None:
        """End a connection; `told` says which ends learn of it, the connecting one first.

        Bytes on the way are lost from some point on, together with the connection.
        """
        near, far, _, _, _ = self.open.pop(number)
        for wire, hears in zip((near, far), told, strict=True):
            if hears:
                self.work.later(self._delay(), None, wire.lose, error.ConnectionLost())
        if not all(told):
            # What an end that knows nothing sends from now on reaches nobody, for as long as it takes.
            near.void = far.void = True
            for wire, hears in zip((near, far), told, strict=True):
                if hears:
                    wire.void = False

    def part_died(self, part: Part, *, silently: bool) -> None:
        """End a dead part's connections: with a word of its machine's, or without when that is gone too."""
        for number, (near, far, _, _, _) in list(self.open.items()):
            for mine, other in ((near, far), (far, near)):
                if mine.part is part:
                    self.open.pop(number, None)
                    if silently:
                        other.void = mine.void = True
                    else:
                        self.work.later(self._delay(), None, other.lose, error.ConnectionLost())
        self._listeners = {place: each for place, each in self._listeners.items() if each.part is not part}

    def connections(self) -> list[int]:
        """Return the numbers of the connections that are open, oldest first."""
        self._forget_closed()
        return list(self.open)

    # ------------------------------------------------------------------------------- inside

    def _is_blocked(self, place: str, other: str) -> bool:
        return (place, other) in self._blocked

    def _delay(self) -> float:
        # Mostly quick, sometimes as slow as the network is now.
        if self._chance.below(8):
            return 0.001
        return self._chance.seconds(0.001, self.slowest)

    def _pieces(self, length: int) -> int:
        if length > 1 and self._chance.happens(self.tearing):
            return self._chance.between(1, length - 1)
        return min(length, _PIECE_BYTES)

    def _forget_closed(self) -> None:
        for number, (near, far, _, _, _) in list(self.open.items()):
            if near.closed and far.closed:
                del self.open[number]

    def _reach(
        self,
        part: Part,
        place: str,
        target: str,
        channel: ChannelName,
        role: ChannelRole,
        factory: IProtocolFactory,
        outcome: Deferred[IProtocol],
    ) -> None:
        listener = self._listeners.get(target)
        if listener is None or not listener.part.alive:
            outcome.errback(error.ConnectionRefusedError())
            return
        self._numbers += 1
        number = self._numbers
        conditions = Conditions(self._delay, self._pieces)
        conditions.blocked = [self._is_blocked(place, target), self._is_blocked(target, place)]
        near = Wire(part, 0, self.address(place, 40_000 + number % 20_000), conditions, number)
        far = Wire(listener.part, 1, listener.address, conditions, number)
        near.other, far.other = far, near
        accepting = listener.factory(near.address)
        connecting = factory.buildProtocol(far.address)
        if accepting is None or connecting is None:
            outcome.errback(error.ConnectionRefusedError())
            return
        if len(self.open) > 64:
            self._forget_closed()
        self.open[number] = (near, far, place, target, conditions)
        self.on_connection(near, far, place, target)
        self.work.say("network", "connected", place, target, f"#{number}")
        far.attach(accepting)
        near.attach(connecting)
        outcome.callback(connecting)
        # TLS 1.3: the connecting end is content first; whether it is welcome it hears later.
        first, second = self._delay(), self._delay()
        self.work.later(first, None, self._verify, near, listener.channel, (role,))
        self.work.later(first + second, None, self._verify, far, channel, listener.admits)

    def _verify(self, wire: Wire, shown: ChannelName, admits: Collection[ChannelRole]) -> None:
        """End the handshake at one end by what the other has shown."""
        if not wire.part.alive or wire.closed or wire.void:
            return
        if shown.role in self.expired or wire.part.clock.now() >= shown.not_after:
            wire.refuse(Refusal.EXPIRED)
        elif shown.role not in admits:
            wire.refuse(Refusal.WRONG_ROLE)
        else:
            wire.complete(shown.peer())
