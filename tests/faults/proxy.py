"""Stands between two parts of a network on the loopback, and spoils what passes when told to.

Looks into nothing: it carries the bytes of TLS connections. A wire that is not spoiled forwards at once. It
bounds nothing either: the traffic of a few terminals is small.
"""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

#: Seconds that a slow wire holds a piece, at most.
SLOW_SECONDS: Final = 1.5


class Spoil(StrEnum):
    """What a wire does."""

    NOTHING = "nothing"
    CUT = "cut"  #: every connection is reset, new ones too
    DEAD = "dead"  #: nothing passes and nobody is told; what waited passes when it heals
    SLOW = "slow"  #: every piece waits for a while


class _End(Protocol):
    """One end of a connection through the wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.other: _End | None = None
        self._waiting: deque[bytes] = deque()
        self._held: deque[bytes] = deque()
        self._due = 0.0

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece, and pass on what may pass."""
        self._waiting.append(data)
        self.push()

    def push(self) -> None:
        """Pass on what waits, unless the wire is dead or the other end is not there yet."""
        wire = self.wire
        if self.other is None or self.other.transport is None or wire.spoil is Spoil.DEAD or not self._waiting:
            return
        now = wire.reactor.seconds()
        if wire.spoil is Spoil.SLOW:
            self._due = max(self._due, now + wire.chance.uniform(0, SLOW_SECONDS))
        data = b"".join(self._waiting)
        self._waiting.clear()
        if self._due > now or self._held:  # nothing overtakes what was held before
            wire.under_way += 1
            self._held.append(data)
            wire.reactor.callLater(max(0.0, self._due - now), self._release)
        else:
            self._send(data)

    def _release(self) -> None:
        self.wire.under_way -= 1
        self._send(self._held.popleft())  # the first one, whichever timer was faster

    def _send(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def reset(self) -> None:
        """End this end without ceremony."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take the other end along, unless the wire is dead: then nobody is told."""
        self.wire.ends.pop(self, None)
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            if self.wire.spoil is not Spoil.DEAD:
                other.reset()
            else:
                self.wire.orphans.append(other)


class Wire(Factory):
    """A port on the loopback that leads to the first of `targets` (ports) that can be reached."""

    noisy = False

    def __init__(self, reactor: Any, name: str, chance: random.Random) -> None:
        self.reactor = reactor
        self.name = name
        self.chance = chance
        self.targets: Sequence[int] = ()
        self.spoil = Spoil.NOTHING
        self.ends: dict[_End, None] = {}
        self.orphans: list[_End] = []
        self.under_way = 0  #: pieces held, and connections being made
        self._turn = 0
        self._listening: Any = reactor.listenTCP(0, self, interface="127.0.0.1")

    @property
    def port(self) -> int:
        """The port that leads in."""
        number: int = self._listening.getHost().port
        return number

    def set(self, spoil: Spoil) -> None:
        """Spoil, or heal."""
        self.spoil = spoil
        if spoil is Spoil.CUT:
            for end in list(self.ends):
                end.reset()
        elif spoil is Spoil.NOTHING:
            orphans, self.orphans = self.orphans, []
            for end in orphans:
                end.reset()
            for end in list(self.ends):
                end.push()

    async def close(self) -> None:
        """Take the wire away, and wait until nothing of it is left."""
        await self._listening.stopListening()
        self.spoil = Spoil.CUT
        while self.ends or self.under_way:
            for end in [*self.ends, *self.orphans]:
                end.reset()
            await deferLater(self.reactor, 0.05)

    def buildProtocol(self, addr: IAddress | None) -> _End:
        """Take a connection in, and make its other half."""
        near = _End(self)
        self.ends[near] = None
        if self.spoil is Spoil.CUT:
            self.reactor.callLater(0, near.reset)
        else:
            self.under_way += 1
            Deferred.fromCoroutine(self._join(near)).addErrback(lambda _: near.reset()).addBoth(self._joined)
        return near

    def _joined(self, _: object) -> None:
        self.under_way -= 1

    async def _join(self, near: _End) -> None:
        self._turn += 1
        order = [self.targets[(self._turn + each) % len(self.targets)] for each in range(len(self.targets))]
        problem: Exception | None = None
        for port in order:
            endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", port, timeout=5)
            far = _End(self)
            try:
                await endpoint.connect(_Ready(far))
            except Exception as failure:  # noqa: BLE001 - whatever the network raises: try the next
                problem = failure
                continue
            self.ends[far] = None
            near.other, far.other = far, near
            near.push()
            far.push()
            return
        raise problem or ConnectionError(self.name)


class _Ready(Factory):
    """Hands out one protocol."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Return it."""
        return self._protocol


def flood(port: int, chance: random.Random, count: int, source: str = "127.0.0.9") -> list[socket.socket]:
    """Open `count` connections from another address of the loopback, each with garbage; return them open.

    Half begin like TLS and go on with nothing, half are noise from the first byte.
    """
    opened: list[socket.socket] = []
    for number in range(count):
        each = socket.socket()
        each.settimeout(1.0)
        try:
            each.bind((source, 0))
            each.connect(("127.0.0.1", port))
            each.sendall(b"\x16\x03\x01\x02\x00\x01" if number % 2 else chance.randbytes(4096))
        except OSError:
            each.close()  # refused, as it may be
        else:
            opened.append(each)
    return opened
