"""Connects a terminal to its gateway and keeps it connected, under Twisted.

Decides nothing about money (trus.device.terminal does) and opens no seal by itself
(trus.device.conversation does): it moves bytes, time and answers between them. Whoever asks
for a purchase gets exactly one answer; an unknown result counts as declined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from trus.cards.pin import Pin, check_pin
from trus.clock import Clock, Entropy
from trus.device.asking import Asking
from trus.device.connection import DeviceConnection
from trus.device.conversation import Conversation, Happening, Heard, Identity, Over, Renewed, Up
from trus.device.effects import AskPin, Finished, HangUp, Say, Signed
from trus.device.errors import Stopped, Unreachable
from trus.device.journal import Journal, JournalError
from trus.device.orders import Answer, PinCallback
from trus.device.pinpad import pin_encoder
from trus.device.requests import Timing
from trus.device.terminal import Terminal
from trus.device.trust import DeviceTrust
from trus.errors import TrusError
from trus.net.contexts import ClientChannel
from trus.protocol.effects import Terms
from trus.protocol.errors import ErrorCode, SessionEnded
from trus.protocol.tickets import StoredTicket
from trus.values import TerminalId

#: Before the first attempt to connect again, in seconds; doubled up to the other.
FIRST_RECONNECT_SECONDS: Final = 0.25
MOST_RECONNECT_SECONDS: Final = 15.0


class TerminalClient(Asking):
    """One terminal on the network, for programs: `await client.purchase(...)`."""

    _log = Logger()

    def __init__(
        self,
        *,
        terminal: TerminalId,
        identity: Identity,
        trust: DeviceTrust,
        channel: ClientChannel,
        endpoint: IStreamClientEndpoint,
        reactor: IReactorTime,
        clock: Clock,
        entropy: Entropy,
        journal: Journal,
        ask_pin: PinCallback | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Prepare a terminal; `endpoint` reaches the gateway over plain TCP, `channel` adds TLS.

        Without `ask_pin` a PIN that the backend asks for and that did not come with the
        purchase cannot be given: the purchase is cancelled.
        """
        self._terminal = Terminal(
            terminal,
            journal=journal,
            clock=clock,
            entropy=entropy,
            encode_pin=pin_encoder(entropy),
            timing=timing,
        )
        self._identity = identity
        self._trust = trust
        self._channel = channel
        self._endpoint = endpoint
        self.reactor = reactor
        self._clock = clock
        self._entropy = entropy
        self._ask_pin = ask_pin
        self._ticket: StoredTicket | None = None
        self._connection: DeviceConnection | None = None
        self._connecting: Deferred[None] | None = None
        self._attempts = 0
        self._running = False
        self._answers: dict[int, Deferred[Answer]] = {}
        self._started: list[Deferred[Terms]] = []
        self._settled: list[Deferred[None]] = []
        self._stopped: list[Deferred[None]] = []
        self._signing: list[Deferred[None]] = []
        self._up = False
        self._soon: IDelayedCall | None = None
        self._alarm: IDelayedCall | None = None
        self._redial: IDelayedCall | None = None
        self.sessions = 0  #: sealed sessions made so far
        self.why = ""  #: why the last connection ended

    # ------------------------------------------------------------------------ for programs

    def start(self) -> Deferred[Terms]:
        """Connect, and stay connected until `stop`.

        Fires with what the backend announced once a sealed session stands; fails with
        Unreachable when the first attempt does not succeed (the next ones go on in the
        background).
        """
        waiting: Deferred[Terms] = Deferred()
        if self._up:
            waiting.callback(self._terminal.terms)
            return waiting
        self._started.append(waiting)
        if not self._running:
            self._running = True
            self._dial()
        return waiting

    def stop(self) -> Deferred[None]:
        """Hang up and forget what is asked: the journal remembers it. Fires when all is closed."""
        self._running = False
        done: Deferred[None] = Deferred()
        for timer in (self._soon, self._alarm, self._redial):
            if timer is not None and timer.active():
                timer.cancel()
        self._soon = self._alarm = self._redial = None
        self._fail_waiting(Stopped("the terminal was stopped"))
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is None:
            done.callback(None)
        else:
            self._stopped.append(done)
            self._connection.farewell()
        return done

    def sign(self, *, on: bool) -> Deferred[None]:
        """Sign on, as a new session is, or off; fires when answered, fails with Stopped or Unreachable.

        Said again for as long as the backend cannot answer: its core may be away. One order after the other.
        """
        waiting: Deferred[None] = Deferred()
        if not self._up:
            waiting.errback(Unreachable("no session stands"))
            return waiting
        self._signing.append(waiting)
        self._terminal.sign(on=on)
        self._pump_soon()
        return waiting

    def change_keys(self) -> None:
        """Have the session go on under new keys now; it does so by itself when they are old."""
        if self._connection is not None:
            self._connection.refresh(now=True)

    def settled(self) -> Deferred[None]:
        """Fire when nothing is unfinished any more, reversals in the background included."""
        waiting: Deferred[None] = Deferred()
        self._settled.append(waiting)
        self._pump_soon()
        return waiting

    @property
    def terms(self) -> Terms:
        """What the backend announced last."""
        return self._terminal.terms

    @property
    def connected(self) -> bool:
        """Whether a sealed session stands."""
        return self._up

    @property
    def unfinished(self) -> int:
        """How many requests are not settled, reversals in the background included."""
        return self._terminal.unfinished

    def _answer(self, key: int) -> Deferred[Answer]:
        waiting: Deferred[Answer] = Deferred()
        self._answers[key] = waiting
        self._pump_soon()
        return waiting

    # -------------------------------------------------------------------------- connecting

    def _dial(self) -> None:
        self._redial = None
        self._connecting = Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> None:
        factory = Factory.forProtocol(self._make_connection)
        try:
            await self._endpoint.connect(self._channel.wrap(factory, self.reactor))
        except Exception as problem:  # noqa: BLE001 - endpoints fail with whatever the network raises
            self._connecting = None
            self._not_connected(str(problem) or type(problem).__name__)
        else:
            self._connecting = None

    def _make_connection(self) -> DeviceConnection:
        self._connection = DeviceConnection(self.reactor, self._converse, self)
        return self._connection

    def _converse(self, binding: bytes) -> Conversation:
        return Conversation(
            identity=self._identity,
            trust=self._trust,
            clock=self._clock,
            entropy=self._entropy,
            channel_binding=binding,
            ticket=self._ticket,
        )

    def _not_connected(self, why: str) -> None:
        """Try again later, and tell whoever waits for the first session."""
        self.why = why
        waiting, self._started = self._started, []
        for each in waiting:
            each.errback(Unreachable(why))
        if self._running and self._redial is None:
            wait = min(FIRST_RECONNECT_SECONDS * 2.0 ** min(self._attempts, 10), MOST_RECONNECT_SECONDS)
            share = int.from_bytes(self._entropy.draw(2), "big") / 65536
            self._attempts += 1
            self._redial = self.reactor.callLater(wait * (0.5 + share / 2), self._dial)

    # ------------------------------------------------------- what the connection tells us

    def happened(self, connection: DeviceConnection, happenings: Sequence[Happening]) -> None:
        """Take what a connection brought (trus.device.connection.ConnectionOwner)."""
        if connection is not self._connection:
            return
        for happening in happenings:
            match happening:
                case Up():
                    self._went_up(happening)
                case Renewed() if happening.ticket is not None:
                    self._ticket = happening.ticket
                case Heard():
                    self._terminal.heard(happening.message)
                case Over():
                    self._went_down()
                case _:
                    pass
        self._pump()

    def gone(self, connection: DeviceConnection, why: str) -> None:
        """Connect again (trus.device.connection.ConnectionOwner)."""
        if connection is not self._connection:
            return
        self._connection = None
        if why == ErrorCode.REFUSED:
            self._ticket = None  # of a certificate that is not good any more: the next attempt shows its own
        self._went_down()
        self._log.debug("terminal {name}: connection ended: {why}", name=self._terminal.name, why=why)
        stopped, self._stopped = self._stopped, []
        for each in stopped:
            each.callback(None)
        if self._running:
            self._not_connected(why)
            self._pump_soon()

    def _went_up(self, up: Up) -> None:
        self._up = True
        self.sessions += 1
        self._attempts = 0
        self._ticket = up.ticket
        self._terminal.opened(up.session, up.terms)
        waiting, self._started = self._started, []
        for each in waiting:
            each.callback(up.terms)

    def _went_down(self) -> None:
        if self._up:
            self._up = False
            self._terminal.closed()
            signing, self._signing = self._signing, []
            for each in signing:
                each.errback(Unreachable("the session ended"))

    # ------------------------------------------------------------------------ the terminal

    def _pump_soon(self) -> None:
        """Drain once for everything that this reactor turn brings: one fsync for all of it."""
        if self._soon is None:
            self._soon = self.reactor.callLater(0, self._pump_now)

    def _pump_now(self) -> None:
        self._soon = None
        self._pump()

    def _pump(self) -> None:
        try:
            self._terminal.tick()
            effects = self._terminal.drain()
        except SessionEnded:
            self._went_down()
            if self._connection is not None:
                self._connection.drop("session")
            self._pump_soon()
            return
        except JournalError as problem:
            self._out_of_order(problem)
            return
        # First everything that is sealed leaves, in the order of its sealing; only then is anybody
        # told anything: who hears an answer may ask, or stop, before the callback returns.
        connection = self._connection
        if connection is not None:
            connection.send_lines([effect.line[:-2] for effect in effects if isinstance(effect, Say)])
        for effect in effects:
            match effect:
                case Finished():
                    self._finished(effect)
                case AskPin():
                    Deferred.fromCoroutine(self._obtain_pin(effect)).addErrback(self._log_failure)
                case Signed() if self._signing:
                    self._signing.pop(0).callback(None)
                case HangUp() if self._connection is not None:
                    self._connection.drop(effect.reason)
                case _:
                    pass
        if self._connection is not None:
            self._connection.refresh()
        self._set_alarm()
        if not self._terminal.unfinished:
            settled, self._settled = self._settled, []
            for each in settled:
                each.callback(None)

    def _finished(self, effect: Finished) -> None:
        waiting = self._answers.pop(effect.key, None)
        if waiting is not None:
            waiting.callback(effect.answer)

    async def _obtain_pin(self, effect: AskPin) -> None:
        pin = None
        try:
            if self._ask_pin is not None:
                pin = await self._ask_pin(effect.tries_left)
                if pin is not None:
                    check_pin(Pin(pin))
        except TrusError:
            pin = None  # not a PIN: the same as none
        except Exception:  # noqa: BLE001 - whatever the pinpad's program does, the purchase ends
            self._log_failure(Failure())
            pin = None
        if self._running:  # else the terminal was stopped, or its journal failed: nobody waits any more
            self._terminal.present_pin(effect.key, pin)
            self._pump_soon()

    def _set_alarm(self) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None
        moment = self._terminal.deadline()
        if moment is not None and self._running:
            delay = max(0.0, moment - self._clock.monotonic())
            self._alarm = self.reactor.callLater(delay, self._pump_soon)

    def _out_of_order(self, problem: JournalError) -> None:
        """The disk refused a record: nothing may be said any more."""
        self._running = False
        self._log.error("terminal {name} is out of order: {problem}", name=self._terminal.name, problem=str(problem))
        self._fail_waiting(problem)
        if self._connection is not None:
            self._connection.drop("journal")

    def _fail_waiting(self, problem: TrusError) -> None:
        answers, self._answers = self._answers, {}
        started, self._started = self._started, []
        settled, self._settled = self._settled + self._signing, []
        self._signing = []
        errbacks = [each.errback for each in answers.values()]
        errbacks += [each.errback for each in started] + [each.errback for each in settled]
        for errback in errbacks:
            errback(problem)

    def _log_failure(self, failure: Failure) -> None:
        self._log.failure("the PIN callback failed", failure=failure)


__all__ = ["Stopped", "TerminalClient", "Unreachable"]
