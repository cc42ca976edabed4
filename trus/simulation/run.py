"""One run of the simulation: a town, a network on it, faults, healing, and the judgement.

Everything follows from the seed and the number of steps; nothing is read from the machine but a
scratch folder's name, which reaches no trace. The phases: trade under faults until the steps are
done; heal; wait until every terminal has settled (I7); a last purchase and a last closing each; the
ledger's own audit and this package's checks.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from trus.cli.heads import TokenHeadVerifier, public_pem
from trus.device.errors import Stopped
from trus.device.journal import Asked, JournalError
from trus.device.orders import Answer
from trus.ledger import audit
from trus.ledger.compose import open_for_reading
from trus.ledger.dump import read_dump
from trus.settings.model import ScreeningSettings
from trus.simulation.backend import PLACE, Backend
from trus.simulation.books import Finding
from trus.simulation.chance import Chance
from trus.simulation.clockwork import BOOTED_SECONDS, Clockwork, Sink
from trus.simulation.gateways import Gateway
from trus.simulation.invariants import judge
from trus.simulation.meddling import Meddler
from trus.simulation.memory import MemoryDisk
from trus.simulation.nemesis import Nemesis
from trus.simulation.network import ChannelName, Network
from trus.simulation.operators import Operator
from trus.simulation.orders import KINDS, OrderKind
from trus.simulation.papers import Papers
from trus.simulation.proofs import receipts_verify
from trus.simulation.shapes import Shape
from trus.simulation.storage import Disk, LedgerDisk
from trus.simulation.thieves import Thief
from trus.simulation.tills import Shop, SimulatedTill
from trus.simulation.town import CURRENCY, FOUNDED, Town, town
from trus.simulation.watching import Watch
from trus.simulation.wires import Wire
from trus.values import ChannelRole

#: I7: from the end of the faults until every terminal is connected and nothing of it is unfinished, in
#: seconds. A device notices a dead connection within half of the session's 300 s of silence, a repetition
#: of a reversal waits up to 75 s, a connection attempt up to 15 s.
RECOVERY_SECONDS: Final = 300.0
#: From a purchase on a healed network to its answer.
ANSWER_SECONDS: Final = 40.0
_CHANNEL_LIFE: Final = timedelta(days=400)


@attrs.frozen
class Report:
    """What one run did and found; `digest` names its trace."""

    seed: int
    steps: int
    seconds: float
    purchases: int
    approved: int
    events: int
    requests: int
    batches: int
    recovered: float
    injected: Counter[str]
    done: Counter[str]
    findings: tuple[Finding, ...]
    digest: str

    @property
    def held(self) -> bool:
        """Whether every invariant held."""
        return not self.findings


#: Whatever has a clock of its own.
Machine = SimulatedTill | Gateway | Backend


class World:
    """Everything of one run."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        shape: Shape | None = None,
        sink: Sink | None = None,
        *,
        kinds: Sequence[tuple[int, OrderKind]] = KINDS,
        screening: ScreeningSettings | None = None,
    ) -> None:
        """`kinds` is what is ordered, `screening` what the gateways let through, None for what they do unless told."""
        self.seed = seed
        self.town: Town = town()
        self.chance = Chance(seed)
        shape = shape or Shape.of(self.chance.fork("shape"))
        self.shape = shape
        start = FOUNDED + timedelta(seconds=self.chance.below(2 * 86_400))
        self.work = Clockwork(start, sink)
        self.findings: list[Finding] = []
        self.papers = Papers()
        self.network = Network(self.work, self.chance.fork("network"))
        self.watch = Watch(self.work, self._found)
        ends = start + _CHANNEL_LIFE
        self.disk: Disk = (
            LedgerDisk(folder / "ledger", self.town.ledger, self.chance.fork("disk"))
            if shape.ciphered
            else MemoryDisk(folder / "ledger", self.town)
        )
        self.backend = Backend(
            self.work,
            self.network,
            self.town,
            self.disk,
            self.chance.fork("backend"),
            seed,
            ChannelName(ChannelRole.BACKEND, "backend", ends),
            self.watch.note,
            shape.day_seconds,
        )
        self.backend.on_refusal = lambda sentence: self._found(Finding("I5", f"the core cannot start: {sentence}"))
        names = ("gateway-1", "gateway-2")
        self.gateways = [
            Gateway(
                self.work,
                self.network,
                name,
                self.chance.fork(name),
                ChannelName(ChannelRole.GATEWAY, name, ends),
                screening or ScreeningSettings(),
            )
            for name in names
        ]
        self.meddlers = [Meddler(self.work, name, self.chance.fork(f"meddler of {name}")) for name in names]
        self.network.on_connection = self._connected
        self.shop = Shop(self.town, tuple(kinds), shape.think)
        self.tills = [
            self._till(index, names, folder, ChannelName(ChannelRole.POS, "all POS", ends))
            for index in range(shape.tills)
        ]
        self.machines: list[Machine] = [*self.tills, *self.gateways, self.backend]
        self.places = [PLACE, *names, *(till.name for till in self.tills)]
        self.operator = Operator(self.work, self.backend, self.town, self.papers, self.chance.fork("operator"))
        self.thief = Thief(
            self.work,
            self.network,
            self.town,
            self.town.thief,
            names,
            self.papers,
            self.chance.fork("thief"),
            ChannelName(ChannelRole.POS, "all POS", ends),
            shape.think if shape.think[1] > 0.1 else (0.02, 0.2),
        )
        self.nemesis = Nemesis(
            self, self.chance.fork("nemesis"), interval=shape.interval, share=shape.share, allowed=shape.faults
        )
        self.recovered = 0.0

    def _till(self, index: int, gateways: tuple[str, ...], folder: Path, channel: ChannelName) -> SimulatedTill:
        place = folder / f"till-{index}"
        place.mkdir(parents=True)
        chance = self.chance.fork(f"till {index}")
        till = SimulatedTill(
            self.work,
            self.network,
            self.town.tills[index],
            self.shop,
            gateways,
            place,
            self.papers,
            chance,
            channel,
            self.shape.lanes,
        )
        till.compact_above = chance.choose((2_000, 20_000, 256 << 10))
        return till

    # ------------------------------------------------------------------------------ the run

    def trade(self, steps: int) -> None:
        """Let everybody trade under faults until so many events have run."""
        self.backend.start()
        for gateway in self.gateways:
            gateway.start()
        for till in self.tills:
            till.start()
        if self.shape.thief:
            self.thief.start()
        self.nemesis.start()
        self._operate()
        while self.work.step < steps and self.work.turn():
            pass

    def recover(self) -> bool:
        """Heal, and wait until everything has settled; False when that takes too long (I7)."""
        self.work.say("run", "heals")
        self.shop.closed = True
        self.thief.active = False
        self.nemesis.heal()
        self.restart_sick_backend()
        for till in self.tills:
            till.restart_if_out_of_order()
        self.operator.unblock_everything()
        began = self.work.now
        while self.work.now < began + RECOVERY_SECONDS:
            self.work.advance(1.0)
            self.restart_sick_backend()
            for till in self.tills:
                till.restart_if_out_of_order()
            if self._settled():
                self.recovered = self.work.now - began
                return True
        waiting = [till.complaint() for till in self.tills if not till.settled]
        waiting += ["the backend is down"] if not self.backend.up else []
        waiting += ["an admin's order is in doubt"] if not self.operator.settled else []
        self._found(
            Finding("I7", f"not recovered after {RECOVERY_SECONDS:.0f} s: {'; '.join(waiting)}", self.work.step)
        )
        return False

    def prove_service(self) -> None:
        """Sell once more at every terminal, and close every batch: the network serves (I7)."""
        for what, order in (("a purchase", _last_purchase), ("a closing", _last_closing)):
            waiting = {str(till.name) for till in self.tills}
            for till in self.tills:
                self._order(till, order, waiting)
            began = self.work.now
            while waiting and self.work.now < began + ANSWER_SECONDS:
                self.work.advance(1.0)
            if waiting:
                self._found(Finding("I7", f"{what} on the healed network has no answer: {sorted(waiting)}"))
                return

    def _order(
        self,
        till: SimulatedTill,
        order: Callable[[SimulatedTill], Coroutine[Any, Any, Answer | None]],
        waiting: set[str],
    ) -> None:
        async def place() -> None:
            try:
                answer = await order(till)
            except (Stopped, JournalError):
                return
            if answer is not None and answer.answered:
                waiting.discard(till.name)

        Deferred.fromCoroutine(place()).addErrback(self._escaped)

    def _escaped(self, failure: Failure) -> None:
        self.watch.failed(None, failure.value)

    def judge(self) -> int:
        """Look at what is left, by the ledger's own audit and by the run's own checks; return the events."""
        backend = self.backend
        backend.stop()
        path = self.disk.remaining()
        engine = open_for_reading(path, db_key=self.town.db_key, open_file=self.disk.open_file)
        try:
            verifier = TokenHeadVerifier(self.town.keys)
            report = (
                audit.verify(engine, verifier=verifier, heads=self.disk.heads)
                if self.shape.audited
                else audit.verify_chain(engine, verifier=verifier)
            )
            for finding in report.findings:
                self._found(Finding("I5", f"{finding.check.value}: {finding.row}: {finding.problem}"))
            dump = read_dump(engine)
            self.findings += receipts_verify(engine, self.papers, public_pem(self.town.keys))
        finally:
            engine.dispose()
        self.findings += judge(dump, self.papers)
        return len(dump.events)

    # ------------------------------------------------------------------------- for nemesis

    def set_clock(self, machine: Machine, offset: float) -> None:
        """Put a machine's wall clock off by so many seconds."""
        machine.offset = offset
        parts = (machine.front_part, machine.core_part) if isinstance(machine, Backend) else (machine.part,)
        for part in parts:
            if part is not None:
                part.offset = offset

    def restart_sick_backend(self) -> None:
        """Restart a backend whose ledger says that it must be restarted, as its operator would."""
        house = self.backend.core.house
        if house is not None and house.ledger.health() != "ok":
            self.backend.restart()

    # -------------------------------------------------------------------------------- inside

    def _connected(self, near: Wire, far: Wire, place: str, to: str) -> None:
        for meddler, gateway in zip(self.meddlers, self.gateways, strict=True):
            if self.shape.meddlers and place == gateway.name and to == PLACE:
                meddler.take_hold(near, far)

    def _operate(self) -> None:
        if not self.shop.closed:
            self.operator.act()
            self.work.later(self.chance.seconds(0.2, 12.0), None, self._operate)

    def _settled(self) -> bool:
        return self.backend.up and self.operator.settled and all(till.settled for till in self.tills)

    def _found(self, finding: Finding) -> None:
        self.work.say("run", "FOUND", finding)
        self.findings.append(finding)


