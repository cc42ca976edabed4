"""Runs the core as a process of its own and hands it batches over a socket pair.

Decides nothing and repeats nothing: when the core dies, what it may have received is
answered with 96 (the terminal reverses), what it certainly never received with 91, and the
process is started again after a pause. The core gets no environment but what it needs.
"""

from __future__ import annotations

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

from trus.core.codec import MAX_FRAME_BYTES, Answers, Batch, Note, Started, Stop, ToCore, decode_from_core, encode
from trus.core.messages import Answer, Failed, Request
from trus.core.worker import BlockingFrames
from trus.errors import TrusError
from trus.values import ResponseCode

#: Pauses in seconds before the core is started again: at once, then slower and slower.
RESTART_PAUSES_SECONDS: Final = (0.1, 0.5, 2.0, 5.0, 10.0)
#: A core that does not finish within this many seconds after Stop is killed.
STOP_DEADLINE_SECONDS: Final = 10.0
#: Token and database open within this many seconds, migrations included.
START_DEADLINE_SECONDS: Final = 60.0
#: The descriptor under which the core finds its end of the pair.
CORE_DESCRIPTOR: Final = 3


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


class CoreProcess:
    """A CorePort on a process that is started again when it dies."""

    _log = Logger()

    def __init__(
        self,
        reactor: CoreReactor,
        command: Sequence[str],
        environment: dict[str, str],
        on_lost: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """`command` starts the core; it finds its end of the pair at CORE_DESCRIPTOR.

        `on_lost` hears why the core is gone.
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
        self._flying: dict[int, tuple[int, Deferred[list[Answer]]]] = {}
        self._timer: IDelayedCall | None = None

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
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
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
            return succeed([Failed(ResponseCode.ISSUER_UNAVAILABLE, "core-down")] * len(batch))
        self._number += 1
        answered: Deferred[list[Answer]] = Deferred()
        self._flying[self._number] = (len(batch), answered)
        self._pair.say(Batch(self._number, batch))
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
                _, answered = self._flying.pop(said.number)
                answered.callback(said.answers)
            case Started():
                self._core_started(said.fault)
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
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)
            return
        sentence = self._fault or f"the core process ended: {_exit_words(reason)}"
        if not self._served:
            return  # the start failed, and start() has said so
        pause = RESTART_PAUSES_SECONDS[min(self._attempts, len(RESTART_PAUSES_SECONDS) - 1)]
        self._attempts += 1
        self._log.critical("{sentence}; starting it again in {pause} s", sentence=sentence, pause=pause)
        self._on_lost(sentence)
        self._timer = self._reactor.callLater(pause, self._spawn)

    # ------------------------------------------------------------------------------ inside

    def _spawn(self, wait: bool = False) -> None:
        self._fault = ""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = self._reactor.spawnProcess(
                _Child(self),
                self._command[0],
                self._command,
                env=self._environment,
                childFDs={0: 0, 1: 1, 2: 2, CORE_DESCRIPTOR: theirs.fileno()},
            )
            theirs.close()
            if wait:
                self._await_start(ours)
            ours.setblocking(False)
            self._pair = _Pair(self)
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, _PairFactory(self._pair))
        finally:
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
        self._core_started("")

    def _core_started(self, fault: str) -> None:
        if fault:
            self._fault = fault  # processEnded follows
            return
        if self._served:
            self._log.info("the core is back")
            self.on_back()
        self._up = self._served = True
        self._attempts = 0

    def _give_up_flying(self) -> None:
        flying, self._flying = self._flying, {}
        for count, answered in flying.values():
            answered.callback([Failed(ResponseCode.SYSTEM_ERROR, "core-lost")] * count)

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
