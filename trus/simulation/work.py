"""Measures how much work a simulated network does: purchases alone, no faults, every till as busy as it can be.

Says nothing about machines: a purchase a simulated second is bounded by the simulated delays, a purchase a second
of the processor by what the network's own code costs on it. The run is judged as any other, outside the time.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from trus.device.journal import Asked
from trus.settings.model import ScreeningSettings
from trus.simulation.books import Finding
from trus.simulation.run import World
from trus.simulation.shapes import Shape
from trus.simulation.sweep import scratch, settle_memory, settled_memory
from trus.simulation.town import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trus.simulation.tills import SimulatedTill

#: Purchases of a measurement: seconds of a processor.
USUAL_PURCHASES: Final = 20_000
#: All the town's terminals, many purchases under way at each.
_SHAPE: Final = Shape(
    tills=12,
    lanes=32,
    think=(0.0, 0.001),
    interval=(1e9, 1e9),
    share=0.0,
    meddlers=False,
    thief=False,
    day_seconds=5.0,
    audited=False,
    ciphered=False,
)
#: What a till may say in a second is no bound here: 250 purchases, unless told otherwise.
_SCREENING: Final = ScreeningSettings(lines_per_second=1_000_000, line_burst=1_000_000)
#: Cards of the company that sets no limits; small amounts, so that purses last.
_CARDS: Final = 8
_MOST: Final = 20
#: Between two looks at how far it is.
_LOOK_SECONDS: Final = 0.05


@attrs.frozen
class Work:
    """What a measurement found: purchases with an answer, the approved ones among them, and what they took."""

    purchases: int
    approved: int
    batches: int
    simulated_seconds: float
    processor_seconds: float
    wall_seconds: float
    findings: tuple[Finding, ...]


class Watches(NamedTuple):
    """The machine's seconds: of this process's processor time, and on the wall."""

    processor: Callable[[], float]
    wall: Callable[[], float]


class Sale:
    """A purchase with the right PIN, once all terminals are connected."""

    def __init__(self) -> None:
        self.open = False

    def possible(self, till: SimulatedTill) -> bool:
        """Return True."""
        return True

    async def place(self, till: SimulatedTill) -> None:
        """Sell something small."""
        if till.client is None or not self.open:
            await till.pause(_LOOK_SECONDS)
            return
        card, amount = till.chance.choose(till.shop.town.cards[:_CARDS]), till.chance.between(1, _MOST)
        ordered = till.note(Asked.PURCHASE, amount, card, pin=card.pin)
        till.heard(ordered, await till.client.purchase(amount, card.track2, card.pin, currency=CURRENCY))


def measure_all(seed: int, jobs: int, watches: Watches, purchases: int = USUAL_PURCHASES) -> list[Work]:
    """Measure in `jobs` processes at the same time, each with a seed of its own from `seed` on."""
    if jobs <= 1:
        return [measure(seed, watches, purchases)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=settle_memory) as pool:
        return list(pool.map(measure, range(seed, seed + jobs), [watches] * jobs, [purchases] * jobs))


def told(works: Sequence[Work]) -> str:
    """Return for people what measurements at the same time found."""
    done, approved = sum(each.purchases for each in works), sum(each.approved for each in works)
    simulated = sum(each.purchases / each.simulated_seconds for each in works) / len(works)
    processor = done / sum(each.processor_seconds for each in works)
    wall = sum(each.purchases / each.wall_seconds for each in works)
    size = done / sum(each.batches for each in works)
    return (
        f"{done:,} purchases, {approved:,} approved, {size:.0f} in a batch of the core: {simulated:,.0f} a simulated "
        f"second, {processor:,.0f} a second of a processor, {wall:,.0f} a second of this machine in "
        f"{len(works)} process{'es' if len(works) > 1 else ''}"
    )


def measure(seed: int, watches: Watches, purchases: int = USUAL_PURCHASES) -> Work:
    """Run so many purchases on a warm network, in a folder of its own."""
    place = scratch()
    try:
        sale = Sale()
        with settled_memory():
            world = World(seed, place / "run", _SHAPE, kinds=((1, sale),), screening=_SCREENING)
            try:
                with world.watch.kept():
                    return _measured(world, sale, watches, purchases)
            finally:
                world.disk.release(keep=False)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _measured(world: World, sale: Sale, watches: Watches, purchases: int) -> Work:
    world.operator.resting = True
    world.trade(1)
    while not all(till.client is not None and till.client.connected for till in world.tills):
        world.work.advance(_LOOK_SECONDS)
    sale.open = True
    batches, begun = world.backend.core.batches, world.work.now
    processor, wall = watches.processor(), watches.wall()
    while len(_answered(world)) < purchases:
        world.work.advance(_LOOK_SECONDS)
    processor, wall = watches.processor() - processor, watches.wall() - wall
    seconds, batches = world.work.now - begun, world.backend.core.batches - batches
    answers = _answered(world)
    if world.recover():
        world.prove_service()
    world.judge()
    return Work(len(answers), sum(answers), batches, seconds, processor, wall, tuple(world.findings))


def _answered(world: World) -> list[bool]:
    """Return of each purchase that has an answer whether it was approved."""
    return [each.answer.approved for each in world.papers.orders if each.answer is not None and each.answer.answered]
