"""Ends an admin's TLS at the backend, for bytes that came unopened through the link.

The gateway saw ciphertext only. Accepts nothing but TLS 1.3 with a certificate of the
admins' own authority (trus.net.contexts), and gives up a stream that the admin does not
read. What is under way when the console takes no more waits here, so that one admin's flood
is that admin's alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress, IProtocol, IPushProducer, ITransport
from twisted.internet.protocol import connectionDone
from zope.interface import implementer

from trus.protocol.link import MAX_STREAM_CHUNK_BYTES

#: Bytes that may wait for an admin who does not read, or for a console that takes no more although
#: the gateway was asked to pause, before the stream is given up.
MAX_WAITING_BYTES: Final = 4 << 20


@implementer(ITransport)
class TunnelTransport:
    """The transport below the admin's TLS: bytes go into the link as DATA STREAM lines.

    While the gateway asks for a pause, bytes wait here, bounded.
    """

    disconnecting = False

    def __init__(
        self,
        peer: str,
        send: Callable[[bytes], None],
        close: Callable[[str], None],
        flow: Callable[[bool], None],
    ) -> None:
        """Speak for one admin connection of the link.

        `send` takes at most MAX_STREAM_CHUNK_BYTES; `close` ends the connection, with a reason;
        `flow(False)` asks the gateway to send no more of it, `flow(True)` to go on.
        """
        self._peer = peer
        self._send = send
        self._close = close
        self._flow = flow
        self._waiting = bytearray()
        self._paused = False
        self._producer: IPushProducer | None = None
        self._above: Callable[[bytes], None] = lambda data: None
        self._arrived: deque[bytes] = deque()
        self._arrived_bytes = 0
        self._reading = True
        self._held_up = False
        self._handing = False

    def deliver_to(self, above: Callable[[bytes], None]) -> None:
        """Hand what arrives to `above`, TLS."""
        self._above = above

    def arrived(self, data: bytes) -> None:
        """Hand bytes of the admin up, or keep them while TLS does not read."""
        self._arrived.append(data)
        self._arrived_bytes += len(data)
        if self._arrived_bytes > MAX_WAITING_BYTES:
            self._arrived.clear()
            self.abortConnection()
        self._hand_up()

    def _hand_up(self) -> None:
        """Hand up what is there while TLS reads; when nothing is left let the gateway send again."""
        if self._handing:
            return  # whoever began goes on
        self._handing = True
        try:
            while self._arrived and self._reading and not self.disconnecting:
                data = self._arrived.popleft()
                self._arrived_bytes -= len(data)
                self._above(data)
        finally:
            self._handing = False
        if self._held_up and self._reading and not self.disconnecting:
            self._held_up = False
            self._flow(True)

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them while the stream is paused."""
        if self.disconnecting:
            return
        if self._paused:
            self._waiting += data
            if len(self._waiting) > MAX_WAITING_BYTES:
                self.abortConnection()
            elif self._producer is not None:
                self._producer.pauseProducing()
            return
        for start in range(0, len(data), MAX_STREAM_CHUNK_BYTES):
            self._send(bytes(data[start : start + MAX_STREAM_CHUNK_BYTES]))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send several pieces."""
        self.write(b"".join(data))

    def pause(self) -> None:
        """Keep what is written from now on: the admin's connection is full."""
        self._paused = True

    def resume(self) -> None:
        """Send what waited, and go on."""
        self._paused = False
        waiting, self._waiting = bytes(self._waiting), bytearray()
        if waiting:
            self.write(waiting)
        if self._producer is not None:
            self._producer.resumeProducing()

    def loseConnection(self) -> None:
        """End the stream after what was written."""
        self._end("done")

    def abortConnection(self) -> None:
        """End the stream now."""
        self._end("aborted")

    def _end(self, reason: str) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self._close(reason)

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Remember whom to pause."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Forget whom to pause."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Ask the gateway to send no more of this stream; the link's others are not held up."""
        self._reading = False
        if not self.disconnecting and not self._held_up:
            self._held_up = True
            self._flow(False)

    def resumeProducing(self) -> None:
        """Take what waits here, then ask the gateway to go on."""
        self._reading = True
        self._hand_up()

    def stopProducing(self) -> None:
        """End the stream."""
        self.loseConnection()

    def getPeer(self) -> IAddress:
        """Return the admin's address as the gateway reported it."""
        host, _, port = self._peer.rpartition(":")
        return IPv4Address("TCP", host, int(port) if port.isdigit() else 0)

    def getHost(self) -> IAddress:
        """Return the gateway's side, unknown here."""
        return IPv4Address("TCP", "0.0.0.0", 0)  # noqa: S104 - an address to show, not to bind


class AdminStream:
    """One admin's connection: the tunnel below, TLS and console above."""

    def __init__(self, protocol: IProtocol, transport: TunnelTransport) -> None:
        self._protocol = protocol
        self._transport = transport
        transport.deliver_to(protocol.dataReceived)
        protocol.makeConnection(transport)

    def received(self, data: bytes) -> None:
        """Take TLS bytes from the link."""
        if not self._transport.disconnecting:
            self._transport.arrived(data)

    def pause(self) -> None:
        """The gateway cannot take more for this admin."""
        self._transport.pause()

    def resume(self) -> None:
        """The gateway can take more again."""
        self._transport.resume()

    def closed(self) -> None:
        """The connection is over at the gateway."""
        self._transport.disconnecting = True
        self._protocol.connectionLost(connectionDone)
