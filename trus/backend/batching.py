"""Gathers what arrives within one reactor turn into a batch for the core.

Never waits for a batch to grow while the core is idle: what is there when the turn ends goes.
While the core works on one batch the next one gathers by itself; it is sent ahead only when it
is large enough to be worth a commit of its own. So the batch is small when the network is quiet
and large when it is busy or the disk is slow, which is what a group commit wants.

Handshakes stand behind everything else, and no more than a bounded number of them waits: whoever
stole the channel certificate of all terminals can ask for signatures, but neither fill this
process's memory nor stand before a cardholder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from trus.backend.port import CorePort
from trus.core.faults import describe
from trus.core.messages import Answer, CheckStanding, Enrol, Failed, Request, SignHandshake, VerifyPeer
from trus.values import ResponseCode

#: Batches that the core holds at once: one that it works on, one that waits in the pair.
IN_FLIGHT: Final = 2
#: Requests that make a batch worth a commit of its own while another one is still worked on. A
#: smaller one would halve the groups and double the flushes of a disk that is the bottleneck.
AHEAD: Final = 64
#: Handshakes in a batch that also holds payments: each costs the core as much as five of these.
HANDSHAKES_BESIDE: Final = 8
#: Requests in a batch at most, so that one commit stays within a few milliseconds.
MAX_BATCH: Final = 256
#: Handshakes that may wait for the backend's signature; further ones are told to come back.
#: A thousand are signed within a second or two, well before a device gives its handshake up.
MAX_HANDSHAKES: Final = 1024

_BUSY: Final = Failed(ResponseCode.ISSUER_UNAVAILABLE, "busy")
_HANDSHAKES: Final = frozenset({SignHandshake, VerifyPeer, CheckStanding, Enrol})

OnAnswer = Callable[[Answer], None]


class Batcher:
    """Asks the core on behalf of many sessions."""

    _log = Logger()

    def __init__(
        self,
        core: CorePort,
        reactor: IReactorTime,
        on_round: Callable[[], None] = lambda: None,
        max_batch: int = MAX_BATCH,
        max_handshakes: int = MAX_HANDSHAKES,
    ) -> None:
        """`on_round` is called after the answers of a batch were handed out, to flush writes.

        Beyond `max_handshakes` waiting handshakes, another one's first request is answered busy.
        """
        self._core = core
        self._reactor = reactor
        self._on_round = on_round
        self._max_batch = max_batch
        self._ahead = min(AHEAD, max_batch)
        self._max_handshakes = max_handshakes
        self._waiting: list[tuple[Request, OnAnswer]] = []
        self._handshakes: list[tuple[Request, OnAnswer]] = []
        self._flying = 0
        self._scheduled = False
        self._sending = False

    @property
    def waiting(self) -> int:
        """Requests that the core has not been given yet."""
        return len(self._waiting) + len(self._handshakes)

    def ask(self, request: Request, on_answer: OnAnswer) -> None:
        """Put `request` into the next batch; `on_answer` is called once with its answer."""
        if type(request) in _HANDSHAKES:
            # Only the first step is refused: who has come further has proven something.
            if len(self._handshakes) >= self._max_handshakes and type(request) is SignHandshake:
                self._reactor.callLater(0, on_answer, _BUSY)
                return
            self._handshakes.append((request, on_answer))
        else:
            self._waiting.append((request, on_answer))
        if not self._scheduled and self._may_send():
            self._scheduled = True
            self._reactor.callLater(0, self._turn_ended)

    def _turn_ended(self) -> None:
        self._scheduled = False
        self._send()

    def _send(self) -> None:
        if self._sending:  # an inline core answers before submit returns: loop, do not recurse
            return
        self._sending = True
        try:
            while (self._waiting or self._handshakes) and self._may_send():
                batch = self._take(self._waiting, self._max_batch)
                beside = min(HANDSHAKES_BESIDE, self._max_batch - len(batch)) if batch else self._max_batch
                batch += self._take(self._handshakes, beside)
                self._flying += 1
                answered = self._core.submit([request for request, _ in batch])
                answered.addCallback(self._answered, [on_answer for _, on_answer in batch])
        finally:
            self._sending = False

    def _may_send(self) -> bool:
        return self._flying == 0 or (self._flying < IN_FLIGHT and len(self._waiting) >= self._ahead)

    @staticmethod
    def _take(waiting: list[tuple[Request, OnAnswer]], most: int) -> list[tuple[Request, OnAnswer]]:
        taken = waiting[:most]
        del waiting[:most]
        return taken

    def _answered(self, answers: list[Answer], callbacks: list[OnAnswer]) -> None:
        self._flying -= 1
        for on_answer, answer in zip(callbacks, answers, strict=True):
            try:
                on_answer(answer)
            except Exception as failure:  # noqa: BLE001 - one session's fault is not the next one's
                self._log.critical("unexpected failure after an answer: {places}", places=describe(failure))
        self._send()
        self._on_round()