async def _last_purchase(till: SimulatedTill) -> Answer | None:
    """Sell for the least amount, to somebody whose card is good."""
    if till.client is None:
        return None
    card = next(each for each in till.shop.town.cards if not each.expired)
    ordered = till.note(Asked.PURCHASE, 1, card)
    answer = await till.client.purchase(1, card.track2, card.pin, currency=CURRENCY)
    till.heard(ordered, answer)
    return answer


async def _last_closing(till: SimulatedTill) -> Answer | None:
    """Close the batch: what both sides counted is the same."""
    if till.client is None:
        return None
    ordered = till.note(Asked.CLOSE)
    answer = await till.client.close_batch()
    till.heard(ordered, answer)
    return answer


def run(
    seed: int, steps: int, folder: Path, *, shape: Shape | None = None, sink: Sink | None = None, keep: bool = False
) -> Report:
    """Run a seed in `folder`, which is removed again unless `keep`."""
    folder.mkdir(parents=True)
    try:
        world = World(seed, folder, shape, sink)
        try:
            with world.watch.kept():
                return _play(world, steps)
        finally:
            world.disk.release(keep=keep)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _play(world: World, steps: int) -> Report:
    world.trade(steps)
    if world.recover():
        world.prove_service()
    events = world.judge()
    work, papers = world.work, world.papers
    injected = Counter(world.nemesis.injected)
    for meddler in world.meddlers:
        injected.update({f"line: {name}": count for name, count in meddler.counts.items()})
    injected.update({f"crime: {name}": count for name, count in world.thief.counts.items()})
    answered = [each for each in papers.orders if each.answer is not None]
    return Report(
        seed=world.seed,
        steps=work.step,
        seconds=work.now - BOOTED_SECONDS,
        purchases=sum(each.asked is Asked.PURCHASE for each in papers.orders),
        approved=sum(each.answer is not None and each.answer.approved for each in answered),
        events=events,
        requests=world.backend.core.requests,
        batches=world.backend.core.batches,
        recovered=world.recovered,
        injected=injected,
        done=Counter(each.asked.value for each in papers.orders)
        + Counter({"sign-off": papers.signed, "key change": papers.rekeyed})
        + world.operator.counts,
        findings=tuple(world.findings),
        digest=work.digest,
    )
