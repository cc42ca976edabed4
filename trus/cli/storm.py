"""Makes new handshakes without end, from a process of its own, while purchases are measured.

    python -m trus.cli.storm HOST PORT HOME...

Each is whole: TCP, two-way TLS 1.3, the sealed session's full handshake with signatures on both
sides; then the connection is closed. The process prints how many it has made, twice a second,
and ends with its standard input.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from trus.cli.bench_setup import Bench
from trus.cli.load import LoadTerminal, Tally
from trus.clock import SystemClock, SystemEntropy
from trus.device.home import DeviceHome

#: New handshakes under way at once: enough that one is always waiting at the gateway.
WIDTH: Final = 16
#: Seconds before a connection that failed is tried again.
PAUSE_SECONDS: Final = 0.1
_REPORT_SECONDS: Final = 0.5


class Storm:
    """The bench's handle on the storm's process."""

    def __init__(self, reactor: Any, bench: Bench) -> None:
        self._reactor = reactor
        self._bench = bench
        self._ended: Deferred[None] = Deferred()
        self._process: Any = None
        self.handshakes = 0

    def begin(self) -> None:
        """Start the process."""
        storm = self

        class Watch(ProcessProtocol):
            def outReceived(self, data: bytes) -> None:
                counts = data.split()
                if counts:
                    storm.handshakes = int(counts[-1])

            def processEnded(self, reason: Failure) -> None:
                storm._ended.callback(None)

        homes = [str(path) for path in self._bench.folders]
        command = [sys.executable, "-m", "trus.cli.storm", self._bench.host, str(self._bench.port), *homes]
        self._process = self._reactor.spawnProcess(
            Watch(), sys.executable, command, env=dict(os.environ), childFDs={0: "w", 1: "r", 2: 2}
        )

    async def end(self) -> None:
        """End it, and wait until it is gone."""
        self._process.closeStdin()
        await self._ended


class Weather:
    """The storm itself."""

    def __init__(self, reactor: Any, host: str, port: int, homes: list[DeviceHome]) -> None:
        self._reactor = reactor
        self._endpoint = TCP4ClientEndpoint(reactor, host, port)
        self._clock, self._entropy = SystemClock(), SystemEntropy()
        self.tally = Tally(self._clock.monotonic)
        self._devices = itertools.cycle([(home.identity(), home.trust(), home.channel()) for home in homes])

    def begin(self) -> None:
        """Start WIDTH handshakes; each is followed by the next."""
        for _ in range(WIDTH):
            self._gust()

    def _gust(self) -> None:
        identity, trust, channel = next(self._devices)
        terminal = LoadTerminal(
            self._reactor, identity, trust, iter(()), 0, 0, self.tally, self._clock, self._entropy, self._gust
        )
        factory = Factory.forProtocol(lambda: terminal)
        factory.noisy = False
        dialled = self._endpoint.connect(channel.wrap(factory, self._reactor))
        dialled.addErrback(lambda failure: self._reactor.callLater(PAUSE_SECONDS, self._gust))


class _UntilTheEnd(Protocol):
    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()


def main(host: str, port: int, homes: list[Path]) -> None:
    """Make handshakes until standard input ends."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    weather = Weather(reactor, host, port, [DeviceHome.load(path) for path in homes])
    reactor.callWhenRunning(weather.begin)
    report = LoopingCall(lambda: print(weather.tally.handshakes, flush=True))
    reactor.callWhenRunning(report.start, _REPORT_SECONDS)
    StandardIO(_UntilTheEnd(lambda: reactor.running and reactor.stop()))
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), [Path(path) for path in sys.argv[3:]])
