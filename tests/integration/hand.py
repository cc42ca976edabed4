"""A terminal's session in a tester's hands: says whatever it is told, well formed or not, and hears the answers.

The handshake and the record layer are the device's own; above them every line is written by hand, so that
a request can be said twice, late, wrongly, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory

from trus.clock import SystemClock, SystemEntropy
from trus.device.connection import DeviceConnection
from trus.device.conversation import Conversation, Happening, Up
from trus.device.home import DeviceHome
from trus.protocol import grammar
from trus.protocol.fields import format_octets
from trus.protocol.records import Direction
from trus.protocol.table import SEAL_BLOCK_BYTES

_FIELD = re.compile(r'([a-z][a-z0-9-]*)=("(?:[^"\\]|\\.)*"|\S+)')


class _Connection(DeviceConnection):
    """A device's connection whose sealed lines go to the hand."""

    hand: Hand | None = None

    def lines_received(self, lines: list[bytes]) -> None:
        if self.hand is None:
            super().lines_received(lines)
            return
        for line in lines:
            self.hand.heard(line)


class Hand:
    """One session of an enrolled terminal."""

    def __init__(self, reactor: Any, home: DeviceHome, port: int) -> None:
        self._reactor, self._home, self._port = reactor, home, port
        self._up: Deferred[None] = Deferred()
        self._waiting: dict[str, Deferred[dict[str, str]]] = {}
        self._number = 0
        self.connection: _Connection | None = None
        self.date = ""

    async def open(self) -> Hand:
        """Connect and authenticate."""
        endpoint = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port)
        await endpoint.connect(self._home.channel().wrap(Factory.forProtocol(self._make), self._reactor))
        await self._up
        return self

    def _make(self) -> _Connection:
        self.connection = _Connection(self._reactor, self._converse, self)
        return self.connection

    def _converse(self, binding: bytes) -> Conversation:
        home = self._home
        return Conversation(
            identity=home.identity(),
            trust=home.trust(),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            channel_binding=binding,
        )

    def happened(self, connection: DeviceConnection, happenings: Sequence[Happening]) -> None:
        for happening in happenings:
            if isinstance(happening, Up):
                self._label, self.date = happening.session.label, happening.terms.business_date
                self._mine: Direction
                self._theirs: Direction
                self._mine, self._theirs = happening.session.directions()
                self.pin_key = happening.session.pin_key
                assert self.connection is not None
                self.connection.hand = self
                self._up.callback(None)

    def gone(self, connection: DeviceConnection, why: str) -> None:
        if not self._up.called:
            self._up.errback(ConnectionError(why))
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            each.errback(ConnectionError(why))

    def heard(self, line: bytes) -> None:
        clear, mark, text = line.rpartition(grammar.SEAL_MARK)
        if not mark:
            return  # a word of the gateway
        sealed = self._theirs.open(clear, grammar.decode_base64url(text))
        head, _, rest = clear.decode().partition(" s=")
        fields = dict(_FIELD.findall("s=" + rest)) | dict(_FIELD.findall(sealed.decode()))
        waiting = self._waiting.get(fields.get("id", ""))
        if waiting is None or head not in ("INFO RESULT", "INFO ERROR", "COMMAND PRESENT-PIN"):
            return
        del self._waiting[fields["id"]]
        waiting.callback({"head": head, **fields})

    def say(self, verb: str, clear: Mapping[str, str], sealed: Mapping[str, str]) -> Deferred[dict[str, str]]:
        """Say COMMAND `verb` in a dialogue of its own; the answer's fields, with its `head`, come later."""
        self._number += 1
        dialogue = f"c{self._number}"
        answer: Deferred[dict[str, str]] = Deferred()
        self._waiting[dialogue] = answer
        self.line(f"COMMAND {verb} s={self._label} id={dialogue}" + _text(clear), _text(sealed).strip())
        return answer

    def line(self, clear: str, sealed: str) -> bytes:
        """Seal a line of any kind and send it; return it, CR LF included."""
        plain = sealed.encode()
        plain += b" " * (-len(plain) % SEAL_BLOCK_BYTES)
        line = self._mine.seal(clear.encode(), plain)
        self.write(line)
        return line

    def write(self, line: bytes) -> None:
        """Send bytes as they are."""
        assert self.connection is not None and self.connection.transport is not None
        self.connection.transport.write(line)

    def drop(self) -> None:
        """Cut the connection."""
        assert self.connection is not None
        for each in self._waiting.values():
            each.addErrback(lambda _: None)
        self.connection.drop("test")


def _text(fields: Mapping[str, str]) -> str:
    return "".join(f" {name}={value}" for name, value in fields.items())


def rid(number: int) -> str:
    """Return the rid of a numbered request."""
    return format_octets(number.to_bytes(16, "big"))
