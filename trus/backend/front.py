"""Holds what all links of a backend share: the way to the core, its identity, the day.

Opens no socket and runs no loop of its own accord: trus.backend.service does. The backend's
chain and OCSP answer, and the open business date, are asked of the core at intervals and
after every admin's command, and remembered here so that a handshake can start at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from trus.backend.batching import Batcher, OnAnswer
from trus.backend.port import CorePort
from trus.backend.standing import StandingWatch, Watched
from trus.clock import Clock, Entropy
from trus.core.messages import (
    Answer,
    BackendIdentity,
    DayOpen,
    DayState,
    IdentityMaterial,
    Request,
)
from trus.protocol.tickets import TicketKeys
from trus.values import BusinessDate

#: Seconds between two questions for the business date and the newest change of standing: how late
#: a terminal hears of a day, and how late the live session of a revoked one ends.
DAY_SECONDS: Final = 1.0
#: Seconds between two questions for chain and OCSP answer; the answer lives for hours.
IDENTITY_SECONDS: Final = 60.0
#: Dialogues open at once on one session and direction.
MAX_DIALOGUES: Final = 64
#: Seconds of silence after which a session ends.
IDLE_SECONDS: Final = 300


class Front:
    """trus.backend.surroundings.Surroundings, on one core."""

    _log = Logger()

    def __init__(
        self,
        *,
        name: str,
        currency: str,
        core: CorePort,
        clock: Clock,
        entropy: Entropy,
        reactor: IReactorTime,
        max_batch: int,
        day_seconds: float = DAY_SECONDS,
    ) -> None:
        """`name` is what gateways are told; `currency` the network's ISO 4217 code.

        The core is asked for the open business date every `day_seconds`.
        """
        self.name = name
        self.currency = currency
        self.clock = clock
        self.entropy = entropy
        self.tickets = TicketKeys(clock, entropy)
        self.max_dialogues = MAX_DIALOGUES
        self.idle_seconds = IDLE_SECONDS
        self._batcher = Batcher(core, reactor, max_batch=max_batch)
        self._identity: BackendIdentity | None = None
        self._date = BusinessDate("")
        self._standings = StandingWatch(self.ask)
        self._on_day: Callable[[BusinessDate], None] = lambda date: None
        self._on_ready: Callable[[], None] = lambda: None
        self._loops = [(LoopingCall(self._ask_identity), IDENTITY_SECONDS), (LoopingCall(self._ask_day), day_seconds)]
        for loop, _ in self._loops:
            loop.clock = reactor

    def start(
        self,
        on_day: Callable[[BusinessDate], None],
        on_ready: Callable[[], None],
        live: Callable[[], Iterable[Watched]] = lambda: (),
    ) -> None:
        """Begin to ask; `on_day` hears of every new business date, `on_ready` once of the first identity.

        `live` returns the device connections now open: the sessions of whoever does not stand any
        more are ended.
        """
        self._standings.live = live
        self._on_day = on_day
        self._on_ready = on_ready
        for loop, seconds in self._loops:
            loop.start(seconds)

    def stop(self) -> None:
        """Ask no more."""
        for loop, _ in self._loops:
            if loop.running:
                loop.stop()

    def identity(self) -> BackendIdentity | None:
        """Return the backend's chain and OCSP answer, None before the core has told them."""
        return self._identity

    def business_date(self) -> BusinessDate:
        """Return the open business date as last heard."""
        return self._date

    def ask(self, request: Request, on_answer: OnAnswer) -> None:
        """Put a request into the core's next batch."""
        self._batcher.ask(request, on_answer)

    def submit(self, requests: list[Request]) -> Deferred[list[Answer]]:
        """Ask several at once, for an admin; fires with the answers in order."""
        answered: Deferred[list[Answer]] = Deferred()
        answers: dict[int, Answer] = {}

        def take(index: int, answer: Answer) -> None:
            answers[index] = answer
            if len(answers) == len(requests):
                answered.callback([answers[position] for position in range(len(requests))])
                self._ask_day()  # the command may have opened another one

        for index, request in enumerate(requests):
            self._batcher.ask(request, lambda answer, index=index: take(index, answer))  # type: ignore[misc]
        if not requests:
            answered.callback([])
        return answered

    def refresh(self) -> None:
        """Ask for identity and day now: the core was started again."""
        self._ask_identity()
        self._ask_day()

    def _ask_identity(self) -> None:
        self._batcher.ask(IdentityMaterial(), self._take_identity)

    def _take_identity(self, answer: Answer) -> None:
        if not isinstance(answer, BackendIdentity):
            self._log.error("the core did not tell the backend's identity")
            return
        first = self._identity is None
        self._identity = answer
        if first:
            self._on_ready()

    def _ask_day(self) -> None:
        self._batcher.ask(DayState(), self._take_day)

    def _take_day(self, answer: Answer) -> None:
        if not isinstance(answer, DayOpen):
            return
        self._standings.heard(answer.standings)
        if answer.business_date != self._date:
            changed = self._date != ""
            self._date = answer.business_date
            if changed:
                self._on_day(self._date)
