"""Takes a device's lines to its backend and the backend's lines to the device.

Never alters or opens a line: before a session is authenticated each line must follow the
grammar and the table, afterwards its first words must; what fails is answered with a fixed
code and goes no further. Everything a device may take is bounded: time for the handshake and
for a session, silence, lines a second, bytes that wait for it.
Specification: docs/protocol.md, "Lines", "Limits", "The link".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from trus.gateway.fingerprint import FingerprintingTLS
from trus.gateway.links import Arrival
from trus.gateway.riders import Hold
from trus.gateway.router import Passage, Router
from trus.gateway.tally import LineDigest, Tally
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.net.peers import channel_peer, channel_refusal, exporter, peer_address
from trus.protocol import grammar
from trus.protocol.buffer import MAX_OPENING_LINE_BYTES, MAX_SEALED_LINE_BYTES, LineBuffer
from trus.protocol.errors import ErrorCode, RemoteProtocolError
from trus.protocol.link import Port
from trus.protocol.messages import Kind, Phase, Side, format_line, parse_line
from trus.protocol.states import MAX_OPENING_LINES
from trus.settings.model import ScreeningSettings

#: Between two notices that a device sends too fast.
_SLOW_DOWN_SECONDS: Final = 10.0
#: How every line begins: kind and verb. What follows is the backend's to judge, under its seal.
_HEAD: Final = re.compile(grammar.KIND + b" " + grammar.VERB + rb"(?: |\Z)")


@attrs.frozen(kw_only=True)
class DeviceTerms:
    """What one device may take; seconds, bytes, lines."""

    limits: LineLimits
    opening_seconds: float
    lines_per_second: float
    line_burst: float
    send_buffer_bytes: int

    @classmethod
    def of(cls, settings: ScreeningSettings) -> DeviceTerms:
        """Return the terms that the settings state."""
        return cls(
            limits=LineLimits(
                handshake_seconds=settings.handshake_deadline.seconds,
                idle_seconds=settings.idle_timeout.seconds,
                write_seconds=settings.send_deadline.seconds,
            ),
            opening_seconds=settings.opening_deadline.seconds,
            lines_per_second=settings.lines_per_second,
            line_burst=settings.line_burst,
            send_buffer_bytes=settings.send_buffer.octets,
        )


@attrs.frozen(kw_only=True)
class Surroundings:
    """What all device connections of a gateway share; `present` holds those that are there."""

    clock: IReactorTime
    router: Router
    tally: Tally
    digest: LineDigest
    terms: DeviceTerms
    present: dict[DeviceConnection, None] = attrs.field(factory=dict)


class DeviceConnection(LineProtocol):
    """One device's connection, from its TLS handshake to its end."""

    _log = Logger()

    def __init__(self, around: Surroundings, on_closed: Callable[[], None]) -> None:
        self._buffer = LineBuffer(MAX_OPENING_LINE_BYTES)
        super().__init__(around.clock, self._buffer, around.terms.limits)
        self._around = around
        self._on_closed = on_closed
        self._passage: Passage | None = None
        self._peer = ""
        self._admitted = False
        self._opening_lines = 0
        self._slow_told_at: float | None = None
        self._holds = Hold(0)
        self._allowance = around.terms.line_burst
        self._allowance_at = around.clock.seconds()
        self._owed_bytes = 0
        self._opening_call: IDelayedCall | None = None
        self._pace_call: IDelayedCall | None = None
        self._reason = ""

    # ------------------------------------------------------------------------------- as rider

    def lines_arrived(self, lines: list[bytes]) -> None:
        """Send the backend's lines on, unless too much waits for this device already."""
        if self.peer_is_slow:
            self._owed_bytes += sum(map(len, lines))
            if self._owed_bytes > self._around.terms.send_buffer_bytes:
                self.abort(Ending.NOT_READING)
                return
        self.send_lines(lines)

    def bytes_arrived(self, data: bytes) -> None:
        """Refuse: a device's connection carries lines."""
        self._finish("protocol")

    def admitted(self) -> None:
        """Accept longer lines: the device is authenticated."""
        if not self._admitted:
            self._admitted = True
            self._buffer.raise_limit(MAX_SEALED_LINE_BYTES)
            self._cancel(self._opening_call)

    def stop_reading(self, why: Hold) -> None:
        """Read nothing more for this reason."""
        if not self._holds:
            self.hold()
        self._holds |= why

    def read_again(self, why: Hold) -> None:
        """Read again when no other reason is left."""
        had, self._holds = self._holds, self._holds & ~why
        if had and not self._holds:
            self.release()

    def end(self, reason: str) -> None:
        """Close because the backend says so."""
        self._finish(reason)

    def link_lost(self) -> None:
        """Say that the backend is lost, and close: the device retries by request identity."""
        self._passage = None
        self._notice("backend-lost")
        self._finish("backend-lost")

    def going_down(self) -> None:
        """Say that the gateway stops, and close."""
        if not self.is_open:
            self.abort()
            return
        self._notice("going-down")
        self._finish("going-down")

    # --------------------------------------------------------------------------- LineProtocol

    def connectionMade(self) -> None:
        """Be counted as present, and wait for the handshake."""
        self._around.present[self] = None
        super().connectionMade()

    def opened(self) -> None:
        """Bring the device to its backend: its channel certificate is verified."""
        peer = channel_peer(self.transport)
        self._peer = peer_address(self.transport)
        arrival = Arrival(
            port=Port.DEVICE,
            peer=self._peer,
            exporter=exporter(self.transport),
            fingerprint=_fingerprint(self.transport),
            role=peer.role.value,
        )
        self._passage = self._around.router.enter(self, arrival)
        if self._passage is None:
            self._around.tally.note("no-backend", self._peer)
            self._notice("unreachable")
            self._finish("unreachable")
            return
        self._opening_call = self._around.clock.callLater(self._around.terms.opening_seconds, self._opening_expired)

    def lines_received(self, lines: list[bytes]) -> None:
        """Screen the lines of this turn and send them on."""
        passage = self._passage
        if passage is None:
            return
        self._pace(len(lines))
        for position, line in enumerate(lines):
            try:
                if not self._admitted:
                    self._count_opening_line()
                    parse_line(line, phase=Phase.OPENING, sender=Side.INITIATOR)
                elif _HEAD.match(line) is None:
                    raise RemoteProtocolError(ErrorCode.MALFORMED)
            except RemoteProtocolError as error:
                passage.forward_lines(lines[:position])
                self._refuse(error, self._around.digest.of(line))
                return
        passage.forward_lines(lines)

    def line_refused(self, error: RemoteProtocolError) -> None:
        """Answer what is no line, or too long a one."""
        self._refuse(error, "")

    def idle_expired(self) -> None:
        """Take leave of a device that says nothing."""
        self.send_block(format_line(Kind.INFO, "BYE", {"reason": "idle"}, phase=Phase.OPENING, sender=Side.GATEWAY))
        self._finish("idle")

    def pauseProducing(self) -> None:
        """Ask the backend to wait: the device does not read."""
        super().pauseProducing()
        if self._passage is not None and self.is_open:
            self._passage.ask_pause()

    def resumeProducing(self) -> None:
        """Tell the backend to go on: the device has read everything."""
        self._owed_bytes = 0
        if self._passage is not None and self.is_open:
            self._passage.ask_resume()
        super().resumeProducing()

    def closed(self, ending: Ending, reason: Failure) -> None:
        """Tell the backend, once, and note why a channel was refused."""
        self._on_closed()
        self._around.present.pop(self, None)
        self._cancel(self._opening_call)
        self._cancel(self._pace_call)
        passage, self._passage = self._passage, None
        if passage is not None:
            passage.leave(self._reason or ending.value)
        elif not self._peer:
            refusal = channel_refusal(self.transport, reason.value)
            word = refusal.value if refusal is not None else ending.value
            self._around.tally.note(f"channel-{word}", peer_address(self.transport))
        if ending in (Ending.NOT_READING, Ending.HANDSHAKE_TIMEOUT, Ending.FAULT):
            self._around.tally.note(f"device-{ending.value}", self._peer or peer_address(self.transport))

    # --------------------------------------------------------------------------------- inside

    def _refuse(self, error: RemoteProtocolError, detail: str) -> None:
        """Answer with a fixed code and close."""
        self._around.tally.note(f"line-{error.code.value}", self._peer, detail)
        fields = {"code": error.code.value}
        self.send_block(format_line(Kind.INFO, "ERROR", fields, phase=Phase.OPENING, sender=Side.GATEWAY))
        self._finish(error.code.value)

    def _count_opening_line(self) -> None:
        """Take one of the lines that a device may say before it is authenticated. Raises RemoteProtocolError."""
        self._opening_lines += 1
        if self._opening_lines > MAX_OPENING_LINES:
            raise RemoteProtocolError(ErrorCode.TOO_MANY)

    def _notice(self, code: str) -> None:
        self.send_block(format_line(Kind.INFO, "NOTICE", {"code": code}, phase=Phase.OPENING, sender=Side.GATEWAY))

    def _finish(self, reason: str) -> None:
        """Hang up; the first reason given is the one that the backend hears."""
        self._reason = self._reason or reason
        self.hang_up()

    def _opening_expired(self) -> None:
        self._opening_call = None
        self._around.tally.note("device-no-session", self._peer)
        fields = {"code": "timeout"}
        self.send_block(format_line(Kind.INFO, "ERROR", fields, phase=Phase.OPENING, sender=Side.GATEWAY))
        self._finish("timeout")

    def _pace(self, lines: int) -> None:
        """Take `lines` from the allowance; read on when it is positive again."""
        terms, now = self._around.terms, self._around.clock.seconds()
        gained = (now - self._allowance_at) * terms.lines_per_second
        self._allowance = min(terms.line_burst, self._allowance + gained) - lines
        self._allowance_at = now
        if self._allowance < 0 and self._pace_call is None:
            self._around.tally.note("device-too-fast", self._peer)
            if self._slow_told_at is None or now - self._slow_told_at >= _SLOW_DOWN_SECONDS:
                self._slow_told_at = now
                self._notice("slow-down")
            self.stop_reading(Hold.TOO_FAST)
            self._pace_call = self._around.clock.callLater(
                -self._allowance / terms.lines_per_second, self._pace_regained
            )

    def _pace_regained(self) -> None:
        self._pace_call = None
        self.read_again(Hold.TOO_FAST)

    @staticmethod
    def _cancel(call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()


def _fingerprint(transport: object) -> str:
    """Return the JA4 fingerprint of the device's TLS program, empty where none was taken."""
    return transport.fingerprint if isinstance(transport, FingerprintingTLS) else ""
