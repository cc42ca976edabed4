"""Runs the core as a process of its own and hands it batches over a socket pair.

Decides nothing and repeats nothing: when the core dies, what it may have received is
answered with 96 (the terminal reverses), what it certainly never received with 91, and the
process is started again after a pause. A core that is late (trus.backend.corewatch) is treated alike,
but left to finish: what it commits late is durable, and its late answers are dropped. It is killed
only when it hangs in a call of the token, where nothing is being committed. A core that says that the
token refused its PIN is not started again before the PIN file changes.
"""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IProcessTransport
from twisted.internet.protocol import Factory, ProcessProtocol, connectionDone
from twisted.logger import Logger, LogLevel
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from trus.backend.corewatch import (
    LOOK_SECONDS,
    REMINDER_SECONDS,
    STUCK,
    Judgement,
    WatchLimits,
    judge,
    never_received,
    perhaps_done,
)
from trus.clock import Clock
from trus.core.codec import MAX_FRAME_BYTES, Answers, Batch, Note, Started, Stop, ToCore, decode_from_core, encode
from trus.core.messages import Answer, Request
from trus.core.pulse import PULSE_BYTES, PulseReader
from trus.core.worker import BlockingFrames
from trus.errors import TrusError

#: Pauses in seconds before the core is started again: at once, then slower and slower.
RESTART_PAUSES_SECONDS: Final = (0.1, 0.5, 2.0, 5.0, 10.0)
#: A core that does not finish within this many seconds after Stop is killed.
STOP_DEADLINE_SECONDS: Final = 10.0
#: Token and database open within this many seconds, migrations included.
START_DEADLINE_SECONDS: Final = 60.0
#: The descriptor under which the core finds its end of the pair.
CORE_DESCRIPTOR: Final = 3
#: The descriptor of the memory in which the core shows which call of the token it is in.
PULSE_DESCRIPTOR: Final = 4
#: Seconds between two looks at the PIN file after the token refused what it held.
PIN_LOOK_SECONDS: Final = 5.0


class CoreFailedToStart(TrusError):
    """The core process could not open token or database; the message says which and why."""


class CoreReactor(Protocol):
    """The parts of a reactor that a core process needs."""

    def spawnProcess(  # noqa: N802 - Twisted's name
        self,
        processProtocol: ProcessProtocol,  # noqa: N803
        executable: str,
        args: Sequence[str],
        env: dict[str, str],
        childFDs: dict[int, int],  # noqa: N803
    ) -> IProcessTransport:
        """Start a process."""
        ...

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Factory) -> None:  # noqa: N802, N803
        """Make a transport of a connected socket."""
        ...

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> IDelayedCall:  # noqa: A002
        """Call later."""
        ...


