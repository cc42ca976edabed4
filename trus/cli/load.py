"""Puts load on a network: many terminals in one process, each keeping purchases in flight.

A generator, not a terminal: it keeps no journal and takes nothing back, so that what is
measured is the network. Everything else is real: two-way TLS to the gateway, the sealed
session to the backend, a stripe and a PIN block on every purchase (trus.cli.leantill).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from trus.cli.leantill import LeanTill, LoadCard
from trus.clock import Clock, Entropy
from trus.device.conversation import Conversation, Happening, Identity, Over, Up, Write
from trus.device.trust import DeviceTrust
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.net.peers import exporter
from trus.protocol.buffer import MAX_SEALED_LINE_BYTES, LineBuffer

#: A generator's connections outlive any pause of the network that is measured.
LIMITS: Final = LineLimits(idle_seconds=600.0, write_seconds=60.0, lines_per_turn=256)


class Tally:
    """What the generator has seen since the last reset."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` returns monotonic seconds."""
        self.now = now
        self.reset()

    def reset(self) -> None:
        """Begin to count anew."""
        self.began = self.now()
        self.codes: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.lost = 0
        self.refused = 0
        self.handshakes = 0

    def answered(self, code: str, seconds: float) -> None:
        """Count one answer."""
        self.codes[code] += 1
        self.latencies.append(seconds)

    def percentile(self, share: float) -> float:
        """Return the latency in seconds that `share` (0 to 1) of the answers stayed within."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class LoadTerminal(LineProtocol):
    """One connection: a handshake, then purchases, `depth` of them in flight."""

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        identity: Identity,
        trust: DeviceTrust,
        cards: Iterator[LoadCard],
        depth: int,
        amount: int,
        tally: Tally,
        clock: Clock,
        entropy: Entropy,
        on_over: Callable[[], None] = lambda: None,
    ) -> None:
        """`depth` 0 makes a handshake and hangs up: a storm is made of these. `amount` is minor units."""
        super().__init__(reactor, LineBuffer(MAX_SEALED_LINE_BYTES), LIMITS)
        self._identity = identity
        self._trust = trust
        self._cards = cards
        self._depth = depth
        self._amount = amount
        self._tally = tally
        self._time = clock
        self._entropy = entropy
        self._on_over = on_over
        self._conversation: Conversation | None = None
        self._till: LeanTill | None = None
        self._sent: dict[bytes, float] = {}
        self._stopping = False

    def opened(self) -> None:
        """Begin the sealed session."""
        self._conversation = Conversation(
            identity=self._identity,
            trust=self._trust,
            clock=self._time,
            entropy=self._entropy,
            channel_binding=exporter(self.transport),
        )
        self._follow(self._conversation.start())

    def lines_received(self, lines: list[bytes]) -> None:
        """Count answers, and send as many purchases again."""
        till = self._till
        if till is None:
            for line in lines:
                if self._conversation is not None:
                    self._follow(self._conversation.line(line))
            return
        out: list[bytes] = []
        now = self._tally.now()
        for line in lines:
            answer = till.answer(line)
            if answer is None:
                continue
            dialogue, code = answer
            self._tally.answered(code, now - self._sent.pop(dialogue))
            out.append(till.complete(dialogue))
            if not self._stopping:
                out.append(self._purchase(till, now))
        if out:
            self.send_block(b"".join(out))

    def closed(self, ending: Ending, reason: Failure) -> None:
        """Count what will never be answered."""
        self._tally.lost += len(self._sent)
        self._on_over()

    def stop(self) -> None:
        """Send no more purchases."""
        self._stopping = True

    def _follow(self, happenings: list[Happening]) -> None:
        for happening in happenings:
            match happening:
                case Write():
                    self.send_block(happening.line)
                case Up():
                    self._begin(happening)
                case Over():
                    self._tally.refused += 1
                    self._log.warn("load: no session: {reason}", reason=happening.reason)
                    self.hang_up()
                case _:
                    self.abort()

    def _begin(self, up: Up) -> None:
        self._tally.handshakes += 1
        if self._depth == 0:
            self.hang_up()
            return
        terms = up.terms
        till = LeanTill(up.session, self._cards, self._amount, terms.currency, terms.business_date, self._entropy.draw)
        self._till, now = till, self._tally.now()
        self.send_block(b"".join([self._purchase(till, now) for _ in range(self._depth)]))

    def _purchase(self, till: LeanTill, now: float) -> bytes:
        dialogue, line = till.purchase()
        self._sent[dialogue] = now
        return line
