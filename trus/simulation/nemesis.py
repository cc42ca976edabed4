"""Injects the faults of a run: which, when and where follow from the seed.

A run has some of the kinds of fault, not all: what only shows when two things coincide shows more
often when they are all that happens. `heal` undoes whatever can be undone; from then on the
network must recover by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from trus.simulation.chance import Chance
from trus.simulation.clockwork import Part
from trus.simulation.faults import FAULTS
from trus.simulation.network import CHANNELS
from trus.simulation.storage import FULL, IO_ERROR

if TYPE_CHECKING:
    from trus.simulation.run import World

#: Seconds that a passing fault lasts.
LASTS: Final = (0.5, 40.0)
_RESTART_AFTER: Final = (2.0, 10.0)
#: Thirty years, in seconds: before the founding of the town, and after the end of its authority.
_AN_AGE: Final = 30 * 365 * 86_400.0


class Nemesis:
    """What goes wrong."""

    def __init__(
        self,
        world: World,
        chance: Chance,
        *,
        interval: tuple[float, float],
        share: float,
        allowed: Collection[str] = (),
    ) -> None:
        """A fault every `interval` seconds; each kind of `allowed` is in with the probability `share`.

        All kinds are allowed when `allowed` is empty.
        """
        self._world = world
        self._chance = chance
        self._interval = interval
        self._active = False
        self.injected: Counter[str] = Counter()
        possible = [each for each in FAULTS if not allowed or each.name in allowed]
        kinds = [each for each in possible if chance.happens(share)]
        self._enabled = tuple((each.weight, each.name) for each in kinds or [chance.choose(possible)])

    def start(self) -> None:
        """Begin."""
        self._active = True
        self._plan()

    def stop(self) -> None:
        """Inject nothing more."""
        self._active = False

    def _plan(self) -> None:
        self._world.work.later(self._chance.seconds(*self._interval), None, self._strike)

    def _strike(self) -> None:
        if not self._active:
            return
        name = self._chance.weighted(self._enabled)
        if STRIKES[name](self) is not False:
            self._world.work.say("nemesis", name)
            self.injected[name] += 1
        self._plan()

    def _for_a_while(self, undo: Callable[[], object]) -> None:
        self._world.work.later(self._chance.seconds(*LASTS), None, undo)

    # ------------------------------------------------------------------------------- network

    def _cut(self) -> object:
        network = self._world.network
        numbers = network.connections()
        if not numbers:
            return False
        network.cut(self._chance.choose(numbers), (True, True))
        return True

    def _half_open(self) -> object:
        network = self._world.network
        numbers = network.connections()
        if not numbers:
            return False
        told = self._chance.choose(((True, False), (False, True), (False, False)))
        network.cut(self._chance.choose(numbers), told)
        return True

    def _partition(self, *, both: bool = True) -> object:
        world = self._world
        place = self._chance.choose(world.places)
        others = [each for each in world.places if each != place]
        for other in others if self._chance.below(2) else [self._chance.choose(others)]:
            world.network.block(place, other, both=both)
        self._for_a_while(world.network.heal)
        return True

    def _one_way(self) -> object:
        return self._partition(both=False)

    def _slow_network(self) -> object:
        network = self._world.network
        network.slowest = self._chance.seconds(0.1, 12.0)

        def undo() -> None:
            network.slowest = 0.02

        self._for_a_while(undo)
        return True

    # ----------------------------------------------------------------------------- terminals

    def _kill_till(self, *, power: bool = False) -> object:
        till = self._chance.choose(self._world.tills)
        if till.part is None:
            return False
        till.kill(power=power)
        return True

    def _cut_till(self) -> object:
        return self._kill_till(power=True)

    def _till_dies_writing(self) -> object:
        till = self._chance.choose(self._world.tills)
        if till.part is None:
            return False
        till.die_by_power_next()
        till.disk.trouble = self._chance.choose(("die-before", "die-after"))
        return True

    def _journal_fails(self) -> object:
        till = self._chance.choose(self._world.tills)
        if till.part is None:
            return False
        till.disk.trouble = "fail"
        self._for_a_while(till.restart_if_out_of_order)
        return True

    # ------------------------------------------------------------------------------ any part

    def _dies_at_an_await(self) -> object:
        """Let a part's process die when its n-th event from now has run: whatever it waits for then."""
        world = self._world
        victims: list[tuple[Part | None, Callable[[], object]]] = [
            (till.part, lambda till=till: till.kill(power=False))  # type: ignore[misc]
            for till in world.tills
        ]
        victims += [(each.part, lambda each=each: each.kill(silently=False)) for each in world.gateways]  # type: ignore[misc]
        victims.append((world.backend.front_part, world.backend.kill_front))
        victims.append((world.backend.core_part, world.backend.kill_core))
        part, kill = self._chance.choose(victims)
        if part is None or not part.alive:
            return False
        part.burn(self._chance.between(1, 24), kill)
        return True

    # ------------------------------------------------------------------------------ gateways

    def _kill_gateway(self, *, silently: bool = False) -> object:
        gateway = self._chance.choose(self._world.gateways)
        if gateway.part is None:
            return False
        gateway.kill(silently=silently)
        return True

    def _cut_gateway(self) -> object:
        return self._kill_gateway(silently=True)

    def _meddle(self) -> object:
        meddler = self._chance.choose(self._world.meddlers)
        meddler.active, meddler.rate = True, self._chance.choose((0.02, 0.1, 0.3))

        def undo() -> None:
            meddler.active = False

        self._for_a_while(undo)
        return True

    # ------------------------------------------------------------------------------- backend

    def _kill_core(self) -> object:
        self._world.backend.kill_core()
        return True

    def _core_dies_at_commit(self) -> object:
        self._world.disk.trouble.commit = self._chance.choose(("die-before", "die-after"))
        return True

    def _core_dies_in_statement(self) -> object:
        self._world.disk.trouble.death = self._chance.between(1, 12)
        return True

    def _kill_front(self) -> object:
        self._world.backend.kill_front()
        return True

    def _kill_backend(self) -> object:
        self._world.backend.kill_front(core_first=True)
        return True

    def _cut_backend(self) -> object:
        self._world.backend.cut_power()
        return True

    def _cut_at_commit(self) -> object:
        self._world.backend.cut_power_soon()
        return self._core_dies_at_commit()

    def _cut_in_checkpoint(self) -> object:
        self._world.backend.cut_power_soon(checkpointing=True)
        return True

    def _commit_refused(self) -> object:
        self._world.disk.trouble.commit = "refuse"
        return True

    def _commit_unknown(self) -> object:
        self._world.disk.trouble.commit = self._chance.choose(("lose", "keep"))
        self._world.work.later(self._chance.seconds(*_RESTART_AFTER), None, self._world.restart_sick_backend)
        return True

    def _statement_fails(self) -> object:
        trouble = self._world.disk.trouble
        trouble.statement, trouble.code = self._chance.between(1, 12), self._chance.choose((FULL, IO_ERROR))
        self._world.work.later(self._chance.seconds(*_RESTART_AFTER), None, self._world.restart_sick_backend)
        return True

    def _slow_commits(self) -> object:
        core = self._world.backend.core
        core.slow = self._chance.seconds(0.05, 9.0)

        def undo() -> None:
            core.slow = 0.0

        self._for_a_while(undo)
        return True

    # --------------------------------------------------------------------------------- token

    def _token_gone(self) -> object:
        token = self._world.backend.token
        token.available = False
        self._for_a_while(self._token_back)
        return True

    def _token_pulled(self) -> object:
        self._world.backend.token.pulled_in = self._chance.between(1, 6)
        self._for_a_while(self._token_back)
        return True

    def _token_back(self) -> None:
        token = self._world.backend.token
        token.available, token.pulled_in = True, 0

    def _slow_token(self) -> object:
        token = self._world.backend.token
        token.slow = self._chance.seconds(0.01, 2.0)

        def undo() -> None:
            token.slow = 0.0

        self._for_a_while(undo)
        return True

    # --------------------------------------------------------------------------------- clocks

    def _clock_jumps(self) -> object:
        world = self._world
        machine = self._chance.choose(world.machines)
        size = self._chance.choose((3.0, 60.0, 900.0, 7_200.0, 172_800.0))
        world.set_clock(machine, self._chance.choose((-size, size)))
        return True

    def _certificate_expires(self) -> object:
        """Let a channel certificate end; who is connected stays so, nobody new is let in until it is renewed."""
        network = self._world.network
        name = self._chance.choose(CHANNELS)
        network.expired.add(name)

        def undo() -> None:
            network.expired.discard(name)

        self._for_a_while(undo)
        return True

    def _till_in_another_age(self) -> object:
        """Show a terminal a date at which no certificate is valid; somebody sets its clock right again."""
        world = self._world
        till = self._chance.choose(world.tills)
        world.set_clock(till, self._chance.choose((-_AN_AGE, _AN_AGE)))
        self._for_a_while(lambda: world.set_clock(till, 0.0))
        return True

    def _sleep(self) -> object:
        """Suspend every machine at once: the wall clocks go on, nothing else does."""
        self._world.work.slept += self._chance.choose((60.0, 1_800.0, 4_000.0, 30_000.0, 90_000.0))
        return True

    # ------------------------------------------------------------------------------- healing

    def heal(self) -> None:
        """Stop, and undo everything that can be undone at once."""
        world = self._world
        self._active = False
        world.network.heal()
        world.network.slowest = 0.02
        world.network.expired.clear()
        for meddler in world.meddlers:
            meddler.active = False
        self._token_back()
        world.backend.token.slow = world.backend.core.slow = 0.0
        trouble = world.disk.trouble
        trouble.commit, trouble.statement, trouble.death, trouble.checkpoint = "", 0, 0, False
        world.backend.forget_power()
        for machine in world.machines:
            world.set_clock(machine, 0.0)
        for till in world.tills:
            till.disk.trouble = ""
        for part in self._parts():
            part.burn(0, lambda: None)

    def _parts(self) -> list[Part]:
        world = self._world
        found = [till.part for till in world.tills] + [each.part for each in world.gateways]
        return [part for part in (*found, world.backend.front_part, world.backend.core_part) if part is not None]