class _Pair(Int32StringReceiver):
    """The front's end of the pair."""

    MAX_LENGTH = MAX_FRAME_BYTES

    def __init__(self, owner: CoreProcess) -> None:
        self._owner = owner

    def say(self, value: ToCore) -> None:
        """Send one frame."""
        payload = encode(value)
        if self.transport is not None:
            self.transport.write(len(payload).to_bytes(4, "big") + payload)

    def stringReceived(self, string: bytes) -> None:  # noqa: N802 - Twisted's name
        self._owner.frame_received(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._owner.pair_lost(self)


class _PairFactory(Factory):
    """Hands out the one protocol of the pair."""

    noisy = False

    def __init__(self, pair: _Pair) -> None:
        self._pair = pair

    def buildProtocol(self, addr: IAddress | None) -> _Pair:
        return self._pair


class _Child(ProcessProtocol):
    """Watches the process itself."""

    def __init__(self, owner: CoreProcess) -> None:
        self._owner = owner

    def processEnded(self, reason: Failure) -> None:
        self._owner.process_ended(reason)


_DEFAULT_LIMITS: Final = WatchLimits()


class _Flight:
    """A batch that the core was given."""

    __slots__ = ("_answered", "requests", "sent_at")

    def __init__(self, requests: list[Request], answered: Deferred[list[Answer]], sent_at: float) -> None:
        self.requests = requests
        self.sent_at = sent_at
        self._answered: Deferred[list[Answer]] | None = answered

    def settle(self, answers: list[Answer]) -> None:
        """Answer, unless that was done: a batch that was given up is answered once as well."""
        answered, self._answered = self._answered, None
        if answered is not None:
            answered.callback(answers)


class CoreProcess:
    """A CorePort on a process that is started again when it dies."""

    _log = Logger()

    def __init__(
        self,
        reactor: CoreReactor,
        command: Sequence[str],
        environment: dict[str, str],
        on_lost: Callable[[str], None] = lambda sentence: None,
        *,
        clock: Clock,
        limits: WatchLimits = _DEFAULT_LIMITS,
        pin_mark: Callable[[], object] = lambda: None,
    ) -> None:
        """`command` starts the core; it finds its end of the pair at CORE_DESCRIPTOR.

        `on_lost` hears why the core is gone. `pin_mark()` returns something that changes with the
        PIN file.
        """
        self._reactor = reactor
        self._command = list(command)
        self._environment = environment
        self._on_lost = on_lost
        #: Called when a core that was lost serves again.
        self.on_back: Callable[[], None] = lambda: None
        self._pair: _Pair | None = None
        self._process: IProcessTransport | None = None
        self._stopped: Deferred[None] | None = None
        self._up = False
        self._served = False
        self._fault = ""
        self._attempts = 0
        self._number = 0
        self._flying: dict[int, _Flight] = {}
        self._timer: IDelayedCall | None = None
        self._clock = clock
        self._limits = limits
        self._pin_mark = pin_mark
        self._wrong_pin = False
        self._pulse: PulseReader | None = None
        self._look_timer: IDelayedCall | None = None
        self._stuck = ""  # why nothing is asked of the core; empty while it is well
        self._stuck_since = 0.0
        self._told_at = 0.0

    @property
    def up(self) -> bool:
        """Whether the core has said that token and database are open."""
        return self._up

    @property
    def pid(self) -> int | None:
        """The process id while the core runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process and wait until its token and database are open.

        Blocks, since nothing else can be served before. Raises CoreFailedToStart and does not
        try again: an operator who starts trus with a wrong PIN must see it at once.
        """
        self._spawn(wait=True)

    def stop(self) -> Deferred[None]:
        """Let the core finish what is under way; fires when its process has ended."""
        self._stopped = Deferred()
        stopped = self._stopped
        for timer in (self._timer, self._look_timer):
            if timer is not None and timer.active():
                timer.cancel()
        if self._process is None:
            self._stopped = None
            return succeed(None)
        self._timer = self._reactor.callLater(STOP_DEADLINE_SECONDS, self._kill)
        if self._pair is not None:
            self._pair.say(Stop())
        return stopped

    def submit(self, batch: list[Request]) -> Deferred[list[Answer]]:
        """Hand a batch to the core; see trus.backend.port.CorePort."""
        if not self._up or self._pair is None or self._stopped is not None:
            return succeed(never_received(batch, "core-down", self._fault or "the core is not running"))
        if self._stuck:
            return succeed(never_received(batch, STUCK, self._stuck))
        self._number += 1
        answered: Deferred[list[Answer]] = Deferred()
        self._flying[self._number] = _Flight(batch, answered, self._clock.monotonic())
        self._pair.say(Batch(self._number, batch))
        if self._look_timer is None:
            self._look_timer = self._reactor.callLater(LOOK_SECONDS, self._look)
        return answered

    # ------------------------------------------------------------ what pair and child report

    def frame_received(self, payload: bytes) -> None:
        """Take one frame of the core."""
        try:
            said = decode_from_core(payload)
        except msgspec.DecodeError:
            self._log.critical("the core sent a frame that does not decode; it is stopped")
            self._kill()
            return
        match said:
            case Answers():
                self._flying.pop(said.number).settle(said.answers)
                self._caught_up()
            case Started():
                self._core_started(said)
            case Note():
                self._log.emit(_LEVELS.get(said.level, LogLevel.warn), "core: {text}", text=said.text)

    def pair_lost(self, pair: _Pair) -> None:
        """The pair ended: the core is dying or dead."""
        if pair is not self._pair:
            return
        self._pair = None
        self._up = False
        self._give_up_flying()

    def process_ended(self, reason: Failure) -> None:
        """The process is gone: finish the stop, fail the start, or start again."""
        self._process = None
        self._up = False
        self._give_up_flying()
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)
            return
        sentence = self._fault or f"the core process ended: {_exit_words(reason)}"
        if not self._served:
            return  # the start failed, and start() has said so
        self._on_lost(sentence)
        if self._wrong_pin:
            self._log.critical("{sentence}; the core starts again when the PIN file changes", sentence=sentence)
            self._await_pin(self._pin_mark())
            return
        pause = RESTART_PAUSES_SECONDS[min(self._attempts, len(RESTART_PAUSES_SECONDS) - 1)]
        self._attempts += 1
        self._log.critical("{sentence}; starting it again in {pause} s", sentence=sentence, pause=pause)
        self._timer = self._reactor.callLater(pause, self._spawn)

    # ------------------------------------------------------------------------------ inside

    def _await_pin(self, mark: object) -> None:
        """Start again when the PIN file is another one than the token refused: wrong PINs lock a token."""
        if self._pin_mark() != mark:
            self._spawn()
        else:
            self._timer = self._reactor.callLater(PIN_LOOK_SECONDS, self._await_pin, mark)

    def _spawn(self, wait: bool = False) -> None:
        self._fault, self._wrong_pin = "", False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        memory = os.memfd_create("trus-pulse")
        try:
            os.ftruncate(memory, PULSE_BYTES)
            self._pulse = PulseReader(mmap.mmap(memory, PULSE_BYTES, access=mmap.ACCESS_READ), self._clock)
            self._process = self._reactor.spawnProcess(
                _Child(self),
                self._command[0],
                self._command,
                env=self._environment,
                childFDs={0: 0, 1: 1, 2: 2, CORE_DESCRIPTOR: theirs.fileno(), PULSE_DESCRIPTOR: memory},
            )
            theirs.close()
            if wait:
                self._await_start(ours)
            ours.setblocking(False)
            self._pair = _Pair(self)
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, _PairFactory(self._pair))
        finally:
            os.close(memory)
            theirs.close()
            ours.close()  # adoptStreamConnection works on a duplicate

    def _await_start(self, ours: socket.socket) -> None:
        try:
            payload = BlockingFrames(ours, START_DEADLINE_SECONDS).receive()
        except TimeoutError:
            self._kill()
            raise CoreFailedToStart(f"the core did not start within {START_DEADLINE_SECONDS:.0f} seconds") from None
        said = None if payload is None else decode_from_core(payload)
        if not isinstance(said, Started):
            raise CoreFailedToStart("the core process ended before it had opened token and database")
        if said.fault:
            raise CoreFailedToStart(said.fault)
        self._core_started(said)

    def _core_started(self, said: Started) -> None:
        if said.fault:
            self._fault, self._wrong_pin = said.fault, said.wrong_pin  # processEnded follows
            return
        if self._served:
            self._log.info("the core is back")
            self.on_back()
        self._up = self._served = True
        self._attempts = 0

    def _give_up_flying(self) -> None:
        flying, self._flying = self._flying, {}
        self._stuck = ""
        for flight in flying.values():
            flight.settle(perhaps_done(flight.requests, "core-lost", "the core ended"))

    def _look(self) -> None:
        """Look how the core is, as long as it owes an answer."""
        self._look_timer = None
        if not self._flying:
            return
        self._look_timer = self._reactor.callLater(LOOK_SECONDS, self._look)
        now = self._clock.monotonic()
        beat = None if self._pulse is None else self._pulse.beat()
        waited = now - min(flight.sent_at for flight in self._flying.values())
        judgement, sentence = judge(self._limits, waited, beat)
        if judgement is Judgement.WELL:
            return
        if not self._stuck:
            self._stuck_since, self._told_at = now, now
            self._log.critical("{sentence}; what waits gets code 91, what it holds 96", sentence=sentence)
        elif now - self._told_at >= REMINDER_SECONDS:
            self._told_at = now
            self._log.critical("{sentence}", sentence=sentence)
        self._stuck = sentence
        for flight in list(self._flying.values()):
            flight.settle(perhaps_done(flight.requests, STUCK, sentence))
        if judgement is Judgement.LOST:
            self._log.critical("{sentence}: the core is replaced", sentence=sentence)
            self._kill()

    def _caught_up(self) -> None:
        """Ask the core again once it has answered all that it was given up for."""
        if not self._stuck or self._flying:
            return
        lasted = self._clock.monotonic() - self._stuck_since
        self._stuck = ""
        self._log.warn("the core answers again after {lasted:.0f} s", lasted=lasted)
        self.on_back()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.signalProcess("KILL")


_LEVELS: Final = {
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
    "critical": LogLevel.critical,
}


def _exit_words(reason: Failure) -> str:
    value = reason.value
    if isinstance(value, ProcessDone):
        return "it exited"
    signal = getattr(value, "signal", None)
    return f"signal {signal}" if signal is not None else f"exit code {getattr(value, 'exitCode', '?')}"
