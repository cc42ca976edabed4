"""One TLS connection of a device to its gateway: bytes to a conversation, and back.

Decides nothing: what the conversation brings goes to the connection's owner, in order. The
conversation begins once TLS is complete, since it is bound to the connection's exporter
(RFC 9266); a peer that does not finish the sealed handshake in time is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from trus.device.conversation import Conversation, Happening, Over, Up, Write
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.net.peers import ChannelNotVerified, channel_refusal, exporter
from trus.protocol.buffer import MAX_OPENING_LINE_BYTES, MAX_SEALED_LINE_BYTES, LineBuffer
from trus.protocol.errors import RemoteProtocolError

#: From complete TLS to an authenticated session; the backend's token may be busy.
OPENING_SECONDS: Final = 20.0
#: The terminal's own echo notices a silent peer long before.
LIMITS: Final = LineLimits(idle_seconds=3600.0)


class ConnectionOwner(Protocol):
    """Whoever a connection works for."""

    def happened(self, connection: DeviceConnection, happenings: Sequence[Happening]) -> None:
        """Take what the lines of one reactor turn brought; writing is done already."""
        ...

    def gone(self, connection: DeviceConnection, why: str) -> None:
        """Take note that the connection is over; `why` is a fixed word."""
        ...


class DeviceConnection(LineProtocol):
    """One connection, from TLS to its end."""

    def __init__(self, clock: IReactorTime, converse: Callable[[bytes], Conversation], owner: ConnectionOwner) -> None:
        """Use `converse` to make the conversation from the exporter's 32 bytes."""
        self._buffer = LineBuffer(MAX_OPENING_LINE_BYTES)
        super().__init__(clock, self._buffer, LIMITS)
        self._converse = converse
        self._owner = owner
        self._why = ""
        self._opening: IDelayedCall | None = None
        self.conversation: Conversation | None = None

    def opened(self) -> None:
        """Start the sealed handshake."""
        try:
            binding = exporter(self.transport)
        except ChannelNotVerified:
            self.drop("no-channel")
            return
        self._opening = self._clock.callLater(OPENING_SECONDS, self.drop, "handshake-timeout")
        self.conversation = self._converse(binding)
        self._carry(self.conversation.start())

    def lines_received(self, lines: list[bytes]) -> None:
        """Hand the lines of one turn to the conversation."""
        happenings: list[Happening] = []
        if self.conversation is not None:
            for line in lines:
                happenings += self.conversation.line(line)
        self._carry(happenings)

    def line_refused(self, error: RemoteProtocolError) -> None:
        """Cut off a gateway that sends no lines."""
        self.drop(error.code.value)

    def refresh(self, *, now: bool = False) -> None:
        """Replace old keys, or any `now`; to be called whenever there is something to send."""
        if self.conversation is not None and self.is_open:
            self._carry(self.conversation.refresh(now=now))

    def farewell(self) -> None:
        """End the session in good order and hang up."""
        self._why = "done"
        if self.conversation is not None:
            self._carry(self.conversation.bye())
        self.hang_up()

    def drop(self, why: str) -> None:
        """Close without a word; the owner is told `why`."""
        self._why = self._why or why
        self.abort()

    def closed(self, ending: Ending, reason: Failure) -> None:
        """Tell the owner why the connection ended, as precisely as is known."""
        self._stop_waiting()
        refusal = channel_refusal(self.transport, reason.value)
        why = self._why or (f"gateway-{refusal.value}" if refusal is not None else "")
        self._owner.gone(self, why or ("lost" if ending is Ending.PEER else ending.value))

    def _carry(self, happenings: Sequence[Happening]) -> None:
        lines = [happening.line[:-2] for happening in happenings if isinstance(happening, Write)]
        self.send_lines(lines)
        rest = [happening for happening in happenings if not isinstance(happening, Write)]
        for happening in rest:
            if isinstance(happening, Up):
                self._buffer.raise_limit(MAX_SEALED_LINE_BYTES)
                self._stop_waiting()
            elif isinstance(happening, Over):
                self._why = self._why or (happening.code.value if happening.code else happening.reason)
        if rest:
            self._owner.happened(self, rest)
        if any(isinstance(happening, Over) for happening in rest):
            self.hang_up()

    def _stop_waiting(self) -> None:
        if self._opening is not None and self._opening.active():
            self._opening.cancel()
        self._opening = None
