"""Gives commands to the console from a program: asynchronous, pipelined, answers in order.

Knows no TLS and opens no socket by itself: the endpoint and its TLS come in. A reply may hold
an activation code, so its repr shows no row. Specification: docs/reference/console.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from trus.admin.lines import MAX_CONSOLE_LINE_BYTES, format_command
from trus.errors import TrusError
from trus.protocol.buffer import LineBuffer, NeedMore
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.messages import Kind, Message, parse_console_line
from trus.values import Secret

#: Commands sent but not answered: the server queues 64, the rest would wait in TCP buffers.
MAX_PIPELINED: Final = 256
#: Seconds for the connection, both handshakes and the greeting.
GREETING_SECONDS: Final = 30.0
#: Seconds without a byte while answers are awaited: a large issue takes some.
ANSWER_SECONDS: Final = 300.0

#: Says why this side refused the server.
Why = Callable[[object, BaseException | None], str]


class ConsoleGone(TrusError):
    """The console closed, refused us or said what no console says; commands without a reply may have been done."""


class AdminReply(Secret, frozen=True):
    """What the console answered: rows of named values, whether it was done, code and sentence."""

    rows: list[dict[str, str]]
    ok: bool
    code: str
    text: str


class _ClientProtocol(Protocol):
    """The wire of AdminClient."""

    def __init__(self, clock: IReactorTime, why: Why | None = None) -> None:
        self._why = why
        self.greeting: Deferred[Message] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self._clock = clock
        self._buffer = LineBuffer(MAX_CONSOLE_LINE_BYTES)
        self._rows: list[dict[str, str]] = []
        self._waiting: deque[Deferred[AdminReply]] = deque()
        self._queued: deque[tuple[bytes, Deferred[AdminReply]]] = deque()
        self._greeted = False
        self._fault: ConsoleGone | None = None
        self._bye = ""
        self._deadline = clock.callLater(GREETING_SECONDS, self._late)

    def order(self, line: bytes) -> Deferred[AdminReply]:
        """Send a command's line when there is room; fires with its reply, fails with ConsoleGone."""
        reply: Deferred[AdminReply] = Deferred()
        if self._fault is not None:
            reply.errback(Failure(self._fault))
            return reply
        self._queued.append((line, reply))
        self._send()
        return reply

    def quit(self) -> None:
        """Say QUIT; the server answers BYE after all replies and closes."""
        if self._fault is None and self.transport is not None:
            if self._greeted and not self._queued:
                self.transport.write(format_command("QUIT", {}))
            else:
                self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of the console."""
        try:
            self._buffer.feed(data)
            while not isinstance(line := self._buffer.next_line(), NeedMore):
                self._take(parse_console_line(line))
        except RemoteProtocolError:
            self._break("the console said what no console says")
            return
        self._renew()
        self._send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail whatever waits."""
        if self._deadline.active():
            self._deadline.cancel()
        if self._fault is None:
            self._fault = ConsoleGone(self._why_gone(reason))
        waiting = [*self._waiting, *(reply for _, reply in self._queued)]
        self._waiting.clear()
        self._queued.clear()
        if not self._greeted:
            self._greeted = True
            self.greeting.errback(Failure(self._fault))
        for reply in waiting:
            reply.errback(Failure(self._fault))
        self.gone.callback(None)

    def _why_gone(self, reason: Failure) -> str:
        refused = "" if self._why is None else self._why(self.transport, reason.value)
        if refused:
            return refused
        if self._bye:
            return f"the console closed the connection: {self._bye}"
        if self._greeted:
            return "the console closed the connection"
        return (
            "the console closed the connection without a word: it may not accept this certificate, "
            "or no backend runs behind the gateway"
        )

    def _take(self, message: Message) -> None:
        match message.kind, message.verb:
            case Kind.INFO, "CONSOLE" if not self._greeted:
                self._greeted = True
                self.greeting.callback(message)
            case Kind.DATA, "ROW":
                self._rows.append(dict(message.fields))
            case Kind.INFO, ("OK" | "ERROR") as verb if self._waiting:
                rows, self._rows = self._rows, []
                code = message.fields.get("code", "00" if verb == "OK" else "96")
                text = message.fields.get("text", "")
                self._waiting.popleft().callback(AdminReply(rows, verb == "OK", code, text))
            case Kind.INFO, "BYE":
                self._bye = message.fields.get("text", "")
            case Kind.INFO, _:
                return
            case _:
                raise RemoteProtocolError(ErrorCode.OUT_OF_ORDER)

    def _send(self) -> None:
        if not self._greeted or self.transport is None:
            return
        lines: list[bytes] = []
        while self._queued and len(self._waiting) < MAX_PIPELINED:
            line, reply = self._queued.popleft()
            lines.append(line)
            self._waiting.append(reply)
        if lines:
            self.transport.write(b"".join(lines))
            self._renew()

    def _renew(self) -> None:
        if not self._greeted:
            return
        if self._deadline.active():
            self._deadline.cancel()
        if self._waiting:
            self._deadline = self._clock.callLater(ANSWER_SECONDS, self._late)

    def _late(self) -> None:
        self._break("the console did not answer in time")

    def _break(self, why: str) -> None:
        if self._fault is None:
            self._fault = ConsoleGone(why)
        abort = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()


