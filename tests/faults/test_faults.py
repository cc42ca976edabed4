"""The network in real processes under faults: a short run of script/faults."""

from __future__ import annotations

import random
import warnings
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase

from tests.faults import plans, report
from tests.faults.house import Shape
from tests.faults.run import Record, Run
from tests.faults.tools import find_faketime, find_strace

#: Another one draws other steps, other victims and other moments: script/faults does.
SEED = 4
#: I7, for a machine that runs everything else at the same time.
BACK_WITHIN_SECONDS = 240.0


class ShortRunTests(TestCase):
    """TR-2, TR-11: whatever happens to the machines, the money is right and service comes back."""

    timeout = 1800

    @inlineCallbacks
    def test_no_fault_makes_loses_or_moves_money_twice(self) -> Generator[Deferred[Any], Any, None]:
        """After each of some thirty faults in real processes I1 to I7 hold, and so does the ledger's own audit."""
        record: Record = yield Deferred.fromCoroutine(self.play())
        told = "\n".join(report.lines(record, []))
        found = report.as_dict(record, [])["findings"]
        self.assertEqual(found, [], told)
        self.assertEqual(len({each.step for each in record.rounds if each.step}), sum(plans.SHORT_STEPS.values()), told)
        wanted = set(plans.KINDS) - {"kill"} - {each.kind for each in self.missing}
        self.assertEqual({each.kind for each in record.rounds}, wanted, told)
        self.assertGreater(record.approved, 2 * len(record.rounds), told)

    async def play(self) -> Record:
        strace, faketime = find_strace(), find_faketime()
        self.missing = plans.missing(strace, faketime)
        for each in self.missing:  # never in silence
            warnings.warn(f"not injected: {each.fault}: {each.why}", stacklevel=1)
        shape = Shape(terminals=2, gateways=1, seed=SEED)
        run = Run(
            reactor,
            shape,
            strace,
            faketime,
            small_disk=True,
            back_within=BACK_WITHIN_SECONDS,
            say=lambda line: None,
        )
        try:
            faults = plans.short(random.Random(f"plan/{SEED}"))
            possible = (each for each in faults if plans.possible(each, strace, faketime, []))
            return await run.play(possible, lambda rounds: False)
        finally:
            await run.house.close(keep=False)
