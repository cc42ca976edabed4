"""Delivers a peer's lines at a pace that the rest can follow, and sends lines to it.

Knows no verb and keeps no session. What cannot be waited for has a deadline: the handshake, the
next line, a peer that does not read, a peer that does not hang up. Each ends the connection.

A maintainer must not break: one peer gets no more than its lines a reactor turn; while a peer
does not read its answers, its own lines are not read either.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Protocol, cast

import attrs
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from trus.protocol.buffer import NeedMore
from trus.protocol.errors import RemoteProtocolError

LINE_END: Final = b"\r\n"

# Why nothing is read at the moment; bits of LineProtocol._held.
_PEER_DOES_NOT_READ: Final = 1
_CONSUMER_IS_BUSY: Final = 2
_TURN_IS_SPENT: Final = 4


class Ending(StrEnum):
    """Why a connection ended: fixed words for the log."""

    PEER = "peer"
    LOCAL = "local"
    HANDSHAKE_TIMEOUT = "handshake-timeout"
    IDLE_TIMEOUT = "idle-timeout"
    NOT_READING = "not-reading"
    PROTOCOL = "protocol"
    FAULT = "fault"


@attrs.frozen
class LineLimits:
    """How long and how much one peer may take; all times in seconds."""

    #: From the connection to the end of the TLS handshake.
    handshake_seconds: float = 10.0
    #: From one complete line to the next; half a line counts as silence.
    idle_seconds: float = 120.0
    #: From full output buffers to empty ones.
    write_seconds: float = 20.0
    #: From our hanging up to the peer's.
    closing_seconds: float = 5.0
    #: Lines delivered before everybody else has had a turn.
    lines_per_turn: int = 64


class LineSource(Protocol):
    """Cuts bytes into lines; trus.protocol.buffer.LineBuffer is one."""

    @property
    def buffered(self) -> int:
        """Bytes held that no line has taken yet."""
        ...

    def feed(self, data: bytes) -> None:
        """Add bytes as they came from the transport."""
        ...

    def next_line(self) -> bytes | NeedMore:
        """Return the next line without its end, or NEED_MORE. Raises RemoteProtocolError."""
        ...

    def next_lines(self, most: int) -> list[bytes]:
        """Return some of the next lines, at most `most`; next_line has those after them."""
        ...


class _Wire(Protocol):
    """What a stream transport of Twisted can do; its interfaces spread it over three."""

    def write(self, data: bytes) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def registerProducer(self, producer: object, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


@implementer(IHandshakeListener, IPushProducer)
class LineProtocol(TwistedProtocol):
    """One connection of lines, over TLS or not.

    Subclasses override `opened`, `lines_received`, `line_refused` and `closed`. The transport's
    own methods stay for this class: use `send`, `hold`, `release`, `hang_up` and `abort`.
    """

    def __init__(self, clock: IReactorTime, lines: LineSource, limits: LineLimits) -> None:
        self._wire: _Wire | None = None
        self._clock = clock
        self._lines = lines
        self._limits = limits
        self._idle_seconds = limits.idle_seconds
        self._held = 0
        self._reading = True
        self._is_open = False
        self._last_line = 0.0
        self._ending: Ending | None = None
        self._idle_timer: IDelayedCall | None = None
        self._write_timer: IDelayedCall | None = None
        self._end_timer: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None

    # ------------------------------------------------------------------- for subclasses

    def opened(self) -> None:
        """Start talking: the handshake, if the transport has one, is complete."""

    def lines_received(self, lines: list[bytes]) -> None:
        """Take the lines of this turn, at least one, without their ends, in order."""
        raise NotImplementedError

    def line_refused(self, error: RemoteProtocolError) -> None:
        """Answer a line that is none; the lines before it have been delivered. Hangs up."""
        self.hang_up(Ending.PROTOCOL)

    def idle_expired(self) -> None:
        """Answer a silence that was too long. Hangs up."""
        self.hang_up(Ending.IDLE_TIMEOUT)

    def closed(self, ending: Ending, reason: Failure) -> None:
        """Clean up: the connection is gone, whether or not it had been opened."""

    # ------------------------------------------------------------------------ for owners

    @property
    def is_open(self) -> bool:
        """Whether lines can be sent: after `opened`, before any ending."""
        return self._is_open and self._ending is None

    @property
    def peer_is_slow(self) -> bool:
        """Whether the output buffers are full: whoever forwards to this peer should wait."""
        return bool(self._held & _PEER_DOES_NOT_READ)

    def send(self, line: bytes) -> None:
        """Send one line, given without its end; silently nothing on an ended connection."""
        if self._ending is None and self._wire is not None:
            self._wire.write(line + LINE_END)

    def send_lines(self, lines: Sequence[bytes]) -> None:
        """Send several lines, given without their ends, in one write."""
        if lines and self._ending is None and self._wire is not None:
            self._wire.write(LINE_END.join(lines) + LINE_END)

    def send_block(self, block: bytes) -> None:
        """Send lines that bear their ends already, in one write."""
        if self._ending is None and self.transport is not None:
            self.transport.write(block)

    def hold(self) -> None:
        """Deliver and read nothing more until `release`: whoever takes the lines is busy."""
        self._hold(_CONSUMER_IS_BUSY)

    def release(self) -> None:
        """Deliver and read again; what has been buffered comes in the next reactor turn."""
        self._release(_CONSUMER_IS_BUSY)

    def allow_silence(self, seconds: float) -> None:
        """Change the idle time-out from now on."""
        self._idle_seconds = seconds
        self._last_line = self._clock.seconds()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = self._clock.callLater(seconds, self._check_silence)

    def hang_up(self, ending: Ending = Ending.LOCAL) -> None:
        """Send what was written, then close; a peer that does not follow is cut off.

        Nothing more is delivered from here on.
        """
        if self._ending is not None or self._wire is None:
            return
        self._ending = ending
        self._end_timer = self._clock.callLater(self._limits.closing_seconds, self._cut)
        # A closing TLS connection must read the peer's farewell.
        if not self._reading:
            self._reading = True
            self._wire.resumeProducing()
        if self._is_open:
            self._wire.unregisterProducer()
        self._wire.loseConnection()

    def abort(self, ending: Ending = Ending.LOCAL) -> None:
        """Close now, without a word."""
        if self._ending is None:
            self._ending = ending
        self._cut()

    # ---------------------------------------------------------------- called by Twisted

    def connectionMade(self) -> None:
        """Wait for the handshake, or open at once where there is none."""
        self._wire = cast("_Wire", self.transport)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        if ISSLTransport.providedBy(self.transport):
            self._end_timer = self._clock.callLater(self._limits.handshake_seconds, self._handshake_expired)
        else:
            self._open()

    def handshakeCompleted(self) -> None:
        """Open: the peer is verified."""
        if self._end_timer is not None and self._ending is None:
            self._end_timer.cancel()
            self._end_timer = None
            self._open()

    def dataReceived(self, data: bytes) -> None:
        """Take bytes, and deliver the lines that they complete."""
        if self._ending is not None:
            return
        self._lines.feed(data)
        if not self._held:
            self._deliver()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop every clock and report the ending once."""
        for timer in (self._idle_timer, self._write_timer, self._end_timer, self._turn):
            if timer is not None and timer.active():
                timer.cancel()
        self._idle_timer = self._write_timer = self._end_timer = self._turn = None
        if self._ending is None:
            self._ending = Ending.PEER
        # A transport that is gone must not be asked to abort: TLS would fail over it.
        self._wire = None
        self.closed(self._ending, reason)

    def pauseProducing(self) -> None:
        """Note that the peer does not read: stop reading from it, and start its deadline."""
        self._hold(_PEER_DOES_NOT_READ)
        if self._write_timer is None and self._ending is None:
            self._write_timer = self._clock.callLater(self._limits.write_seconds, self._write_expired)

    def resumeProducing(self) -> None:
        """Note that everything written has left."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._release(_PEER_DOES_NOT_READ)

    def stopProducing(self) -> None:
        """Do nothing: connectionLost follows."""

    # --------------------------------------------------------------------------- inside

    def _open(self) -> None:
        self._is_open = True
        self._last_line = self._clock.seconds()
        self._idle_timer = self._clock.callLater(self._idle_seconds, self._check_silence)
        if self._wire is not None:
            self._wire.registerProducer(self, True)
        self.opened()

    def _deliver(self) -> None:
        """Hand over the lines of one turn; a full turn yields to everybody else."""
        refused: RemoteProtocolError | None = None
        most = self._limits.lines_per_turn
        lines = self._lines.next_lines(most)
        try:
            for _ in range(most - len(lines)):
                line = self._lines.next_line()
                if isinstance(line, NeedMore):
                    break
                lines.append(line)
            else:
                if self._lines.buffered:
                    self._yield_turn()
        except RemoteProtocolError as error:
            refused = error
        if lines:
            self._last_line = self._clock.seconds()
            self.lines_received(lines)
        if refused is not None and self._ending is None:
            self.line_refused(refused)

    def _yield_turn(self) -> None:
        self._hold(_TURN_IS_SPENT)
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._next_turn)

    def _next_turn(self) -> None:
        self._turn = None
        self._held &= ~_TURN_IS_SPENT
        if self._held or self._ending is not None:
            return
        try:
            self._deliver()
        except BaseException:
            # In dataReceived Twisted would have closed the connection; here nobody else does.
            self.abort(Ending.FAULT)
            raise
        self._read_if_free()

    def _hold(self, why: int) -> None:
        self._held |= why
        if self._reading and self._ending is None and self._wire is not None:
            self._reading = False
            self._wire.pauseProducing()

    def _release(self, why: int) -> None:
        if not self._held & why:
            return
        self._held &= ~why
        if self._held or self._ending is not None:
            return
        self._last_line = self._clock.seconds()
        if self._lines.buffered:
            self._yield_turn()
        else:
            self._read_if_free()

    def _read_if_free(self) -> None:
        if not self._held and not self._reading and self._ending is None and self._wire is not None:
            self._reading = True
            self._wire.resumeProducing()

    def _check_silence(self) -> None:
        self._idle_timer = None
        if self._ending is not None:
            return
        left = self._idle_seconds - (self._clock.seconds() - self._last_line)
        if self._held & ~_TURN_IS_SPENT:
            # The silence is ours: we do not read.
            left = self._idle_seconds
        if left > 0:
            self._idle_timer = self._clock.callLater(left, self._check_silence)
        else:
            self.idle_expired()

    def _handshake_expired(self) -> None:
        self._end_timer = None
        self.abort(Ending.HANDSHAKE_TIMEOUT)

    def _write_expired(self) -> None:
        self._write_timer = None
        self.abort(Ending.NOT_READING)

    def _cut(self) -> None:
        if self._end_timer is not None and self._end_timer.active():
            self._end_timer.cancel()
        self._end_timer = None
        if self._wire is not None:
            self._wire.abortConnection()
