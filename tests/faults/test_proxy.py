"""The wires of tested networks: whole, cut, dead, healed."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.faults.proxy import Spoil, Wire


class Hearing(Protocol):
    def __init__(self) -> None:
        self.heard = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class WireTests(TestCase):
    """Both ends are real sockets of the loopback."""

    timeout = 120

    def setUp(self) -> None:
        loop: Any = reactor
        self.echo = loop.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
        self.wire = Wire(loop, "tested", random.Random(1))
        self.wire.targets = [self.echo.getHost().port]

        self.addCleanup(self.echo.stopListening)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.wire.close()))

    async def connected(self) -> Hearing:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.wire.port)
        hearing: Any = await endpoint.connect(Factory.forProtocol(Hearing))
        assert isinstance(hearing, Hearing)
        return hearing

    @staticmethod
    def write(hearing: Hearing, data: bytes) -> None:
        assert hearing.transport is not None
        hearing.transport.write(data)

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await deferLater(reactor, 0.01)

    @inlineCallbacks
    def test_whole_and_cut(self) -> Generator[Any, Any, None]:
        """A whole wire carries bytes both ways; one that is cut resets what is open and what comes."""
        yield Deferred.fromCoroutine(self._whole_and_cut())

    async def _whole_and_cut(self) -> None:
        hearing = await self.connected()
        self.write(hearing, b"there and back")
        await self.until(lambda: hearing.heard == b"there and back")
        self.wire.set(Spoil.CUT)
        await self.until(lambda: hearing.lost)
        later = await self.connected()
        await self.until(lambda: later.lost)

    @inlineCallbacks
    def test_dead_and_slow(self) -> Generator[Any, Any, None]:
        """A dead wire carries nothing and tells nobody; healed, it carries what waited; a slow one keeps the order."""
        yield Deferred.fromCoroutine(self._dead_and_slow())

    async def _dead_and_slow(self) -> None:
        hearing = await self.connected()
        self.write(hearing, b"1")
        await self.until(lambda: hearing.heard == b"1")
        self.wire.set(Spoil.DEAD)
        self.write(hearing, b"2")
        await self.until(lambda: any(end._waiting for end in self.wire.ends))
        self.assertEqual((hearing.heard, hearing.lost), (b"1", False))
        self.wire.set(Spoil.NOTHING)
        await self.until(lambda: hearing.heard == b"12")
        self.wire.set(Spoil.SLOW)
        for digit in b"3456789":
            self.write(hearing, bytes([digit]))
            await deferLater(reactor, 0.01)
        self.wire.set(Spoil.NOTHING)
        self.write(hearing, b"0")
        await self.until(lambda: len(hearing.heard) == 10)
        self.assertEqual(hearing.heard, b"1234567890")
