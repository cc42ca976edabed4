"""A whole small network on a fake clock: real terminals, the real front, the real core on a real ledger.

Composes what trus.cli.compose and trus.simulation.house compose. Only the gateway is missing, which
forwards lines byte for byte.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as FakeReactor

from tests.transactions.founding import ADMIN, CURRENCY, FOUNDED, IIN, identity_service, town
from tests.transactions.hearing import Notebook, Overheard, Remark
from tests.transactions.pipe import Endpoint, Pipe, binding_of
from trus.admin.model import RefusalCode
from trus.backend.front import Front
from trus.backend.port import InlineCore
from trus.backend.sessions import DeviceConnection
from trus.backend.surroundings import Outlet
from trus.cli.heads import TokenHeadSigner
from trus.core.core import Core
from trus.core.holding import HoldExpiry
from trus.core.keyring import find_card_keys
from trus.core.messages import AdminAnswer, AdminCommand, Refused
from trus.core.messages_directory import AskChannel, ChannelGiven, LookedUp, Lookup, Renew, Renewed
from trus.core.pipeline import MoneyPipeline, PipelineSettings
from trus.core.receipts import Allowance, ReceiptDesk
from trus.core.upkeep import CoreUpkeep
from trus.device.client import TerminalClient
from trus.device.journal import MemoryJournal
from trus.issuing.desk import Desk, IssuingSettings
from trus.issuing.handlers import AdminHandlers
from trus.ledger.compose import open_ledger
from trus.ledger.heads import HeadLog
from trus.ledger.proving import LedgerProver
from trus.ledger.registry import Registry
from trus.net.contexts import ClientChannel
from trus.pki.authority import Authority
from trus.pki.identity import INDIVIDUAL
from trus.protocol.link import Opened, Port
from trus.simulation.chance import SeededEntropy
from trus.simulation.house import SteadyDesk
from trus.simulation.keys import TokenState, UnreliableToken
from trus.simulation.network import SimulatedChannel
from trus.simulation.town import BACKEND_NAME, CardInHand, Till, Town
from trus.values import BusinessDate, ResponseCode

_T = TypeVar("_T")
#: Longer than anything on the stage waits for by itself.
_PATIENCE_SECONDS: Final = 400.0


class StageClock:
    """trus.clock.Clock on the fake reactor."""

    def __init__(self, reactor: FakeReactor) -> None:
        self._reactor = reactor
        #: Seconds in which nobody did anything.
        self.slept = 0.0

    def now(self) -> datetime:
        return FOUNDED + timedelta(minutes=30, seconds=self.monotonic())

    def monotonic(self) -> float:
        return float(self._reactor.seconds()) + self.slept


class Channels:
    """trus.core.core.DirectoryHandler that has another channel bundle for who asks, and nothing else."""

    def __init__(self) -> None:
        self.bundle: ChannelGiven | None = None

    def look_up(self, asked: Any) -> list[LookedUp]:
        return [LookedUp([], 0) for _ in cast("list[Lookup]", asked)]

    def renew(self, asked: Renew) -> Renewed | Refused:
        return Refused(ResponseCode.NOT_SUPPORTED, "no-directory")

    def channel(self, asked: AskChannel) -> ChannelGiven | Refused:
        return self.bundle or Refused(ResponseCode.RECORD_NOT_FOUND, "no-other")


class Stage:
    """Everything of one scene. `cards` are named by their holders."""

    def __init__(self, folder: Path) -> None:
        """Begin in an empty folder with the town as it was founded, at noon."""
        self.town: Town = town()
        self.reactor = FakeReactor()
        self.clock = StageClock(self.reactor)
        self.book = Notebook()
        self.cards: dict[str, CardInHand] = {each.employee: each for each in self.town.cards}
        self.channels = Channels()
        self.pipes: list[Pipe] = []
        self.notes: list[str] = []
        folder.mkdir(parents=True)
        path = folder / "trus.db"
        path.write_bytes(self.town.ledger)
        self._core_entropy = SeededEntropy(1, "core")
        self.token = TokenState()
        #: The certificate that devices were given beforehand, DER.
        authority = Authority(self.town.keys, self.town.keys, INDIVIDUAL, self.clock, self._core_entropy)
        self.authority = authority.certificate.public_bytes(Encoding.DER)
        self.ledger = open_ledger(
            path,
            db_key=self.town.db_key,
            lookup_key=self.town.lookup_key,
            field_keys=self.town.field_keys,
            clock=self.clock,
            entropy=self._core_entropy,
        )
        self.registry = Registry(self.ledger)
        self.core = self._compose(folder)
        self.front = Front(
            name=BACKEND_NAME,
            currency=CURRENCY,
            core=InlineCore(self.core),
            clock=self.clock,
            entropy=SeededEntropy(1, "front"),
            reactor=cast("Any", self.reactor),
            max_batch=256,
        )
        self._connections: list[DeviceConnection] = []
        self.front.start(self._announce, lambda: None, lambda: list(self._connections))
        self.pump()

    def _compose(self, folder: Path) -> Core:
        token = UnreliableToken(self.town.keys, {}, self.token)
        clock, entropy = self.clock, self._core_entropy
        heads = HeadLog(self.ledger, TokenHeadSigner(token), folder / "heads")
        self.upkeep = upkeep = CoreUpkeep(self.ledger, token, clock, lambda: heads.sign(clock.now()))
        upkeep.want_head()
        upkeep.keepers.append(HoldExpiry(self.ledger, clock, self._note).keep)
        service = identity_service(token, self.registry, clock, entropy)
        settings = IssuingSettings(personalisation=str(folder / "personalisation"), currency=CURRENCY, iin=IIN)
        desk = Desk(self.registry, token, service, clock, entropy, settings, upkeep.health)
        return Core(
            money=MoneyPipeline(
                self.ledger, token, find_card_keys(token), clock, entropy, PipelineSettings(), self._note
            ),
            identity=SteadyDesk(service, upkeep.business_date, self._note, clock, token),
            admin=AdminHandlers(desk),
            upkeep=upkeep,
            note=self._note,
            directory=self.channels,
            receipts=ReceiptDesk(LedgerProver(self.ledger), upkeep.want_head, self._note, Allowance(clock)),
        )

    def _note(self, level: str, text: str) -> None:
        self.notes.append(f"{level}: {text}")

    def close(self) -> None:
        """Close the ledger."""
        self.front.stop()
        self.ledger.close()

    # ------------------------------------------------------------------------------- connections

    def connect(self, till: Till, draws: list[bytes]) -> Pipe:
        """Open a connection of a terminal to the front."""
        number = len(self.pipes) + 1
        pipe = Pipe(
            cast("Any", self.reactor),
            number,
            lambda side, line: self.book.hear(number, till.name, draws, side, line),
        )
        opened = Opened(number, Port.DEVICE, f"192.0.2.7:{40_000 + number}", binding_of(number), "", "pos")
        far = DeviceConnection(
            opened, self.front, Outlet(pipe.answer, lambda: None, lambda reason: pipe.loseConnection())
        )
        self._connections.append(far)
        pipe.to_backend, pipe.backend_closed = far.line_received, far.closed
        self.pipes.append(pipe)
        return pipe

    def _announce(self, date: BusinessDate) -> None:
        for each in self._connections:
            each.announce_day(date)

    # ------------------------------------------------------------------------------------- time

    def pump(self, seconds: float = 0.0) -> None:
        """Let so much time pass, and everything happen that is due."""
        end = self.reactor.seconds() + seconds
        while True:
            due = [call.getTime() for call in self.reactor.getDelayedCalls()]
            following = min(due, default=end + 1)
            if following > end:
                break
            self.reactor.advance(max(0.0, following - self.reactor.seconds()))
        self.reactor.advance(max(0.0, end - self.reactor.seconds()))

    def sleep(self, seconds: float) -> None:
        """Let so much time pass at once; the core does its housekeeping then, and the front asks for what is new."""
        self.clock.slept += seconds
        self.idle()
        self.pump(61)

    def wait_for(self, awaited: Awaitable[_T]) -> _T:
        """Let time pass until somebody has an answer; return it."""
        outcome: list[Any] = []
        deferred = awaited if isinstance(awaited, Deferred) else Deferred.fromCoroutine(cast("Any", awaited))
        deferred.addBoth(outcome.append)
        until = self.reactor.seconds() + _PATIENCE_SECONDS
        self.pump()
        while not outcome and self.reactor.seconds() < until:
            following = min(call.getTime() for call in self.reactor.getDelayedCalls())
            self.pump(max(0.0, following - self.reactor.seconds()))
        if not outcome:
            raise TimeoutError("nothing happened on the stage")
        if hasattr(outcome[0], "raiseException"):
            outcome[0].raiseException()
        self.pump()
        return cast("_T", outcome[0])

    # ------------------------------------------------------------------------------- the operator

    def remark(self, text: str) -> None:
        """Put words into the transcript."""
        self.book.entries.append(Remark(text))

    def order(self, verb: str, **arguments: str) -> AdminAnswer:
        """Have the admin order something; it must be carried out."""
        name, serial = ADMIN
        command = AdminCommand(name, serial, verb, {key.replace("_", "-"): value for key, value in arguments.items()})
        [answer] = self.wait_for(self.front.submit([command]))
        if not isinstance(answer, AdminAnswer) or answer.code != RefusalCode.DONE:
            raise AssertionError(answer)
        return answer

    def idle(self) -> None:
        """Let the core do its housekeeping."""
        self.core.idle()
        self.pump()


class Terminal:
    """A terminal of the stage, over its incarnations."""

    def __init__(self, stage: Stage, number: int = 0) -> None:
        self.stage = stage
        self.till: Till = stage.town.tills[number]
        self.journal = MemoryJournal()
        self.pinpad: list[str | None] = []
        self.entropy = Overheard(SeededEntropy(2, self.till.name))
        self.client = self._client()
        self.on()

    def _client(self) -> TerminalClient:
        return TerminalClient(
            terminal=self.till.name,
            identity=self.till.identity,
            trust=self.stage.town.trust,
            channel=cast("ClientChannel", SimulatedChannel()),
            endpoint=cast("Any", Endpoint(lambda: self.stage.connect(self.till, self.entropy.draws))),
            reactor=cast("Any", self.stage.reactor),
            clock=self.stage.clock,
            entropy=self.entropy,
            journal=self.journal,
            ask_pin=self._type_pin,
        )

    async def _type_pin(self, tries_left: int | None) -> str | None:
        return self.pinpad.pop(0)

    @property
    def pipe(self) -> Pipe:
        """The newest connection."""
        return self.stage.pipes[-1]

    def on(self) -> None:
        """Switch it on and wait for its session."""
        self.stage.wait_for(self.client.start())

    def dies(self, *, backend_knows: bool = True) -> None:
        """Cut its power: what it has in memory is gone, its journal is not."""
        self.client._running = False  # nobody says good bye
        self.pipe.cut(backend_knows=backend_knows)
        self.client.stop()
        self.client = self._client()

    def forgets(self) -> None:
        """Lose the journal, as a terminal does that was exchanged."""
        self.journal = MemoryJournal()
        self.dies()

    def ask(self, question: Callable[[TerminalClient], Awaitable[_T]]) -> _T:
        """Ask, and wait for the answer."""
        return self.stage.wait_for(question(self.client))

    def begin(self, question: Callable[[TerminalClient], Awaitable[_T]]) -> Deferred[_T]:
        """Ask, and let everything happen that needs no time."""
        waiting = cast("Deferred[_T]", Deferred.fromCoroutine(cast("Any", question(self.client))))
        self.stage.pump()
        return waiting
