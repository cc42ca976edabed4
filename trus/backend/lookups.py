"""Answers the directory's questions that a gateway hands on, without holding payments up.

Finds nothing itself: the core does. Answers go out in pieces, a few in each reactor turn, because a
revocation list may have megabytes and the link carries every payment of its gateway; while the
gateway does not read, they wait. Questions beyond a bound are answered busy at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from trus.backend.batching import OnAnswer
from trus.core import messages as core
from trus.core.messages import Answer, Request
from trus.protocol.link import MAX_STREAM_CHUNK_BYTES, Found, FoundPart, Lookup, format_link_line

#: Questions of one gateway that may be open at once.
MAX_OPEN: Final = 128
#: Pieces in a reactor turn: 64 KiB, well below a millisecond of writing.
PIECES_A_TURN: Final = 8
#: Between two looks at a link whose gateway does not read.
_WAIT_SECONDS: Final = 0.05


class LookupAnswers:
    """The open questions of one link."""

    def __init__(
        self,
        ask: Callable[[Request, OnAnswer], None],
        write: Callable[[bytes], None],
        may_write: Callable[[], bool],
        reactor: IReactorTime,
    ) -> None:
        """`write` takes a link line with its CR LF; `may_write` says whether the gateway reads."""
        self._ask = ask
        self._write = write
        self._may_write = may_write
        self._reactor = reactor
        self._open = 0
        self._sending: deque[Iterator[bytes]] = deque()
        self._call: IDelayedCall | None = None
        self._over = False

    def asked(self, lookup: Lookup) -> None:
        """Take a question of the gateway's."""
        if self._open >= MAX_OPEN:
            self._write(format_link_line(Found(lookup.number, "busy")))
            return
        self._open += 1
        request = core.Lookup(lookup.what, lookup.by, lookup.value)
        self._ask(request, lambda answer: self._answered(lookup.number, answer))

    def closed(self) -> None:
        """The link is over: forget what was asked."""
        self._over = True
        self._sending.clear()
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _answered(self, number: int, answer: Answer) -> None:
        self._open -= 1
        if self._over:
            return
        if isinstance(answer, core.LookedUp):
            self._sending.append(_lines(number, answer))
            self._schedule(0)
        else:
            self._write(format_link_line(Found(number, "busy")))

    def _schedule(self, seconds: float) -> None:
        if self._call is None:
            self._call = self._reactor.callLater(seconds, self._send)

    def _send(self) -> None:
        self._call = None
        if not self._may_write():
            self._schedule(_WAIT_SECONDS)
            return
        for _ in range(PIECES_A_TURN):
            if not self._sending:
                return
            line = next(self._sending[0], None)
            if line is None:
                self._sending.popleft()
            else:
                self._write(line)
        self._schedule(0)


def _lines(number: int, answer: core.LookedUp) -> Iterator[bytes]:
    """Yield the lines of an answer, CR LF included."""
    for body in answer.bodies:
        for start in range(0, len(body), MAX_STREAM_CHUNK_BYTES):
            yield format_link_line(FoundPart(number, body[start : start + MAX_STREAM_CHUNK_BYTES]))
    result = "found" if answer.bodies else "absent"
    yield format_link_line(Found(number, result, tuple(map(len, answer.bodies)), answer.seconds))
