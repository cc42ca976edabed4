"""Is a terminal with its cashiers, in a process of its own, on its own fsynced journal.

    python -m tests.faults.till PLAN_FILE

Sells, takes back and gives back without end; `rest N` on standard input lets it finish what is under way,
close its batch and say so; `go` lets it sell again; the end of the input ends it. What its cashiers hear is
written down in the evidence file at once. The program under test is the shipped TerminalClient.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.faults.evidence import Asking, Broken, Rested, Started, Told, WatchedJournal, Writer, last_records, put_down
from tests.faults.hooks import Traps, install
from tests.faults.steps import Part
from trus.clock import SystemClock, SystemEntropy
from trus.device.client import TerminalClient
from trus.device.errors import Stopped, Unreachable
from trus.device.home import JOURNAL, DeviceHome
from trus.device.journal import Asked, JournalError
from trus.device.orders import Answer, Reference
from trus.device.requests import Timing
from trus.net.steady import steady
from trus.values import Identity

#: Shorter than in a shop, so that a round of faults lasts seconds.
TIMING: Final = Timing(answer=1.5, give_up=6.0, pin=10.0, reversal_first=0.25, reversal_most=2.0)
#: The exit code of a terminal whose journal failed.
OUT_OF_ORDER: Final = 3


class Plan(msgspec.Struct, frozen=True):
    """What a terminal's process is told: paths, cards as (track 2, PIN), and how busy its cashiers are.

    `think` is the longest time, in seconds, that one of its `lanes` cashiers waits before the next order.
    """

    home: str
    evidence: str
    traps: str
    cards: list[tuple[str, str]]
    seed: int
    incarnation: int
    lanes: int
    think: float
    compact_above: int


class Till:
    """The cashiers of one terminal."""

    def __init__(self, reactor: Any, plan: Plan) -> None:
        home = DeviceHome.load(Path(plan.home))
        self._reactor = reactor
        self._plan = plan
        self._evidence = Writer(Path(plan.evidence))
        self._random = random.Random(f"{plan.seed}/{plan.home}/{plan.incarnation}")
        # What the process before had made durable and could not put down any more belongs to that one.
        put_down(last_records(home.path / JOURNAL), self._evidence, time.monotonic())
        journal = WatchedJournal(home.path / JOURNAL, plan.compact_above, self._evidence, time.monotonic)
        self._memory = journal.memory
        self._evidence.put(Started(time.monotonic(), plan.incarnation, journal.memory.summary()))
        self.client = TerminalClient(
            terminal=home.terminal,
            identity=home.identity(),
            trust=home.trust(),
            channel=home.channel(),
            endpoint=TCP4ClientEndpoint(reactor, home.settings.host, home.settings.port),
            reactor=reactor,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            journal=journal,
            timing=TIMING,
        )
        self._closing = any(each.asked is Asked.CLOSE for each in journal.memory.unfinished.values())
        self._orders = 0
        self._busy = 0
        self._wish = 0  #: the wish for rest that is to be fulfilled; 0: trade
        #: Purchases of this incarnation that were neither taken back nor given back.
        self._sold: list[tuple[Reference, str]] = []

    def start(self) -> None:
        """Go on the network, and let the cashiers in."""
        self.client.start().addErrback(lambda failure: failure.trap(Unreachable, Stopped) and None)
        for _ in range(self._plan.lanes):
            Deferred.fromCoroutine(self._cashier()).addErrback(self._failed)

    def hear(self, line: bytes) -> None:
        """Take an order of the harness."""
        word, _, number = line.decode("ascii").partition(" ")
        self._wish = int(number) if word == "rest" else 0
        if self._wish:
            Deferred.fromCoroutine(self._rest(self._wish)).addErrback(self._failed)

    async def _cashier(self) -> None:
        if self._closing:
            await self._quiet()
        while True:
            await deferLater(self._reactor, self._random.uniform(0, self._plan.think))
            if self._wish or not self.client.terms.currency:
                continue  # before its first session a terminal does not know its currency
            self._busy += 1
            try:
                await self._order()
            finally:
                self._busy -= 1

    async def _order(self) -> None:
        chance = self._random.random()
        if self._sold and chance < 0.2:
            reference, _ = self._sold.pop(self._random.randrange(len(self._sold)))
            await self._place(Asked.REVERSE, self.client.reverse(reference), reference.amount, reference.identity)
        elif self._sold and chance < 0.35:
            reference, rrn = self._sold.pop(self._random.randrange(len(self._sold)))
            amount = self._random.randint(1, reference.amount)
            await self._place(Asked.REFUND, self.client.refund(amount, rrn, original=reference), amount)
        else:
            track2, pin = self._random.choice(self._plan.cards)
            amount = self._random.randint(1, 999)
            answer = await self._place(Asked.PURCHASE, self.client.purchase(amount, track2, pin), amount)
            if answer.approved and answer.reference is not None:
                self._sold.append((answer.reference, answer.rrn))

    async def _place(self, asked: Asked, asking: Any, amount: int = 0, original: Identity | None = None) -> Answer:
        self._orders += 1
        number = self._orders
        self._evidence.put(Asking(time.monotonic(), number, asked, amount, original))
        answer: Answer = await asking
        self._evidence.put(Told(time.monotonic(), number, answer))
        return answer

    async def _rest(self, wish: int) -> None:
        """Finish what is under way, close the batch, and say so; somebody may have changed their mind meanwhile."""
        while not self.client.terms.currency:
            await deferLater(self._reactor, 0.05)
        await self._quiet()
        if self._wish == wish:
            await self._place(Asked.CLOSE, self.client.close_batch())
            await self._quiet()
            self._evidence.put(Rested(time.monotonic(), wish))

    async def _quiet(self) -> None:
        while self._busy or self._memory.unfinished or self.client.unfinished:
            await deferLater(self._reactor, 0.05)

    def _failed(self, failure: Failure) -> None:
        """End the process: the journal failed, or this program is wrong."""
        if failure.check(JournalError):
            self._evidence.put(Broken(time.monotonic(), str(failure.value)))
            stop_with(self._reactor, OUT_OF_ORDER)
        elif not failure.check(Stopped):
            failure.printTraceback(sys.stderr)
            stop_with(self._reactor, 1)


_exit_code = 0


def stop_with(reactor: Any, code: int) -> None:
    """End the process with this exit code."""
    global _exit_code
    _exit_code = code
    if reactor.running:
        reactor.callLater(0, lambda: reactor.running and reactor.stop())


def main(plan: Plan) -> int:
    """Run the terminal until its input ends; return the exit code."""
    from twisted.internet import reactor, stdio
    from twisted.protocols.basic import LineOnlyReceiver

    loop: Any = reactor
    steady(loop, SystemClock())
    install(Traps(Path(plan.traps)), (Part.TERMINAL,), loop.callLater)
    till = Till(loop, plan)

    class Orders(LineOnlyReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            till.hear(line)

        def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
            stop_with(loop, 0)

    stdio.StandardIO(Orders())
    loop.callWhenRunning(till.start)
    loop.run()
    return _exit_code


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)))
