"""The simulated backend's machine: the real front and the real core, two processes that die and come back.

Restarts as trus.backend.corelink and an operator's supervisor do: a core that died is started again
by its front, a front that died takes its core with it, and what a dead core may have received is
answered with 96.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, succeed

from trus.backend.front import Front
from trus.backend.linkserver import LinkFactory
from trus.core.codec import Answers, Batch, decode_from_core, decode_to_core, encode
from trus.core.messages import Answer, Failed, Request
from trus.errors import KeyStoreError, TrusError
from trus.simulation.chance import Chance, SeededEntropy
from trus.simulation.clockwork import Clockwork, Crashed, Part
from trus.simulation.house import House, build_house
from trus.simulation.keys import TokenState, UnreliableToken
from trus.simulation.network import ChannelName, Listener, Network
from trus.simulation.storage import Disk
from trus.simulation.town import BACKEND_NAME, CURRENCY, Town
from trus.values import ChannelRole, ResponseCode

PLACE: Final = "backend"
#: Seconds until a core that died is started again, and until a machine is up.
CORE_PAUSE: Final = (0.1, 2.0)
MACHINE_PAUSE: Final = (1.0, 8.0)
#: A batch's ordinary time in the core, in seconds.
SERVICE: Final = (0.001, 0.004)
#: Batches between two looks at housekeeping, on average.
_UPKEEP_EVERY: Final = 12

Note = Callable[[str, str], None]


class SimulatedCore:
    """trus.backend.port.CorePort on a core that is another part: frames go there and come back, or not."""

    def __init__(self, work: Clockwork, chance: Chance, token: TokenState) -> None:
        self._work = work
        self._chance = chance
        self._token = token
        self.front: Part | None = None
        self.part: Part | None = None
        self.house: House | None = None
        #: Seconds that every batch takes longer: a busy disk.
        self.slow = 0.0
        self.batches = 0
        self.requests = 0
        self._flying: dict[int, tuple[int, Deferred[list[Answer]]]] = {}
        self._queue: list[bytes] = []
        self._busy = False
        self._number = 0

    def begin(self, part: Part, house: House) -> None:
        """Serve with a core that has opened token and ledger."""
        self.part, self.house = part, house
        self._queue.clear()
        self._busy = False

    def submit(self, batch: list[Request]) -> Deferred[list[Answer]]:
        """Hand a batch to the core."""
        if self.house is None:
            return succeed([Failed(ResponseCode.ISSUER_UNAVAILABLE, "core-down")] * len(batch))
        self._number += 1
        answered: Deferred[list[Answer]] = Deferred()
        self._flying[self._number] = (len(batch), answered)
        self._queue.append(encode(Batch(self._number, batch)))
        self._begin_next()
        return answered

    def ended(self) -> House | None:
        """Take note that the core is gone; return it, so that it can be closed."""
        house, self.house = self.house, None
        self._queue.clear()
        front, flying = self.front, self._flying
        self._flying = {}
        if front is not None and front.alive:
            for count, answered in flying.values():
                lost: list[Answer] = [Failed(ResponseCode.SYSTEM_ERROR, "core-lost")] * count
                self._work.later(0.001, front, answered.callback, lost)
        return house

    def finish(self) -> None:
        """Work off what is waiting, as a core does whose front is gone. Raises Crashed."""
        while self._queue and self.house is not None:
            self._handle_next(self.house)

    def _begin_next(self) -> None:
        if self._queue and not self._busy and self.part is not None:
            self._busy = True
            self._work.later(0.0, self.part, self._turn)

    def _turn(self) -> None:
        house = self.house
        if house is None or not self._queue:
            return
        self._token.spent = 0.0
        said = self._handle_next(house)
        seconds = self._chance.seconds(*SERVICE) + self.slow + self._token.spent
        self._work.later(seconds, self.part, self._answer, said)
        if self._chance.below(_UPKEEP_EVERY) == 0:
            self._work.later(seconds, self.part, house.core.idle)

    def _handle_next(self, house: House) -> bytes:
        said = decode_to_core(self._queue.pop(0))
        if not isinstance(said, Batch):
            raise TypeError("the front sends batches")
        self.batches += 1
        self.requests += len(said.requests)
        return encode(Answers(said.number, house.core.handle(said.requests)))

    def _answer(self, frame: bytes) -> None:
        self._busy = False
        self._begin_next()
        if self.front is not None and self.front.alive:
            self._work.later(0.0, self.front, self._answered, frame)

    def _answered(self, frame: bytes) -> None:
        said = decode_from_core(frame)
        if isinstance(said, Answers) and said.number in self._flying:
            _, answered = self._flying.pop(said.number)
            answered.callback(said.answers)


class Backend:
    """The machine."""

    def __init__(
        self,
        work: Clockwork,
        network: Network,
        town: Town,
        disk: Disk,
        chance: Chance,
        seed: int,
        channel: ChannelName,
        note: Note,
        day_seconds: float,
    ) -> None:
        """`note(level, text)` receives what the core tells its operator; the front asks for the date so often."""
        self._work = work
        self._network = network
        self._town = town
        self._disk = disk
        self._chance = chance
        self._seed = seed
        self._channel = channel
        self._note = note
        self._day_seconds = day_seconds
        self._kept: dict[str, bytes] = {}
        self._incarnations = 0
        self._power_fails = False
        self._checkpointing = False
        #: Called with the sentence when a core cannot be built although its token is there.
        self.on_refusal: Callable[[str], None] = lambda sentence: None
        #: What died and came back, by name, for the run's figures.
        self.token = TokenState()
        self.offset = 0.0
        self.core = SimulatedCore(work, chance.fork("core"), self.token)
        self.front: Front | None = None
        self.front_part: Part | None = None

    @property
    def core_part(self) -> Part | None:
        """The core's process now, dead or alive."""
        return self.core.part

    @property
    def up(self) -> bool:
        """Whether front and core serve."""
        return self.front is not None and self.core.house is not None

    # ------------------------------------------------------------------------------ starting

    def start(self) -> None:
        """Start front and core; again a little later when the core cannot be built."""
        if self.front is not None:
            return
        part = self._part("front")
        self.core.front = self.front_part = part
        if not self._start_core():
            part.die()
            self._work.later(self._chance.seconds(*MACHINE_PAUSE), None, self.start)
            return
        front = Front(
            name=BACKEND_NAME,
            currency=CURRENCY,
            core=self.core,
            clock=part.clock,
            entropy=self._entropy("front"),
            reactor=part.reactor,
            max_batch=256,
            day_seconds=self._day_seconds,
        )
        links = LinkFactory(front, None, part.reactor)
        listener = Listener(
            part, PLACE, self._network.address(PLACE, 7003), links.buildProtocol, self._channel, (ChannelRole.GATEWAY,)
        )
        self._network.listen(listener)
        self.front = front
        front.start(links.announce_day, lambda: None, links.connections)

    def _start_core(self) -> bool:
        part = self._part("core")
        self.core.part = part
        try:
            session = UnreliableToken(self._town.keys, self._kept, self.token)
            house = build_house(self._town, part, self._disk, session, self._entropy("core"), self._note)
        except TrusError as refusal:
            self._work.say("core", "does not start:", refusal)
            part.die()
            self._disk.leave()
            if not isinstance(refusal, KeyStoreError):
                self.on_refusal(str(refusal))
            return False
        except Crashed:
            return False
        part.at_death.append(self._core_died)
        self.core.begin(part, house)
        self._work.say("core", "serves")
        return True

    def _part(self, name: str) -> Part:
        self._incarnations += 1
        part = Part(self._work, name, self._incarnations)
        part.offset = self.offset
        return part

    def _entropy(self, name: str) -> SeededEntropy:
        return SeededEntropy(self._seed, f"{name}/{self._incarnations}")

    # -------------------------------------------------------------------------------- ending

    def kill_core(self) -> None:
        """Kill the core's process."""
        if self.core.house is not None and self.core.part is not None:
            self._work.say("core", "is killed")
            self.core.part.die()

    def kill_front(self, *, core_first: bool = False) -> None:
        """Kill the front's process; the core works off what it has received, and ends, unless it dies too."""
        part, self.front = self.front_part, None
        if part is None or not part.alive:
            return
        self._work.say("front", "is killed")
        part.die()
        self._network.part_died(part, silently=False)
        self.core.front = None
        if core_first:
            self.kill_core()
        elif self.core.house is not None and self.core.part is not None:
            self._end_core(self.core.part)
        self._work.later(self._chance.seconds(*MACHINE_PAUSE), None, self.start)

    def cut_power(self) -> None:
        """Cut the machine's power: front and core are gone at once, and their connections without a word."""
        self._power_fails = True
        if self.core.house is not None and self.core.part is not None:
            self.core.part.die()
        else:
            self._lose_machine()

    def cut_power_soon(self, *, checkpointing: bool = False) -> None:
        """Take the next death of the core for a power cut; `checkpointing` makes it die in a checkpoint."""
        self._power_fails = True
        if checkpointing:
            self._checkpointing = True
            self._disk.trouble.checkpoint = True

    def forget_power(self) -> None:
        """Let no later death be a power cut."""
        self._power_fails = self._checkpointing = False

    def stop(self) -> None:
        """End both in good order, for the examiner; nothing comes back."""
        part, self.front = self.front_part, None
        if part is not None:
            part.die()
        if self.core.house is not None and self.core.part is not None:
            self._end_core(self.core.part)

    def restart(self) -> None:
        """Stop and start again in good order, as an operator does who reads that the ledger must be restarted."""
        self.kill_front()

    def _end_core(self, part: Part) -> None:
        """Let a core whose front is gone finish and close."""
        part.at_death.clear()
        try:
            self.core.finish()
            if self.core.house is not None:
                self.core.house.core.close()
        except Crashed:
            self._disk.kill()
        else:
            self._disk.leave()
        self._close(self.core.ended())
        part.alive = False

    def _core_died(self) -> None:
        house = self.core.ended()
        if self._power_fails:
            lost = self._disk.cut_power(checkpointing=self._checkpointing)
            self._work.say("core", "loses power:", lost)
            self._close(house)
            self._lose_machine()
            return
        self._disk.kill()
        self._close(house)
        self._work.later(self._chance.seconds(*CORE_PAUSE), self.front_part, self._core_again)

    def _core_again(self) -> None:
        """Start a core again that died: the front's part of the work."""
        if self.core.house is not None or self.front is None:
            return
        if self._start_core():
            self.front.refresh()
        else:
            self._work.later(self._chance.seconds(*CORE_PAUSE), self.front_part, self._core_again)

    def _lose_machine(self) -> None:
        self._power_fails = self._checkpointing = False
        part, self.front = self.front_part, None
        if part is not None and part.alive:
            part.die()
            self._network.part_died(part, silently=True)
        self._work.later(self._chance.seconds(*MACHINE_PAUSE), None, self.start)

    @staticmethod
    def _close(house: House | None) -> None:
        """Let go of a dead core's files: they were copied as they were."""
        if house is not None:
            house.ledger.close()
