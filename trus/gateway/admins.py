"""Passes an admin's TLS stream on to the backend without opening it.

Holds no key and sees no command. Source list, rate and number of connections are judged
before this (trus.gateway.frontdoor); here an admin who is not admitted in time, says nothing
for long, or does not read, is cut off.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Final, cast

import attrs
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from trus.gateway.links import Arrival
from trus.gateway.riders import Hold
from trus.gateway.router import Passage, Router
from trus.gateway.tally import Tally
from trus.net.peers import peer_address
from trus.protocol.link import Port
from trus.settings.model import AdminPortSettings

#: Bytes in flight that may still arrive after the backend was asked to pause.
_MAX_OWED_BYTES: Final = 1 << 20
#: An admin whose buffers are full for this long is cut off.
_SEND_SECONDS: Final = 30.0


class _Wire(typing.Protocol):
    """What a TCP transport of Twisted can do; its interfaces spread it over three."""

    def write(self, data: bytes) -> None: ...

    def setTcpNoDelay(self, enabled: bool) -> None: ...  # noqa: N802

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def registerProducer(self, producer: object, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


@attrs.frozen(kw_only=True)
class AdminSurroundings:
    """What all admin connections of a gateway share; times in seconds."""

    clock: IReactorTime
    router: Router
    tally: Tally
    opening_seconds: float
    idle_seconds: float

    @classmethod
    def of(cls, settings: AdminPortSettings, clock: IReactorTime, router: Router, tally: Tally) -> AdminSurroundings:
        """Return what the settings state."""
        return cls(
            clock=clock,
            router=router,
            tally=tally,
            opening_seconds=settings.opening_deadline.seconds,
            idle_seconds=settings.idle_timeout.seconds,
        )


@implementer(IPushProducer)
class AdminTunnel(Protocol):
    """One admin's connection: bytes in, bytes out."""

    def __init__(self, around: AdminSurroundings, on_closed: Callable[[], None]) -> None:
        self._around = around
        self._on_closed = on_closed
        self._passage: Passage | None = None
        self._peer = ""
        self._holds = Hold(0)
        self._slow = False
        self._answered = False
        self._owed_bytes = 0
        self._last_byte = 0.0
        self._reason = ""
        self._wire: _Wire | None = None
        self._opening_call: IDelayedCall | None = None
        self._idle_call: IDelayedCall | None = None
        self._send_call: IDelayedCall | None = None

    # ------------------------------------------------------------------------------- as rider

    def lines_arrived(self, lines: list[bytes]) -> None:
        """Refuse: an admin's connection carries bytes."""
        self.end("protocol")

    def bytes_arrived(self, data: bytes) -> None:
        """Send the backend's TLS bytes on to the admin."""
        self._answered = True
        self._last_byte = self._around.clock.seconds()
        if self._slow:
            self._owed_bytes += len(data)
            if self._owed_bytes > _MAX_OWED_BYTES:
                self._abort("not-reading")
                return
        if self._wire is not None:
            self._wire.write(data)

    def admitted(self) -> None:
        """Let the admin stay: the backend has verified the certificate."""
        self._cancel(self._opening_call)

    def stop_reading(self, why: Hold) -> None:
        """Read nothing more for this reason."""
        if not self._holds and self._wire is not None:
            self._wire.pauseProducing()
        self._holds |= why

    def read_again(self, why: Hold) -> None:
        """Read again when no other reason is left."""
        had, self._holds = self._holds, self._holds & ~why
        if had and not self._holds and self._wire is not None:
            self._wire.resumeProducing()

    def end(self, reason: str) -> None:
        """Close after what was written."""
        self._reason = self._reason or reason
        if self._wire is not None:
            self._wire.unregisterProducer()
            self._wire.loseConnection()

    def link_lost(self) -> None:
        """Close at once: TLS cannot go on with another backend."""
        self._passage = None
        self._abort("backend-lost")

    # ---------------------------------------------------------------------- called by Twisted

    def connectionMade(self) -> None:
        """Bring the admin to a backend."""
        clock = self._around.clock
        self._wire = cast("_Wire", self.transport)
        self._wire.setTcpNoDelay(True)
        self._peer = peer_address(self.transport)
        self._passage = self._around.router.enter(self, Arrival(port=Port.ADMIN, peer=self._peer))
        if self._passage is None:
            self._around.tally.note("no-backend", self._peer)
            self._abort("unreachable")
            return
        self._last_byte = clock.seconds()
        self._opening_call = clock.callLater(self._around.opening_seconds, self._abort, "not-admitted")
        self._idle_call = clock.callLater(self._around.idle_seconds, self._check_silence)
        if self._wire is not None:
            self._wire.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Send the admin's TLS bytes on to the backend."""
        self._last_byte = self._around.clock.seconds()
        if self._answered:
            # A TLS client that answers the server's flight has shown its certificate, and the
            # backend, which closes what it does not like, has the rest of the handshake.
            self._cancel(self._opening_call)
        if self._passage is not None:
            self._passage.forward_bytes(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the backend."""
        self._on_closed()
        for call in (self._opening_call, self._idle_call, self._send_call):
            self._cancel(call)
        passage, self._passage = self._passage, None
        if passage is not None:
            passage.leave(self._reason or "peer")

    def pauseProducing(self) -> None:
        """Ask the backend to wait: the admin does not read."""
        self._slow = True
        self._cancel(self._send_call)
        self._send_call = self._around.clock.callLater(_SEND_SECONDS, self._abort, "not-reading")
        if self._passage is not None:
            self._passage.ask_pause()

    def resumeProducing(self) -> None:
        """Tell the backend to go on: the admin has read everything."""
        self._slow = False
        self._owed_bytes = 0
        self._cancel(self._send_call)
        if self._passage is not None:
            self._passage.ask_resume()

    def stopProducing(self) -> None:
        """Do nothing: connectionLost follows."""

    # --------------------------------------------------------------------------------- inside

    def _check_silence(self) -> None:
        left = self._around.idle_seconds - (self._around.clock.seconds() - self._last_byte)
        if left > 0:
            self._idle_call = self._around.clock.callLater(left, self._check_silence)
        else:
            self._abort("idle")

    def _abort(self, reason: str) -> None:
        if not self._reason:
            self._reason = reason
            self._around.tally.note(f"admin-{reason}", self._peer)
        if self._wire is not None:
            self._wire.abortConnection()

    @staticmethod
    def _cancel(call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()
