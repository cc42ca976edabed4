"""Injects the faults of a run: which, when and where follow from the seed.

A run has some of the kinds of fault, not all: what only shows when two things coincide shows more
often when they are all that happens. `heal` undoes whatever can be undone; from then on the
network must recover by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from trus.simulation.chance import Chance
from trus.simulation.storage import FULL, IO_ERROR

if TYPE_CHECKING:
    from trus.simulation.run import World

#: Seconds that a passing fault lasts.
LASTS: Final = (0.5, 40.0)
_RESTART_AFTER: Final = (2.0, 10.0)


class Nemesis:
    """What goes wrong."""

    def __init__(self, world: World, chance: Chance, *, interval: tuple[float, float], share: float) -> None:
        """A fault every `interval` seconds; each kind is in with the probability `share`."""
        self._world = world
        self._chance = chance
        self._interval = interval
        self._active = False
        self.injected: Counter[str] = Counter()
        kinds = [each for each in self._kinds() if chance.happens(share)]
        self._enabled = kinds or [chance.choose(self._kinds())]

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
        weight_kinds = tuple((weight, (name, strike)) for weight, name, strike in self._enabled)
        name, strike = self._chance.weighted(weight_kinds)
        if strike() is not False:
            self.injected[name] += 1
        self._plan()

    def _for_a_while(self, undo: Callable[[], object]) -> None:
        self._world.work.later(self._chance.seconds(*LASTS), None, undo)

    def _kinds(self) -> tuple[tuple[int, str, Callable[[], object]], ...]:
        return (
            (8, "connection cut", self._cut),
            (3, "connection half open", self._half_open),
            (3, "partition", self._partition),
            (2, "one-way partition", self._one_way),
            (3, "slow network", self._slow_network),
            (4, "terminal killed", self._kill_till),
            (4, "terminal's power cut", self._cut_till),
            (4, "terminal died while writing", self._till_dies_writing),
            (2, "journal's disk failed", self._journal_fails),
            (2, "gateway killed", self._kill_gateway),
            (2, "gateway's power cut", self._cut_gateway),
            (3, "dishonest gateway", self._meddle),
            (3, "core killed", self._kill_core),
            (3, "core died at a commit", self._core_dies_at_commit),
            (3, "core died in a statement", self._core_dies_in_statement),
            (3, "front killed", self._kill_front),
            (2, "front and core killed", self._kill_backend),
            (3, "backend's power cut", self._cut_backend),
            (2, "power cut at a commit", self._cut_at_commit),
            (1, "power cut in a checkpoint", self._cut_in_checkpoint),
            (3, "commit refused: disk full", self._commit_refused),
            (3, "commit of unknown outcome", self._commit_unknown),
            (2, "statement failed", self._statement_fails),
            (3, "slow commits", self._slow_commits),
            (3, "token gone", self._token_gone),
            (2, "token pulled out in a batch", self._token_pulled),
            (2, "slow token", self._slow_token),
            (2, "clock jumped", self._clock_jumps),
            (1, "all suspended", self._sleep),
        )

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
