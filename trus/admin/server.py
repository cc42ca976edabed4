"""Serves the console to one admin over a TLS transport, wherever that transport's bytes come from.

Opens no port: the gateway's admin port tunnels the unopened TLS stream to the backend, which
wraps it in TLS and hands it here. Says nothing before the handshake has named the admin. What
cannot be waited for has a deadline: the handshake, the next line, an admin who does not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast
from typing import Protocol as Shape

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from trus.admin.console import AdminIdentity, ConsoleSession
from trus.core.messages import Answer, Request
from trus.errors import TrusError

#: A person thinks, and a forgotten terminal is a danger: PCI DSS 8.2.8 asks for 15 minutes.
IDLE_SECONDS: Final = 900.0
#: A TLS handshake of a slow smart card included.
HANDSHAKE_SECONDS: Final = 30.0
#: An admin whose window is closed but whose connection is not.
READ_SECONDS: Final = 60.0
#: Time for the peer to hang up after BYE.
CLOSE_SECONDS: Final = 10.0

Submit = Callable[[list[Request]], Deferred[list[Answer]]]
Identify = Callable[[object], AdminIdentity]


class Wire(Shape):
    """What the console needs of its transport; TLSMemoryBIOProtocol over any flow-controlled transport has it."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def loseConnection(self) -> None:
        """Close after what was written."""
        ...

    def abortConnection(self) -> None:
        """Close now."""
        ...

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Tell `producer` when to pause."""
        ...

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        ...

    def pauseProducing(self) -> None:
        """Deliver no more bytes."""
        ...

    def resumeProducing(self) -> None:
        """Deliver bytes again."""
        ...


@implementer(IHandshakeListener, IPushProducer)
class ConsoleProtocol(Protocol):
    """One admin's connection, over a transport that offers TLS (TLSMemoryBIOProtocol)."""

    _log = Logger()

    def __init__(
        self,
        submit: Submit,
        identify: Identify,
        clock: IReactorTime,
        *,
        server: str = "trus",
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """`submit` never fails; `identify(transport)` names the verified peer or raises TrusError."""
        self._submit = submit
        self._identify = identify
        self._clock = clock
        self._server = server
        self._idle_seconds = idle_seconds
        self._session: ConsoleSession | None = None
        self._deadline: IDelayedCall | None = None
        self._connected = False
        self._reading = True
        self._blocked = False
        self._proceeding = False
        self.over = False

    @property
    def _wire(self) -> Wire:
        return cast("Wire", self.transport)

    def connectionMade(self) -> None:
        """Wait for the handshake; nothing is said before it."""
        self._connected = True
        self._set_deadline(HANDSHAKE_SECONDS, self._abort)
        self._wire.registerProducer(self, True)

    def handshakeCompleted(self) -> None:
        """Greet the admin whom the certificate names, or hang up."""
        try:
            admin = self._identify(self.transport)
        except TrusError as refused:
            self._log.warn("admin connection refused: {kind}", kind=type(refused).__name__)
            self._abort()
            return
        self._session = ConsoleSession(admin, self._server)
        self._log.info("admin {name} connected, certificate {serial}", name=admin.name, serial=admin.serial)
        self._write(self._session.greeting())
        self._await_line()

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of the admin. Anything before the handshake is complete ends the connection."""
        if self._session is None:
            self._abort()
            return
        if self._session.finished:
            return
        self._session.receive(data)
        self._proceed()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the admin; what the core is doing for it goes on, unheard."""
        self._connected = False
        self.over = True
        self._cancel_deadline()
        if self._session is not None:
            self._log.info("admin {name} disconnected", name=self._session.admin.name)

    def shut_down(self) -> None:
        """End the session politely, as when the backend stops."""
        if self._connected and self._session is not None and not self._session.finished:
            self._write(self._session.farewell("The console is closing."))
            self._close()
        elif self._connected:
            self._abort()

    # ------------------------------------------------------------------------ pace

    def pauseProducing(self) -> None:
        """The admin does not read: read no more lines, and hang up when that lasts."""
        self._blocked = True
        self._pace()
        self._set_deadline(READ_SECONDS, self._abort)

    def resumeProducing(self) -> None:
        """The admin reads again."""
        self._blocked = False
        if self._connected and self._session is not None and not self._session.finished:
            self._await_line()
            self._proceed()

    def stopProducing(self) -> None:
        """The transport is going away."""
        self._blocked = True

    def _proceed(self) -> None:
        """Say what can be said and ask what can be asked; a core that answers at once is asked in a loop."""
        if self._proceeding:
            return
        self._proceeding = True
        try:
            while self._step():
                pass
        finally:
            self._proceeding = False

    def _step(self) -> bool:
        """Take one step; return whether another can be taken at once."""
        session = self._session
        if session is None or not self._connected or session.finished:
            return False
        if not self._blocked and self._say(session):
            self._close()
            return False
        # Lines of an admin who does not read are not carried out either: each answer would wait here.
        requests: list[Request] = [] if self._blocked or session.waiting else list(session.requests())
        self._pace()
        if requests:
            self._cancel_deadline()
            self._submit(requests).addCallbacks(self._answered, self._core_failed)
            return not session.waiting
        if not session.waiting and not self._blocked:
            self._await_line()
        return False

    def _say(self, session: ConsoleSession) -> bool:
        """Send what can be said; return whether that was all."""
        self._write(session.outgoing())
        return session.finished

    def _answered(self, answers: list[Answer]) -> None:
        if self._session is None:
            return
        self._session.answered(answers)
        self._proceed()

    def _core_failed(self, failure: Failure) -> None:
        self._log.failure("the core's port broke its promise never to fail", failure)
        self._abort()

    def _pace(self) -> None:
        wanted = not self._blocked and self._session is not None and not self._session.full
        if wanted == self._reading or not self._connected:
            return
        self._reading = wanted
        if wanted:
            self._wire.resumeProducing()
        else:
            self._wire.pauseProducing()

    # ------------------------------------------------------------------------ ends

    def _await_line(self) -> None:
        self._set_deadline(self._idle_seconds, self._idle)

    def _idle(self) -> None:
        self._deadline = None
        if self._session is not None and not self._session.finished:
            self._write(self._session.farewell("Nothing was said for too long."))
        self._close()

    def _close(self) -> None:
        self._wire.unregisterProducer()
        self._wire.loseConnection()
        self._set_deadline(CLOSE_SECONDS, self._abort)

    def _abort(self) -> None:
        self._cancel_deadline()
        if self._connected:
            self._wire.abortConnection()

    def _write(self, data: bytes) -> None:
        if data and self._connected:
            self._wire.write(data)

    def _set_deadline(self, seconds: float, act: Callable[[], None]) -> None:
        self._cancel_deadline()
        if self._connected:
            self._deadline = self._clock.callLater(seconds, act)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None


class ConsoleFactory(ServerFactory):
    """Makes a ConsoleProtocol for each admin connection and ends them all when asked."""

    noisy = False

    def __init__(
        self,
        submit: Submit,
        identify: Identify,
        clock: IReactorTime,
        *,
        server: str = "trus",
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """Take the collaborators of ConsoleProtocol."""
        self._submit = submit
        self._identify = identify
        self._clock = clock
        self._server = server
        self._idle_seconds = idle_seconds
        self._open: list[ConsoleProtocol] = []

    @property
    def connections(self) -> int:
        """How many admin connections are open."""
        return sum(not protocol.over for protocol in self._open)

    def buildProtocol(self, addr: IAddress | None) -> ConsoleProtocol:
        """Return the protocol of one connection."""
        self._open = [protocol for protocol in self._open if not protocol.over]
        protocol = ConsoleProtocol(
            self._submit, self._identify, self._clock, server=self._server, idle_seconds=self._idle_seconds
        )
        self._open.append(protocol)
        return protocol

    def shut_down(self) -> None:
        """End every open session politely."""
        for protocol in self._open:
            protocol.shut_down()
        self._open = []
