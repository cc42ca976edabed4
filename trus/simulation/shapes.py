"""How large a simulated run is and what goes wrong in it.

Decides nothing by itself: a shape is drawn from the seed, or given. Two families: the full one, with
up to eight terminals and everything checked, and the quick one, of which thousands fit into a minute.
"""

from __future__ import annotations

import attrs

from trus.simulation.chance import Chance


@attrs.frozen
class Shape:
    """One run's size: terminals, cashiers at each, and how busy and how unlucky they are.

    `think` is how long a cashier waits before an order and `interval` how long nothing goes wrong, in
    seconds (least, most). `share` is the part of the kinds of fault that this run has. `day_seconds` is how
    often the front asks for the business date. `audited` runs the ledger's whole audit at the end; without
    it the hash chain and its signed heads are walked alone. `ciphered` keeps the ledger in its ciphered file, which
    power cuts cut into; without it the ledger is in memory (trus.simulation.memory). `faults` are the kinds that a
    run may have at all, empty for every kind (trus.simulation.faults).
    """

    tills: int
    lanes: int
    think: tuple[float, float]
    interval: tuple[float, float]
    share: float
    meddlers: bool = True
    thief: bool = True
    day_seconds: float = 1.0
    audited: bool = True
    faults: tuple[str, ...] = ()
    ciphered: bool = True

    @classmethod
    def of(cls, chance: Chance) -> Shape:
        """Draw a full one."""
        return cls(
            tills=chance.between(1, 8),
            lanes=chance.choose((1, 1, 2, 4)),
            think=chance.choose(((0.0, 0.05), (0.0, 0.5), (0.1, 3.0))),
            interval=chance.choose(((0.05, 1.0), (0.2, 4.0), (1.0, 15.0))),
            share=chance.choose((0.1, 0.25, 0.6, 1.0)),
            thief=chance.below(3) > 0,
            ciphered=chance.below(3) == 0,
        )

    @classmethod
    def quick(cls, chance: Chance) -> Shape:
        """Draw a small one: few terminals, few kinds of fault, but these often."""
        return cls(
            tills=chance.choose((1, 1, 2, 3)),
            lanes=chance.choose((1, 1, 2)),
            think=chance.choose(((0.0, 0.02), (0.0, 0.1), (0.0, 0.5))),
            interval=chance.choose(((0.1, 1.0), (0.3, 3.0), (1.0, 8.0))),
            share=chance.choose((0.05, 0.1, 0.25, 0.6)),
            thief=chance.below(4) == 0,
            day_seconds=5.0,
            audited=chance.below(16) == 0,
            ciphered=chance.below(4) == 0,
        )