class AdminClient:
    """One connection to the console."""

    def __init__(self, protocol: _ClientProtocol, greeting: Mapping[str, str]) -> None:
        self._protocol = protocol
        self.greeting = dict(greeting)

    @classmethod
    async def connect(cls, endpoint: IStreamClientEndpoint, clock: IReactorTime, why: Why | None = None) -> AdminClient:
        """Connect through `endpoint`, which does two-way TLS, and wait for the greeting.

        `why(transport, reason)` says in a sentence why this side refused the server, "" when it did not.

        In TLS 1.3 a client's handshake completes before the server has judged its certificate:
        the greeting, not the handshake, says that the admin was let in. Raises ConsoleGone, and
        what the endpoint raises.
        """
        protocol = await endpoint.connect(Factory.forProtocol(lambda: _ClientProtocol(clock, why)))
        if not isinstance(protocol, _ClientProtocol):
            raise ConsoleGone("the endpoint wrapped the console's protocol")
        greeting = await protocol.greeting
        return cls(protocol, greeting.fields)

    async def command(self, verb: str, /, **arguments: str | int) -> AdminReply:
        """Give one command; `valid_from` is sent as `valid-from`. Raises ConsoleGone."""
        return await self.order(verb, {name.replace("_", "-"): str(value) for name, value in arguments.items()})

    def order(self, verb: str, arguments: Mapping[str, str]) -> Deferred[AdminReply]:
        """Give one command with named arguments without waiting: commands may be pipelined.

        Fires with the reply, also with one that refuses; fails with ConsoleGone. Raises
        LocalProtocolError for characters that no line may carry.
        """
        return self._protocol.order(format_command(verb, arguments))

    def line(self, line: str) -> Deferred[AdminReply]:
        """Give one command as an admin types it, without its line end.

        Raises LocalProtocolError for a blank line, which the console would not answer, and for
        one that would be several.
        """
        if not line.strip(" \t") or "\r" in line or "\n" in line:
            raise LocalProtocolError("a command is one line that is not blank")
        return self._protocol.order(line.encode("utf-8", "replace") + b"\r\n")

    async def orders(self, commands: Iterable[tuple[str, Mapping[str, str]]]) -> list[AdminReply]:
        """Give many commands at once; the replies come in the same order. Raises ConsoleGone."""
        replies = [self.order(verb, arguments) for verb, arguments in commands]
        return list(await gatherResults(replies, consumeErrors=True))

    async def close(self) -> None:
        """Say good bye and wait until the connection is over."""
        self._protocol.quit()
        await self._protocol.gone