#: What each kind of fault of trus.simulation.faults does.
STRIKES: Final[Mapping[str, Callable[[Nemesis], object]]] = {
    "connection cut": Nemesis._cut,
    "connection half open": Nemesis._half_open,
    "partition": Nemesis._partition,
    "one-way partition": Nemesis._one_way,
    "slow network": Nemesis._slow_network,
    "terminal killed": Nemesis._kill_till,
    "terminal's power cut": Nemesis._cut_till,
    "terminal died while writing": Nemesis._till_dies_writing,
    "journal's disk failed": Nemesis._journal_fails,
    "died at an await": Nemesis._dies_at_an_await,
    "gateway killed": Nemesis._kill_gateway,
    "gateway's power cut": Nemesis._cut_gateway,
    "dishonest gateway": Nemesis._meddle,
    "core killed": Nemesis._kill_core,
    "core died at a commit": Nemesis._core_dies_at_commit,
    "core died in a statement": Nemesis._core_dies_in_statement,
    "front killed": Nemesis._kill_front,
    "front and core killed": Nemesis._kill_backend,
    "backend's power cut": Nemesis._cut_backend,
    "power cut at a commit": Nemesis._cut_at_commit,
    "power cut in a checkpoint": Nemesis._cut_in_checkpoint,
    "commit refused: disk full": Nemesis._commit_refused,
    "commit of unknown outcome": Nemesis._commit_unknown,
    "statement failed": Nemesis._statement_fails,
    "slow commits": Nemesis._slow_commits,
    "token gone": Nemesis._token_gone,
    "token pulled out in a batch": Nemesis._token_pulled,
    "slow token": Nemesis._slow_token,
    "clock jumped": Nemesis._clock_jumps,
    "all suspended": Nemesis._sleep,
    "certificate expired": Nemesis._certificate_expires,
    "clock past all certificates": Nemesis._till_in_another_age,
}
